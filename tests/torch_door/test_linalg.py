"""fastopt.torch.linalg takes and returns tensors as torch.linalg does, with our engine's accuracy."""

from __future__ import annotations

from typing import Any

import pytest

from torch_door.door import torch  # without PyTorch it skips this file

# isort: split
from fastopt.torch import linalg

DTYPES = (torch.float32, torch.float64)


def symmetric(*shape: int, dtype: Any = torch.float64, seed: int = 0) -> Any:
    made = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (made + made.mT).to(dtype)


def check(a: Any, w: Any, v: Any) -> None:
    """Residual and orthogonality in units of n eps |A| and n eps; ascending values."""
    n, eps = a.shape[-1], torch.finfo(a.dtype).eps
    if a.numel() == 0:
        return
    wide, w, v = a.double(), w.double(), v.double()
    scale = torch.linalg.matrix_norm(wide, 2).clamp_min(1e-300)
    residual = torch.linalg.matrix_norm(wide @ v - v * w[..., None, :], 2) / (n * eps * scale)
    loss = torch.linalg.matrix_norm(v.mT @ v - torch.eye(n, dtype=v.dtype), 2) / (n * eps)
    assert float(residual.max()) <= 10
    assert float(loss.max()) <= 10
    assert bool((w.diff(dim=-1) >= 0).all())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "shape",
    [(0, 0), (1, 1), (2, 2), (5, 5), (65, 65), (3, 4, 4), (2, 3, 7, 7), (0, 4, 4), (4, 0, 0)],
    ids=str,
)
def test_as_torch_linalg(shape: tuple[int, ...], dtype: Any) -> None:
    a = symmetric(*shape, dtype=dtype)
    before = a.clone()
    got, want = linalg.eigh(a), torch.linalg.eigh(a)
    assert type(got) is type(want)
    assert (got.eigenvalues.shape, got.eigenvectors.shape) == (
        want.eigenvalues.shape,
        want.eigenvectors.shape,
    )
    assert got.eigenvalues.dtype == got.eigenvectors.dtype == dtype
    check(a, *got)
    values = linalg.eigvalsh(a)
    assert (values.shape, values.dtype) == (want.eigenvalues.shape, dtype)
    scale = float(want.eigenvalues.abs().max()) if want.eigenvalues.numel() else 1.0
    bound = 10 * max(1, shape[-1]) * torch.finfo(dtype).eps * scale
    torch.testing.assert_close(values, want.eigenvalues, rtol=0, atol=bound)
    assert torch.equal(a, before)


LAYOUTS: dict[str, Any] = {
    "transposed": lambda a: a.mT,
    "every second": lambda a: a.repeat_interleave(2, -1).repeat_interleave(2, -2)[..., ::2, ::2],
    "an axis moved": lambda a: a.movedim(0, -1).contiguous().movedim(-1, 0),
    "a slice": lambda a: torch.nn.functional.pad(a, (1, 2, 3, 4))[..., 3:-4, 1:-2],
    "expanded": lambda a: a[:1].expand(4, -1, -1),
    "negated": lambda a: torch._neg_view(-a),
    "zeros without memory": lambda a: torch._efficientzerotensor(a.shape, dtype=a.dtype),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str) -> None:
    a = LAYOUTS[layout](symmetric(4, 9, 9))
    w, v = linalg.eigh(a)
    same = a.clone(memory_format=torch.contiguous_format)
    check(same, w, v)
    plain = linalg.eigh(same)
    assert torch.equal(w, plain.eigenvalues)
    assert torch.equal(v, plain.eigenvectors)
    assert torch.equal(linalg.eigvalsh(a), linalg.eigvalsh(same))


@pytest.mark.parametrize("function", [linalg.eigh, linalg.eigvalsh, linalg.inertia, linalg.eigsh])
def test_storages_can_be_resized_afterwards(function: Any) -> None:
    a = symmetric(12, 12)
    function(a)
    storage = a.untyped_storage()
    assert storage.resizable()
    storage.resize_(0)
    with pytest.raises(TypeError, match=r"A: expected .* got one that has no memory"):
        function(a)
    storage.resize_(12 * 12 * 8 - 8)
    with pytest.raises(TypeError, match=r"A: expected .* got one that has less memory than its shape needs"):
        function(a)


@pytest.mark.parametrize("make", [lambda a: torch._neg_view(-a), lambda a: torch.complex(a, -a).conj().imag])
def test_a_negated_view_is_read_from_memory_that_lasts(make: Any) -> None:
    """What is read is a copy that nobody else holds: others would take its memory if it were let go of."""
    a = symmetric(300, 300)
    expected = linalg.eigvalsh(a)
    array = linalg._array("A", make(a))
    others = [torch.zeros(300, 300, dtype=a.dtype) for _ in range(50)]
    assert (torch.from_numpy(array) == a).all()
    assert torch.equal(linalg.eigvalsh(make(a)), expected)
    assert len(others) == 50


