"""Adafactor's ways through a tensor: rows side by side, rows of few elements, many small matrices, vectors;
where its gradient lies, and where it must be written down first. One rule, whichever way is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from engine import bits, normal
from oracle import Oracle

#: Bands of four rows and what is left of one; some pieces of a matrix; rows longer than what is read at once;
#: rows of a few elements; matrices of which a piece has many; a vector.
SHAPES = [(7, 70), (130, 3000), (3, 5000), (5000, 3), (70, 80, 3, 3), (2, 3, 9, 65), (70000,)]
FORMS: dict[str, dict[str, Any]] = {
    "default": {},
    "floor met by some rows": {"eps": (3e-3, 1e-3)},
    "averaged, added, decayed": {
        "beta1": 0.7,
        "eps": (1e-3, 1e-3),
        "eps_form": "added",
        "scaled_decay": True,
        "weight_decay": 0.1,
    },
    "no epsilon": {"eps": (0.0, 1e-3), "weight_decay": 0.1},
}


def draws(shape: tuple[int, ...], dtype: Any) -> list[Any]:
    """Rows and columns of several sizes, in the last axes."""
    rng = np.random.default_rng(len(shape) + shape[0])
    rows = np.exp(rng.normal(size=(shape[-2], 1))) if len(shape) > 1 else 1.0
    columns = np.exp(rng.normal(size=shape[-1]))
    return [(0.01 * rows * columns * rng.normal(size=shape)).astype(dtype) for _ in range(3)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_every_shape_takes_the_steps_of_the_paper(shape: tuple[int, ...], form: str, dtype: Any) -> None:
    theta = normal(1, [shape], dtype)[0]
    own = {"eps": (float(np.finfo(dtype).eps), 1e-3), **FORMS[form]}  # the oracle's would be float64's
    opt, oracle = fastopt.Adafactor([theta], **FORMS[form]), Oracle("Adafactor", [theta], **own)
    for g in draws(shape, dtype):
        opt.step([g])
        oracle.step([g])
    exact = {np.float32: 2e-6, np.float64: 1e-13}[dtype]
    np.testing.assert_allclose(theta, oracle.params[0], rtol=exact, atol=exact * 0.1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [s for s in SHAPES if len(s) > 1], ids=str)
def test_a_tensor_in_another_order_takes_the_same_steps(shape: tuple[int, ...], form: str) -> None:
    """Its gradient is written down in the order of the matrices; otherwise none is. But for the size of the
    parameter, which is summed in the order of memory, the numbers are the same to the last bit."""
    straight = normal(1, [shape])[0]
    turned = np.asfortranarray(straight)
    a, b = (fastopt.Adafactor([w], scale_parameter=False, **FORMS[form]) for w in (straight, turned))
    for g in draws(shape, np.float32):
        a.step([g])
        b.step([g])
    assert turned.tolist() == straight.tolist()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_number_of_threads_gives_the_same_bits(shape: tuple[int, ...]) -> None:
    def run(threads: int) -> Any:
        before = fastopt.get_num_threads()
        fastopt.set_num_threads(threads)
        try:
            w = normal(1, [shape])[0]
            opt = fastopt.Adafactor([w], clip_norm=0.1)
            for g in draws(shape, np.float32):
                opt.step([g])
            return bits(w)
        finally:
            fastopt.set_num_threads(before)

    assert run(1) == run(2) == run(5)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_are_read_to_the_end_before_they_are_zeroed(shape: tuple[int, ...]) -> None:
    kept, zeroed = normal(1, [shape, shape])
    zeroed[...] = kept
    a, b = (fastopt.Adafactor([w], clip_norm=0.1) for w in (kept, zeroed))
    for g in draws(shape, np.float32):
        own = g.copy()
        a.step([g])
        b.step([own], zero_grads=True)
        assert not own.any()
        assert bits(kept) == bits(zeroed)
