"""What kind of point has this model reached? The analyses of `fastopt.curvature` for a module and its loss.

Each takes the model and a function without arguments that returns the loss, and brings the parameters' names
back in its answer:

>>> import torch
>>> from fastopt.torch import curvature
>>> w = torch.zeros(2, dtype=torch.float64, requires_grad=True)
>>> curvature.critical_point({"w": w}, lambda: (1 - w[0] * w[1]) ** 2).kind
'saddle'

Products with the Hessian are exact (double backward). Afterwards the parameters, their `grad` and the model's
buffers are what they were. What cannot be used as `model` or `loss` is refused as by `critical_point`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from fastopt import curvature as numpys
from fastopt import linalg
from fastopt.curvature import (
    CriticalPoint,
    EscapeResult,
    GradientReport,
    SpectralDensity,
    StallReport,
    TorchBridge,
    TraceEstimate,
    from_torch,
)

__all__ = [
    "DiagonalEstimate",
    "Eigenpairs",
    "check_grad",
    "critical_point",
    "diagonal",
    "eigsh",
    "escape",
    "hessian",
    "hvp",
    "spectral_density",
    "trace",
    "why_stalled",
]

Loss: TypeAlias = Callable[[], Any]
Named: TypeAlias = dict[str, Tensor]


class Eigenpairs(NamedTuple):
    """Eigenvalues (k,), ascending; eigenvectors by parameter, ``(k, *shape)``; residuals (k,); products."""

    eigenvalues: Tensor
    eigenvectors: Named
    residuals: Tensor
    products: int


class DiagonalEstimate(NamedTuple):
    """Of each parameter, in its shape: the estimates and their standard errors; and the products used."""

    estimate: Named
    error: Named
    products: int


def critical_point(model: Any, loss: Loss, **keywords: Any) -> CriticalPoint:
    """What kind of point are the parameters: minimum, maximum, saddle? `fastopt.critical_point` for a model.

    Parameters
    ----------
    model : torch.nn.Module, dict of names and tensors, or iterable of tensors
        Its parameters that require their gradient, float32 or float64, on the CPU; frozen ones are constants.
        Up to 4096 numbers the Hessian is formed, beyond that products answer.
    loss : callable
        Takes nothing, returns a tensor of one element, the same at every call: the same batch, and
        ``model.eval()`` if there is dropout. In training mode batch normalisation uses the batch's
        statistics; its running ones are put back.
    **keywords
        Those of `fastopt.critical_point`: ``gtol``, ``error``, ``counts_only``.

    Returns
    -------
    fastopt.curvature.CriticalPoint
        With `eigenvalues` as a tensor and `escape_direction` as tensors by parameter.

    Raises
    ------
    TypeError, ValueError
        As `fastopt.curvature.from_torch` and `fastopt.critical_point`; if the loss differs from call to call.

    Examples
    --------
    >>> import torch
    >>> from fastopt.torch import curvature
    >>> layers = (torch.nn.Linear(1, 1, bias=False, dtype=torch.float64) for _ in range(2))
    >>> model = torch.nn.Sequential(*layers)
    >>> for p in model.parameters():
    ...     _ = torch.nn.init.zeros_(p)
    >>> x = torch.ones(1, 1, dtype=torch.float64)
    >>> point = curvature.critical_point(model, lambda: (1 - model(x)).pow(2).sum())
    >>> point.kind, point.eigenvalues.round(decimals=6)
    ('saddle', tensor([-2.,  2.], dtype=torch.float64))
    >>> {name: part.shape for name, part in point.escape_direction.items()}
    {'0.weight': torch.Size([1, 1]), '1.weight': torch.Size([1, 1])}
    """
    with _bridged(model, loss) as bridge:
        point = numpys.critical_point(bridge.grad, bridge.x, hvp=bridge.hvp, f=bridge.f, **keywords)
    values, direction = point.eigenvalues, point.escape_direction
    found: dict[str, Any] = {
        "eigenvalues": None if values is None else torch.from_numpy(np.asarray(values)),
        "escape_direction": None if direction is None else _tensors(direction),
    }
    return dataclasses.replace(point, **found)


def hessian(model: Any, loss: Loss, *, progress: Any = None) -> Tensor:
    """The Hessian of the loss as a matrix, exact, by one double backward for each column.

    Parameters
    ----------
    model, loss
        As for :func:`critical_point`.
    progress : callable or True, optional
        As for `fastopt.hessian`.

    Returns
    -------
    tensor, shape (n, n)
        Rows and columns in the order of ``model.named_parameters()``, each parameter in its own order.

    Examples
    --------
    >>> import torch
    >>> from fastopt.torch import curvature
    >>> w = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    >>> curvature.hessian([w], lambda: w[0] ** 2 * w[1])
    tensor([[4., 2.],
            [2., 0.]], dtype=torch.float64)
    """
    with _bridged(model, loss) as bridge:
        matrix = numpys.hessian(None, bridge.x, hvp=bridge.hvp, progress=progress)
    return torch.from_numpy(np.asarray(matrix))


def hvp(model: Any, loss: Loss, v: Mapping[str, Tensor]) -> Named:
    """The product of the Hessian with a direction, both as tensors by parameter.

    Parameters
    ----------
    model, loss
        As for :func:`critical_point`.
    v : dict of names and tensors
        In the parameters' shapes.

    Returns
    -------
    dict of names and tensors

    Raises
    ------
    TypeError, ValueError
        As :func:`critical_point`; if `v` has other names or shapes.

    Examples
    --------
    >>> import torch
    >>> from fastopt.torch import curvature
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> curvature.hvp({"w": w}, lambda: (w**3).sum(), {"w": torch.ones(2)})
    {'w': tensor([ 6., 12.])}
    """
    with _bridged(model, loss) as bridge:
        direction = {name: part.detach().clone().numpy() for name, part in v.items()}
        return _tensors(bridge.hvp(bridge.x, direction))


def eigsh(model: Any, loss: Loss, k: int = 6, **keywords: Any) -> Eigenpairs:
    """The k smallest, largest or extreme eigenpairs of the Hessian, without forming it.

    Parameters
    ----------
    model, loss
        As for :func:`critical_point`.
    k : int, default 6
        How many pairs.
    **keywords
        Those of `fastopt.eigsh`: ``which`` ("SA", "LA", "LM", "BE"), ``tol``, ``max_steps``, ``seed``.

    Returns
    -------
    Eigenpairs
        ``eigenvectors[name][i]`` is the part of the i-th eigenvector that belongs to a parameter.

    Raises
    ------
    TypeError, ValueError, fastopt.linalg.EigshNoConvergence
        As :func:`critical_point` and `fastopt.eigsh`.

    Examples
    --------
    >>> import torch
    >>> from fastopt.torch import curvature
    >>> w = torch.zeros(50, dtype=torch.float64, requires_grad=True)
    >>> weights = torch.arange(50.0, dtype=torch.float64)
    >>> curvature.eigsh([w], lambda: (weights * w**2).sum() / 2, 2, which="LA").eigenvalues.round(decimals=6)
    tensor([48., 49.], dtype=torch.float64)
    """
    with _bridged(model, loss) as bridge:
        found = linalg.eigsh(numpys.hvp(None, bridge.x, hvp=bridge.hvp), k, **keywords)
    rows = _split(torch.from_numpy(np.ascontiguousarray(found.eigenvectors.T)), bridge.x)
    return Eigenpairs(
        torch.from_numpy(found.eigenvalues), rows, torch.from_numpy(found.residuals), found.products
    )


def spectral_density(model: Any, loss: Loss, **keywords: Any) -> SpectralDensity:
    """The density of the Hessian's eigenvalues, from products alone; `fastopt.curvature.spectral_density`.

    Parameters
    ----------
    model, loss
        As for :func:`critical_point`.
    **keywords
        Those of `fastopt.curvature.spectral_density`: ``probes``, ``steps``, ``sigma``, ``seed``, ...

    Returns
    -------
    fastopt.curvature.SpectralDensity
        With ``plot()``; its arrays are NumPy's.

    Examples
    --------
    >>> import torch
    >>> from fastopt.torch import curvature
    >>> w = torch.zeros(20, dtype=torch.float64, requires_grad=True)
    >>> density = curvature.spectral_density([w], lambda: (w**2).sum(), probes=2, steps=3)
    >>> float(density.nodes[0][0].round(6))
    2.0
    """
    with _bridged(model, loss) as bridge:
        return numpys.spectral_density(numpys.hvp(None, bridge.x, hvp=bridge.hvp), **keywords)


def trace(model: Any, loss: Loss, **keywords: Any) -> TraceEstimate:
    """The trace of the Hessian with its standard error, from products alone; `fastopt.curvature.trace`.

    Parameters
    ----------
    model, loss
        As for :func:`critical_point`.
    **keywords
        Those of `fastopt.curvature.trace`: ``products``, ``method``, ``seed``, ``progress``.

    Returns
    -------
    fastopt.curvature.TraceEstimate

    Examples
    --------
    >>> import torch
    >>> from fastopt.torch import curvature
    >>> w = torch.zeros(20, dtype=torch.float64, requires_grad=True)
    >>> round(curvature.trace([w], lambda: (w**2).sum()).estimate, 6)
    40.0
    """
    with _bridged(model, loss) as bridge:
        return numpys.trace(numpys.hvp(None, bridge.x, hvp=bridge.hvp), **keywords)


def diagonal(model: Any, loss: Loss, **keywords: Any) -> DiagonalEstimate:
    """The diagonal of the Hessian, as tensors by parameter, with standard errors.

    Parameters
    ----------
    model, loss
        As for :func:`critical_point`.
    **keywords
        Those of `fastopt.curvature.diagonal`: ``products``, ``seed``, ``progress``.

    Returns
    -------
    DiagonalEstimate

    Examples
    --------
    >>> import torch
    >>> from fastopt.torch import curvature
    >>> w = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    >>> curvature.diagonal({"w": w}, lambda: (w**3).sum()).estimate
    {'w': tensor([ 6., 12.], dtype=torch.float64)}
    """
    with _bridged(model, loss) as bridge:
        found = numpys.diagonal(numpys.hvp(None, bridge.x, hvp=bridge.hvp), **keywords)
    parts = [_split(torch.from_numpy(np.asarray(a)[None]), bridge.x) for a in found[:2]]
    estimate, error = ({name: part[0] for name, part in split.items()} for split in parts)
    return DiagonalEstimate(estimate, error, found.products)


def escape(model: Any, loss: Loss, **keywords: Any) -> EscapeResult:
    """Leave a saddle along its most negative curvature: the model's parameters are moved if the loss falls.

    Parameters
    ----------
    model, loss
        As for :func:`critical_point`.
    **keywords
        Those of `fastopt.escape`: ``error``, ``max_attempts``.

    Returns
    -------
    fastopt.curvature.EscapeResult
        With `x` and `direction` as tensors by parameter. Where ``moved`` is True the model holds `x`.

    Examples
    --------
    >>> import torch
    >>> from fastopt.torch import curvature
    >>> w = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    >>> result = curvature.escape({"w": w}, lambda: (1 - w[0] * w[1]) ** 2)
    >>> result.moved, bool((1 - w[0] * w[1]) ** 2 < 1)
    (True, True)
    """
    with _bridged(model, loss) as bridge:
        found = numpys.escape(bridge.f, bridge.grad, bridge.x, hvp=bridge.hvp, **keywords)
        if found.moved:
            bridge.assign(found.x)
    direction = None if found.direction is None else _tensors(found.direction)
    return dataclasses.replace(found, x=_tensors(found.x), direction=direction)


def check_grad(model: Any, loss: Loss, **keywords: Any) -> GradientReport:
    """Whether one and two backward passes belong to the loss: for a `torch.autograd.Function` of one's own.

    Parameters
    ----------
    model, loss
        As for :func:`critical_point`.
    **keywords
        Those of `fastopt.check_grad`: ``points``, ``directions``, ``seed``, ``tol``.

    Returns
    -------
    fastopt.curvature.GradientReport
        Findings name the parameter.

    Examples
    --------
    >>> import torch
    >>> from fastopt.torch import curvature
    >>> w = torch.ones(3, dtype=torch.float64, requires_grad=True)
    >>> curvature.check_grad({"w": w}, lambda: w.sin().sum()).ok
    True
    """
    with _bridged(model, loss) as bridge:
        return numpys.check_grad(bridge.f, bridge.grad, bridge.x, hvp=bridge.hvp, **keywords)


def why_stalled(model: Any, loss: Loss, lr: float, **keywords: Any) -> StallReport:
    """Why training stands still: a critical point, a rate that is too large or too small, noise.

    Parameters
    ----------
    model, loss
        As for :func:`critical_point`.
    lr : float
        The learning rate in use.
    **keywords
        Those of `fastopt.curvature.why_stalled`: ``momentum``, ``error``.

    Returns
    -------
    fastopt.curvature.StallReport

    Examples
    --------
    >>> import torch
    >>> from fastopt.torch import curvature
    >>> w = torch.ones(2, dtype=torch.float64, requires_grad=True)
    >>> curvature.why_stalled({"w": w}, lambda: 50 * (w**2).sum(), lr=0.03).cause
    'oscillating'
    """
    with _bridged(model, loss) as bridge:
        return numpys.why_stalled(bridge.f, bridge.grad, bridge.x, lr, hvp=bridge.hvp, **keywords)


# --- the model as functions of arrays ---


@contextmanager
def _bridged(model: Any, loss: Loss) -> Iterator[TorchBridge]:
    """The model's loss in NumPy arrays by parameter; buffers are put back at the end."""
    params = _params(model)
    buffers = list(model.buffers()) if isinstance(model, torch.nn.Module) else []
    before = [buffer.detach().clone() for buffer in buffers]
    try:
        bridge = from_torch(loss, params)
        _check_repeats(bridge)
        yield bridge
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)