def test_results_are_on_the_cpu_whatever_the_default_device() -> None:
    a = symmetric(8, 8)
    with torch.device("meta"):
        results = [*linalg.eigh(a), linalg.eigvalsh(a), *linalg.inertia(a), *linalg.eigsh(a, 2)[:3]]
    assert all(result.device.type == "cpu" for result in results)


def test_what_keeps_its_elements_elsewhere() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = torch.eye(3)
    with pytest.raises(TypeError, match=r"A: expected .* got one that is a FakeTensor, which keeps"):
        linalg.eigh(fake)
    with pytest.raises(RuntimeError, match=r"data pointer|storage"):
        torch.func.vmap(linalg.eigvalsh)(torch.eye(3).expand(2, 3, 3))


@pytest.mark.parametrize("uplo", ["L", "U", "l", "u"])
def test_one_triangle_is_read(uplo: str) -> None:
    a = symmetric(6, 6)
    half = torch.tril(a) if uplo.lower() == "l" else torch.triu(a)
    spoiled = half + (torch.triu if uplo.lower() == "l" else torch.tril)(
        torch.full((6, 6), 7.0), (1, -1)[uplo.lower() == "u"]
    )
    check(a, *linalg.eigh(spoiled, UPLO=uplo))
    assert torch.equal(linalg.eigvalsh(spoiled, uplo), linalg.eigvalsh(a, uplo))


def test_results_are_tensors_of_their_own_and_of_no_graph() -> None:
    a = symmetric(5, 5)
    w, v = linalg.eigh(a)
    assert [w.requires_grad, v.requires_grad] == [False, False]
    before = a.clone()
    v.zero_()
    w.zero_()
    assert torch.equal(a, before)
    assert linalg.eigh(a.requires_grad_().detach()).eigenvalues.shape == (5,)


def test_eigenvectors_have_torchs_strides() -> None:
    a = symmetric(3, 5, 5)
    assert linalg.eigh(a).eigenvectors.stride() == torch.linalg.eigh(a).eigenvectors.stride()


REFUSED: dict[str, Any] = {
    "got list": lambda: [[1.0]],
    "got ndarray": lambda: torch.eye(2).numpy(),
    "torch.bfloat16": lambda: torch.eye(2, dtype=torch.bfloat16),
    "torch.float16": lambda: torch.eye(2, dtype=torch.float16),
    "torch.int64": lambda: torch.eye(2, dtype=torch.int64),
    "torch.complex128": lambda: torch.eye(2, dtype=torch.complex128),
    "device meta": lambda: torch.eye(2, device="meta"),
    "sparse": lambda: torch.eye(2).to_sparse(),
    "sparse one .*csr": lambda: torch.eye(2).to_sparse_csr(),
    "quantised": lambda: torch.quantize_per_tensor(torch.eye(2), 0.1, 0, torch.qint8),
    "A.detach": lambda: torch.eye(2, requires_grad=True),
    "no derivative": lambda: torch.eye(2, requires_grad=True) * 2,
}


@pytest.mark.parametrize("function", [linalg.eigh, linalg.eigvalsh, linalg.inertia, linalg.eigsh])
@pytest.mark.parametrize("reason", REFUSED)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_refused_by_name(function: Any, reason: str) -> None:
    with pytest.raises(TypeError, match=f"A: expected a dense float32 or float64 tensor.*{reason}"):
        function(REFUSED[reason]())


@pytest.mark.parametrize("function", [linalg.eigh, linalg.eigvalsh, linalg.inertia])
def test_errors_are_torchs(function: Any) -> None:
    for bad in (torch.ones(2, 3), torch.ones(3), torch.tensor(1.0)):
        with pytest.raises(torch.linalg.LinAlgError, match="A: expected square matrices"):
            function(bad)
    with pytest.raises(torch.linalg.LinAlgError, match=r"A: .*NaN"):
        function(torch.full((3, 3), float("nan")))
    with pytest.raises(ValueError, match="UPLO: expected 'L' or 'U', got 'x'"):
        function(torch.eye(2), UPLO="x")


def test_inertia_counts_as_the_eigenvalues() -> None:
    a = symmetric(4, 12, 12)
    counts = linalg.inertia(a)
    w = linalg.eigvalsh(a)
    assert torch.equal(counts.negative, (w < 0).sum(-1))
    assert torch.equal(counts.positive, (w > 0).sum(-1))
    assert counts.bound.shape == (4,)


def test_eigsh_finds_the_ends() -> None:
    a = symmetric(80, 80)
    w, v, residuals, products = linalg.eigsh(a, 3, which="LA")
    torch.testing.assert_close(w, torch.linalg.eigvalsh(a)[-3:])
    torch.testing.assert_close(a @ v, v * w)
    assert residuals.shape == (3,)
    assert isinstance(products, int)


def test_importing_fastopt_and_its_door() -> None:
    from test_threads import python

    done = python("import sys, fastopt, fastopt.linalg, fastopt.curvature; print('torch' in sys.modules)")
    assert done.stdout == "False\n"
