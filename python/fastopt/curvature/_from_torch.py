"""A PyTorch loss as functions of NumPy arrays, with exact Hessian-vector products by double backward."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fastopt._checks import shown
from fastopt.curvature._bridge import Bridge, framework, mapped
from fastopt.functions.layout import Layout

Array = NDArray[Any]


@dataclass(frozen=True)
class TorchBridge(Bridge):
    """A `Bridge` whose parameters live in a PyTorch model.

    Attributes
    ----------
    assign : callable
        ``assign(x)`` writes x into the model's parameters, for good.
    """

    assign: Callable[[Any], None]


def from_torch(loss: Callable[[], Any], params: Any) -> TorchBridge:
    """The loss of a PyTorch model, its gradient and exact Hessian-vector products, in NumPy arrays.

    Parameters
    ----------
    loss : callable
        Takes nothing and returns the loss as a tensor of one element, from the parameters as they are. It
        must do the same at every call: ``model.eval()`` if there is dropout or batch normalisation.
    params : tensor, or iterable or dict of tensors
        ``model.parameters()``, or ``dict(model.named_parameters())``, whose names reports will use. float32
        or float64, on the CPU, with ``requires_grad``. Each call writes the point it is given into them, and
        puts them back afterwards, exceptions included; ``.grad`` is not touched.

    Returns
    -------
    TorchBridge
        ``.x`` (copies of the parameters), ``.f(x)``, ``.grad(x)``, ``.hvp(x, v)``, ``.assign(x)``. Not to be
        called from several threads.

    Raises
    ------
    ImportError
        If PyTorch is missing.
    TypeError, ValueError
        If `params` are not such tensors, are empty, or hold one twice; by the functions, if the loss is not
        one number that depends on the parameters.

    Examples
    --------
    >>> import fastopt, torch
    >>> _ = torch.manual_seed(0)
    >>> inputs, targets = torch.randn(8, 3).double(), torch.randn(8, 1).double()
    >>> model = torch.nn.Linear(3, 1).double()
    >>> loss = lambda: torch.nn.functional.mse_loss(model(inputs), targets)
    >>> bridge = fastopt.curvature.from_torch(loss, dict(model.named_parameters()))
    >>> fastopt.check_grad(bridge.f, bridge.grad, bridge.x, hvp=bridge.hvp).kind
    'right'
    >>> fastopt.hessian(None, bridge.x, hvp=bridge.hvp).shape
    (4, 4)
    """
    torch = framework("torch", "from_torch", "torch")
    if not callable(loss):
        raise TypeError(f"loss: expected a function without arguments, got {shown(loss)}")
    collection, tensors = _tensors(torch, params)
    x = mapped(lambda tensor: _copied(torch, tensor), collection)
    calls = _Calls(torch, loss, tensors, x)
    return TorchBridge(x, calls.f, calls.grad, calls.hvp, calls.assign)


class _Calls:
    def __init__(self, torch: Any, loss: Callable[[], Any], tensors: list[Any], x: Any) -> None:
        self.torch, self.loss, self.tensors = torch, loss, tensors
        self.layout = Layout.of(x)[0]

    def f(self, x: Any) -> Any:
        with self._at(x), self.torch.no_grad():
            return _copied(self.torch, self._value())[()]

    def grad(self, x: Any) -> Any:
        with self._at(x), self.torch.enable_grad():
            return self._arrays(self._gradient(False))

    def hvp(self, x: Any, v: Any) -> Any:
        directions = self._read(v, "v")
        with self._at(x), self.torch.enable_grad():
            slope = sum((g * d).sum() for g, d in zip(self._gradient(True), directions, strict=True))
            if not slope.requires_grad:  # a loss that is linear has no second graph
                return self._arrays([self.torch.zeros_like(tensor) for tensor in self.tensors])
            return self._arrays(self.torch.autograd.grad(slope, self.tensors, allow_unused=True))

    def assign(self, x: Any) -> None:
        self._write(self._read(x, "x"))

    def _gradient(self, again: bool) -> list[Any]:
        value = self._value()
        if not value.requires_grad:
            raise TypeError("loss: expected a tensor that depends on params, got one without a graph")
        found = self.torch.autograd.grad(value, self.tensors, create_graph=again, allow_unused=True)
        return [
            self.torch.zeros_like(tensor) if g is None else g
            for g, tensor in zip(found, self.tensors, strict=True)
        ]

    def _value(self) -> Any:
        value = self.loss()
        if not isinstance(value, self.torch.Tensor) or value.numel() != 1:
            raise TypeError(f"loss: expected a tensor of one element, got {shown(value)}")
        return value.reshape(())

    @contextmanager
    def _at(self, x: Any) -> Iterator[None]:
        wanted = self._read(x, "x")
        before = [tensor.detach().clone() for tensor in self.tensors]
        try:
            self._write(wanted)
            yield
        finally:
            self._write(before)

    def _write(self, values: list[Any]) -> None:
        with self.torch.no_grad():
            for tensor, value in zip(self.tensors, values, strict=True):
                tensor.copy_(value)

    def _read(self, x: Any, name: str) -> list[Any]:
        return [self.torch.from_numpy(array) for array in self.layout.arrays(self.layout.read(x, name))]

    def _arrays(self, tensors: Any) -> Any:
        """In the structure of x; what does not depend on a parameter has None there, which is 0."""
        found = [
            self.torch.zeros_like(tensor) if t is None else t
            for t, tensor in zip(tensors, self.tensors, strict=True)
        ]
        return self.layout.collected([_copied(self.torch, t) for t in found])


def _copied(torch: Any, tensor: Any) -> Any:
    """The elements in an array of their own: a storage that NumPy has seen can never again be resized."""
    return tensor.detach().clone(memory_format=torch.contiguous_format).numpy()


def _tensors(torch: Any, params: Any) -> tuple[Any, list[Any]]:
    """`params` as a tensor, a dict or a list, and the tensors."""
    if isinstance(params, torch.Tensor):
        collection, named = params, {"params": params}
    elif isinstance(params, Mapping):
        collection = dict(params)
        named = {f"params[{key!r}]": tensor for key, tensor in collection.items()}
    else:
        collection = list(params)
        named = {f"params[{i}]": tensor for i, tensor in enumerate(collection)}
    if not named:
        raise ValueError("params: expected at least one tensor, got none")
    for name, tensor in named.items():
        _check(torch, name, tensor)
    if len({id(tensor) for tensor in named.values()}) < len(named):
        raise ValueError("params: expected different tensors, got one twice")
    return collection, list(named.values())


def _check(torch: Any, name: str, tensor: Any) -> None:
    expected = f"{name}: expected a float32 or float64 tensor on the CPU that requires its gradient"
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{expected}, got {shown(tensor)}")
    if tensor.dtype not in (torch.float32, torch.float64) or tensor.device.type != "cpu":
        raise TypeError(f"{expected}, got {tensor.dtype} on {tensor.device}")
    if not (tensor.requires_grad and tensor.is_leaf):
        raise ValueError(f"{expected}, got one that does not, or that was computed from others")
