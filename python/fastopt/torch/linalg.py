"""Eigenproblems of symmetric matrices in tensors: `torch.linalg`'s functions by `fastopt.linalg`'s engine.

All take the tensors that `eigh` takes, and raise what it raises.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from numpy.linalg import LinAlgError
from torch import Tensor

from fastopt import linalg as numpys
from fastopt.torch._tensors import as_array, as_it_lies, why_not_here

__all__ = ["EigshResult", "Inertia", "eigh", "eigsh", "eigvalsh", "inertia"]

_DTYPES = (torch.float32, torch.float64)


class EigshResult(NamedTuple):
    """Eigenvalues (k,), ascending; eigenvectors (n, k), one per column; residual norms (k,); products."""

    eigenvalues: Tensor
    eigenvectors: Tensor
    residuals: Tensor
    products: int


class Inertia(NamedTuple):
    """Counts of eigenvalues, and the magnitude beyond which they are certain: tensors (...) for stacks."""

    negative: Tensor
    zero: Tensor
    positive: Tensor
    bound: Tensor


def eigh(A: Tensor, UPLO: str = "L") -> Any:
    """Eigenvalues and eigenvectors of real symmetric matrices, as `torch.linalg.eigh` returns them.

    Parameters
    ----------
    A : tensor, shape (..., n, n)
        float32 or float64, dense, on the CPU, any strides; read where it lies and not changed. There is no
        derivative: one that requires its gradient is refused; pass ``A.detach()``.
    UPLO : {"L", "U"}, default "L"
        Which triangle is read.

    Returns
    -------
    torch.return_types.linalg_eigh
        ``eigenvalues``, shape (..., n), ascending, and ``eigenvectors``, shape (..., n, n): one per column,
        each matrix stored column after column. Signs, and bases of multiple eigenvalues, are as in
        `fastopt.linalg.eigh`, not necessarily LAPACK's.

    Raises
    ------
    TypeError
        If `A` is anything else: bfloat16, float16 and integers (as with `torch.linalg`), complex, sparse,
        quantised, a tensor on another device, one that requires its gradient.
    torch.linalg.LinAlgError
        If it is not square matrices, or the triangle holds NaN or infinity.
    ValueError
        If `UPLO` is something else.

    See Also
    --------
    fastopt.linalg.eigh : the algorithms, their accuracy, memory and threads.

    Examples
    --------
    >>> import torch
    >>> from fastopt.torch.linalg import eigh
    >>> result = eigh(torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64))
    >>> result.eigenvalues.round(decimals=12)
    tensor([1., 3.], dtype=torch.float64)
    >>> (result.eigenvectors @ result.eigenvectors.mT).round(decimals=12)
    tensor([[1., 0.],
            [0., 1.]], dtype=torch.float64)
    """
    w, v = _called(numpys.eigh, A, UPLO)
    return torch.return_types.linalg_eigh((torch.from_numpy(w), torch.from_numpy(v)))


def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """Eigenvalues of real symmetric matrices, ascending, as `torch.linalg.eigvalsh` returns them.

    Parameters
    ----------
    A, UPLO
        As for :func:`eigh`.

    Returns
    -------
    tensor, shape (..., n)

    Examples
    --------
    >>> import torch
    >>> from fastopt.torch.linalg import eigvalsh
    >>> eigvalsh(torch.tensor([[2.0, 1.0], [1.0, 2.0]])).round(decimals=5)
    tensor([1., 3.])
    """
    return torch.from_numpy(_called(numpys.eigvalsh, A, UPLO))


def inertia(A: Tensor, tol: float | None = None, UPLO: str = "L") -> Inertia:
    """Counts of negative, zero and positive eigenvalues: a third of the operations of the eigenvalues.

    Parameters
    ----------
    A, UPLO
        As for :func:`eigh`.
    tol : float, optional
        As for `fastopt.linalg.inertia`.

    Returns
    -------
    Inertia
        ``negative``, ``zero``, ``positive`` (integers) and ``bound``, tensors of shape (...).

    Examples
    --------
    >>> import torch
    >>> from fastopt.torch.linalg import inertia
    >>> inertia(torch.diag(torch.tensor([-1.0, 2.0, 3.0])))[:3]
    (tensor(1), tensor(0), tensor(2))
    """
    counts = _called(lambda a, uplo: numpys.inertia(a, tol, uplo), A, UPLO)
    return Inertia(*(torch.as_tensor(value, device="cpu") for value in counts))


def eigsh(A: Tensor, k: int = 6, **keywords: Any) -> EigshResult:
    """A few eigenpairs at an end of the spectrum of a symmetric matrix, by Lanczos iteration.

    Parameters
    ----------
    A : tensor, shape (n, n)
        As for :func:`eigh`, used whole. For an operator, such as a model's Hessian, see
        `fastopt.torch.curvature`.
    k : int, default 6
        How many.
    **keywords
        Those of `fastopt.linalg.eigsh`: ``which``, ``tol``, ``max_steps``, ``seed``.

    Returns
    -------
    EigshResult
        Tensors ``eigenvalues``, ``eigenvectors``, ``residuals``, and the number of ``products``.

    Raises
    ------
    TypeError, ValueError, fastopt.linalg.EigshNoConvergence
        As `fastopt.linalg.eigsh`.

    Examples
    --------
    >>> import torch
    >>> from fastopt.torch.linalg import eigsh
    >>> eigsh(torch.diag(torch.arange(100.0)), 2, which="LA").eigenvalues.round(decimals=3)
    tensor([98., 99.])
    """
    w, v, residuals, products = numpys.eigsh(_array("A", A), k, **keywords)
    return EigshResult(torch.from_numpy(w), torch.from_numpy(v), torch.from_numpy(residuals), products)


def _called(function: Any, A: Tensor, UPLO: str) -> Any:
    """A function of `fastopt.linalg` on a tensor's memory; its errors call the argument A as PyTorch does."""
    array = _array("A", A)
    try:
        return function(array, UPLO)
    except LinAlgError as error:
        raise torch.linalg.LinAlgError(str(error).replace("a: ", "A: ", 1)) from None


def _array(name: str, tensor: Any) -> Any:
    """The array over a tensor's memory, or a TypeError that says why there is none."""
    expected = f"{name}: expected a dense float32 or float64 tensor on the CPU"
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{expected}, got {type(tensor).__name__}")
    if tensor.is_quantized:
        raise TypeError(f"{expected}, got a quantised one ({tensor.dtype})")
    if tensor.layout != torch.strided:
        raise TypeError(f"{expected}, got a sparse one ({tensor.layout})")
    if tensor.device.type != "cpu":
        raise TypeError(f"{expected}, got one on the device {tensor.device}")
    if tensor.dtype not in _DTYPES:
        raise TypeError(f"{expected}, got {tensor.dtype}")
    if tensor.requires_grad:
        raise TypeError(
            f"{expected} that does not require its gradient: there is no derivative here; pass "
            f"{name}.detach(), or use torch.linalg"
        )
    plain = as_it_lies(tensor)
    reason = why_not_here(plain)
    if reason is not None:
        raise TypeError(f"{expected}, got one that {reason}")
    return as_array(plain)
