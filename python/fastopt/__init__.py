"""fastopt: the CPU optimizer engine.

Fused C++ kernels apply an optimizer's update to NumPy arrays in place, in one pass over memory:

>>> import numpy as np, fastopt
>>> w = np.ones(3, dtype=np.float32)
>>> opt = fastopt.AdamW([w], lr=0.1)
>>> opt.step([2 * w])          # w itself has changed
>>> w
array([0.899, 0.899, 0.899], dtype=float32)
"""

# First the engine, which says what is missing on a processor that is too old: NumPy would end the process
# there. Then how many threads it may use.
from fastopt import _dispatch, _lazy, _threads  # noqa: F401

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach(__name__)
