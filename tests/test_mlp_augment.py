"""Images moved, turned and made noisy: by hand, by SciPy's conventions, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from fastopt.train import Problem, SpecError, digits
from fastopt.train.augment import DEFAULT, Amounts, Augmenter, parse
from fastopt.train.settings import Settings

RNG = np.random.default_rng(8)
SHAPE = (6, 9)


def augmenter(**amounts: float) -> Augmenter:
    return Augmenter(Amounts(**amounts), SHAPE, np.zeros(SHAPE[0] * SHAPE[1]))


def images(rows: int = 5) -> np.ndarray:
    return RNG.standard_normal((rows, SHAPE[0] * SHAPE[1])).astype(np.float32)


def moved(x: np.ndarray, angle: float, down: float, right: float) -> np.ndarray:
    columns = [np.full((len(x), 1), a, np.float32) for a in (angle, down, right)]
    return augmenter()._moved(x, *columns).reshape(-1, *SHAPE)


def test_a_shift_by_whole_pixels_moves_the_image_and_fills_with_zero() -> None:
    x = images()
    expected = np.zeros((5, *SHAPE), np.float32)
    expected[:, 2:, :-1] = x.reshape(-1, *SHAPE)[:, :-2, 1:]
    np.testing.assert_array_equal(moved(x, 0.0, 2.0, -1.0), expected)


def test_a_shift_by_half_a_pixel_is_the_mean_of_two() -> None:
    x = images()
    framed = np.pad(x.reshape(-1, *SHAPE), ((0, 0), (0, 0), (1, 0)))
    expected = (framed[:, :, :-1] + framed[:, :, 1:]) / 2
    np.testing.assert_allclose(moved(x, 0.0, 0.0, 0.5), expected, rtol=1e-6, atol=1e-6)


def test_a_quarter_turn_is_the_transposed_image_reversed() -> None:
    square = RNG.standard_normal((3, 25)).astype(np.float32)
    angle, nothing = np.full((3, 1), np.pi / 2, np.float32), np.zeros((3, 1), np.float32)
    turned = Augmenter(Amounts(), (5, 5), np.zeros(25))._moved(square, angle, nothing, nothing)
    clockwise = np.rot90(square.reshape(3, 5, 5), -1, axes=(1, 2))
    np.testing.assert_allclose(turned.reshape(3, 5, 5), clockwise, atol=1e-5)


def test_any_move_agrees_with_a_loop_over_the_pixels() -> None:
    x, angle, down, right = images(1), 0.4, 1.3, -0.6
    image, (height, width) = x.reshape(SHAPE), SHAPE
    expected = np.zeros(SHAPE)
    for i, j in np.ndindex(SHAPE):
        y0, x0 = i - (height - 1) / 2 - down, j - (width - 1) / 2 - right
        y = np.cos(angle) * y0 - np.sin(angle) * x0 + (height - 1) / 2
        x_ = np.sin(angle) * y0 + np.cos(angle) * x0 + (width - 1) / 2
        for k, m in np.ndindex(SHAPE):  # every old pixel by how near it is
            expected[i, j] += image[k, m] * max(0, 1 - abs(y - k)) * max(0, 1 - abs(x_ - m))
    np.testing.assert_allclose(moved(x, angle, down, right)[0], expected, atol=1e-5)


def test_amounts_are_limits_and_the_generator_decides() -> None:
    one = np.zeros((2000, 54), np.float32)
    one.reshape(-1, *SHAPE)[:, 3, 4] = 1
    y = augmenter(shift=1.5)(one, np.random.default_rng(1))
    assert y.dtype == np.float32
    assert (augmenter(shift=1.5)(one, np.random.default_rng(1)) == y).all()
    assert not (augmenter(shift=1.5)(one, np.random.default_rng(2)) == y).all()
    reached = np.argwhere(np.abs(y).reshape(-1, *SHAPE).sum(axis=0) > 0)
    assert (reached.min(axis=0) == [1, 2]).all()  # 3 - 1.5 and 4 - 1.5 touch the pixel before
    assert (reached.max(axis=0) == [5, 6]).all()
    centre = (y.reshape(-1, *SHAPE).sum(axis=2) * np.arange(6)).sum(axis=1) / y.sum(axis=1)
    # Uniform in [-1.5, 1.5]: deviation 1.5 / sqrt(3), its estimate from 2000 numbers good to a few per cent.
    assert centre.std() == pytest.approx(1.5 / np.sqrt(3), rel=0.06)
    noise = augmenter(noise=0.3)(one, np.random.default_rng(1)) - one
    assert noise.std() == pytest.approx(0.3, rel=0.02)


def test_the_background_of_standardised_images_stays_the_background() -> None:
    problem = Problem(digits(), Settings(augment=DEFAULT))
    augment = problem.augmenter
    assert augment is not None
    black = np.repeat(problem.x_scale.apply(np.zeros((1, 64))), 3, axis=0)
    turned = Augmenter(Amounts(shift=2, rotate=30), (8, 8), augment.zero)(black, np.random.default_rng(0))
    np.testing.assert_allclose(turned, black, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zoom=2", "augment: unknown option 'zoom'; it has shift, rotate, noise"),
        ("shift=-1", "augment: shift: expected a finite number of at least 0, got -1"),
        ("shift", "augment: expected an option as key=value, got 'shift'"),
        ("noise=true", "augment: noise: expected a finite number"),
    ],
)
def test_amounts_that_are_none(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse(text)