def _params(model: Any) -> Named:
    if isinstance(model, torch.nn.Module):
        found = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not found:
            raise ValueError("model: expected a parameter that requires its gradient, got none")
        return found
    if isinstance(model, Mapping):
        return dict(model)
    if isinstance(model, Tensor) or not hasattr(model, "__iter__"):
        raise TypeError(
            f"model: expected a torch.nn.Module, a dict or an iterable of tensors, got {type(model).__name__}"
        )
    return {f"params[{i}]": p for i, p in enumerate(model)}


def _check_repeats(bridge: TorchBridge) -> None:
    """A loss that draws anew at each call has no Hessian."""
    first, second = float(bridge.f(bridge.x)), float(bridge.f(bridge.x))
    if abs(first - second) > 64 * np.finfo(np.float32).eps * abs(first):
        raise ValueError(
            f"loss: expected the same value at every call, got {first:.9g} and then {second:.9g}; use one "
            "batch, and model.eval() if there is dropout"
        )


def _tensors(arrays: Mapping[str, Any]) -> Named:
    return {name: torch.from_numpy(np.asarray(a)) for name, a in arrays.items()}


def _split(rows: Tensor, x: Mapping[str, Any]) -> Named:
    """Rows of flat vectors, parameter by parameter."""
    parts = rows.split([a.size for a in x.values()], dim=1)
    return {name: part.reshape(len(rows), *a.shape) for (name, a), part in zip(x.items(), parts, strict=True)}
