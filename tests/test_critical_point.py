"""Verdicts about points: right, with error bars, and silent where the error bars overlap."""

from __future__ import annotations

import numpy as np
import pytest

from fastopt.curvature import CriticalPoint, critical_point


def with_spectrum(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random symmetric matrix with these eigenvalues, symmetric to the last bit."""
    q = np.linalg.qr(rng.standard_normal((len(values), len(values))))[0]
    h = (q * values) @ q.T
    return (h + h.T) / 2


def valley(w: np.ndarray) -> np.ndarray:
    """The gradient of (1 - w0 w1)^2."""
    return -2 * (1 - w[0] * w[1]) * w[::-1]


def valley_hessian(w: np.ndarray) -> np.ndarray:
    off = -2 + 4 * w[0] * w[1]
    return np.array([[2 * w[1] ** 2, off], [off, 2 * w[0] ** 2]])


# The matrix alone.


@pytest.mark.parametrize(
    ("diagonal", "kind", "counts", "ratio"),
    [
        ([1, 2, 3], "minimum", (0, 0, 3), (1.0, 1.0)),
        ([-1, -2, -3], "maximum", (3, 0, 0), (0.0, 0.0)),
        ([-1, 2, 3, 4], "saddle", (1, 0, 3), (0.75, 0.75)),
        ([-1, 0, 0, 4], "saddle", (1, 2, 1), (0.25, 0.75)),
        ([0, 1], "degenerate", (0, 1, 1), (0.5, 1.0)),
        ([0, -1], "degenerate", (1, 1, 0), (0.0, 0.5)),
        ([0, 0], "degenerate", (0, 2, 0), (0.0, 1.0)),
        ([5], "minimum", (0, 0, 1), (1.0, 1.0)),
    ],
)
def test_a_matrix_alone(diagonal, kind, counts, ratio):
    point = critical_point(None, None, hessian=np.diag(diagonal))
    assert point.kind == kind
    assert (point.n_negative, point.n_unresolved, point.n_positive) == counts
    assert point.min_ratio == ratio
    np.testing.assert_allclose(point.eigenvalues, np.sort(diagonal), atol=1e-14)
    assert point.gradient_norm is None
    assert (point.escape_direction is not None) == (kind in ("saddle", "maximum"))


def test_tolerance_is_the_documented_one():
    eps = np.finfo(float).eps
    assert critical_point(None, None, hessian=np.diag([1.0, -3.0])).tolerance == 4 * eps * 3
    assert critical_point(None, None, hessian=np.eye(10) * 2).tolerance == 10 * eps * 2
    point = critical_point(None, None, hessian=np.eye(10) * 2, error=1e-3)
    assert point.tolerance == pytest.approx(10 * eps * 2 + 2e-3, rel=1e-15)
    single = critical_point(None, None, hessian=np.eye(10, dtype=np.float32))
    assert single.tolerance == 10 * np.finfo(np.float32).eps
    assert single.eigenvalues.dtype == np.float32


def test_an_error_that_swallows_everything_leaves_all_unresolved():
    point = critical_point(None, None, hessian=np.diag([1.0, 2.0, -3.0]), error=2.0)
    assert point.kind == "unresolved"
    assert (point.n_negative, point.n_unresolved, point.n_positive) == (0, 3, 0)
    assert point.min_ratio == (0.0, 1.0)


def test_the_error_of_a_hessian_is_used():
    class Measured(np.ndarray):
        error = 0.6

    h = np.diag([1.0, 2.0]).view(Measured)
    assert critical_point(None, None, hessian=h).kind == "unresolved"
    assert critical_point(None, None, hessian=h, error=0.1).kind == "minimum"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [1, 2, 3, 5, 17, 60, 130])
def test_no_verdict_is_ever_wrong(n, seed):
    """Known inertia, clusters of zeros, noise of known norm, scales 1e-30..1e30, float32 and float64."""
    rng = np.random.default_rng([n, seed])
    clear_and_unresolved = 0
    for scale in 10.0 ** np.arange(-30, 31, 6):
        for dtype in (np.float32, np.float64):
            for noise in (0.0, 1e-10, 1e-6, 1e-2):
                zeros = int(rng.integers(0, n))
                sizes = 10.0 ** rng.uniform(-9, 0, n)
                truth = np.where(rng.random(n) < rng.choice([0, 0.1, 0.5, 1]), -sizes, sizes)
                truth[:zeros] = 0
                e = rng.standard_normal((n, n))
                e = (e + e.T) / np.linalg.norm(e + e.T, 2) * noise
                h = ((with_spectrum(truth, rng) + e) * scale).astype(dtype)
                point = critical_point(None, None, hessian=h, error=noise * scale)
                negative, positive = int((truth < 0).sum()), int((truth > 0).sum())
                assert point.n_negative <= negative
                assert point.n_positive <= positive
                assert point.n_unresolved >= zeros
                low, high = point.min_ratio
                assert low <= positive / n <= high
                right = {
                    "minimum": positive == n,
                    "maximum": negative == n,
                    "saddle": bool(negative and positive),
                }
                assert right.get(point.kind, True), (point.kind, truth)
                # Nothing that is clear of the tolerance by its own error is given up.
                clear = np.abs(truth) * scale > 2 * point.tolerance
                clear_and_unresolved += int(clear.sum() > point.n_negative + point.n_positive)
    assert clear_and_unresolved == 0


# Directions.


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("values", [[-1, 2], [-1, -1, -1, 4], [-1e-6, 1, 2, 3], [-3, -2, -1]])
def test_the_escape_direction_is_the_lowest_eigenvector(values, scale):
    rng = np.random.default_rng(3)
    values = np.sort(np.array(values, float)) * scale
    h = with_spectrum(values, rng)
    point = critical_point(None, None, hessian=h)
    u = point.escape_direction
    assert abs(np.linalg.norm(u) - 1) < 1e-14
    assert np.linalg.norm(h @ u / scale - values[0] / scale * u) < 1e-13 * abs(values).max() / scale
    assert u[np.abs(u).argmax()] > 0
    assert point.curvature == pytest.approx(values[0], rel=1e-8)


def test_the_escape_direction_goes_downhill():
    h = np.diag([-1.0, 1.0])
    x = np.array([1e-5, 0.0])
    for sign in (1, -1):
        point = critical_point(lambda w: h @ w, sign * x, hessian=h)
        assert point.kind == "saddle"
        assert point.escape_direction[0] == pytest.approx(sign)  # downhill is away from the saddle


@pytest.mark.parametrize("n", [30, 300])
def test_a_cluster_at_the_bottom_gives_a_unit_vector_of_its_span(n):
    rng = np.random.default_rng(n)
    h = with_spectrum(np.r_[np.full(n // 3, -1.0), rng.uniform(0.5, 2, n - n // 3)], rng)
    u = critical_point(None, None, hessian=h).escape_direction
    assert u @ h @ u == pytest.approx(-1.0, abs=1e-12)


def test_directions_have_the_structure_of_x():
    x = {"a": np.zeros((2, 1), np.float32), "b": np.zeros(1)}
    h = np.diag([1.0, -2.0, 3.0])
    point = critical_point(None, x, hessian=h)
    assert set(point.escape_direction) == {"a", "b"}
    assert point.escape_direction["a"].shape == (2, 1)
    assert point.escape_direction["a"].dtype == np.float32
    np.testing.assert_allclose(point.escape_direction["a"], [[0], [1]], atol=1e-7)


# Is it critical at all?


def test_the_example_of_the_lecture():
    at = {
        x: critical_point(valley, np.array(x, float), hessian=valley_hessian)
        for x in [(0, 0), (1, 1), (3, 1 / 3)]
    }
    assert at[0, 0].kind == "saddle"
    np.testing.assert_allclose(at[0, 0].escape_direction, [0.5**0.5] * 2)  # (1, 1) belongs to -2
    assert at[1, 1].kind == at[3, 1 / 3].kind == "degenerate"
    assert at[1, 1].min_ratio == (0.5, 1.0)
    assert at[1, 1].escape_direction is None


def test_a_negative_eigenvalue_beside_a_valley_is_no_saddle():
    # At (1.0001, 1) H has eigenvalues -2e-4 and 4: far outside round-off, and gone after one Newton step.
    point = critical_point(valley, np.array([1.0001, 1.0]), hessian=valley_hessian)
    assert (point.n_negative, point.n_positive) == (1, 1)
    assert point.kind == "not critical"
    assert point.escape_direction is None


def test_a_slope_along_a_flat_direction_is_not_critical():
    h = np.diag([2.0, 0.0])
    point = critical_point(lambda w: h @ w + [0, 1e-3], np.zeros(2), hessian=h)
    assert point.kind == "not critical"
    assert critical_point(lambda w: h @ w, np.zeros(2), hessian=h).kind == "degenerate"


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_criticality_does_not_depend_on_the_unit_of_the_loss(scale):
    h = np.diag([1.0, 4.0]) * scale
    c = np.array([3.0, -5.0])
    near, far = c + 1e-4, c + 1e-1
    assert critical_point(lambda w: h @ (w - c), near, hessian=h).kind == "minimum"
    assert critical_point(lambda w: h @ (w - c), far, hessian=h).kind == "not critical"
    assert critical_point(lambda w: h @ (w - c), far, hessian=h, gtol=10 * scale).kind == "minimum"
    assert critical_point(lambda w: h @ (w - c), near, hessian=h, gtol=0.0).kind == "not critical"


def test_the_newton_decrement():
    h = np.diag([1.0, 4.0])
    x = np.array([1e-4, -2e-4])
    point = critical_point(lambda w: h @ w, x, hessian=h)
    assert point.newton_decrement**2 / 2 == pytest.approx(x @ h @ x / 2)
    assert point.newton_step == pytest.approx(np.linalg.norm(x))
    assert point.gradient_norm == pytest.approx(np.linalg.norm(h @ x))


def test_nothing_to_gain_by_the_noise_of_f():
    # A loss around 1e6 resolves 1e-10: a gradient of 1e-6 against curvature 1e-1 cannot change it by more.
    h = np.diag([0.1, 0.2])
    x = np.full(2, 1e-5)

    def grad(w):
        return h @ w + 1e-6 * np.sin(1e9 * w)  # not quadratic at all at the scale of the step

    assert critical_point(grad, x, hessian=h).kind == "not critical"
    assert critical_point(grad, x, hessian=h, f=lambda w: 1e6 + w @ h @ w / 2).kind == "minimum"


def test_float32_functions_get_the_eps_of_float32():
    h = np.diag([1.0, 2.0, 5.0]).astype(np.float32)
    c = np.array([0.3, 0.7, -1.1], np.float32)

    def grad(w):
        assert w.dtype == np.float32
        return h @ (w - c)

    point = critical_point(grad, c, hessian=h)
    assert point.kind == "minimum"
    assert point.tolerance == pytest.approx(4 * 5 * np.finfo(np.float32).eps)


# What it says.


def test_the_text_names_the_verdict_and_the_numbers():
    h = np.diag([-2.0, 0.0, 1.0, 1.0])
    text = str(critical_point(lambda w: h @ w, np.zeros(4), hessian=h))
    assert text.startswith(
        "saddle: 1 of 4 eigenvalues negative, 2 positive, 1 unresolved (min ratio 0.5 to 0.75)"
    )
    assert "curvature -2" in text
    assert "gradient" in text
    assert "kind='saddle'" in repr(critical_point(None, None, hessian=h))
    assert "no gradient was given" in str(critical_point(None, None, hessian=h))


def test_plot_draws_both_sections():
    pytest.importorskip("matplotlib").use("Agg")
    point = critical_point(valley, np.zeros(2), hessian=valley_hessian, f=lambda w: (1 - w[0] * w[1]) ** 2)
    figure = point.plot()
    lines = [axes.get_lines() for axes in figure.axes]
    t = lines[0][0].get_xdata()
    np.testing.assert_allclose(lines[0][0].get_ydata(), (1 - t**2 / 2) ** 2)  # along (1, 1)
    np.testing.assert_allclose(lines[0][1].get_ydata(), 1 - t**2, atol=1e-12)
    t = lines[1][0].get_xdata()
    np.testing.assert_allclose(lines[1][0].get_ydata(), (1 + t**2 / 2) ** 2)
    import matplotlib.pyplot as plt

    plt.close(figure)


def test_plot_refuses_a_hessian_that_has_changed():
    pytest.importorskip("matplotlib").use("Agg")
    h = np.diag([1.0, 2.0])
    point = critical_point(None, np.zeros(2), hessian=h, f=lambda w: w @ h @ w)
    h[0, 0] = 7
    with pytest.raises(ValueError, match="has changed"):
        point.plot()
    with pytest.raises(ValueError, match="f: expected the loss"):
        critical_point(None, np.zeros(2), hessian=h).plot()


# Bad input.


def test_asymmetry_becomes_part_of_the_error():
    h = np.diag([1.0, 2.0])
    h[0, 1] = 1e-3
    point = critical_point(None, None, hessian=h)
    assert point.tolerance == pytest.approx(2e-3 / 2**0.5, rel=1e-3)
    np.testing.assert_allclose(point.hessian, [[1, 5e-4], [5e-4, 2]])
    assert h[0, 1] == 1e-3
    assert h[1, 0] == 0


@pytest.mark.parametrize(
    ("h", "error", "match"),
    [
        (np.array([[1.0, 1.0], [0.0, 1.0]]), ValueError, r"symmetric.*worst at \(0, 1\): 1, transposed 0"),
        (
            np.array([[1.0, np.nan], [0.0, 1.0]]),
            ValueError,
            r"hessian: expected finite numbers, got nan at \(0, 1\)",
        ),
        (np.diag([1.0, np.inf]), ValueError, "finite"),
        (np.ones((2, 3)), ValueError, r"hessian: expected a square matrix.*\(2, 3\)"),
        (np.ones((0, 0)), ValueError, "hessian: expected a square matrix"),
        (np.eye(2) * 1j, TypeError, "hessian: expected float64 or float32, got complex128"),
        (np.eye(3), ValueError, r"hessian: expected shape \(2, 2\)"),
    ],
)
def test_bad_hessians(h, error, match):
    with pytest.raises(error, match=match):
        critical_point(None, np.zeros(2), hessian=h)


def test_bad_points_and_functions():
    h = np.eye(2)
    with pytest.raises(TypeError, match=r"x: expected .*float"):
        critical_point(valley, np.array([1, 2]), hessian=h)
    with pytest.raises(ValueError, match="x: expected at least one element"):
        critical_point(valley, np.zeros(0), hessian=h)
    with pytest.raises(ValueError, match=r"grad: expected finite numbers, got nan for x\[1\]"):
        critical_point(lambda w: np.array([0, np.nan]), np.zeros(2), hessian=h)
    with pytest.raises(ValueError, match=r"grad: expected an array of shape \(2,\), got shape \(3,\)"):
        critical_point(lambda w: np.zeros(3), np.zeros(2), hessian=h)
    with pytest.raises(ValueError, match="f: expected a finite number at x"):
        critical_point(lambda w: w + 1, np.zeros(2), hessian=h, f=lambda w: np.nan)
    with pytest.raises(TypeError, match="x: expected the point that grad belongs to"):
        critical_point(valley, None, hessian=h)
    with pytest.raises(TypeError, match="hessian: expected a matrix"):
        critical_point(None, None)
    with pytest.raises(TypeError, match="hessian, hvp: expected one of them"):
        critical_point(None, np.zeros(2), hessian=h, hvp=lambda v: v)
    with pytest.raises(TypeError, match="error: expected None without hessian"):
        critical_point(valley, np.zeros(2), error=1.0)
    with pytest.raises(ValueError, match="gtol"):
        critical_point(valley, np.zeros(2), hessian=h, gtol=-1)


def test_a_gradient_that_changes_from_call_to_call_is_said():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="grad: expected the same gradient for the same x"):
        critical_point(lambda w: w + 0.1 * rng.standard_normal(2), np.ones(2), hessian=np.eye(2))


def test_round_off_that_changes_from_call_to_call_is_no_reason_to_refuse():
    rng = np.random.default_rng(0)
    c = np.array([2.0, 3.0])
    point = critical_point(lambda w: (w - c) + 1e-15 * rng.standard_normal(2), c, hessian=np.eye(2))
    assert point.kind == "minimum"


def test_what_the_gradient_raises_passes_through():
    class Mine(Exception):
        pass

    def grad(w):
        raise Mine("here")

    with pytest.raises(Mine, match="here"):
        critical_point(grad, np.zeros(2), hessian=np.eye(2))


def test_x_and_the_hessian_are_never_modified():
    def spoils(w):
        g = w - 1
        w[:] = 77
        return g

    x, h = np.ones(2), np.diag([-1.0, 1.0])
    assert isinstance(critical_point(spoils, x, hessian=h), CriticalPoint)
    assert (x == 1).all()
    assert (h == np.diag([-1.0, 1.0])).all()


# The Hessian by differences, and from exact products.


def bumpy(w: list[np.ndarray]) -> list[np.ndarray]:
    """The gradient of sum cos(3 a) + b' b / 2 - prod of nothing: separable, with known critical points."""
    a, b = w
    return [-3 * np.sin(3 * a), b]


@pytest.mark.parametrize(
    ("a", "kind", "counts"),
    [(0.0, "saddle", (2, 0, 3)), (np.pi / 3, "minimum", (0, 0, 5)), (0.1, "not critical", None)],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_from_the_gradient_alone(a, kind, counts, dtype):
    x = [np.full((2, 1), a, dtype), np.zeros(3, dtype)]
    point = critical_point(bumpy, x)
    assert point.kind == kind
    if counts:
        assert (point.n_negative, point.n_unresolved, point.n_positive) == counts
    assert (
        point.tolerance > point.n * np.finfo(dtype).eps * np.abs(point.eigenvalues).max()
    )  # the error is in it
    if kind == "saddle":
        assert [u.shape for u in point.escape_direction] == [(2, 1), (3,)]
        assert abs(sum(float((u * u).sum()) for u in point.escape_direction) - 1) < 1e-6


def test_the_valley_by_differences_is_degenerate():
    point = critical_point(valley, np.ones(2))
    assert point.kind == "degenerate"
    assert (point.n_negative, point.n_unresolved, point.n_positive) == (0, 1, 1)


@pytest.mark.filterwarnings(
    "ignore:grad. not the gradient of a function"
)  # the noise is the larger one at times
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_no_verdict_by_differences_is_ever_wrong(seed, scale):
    """Quadratics plus quartic terms and noise in the gradient, at their critical point."""
    rng = np.random.default_rng(seed)
    for n in (2, 9, 30):
        for noise in (0.0, 1e-9):
            truth = np.sort(rng.choice([-1, 1], n) * 10.0 ** rng.uniform(-6, 0, n))
            truth[rng.random(n) < 0.3] = 0
            h = with_spectrum(truth, rng)
            c = rng.standard_normal(n)
            frozen = rng.standard_normal(n)

            def rough(w, frozen=frozen, noise=noise):
                return noise * np.sin(1e9 * (frozen @ w) * (1 + np.arange(len(w))))

            def grad(w, h=h, c=c, rough=rough):
                return scale * (h @ (w - c) + 10 * (w - c) ** 3 + rough(w) - rough(c))

            point = critical_point(grad, c, gtol=np.inf)
            negative, positive = int((truth < 0).sum()), int((truth > 0).sum())
            assert point.n_negative <= negative
            assert point.n_positive <= positive
            assert point.kind in ("saddle", "minimum", "maximum", "degenerate", "unresolved")
            assert point.kind != "saddle" or (negative and positive)


def test_exact_products():
    h = np.diag([1.0, -2.0, 3.0, 0.5])
    for product in (lambda v: h @ v, lambda x, v: h @ v):
        point = critical_point(lambda w: h @ w, np.zeros(4), hvp=product)
        assert (point.kind, point.n_negative, point.n_positive) == ("saddle", 1, 3)
        assert point.tolerance == pytest.approx(4 * 3 * np.finfo(float).eps)
    assert critical_point(None, np.zeros(4), hvp=lambda v: h @ v).kind == "saddle"
    with pytest.raises(ValueError, match="hvp: expected a symmetric operator"):
        critical_point(None, np.zeros(2), hvp=lambda v: np.array([[1.0, 1.0], [0.0, 1.0]]) @ v)
