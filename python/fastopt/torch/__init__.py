"""Optimizers for PyTorch: `torch.optim`'s classes on CPU tensors, with the engine of fastopt underneath.

Change one line, ``from torch.optim import AdamW`` to ``from fastopt.torch import AdamW``: names, keywords,
defaults, state and `state_dict` are PyTorch's. Importing `fastopt` does not import torch; this package does.

>>> import torch
>>> from fastopt.torch import AdamW
>>> w = torch.nn.Parameter(torch.ones(3))
>>> opt = AdamW([w], lr=0.1)
>>> (w**2).sum().backward()
>>> opt.step()
>>> w.data
tensor([0.8990, 0.8990, 0.8990])
"""

from fastopt._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
