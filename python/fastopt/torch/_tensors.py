"""Tensors as the engine takes them: arrays over the same memory, or a reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]

_MOST_AXES = getattr(np, "MAXDIMS", 64)  # NumPy 2 has no such name
PLAIN = (Tensor, torch.nn.Parameter)
FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_DTYPES = {
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.float16: np.float16,
    torch.bfloat16: np.uint16,
    torch.uint8: np.uint8,
    torch.int8: np.int8,
    torch.int16: np.int16,
    torch.int64: np.int64,  # of the indices of sparse gradients
}
HALF = (torch.bfloat16, torch.float16)


def as_array(tensor: Tensor) -> Array:
    """An array over the tensor's memory, which it keeps; bfloat16 as bit patterns in uint16.

    Tensor.numpy() would forbid for ever that the storage is resized. Who keeps the array looks before each
    use whether the memory is still there.
    """
    dtype = _DTYPES[tensor.dtype]
    return np.empty(tuple(tensor.shape), dtype) if tensor.numel() == 0 else np.asarray(_Memory(tensor, dtype))


def sample_of(tensor: Tensor) -> Array:
    """An array of the tensor's dtype without elements: its memory may have moved."""
    return np.empty(0, _DTYPES[tensor.dtype])


def same_order(one: Tensor, other: Tensor) -> bool:
    """Whether two dense tensors of one shape have their elements in the same order of memory."""
    strides = zip(one.shape, one.stride(), other.stride(), strict=True)
    return all(length == 1 or mine == theirs for length, mine, theirs in strides) or one.numel() == 0


class _Memory:
    """The base of an array over a tensor: that may be a temporary one, a negated view resolved."""

    def __init__(self, tensor: Tensor, dtype: Any) -> None:
        self.tensor = tensor
        self.__array_interface__ = {
            "version": 3,
            "typestr": np.dtype(dtype).str,
            "shape": tuple(tensor.shape),
            "strides": tuple(s * tensor.element_size() for s in tensor.stride()),
            "data": (tensor.data_ptr(), False),
        }


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that lies here: of a DTensor its shard."""
    shard = getattr(tensor, "_local_tensor", None)  # to_local() would enter autograd's graph
    return tensor if shard is None else shard


def is_lazy(tensor: Tensor) -> bool:
    """Whether a parameter waits for its module's first forward to get a shape: it cannot have a gradient."""
    return isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin)


def is_part(tensor: Tensor) -> bool:
    """Whether other processes hold other parts of a DTensor, whatever the shapes are here."""
    placements = getattr(tensor, "placements", ())
    return any(
        not placement.is_replicate() and tensor.device_mesh.size(axis) > 1
        for axis, placement in enumerate(placements)
    )


def is_dense(tensor: Tensor) -> bool:
    """Whether the elements fill their memory without gaps or repeats, in any order of axes."""
    if tensor.is_contiguous() or tensor.numel() <= 1:
        return True
    expected = 1
    for stride, length in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if length == 1:
            continue
        if stride != expected:
            return False
        expected *= length
    return True


def repeats(tensor: Tensor) -> bool:
    """Whether some elements share one place in memory, as in an expanded tensor."""
    if tensor.numel() <= 1:  # an empty one has strides of any kind
        return False
    span = 1
    for stride, length in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if length <= 1:
            continue
        if stride < span:
            return True
        span += (length - 1) * stride
    return False


def why_not(tensor: Tensor, written: bool = True) -> str | None:
    """Why the engine cannot work on this tensor's elements, or None if it can.

    `written`: whether it would change them now. Gradients stay, and so do parameters before their first step.
    """
    here = local(tensor)
    if here.is_nested:  # in either of PyTorch's layouts
        return "is nested"
    if here.is_quantized:
        return f"is quantised ({here.dtype})"
    if here.layout != torch.strided:
        return f"is sparse ({here.layout})"
    if here.device.type != "cpu":
        hint = (
            " (of torchao's CPUOffloadOptimizer: give minimal_size=0)" if here.device.type == "cuda" else ""
        )
        return f"is on the device {here.device}{hint}"
    if here.dtype not in FLOATS:
        return f"is {here.dtype}"
    if here.dim() > _MOST_AXES:
        return f"has {here.dim()} dimensions, of at most {_MOST_AXES}"
    if written and here.is_inference() and not torch.is_inference_mode_enabled():
        return "was made in inference mode and may be changed there only"
    if here.is_neg():
        return "is a negated view"
    try:
        return why_not_here(here) or (_misaligned(here) if written else None)
    except NotImplementedError:
        return "is within a transform of torch.func, which keeps its elements elsewhere"


def _misaligned(tensor: Tensor) -> str | None:
    size = tensor.element_size()
    if tensor.numel() == 0 or tensor.data_ptr() % size == 0:
        return None
    if not is_dense(tensor):
        return None  # is stepped in a copy
    return f"begins at an address that is no multiple of its {size} bytes"


def why_not_here(tensor: Tensor) -> str | None:
    """Why a dense tensor's elements do not lie at its address, or None if they do."""
    elsewhere = f"is a {type(tensor).__name__}, which keeps its elements elsewhere"
    if wraps(tensor):
        return elsewhere
    if tensor.numel() == 0:
        return None
    storage = tensor.untyped_storage()
    if storage.device.type != "cpu":  # a FakeTensor
        return elsewhere
    last = tensor.storage_offset() + (
        tensor.numel() - 1
        if tensor.is_contiguous()
        else sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    )
    size = storage.nbytes()
    if size == 0 or tensor.data_ptr() == 0:
        return "has no memory"
    if size < (last + 1) * tensor.element_size():
        return "has less memory than its shape needs"
    return None


def as_it_lies(tensor: Tensor) -> Tensor:
    """A tensor whose memory holds its elements: of a negated view, and of zeros without memory, a copy."""
    here = local(tensor)
    return tensor.detach().clone() if here.is_neg() or here._is_zerotensor() else tensor


def why_no_elements(tensor: Tensor) -> str | None:
    """Why a tensor on any device, or around others, cannot be copied from; or None if it can."""
    if tensor.layout != torch.strided:
        return f"is sparse ({tensor.layout})"
    if tensor.device.type == "meta":
        return "has no memory"
    return why_not_here(tensor) if tensor.device.type == "cpu" and not wraps(tensor) else None


def name_of(group: Mapping[str, Any], place: int) -> str | None:
    """The name of a group's parameter, if it has one: others may have been appended without."""
    names = group.get("param_names")
    return names[place] if isinstance(names, (list, tuple)) and place < len(names) else None


def label_of(number: int, group: Mapping[str, Any], place: int) -> str:
    """What errors call a parameter: its number over all groups, and its name if the group has names."""
    name = name_of(group, place)
    return f"params[{number}]" if name is None else f"params[{number}] ({name})"


def refuse(label: str, reason: str | None) -> None:
    """Raise TypeError for a parameter, if there is a reason."""
    if reason is not None:
        raise TypeError(
            f"{label}: expected a dense float32, float64, bfloat16 or float16 tensor on the CPU, "
            f"but it {reason}"
        )


def wraps(tensor: Tensor) -> bool:
    """Whether a tensor is a shell around others."""
    return type(tensor) not in PLAIN and getattr(type(tensor), "__tensor_flatten__", None) is not None
