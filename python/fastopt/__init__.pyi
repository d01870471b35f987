# What `fastopt` exports, for type checkers and for `_lazy`: one import on a line.
from fastopt import checkpoint as checkpoint
from fastopt import curvature as curvature
from fastopt import linalg as linalg
from fastopt import methods as methods
from fastopt import optim as optim
from fastopt import schedules as schedules
from fastopt import train as train
from fastopt._batches import Batches as Batches
from fastopt._batches import batches as batches
from fastopt._checkpoints import load as load
from fastopt._checkpoints import save as save
from fastopt._errors import CheckpointError as CheckpointError
from fastopt._ewma import EWMA as EWMA
from fastopt._ewma import ewma as ewma
from fastopt._flatten import flatten as flatten
from fastopt._info import info as info
from fastopt._optimizers import optimizers as optimizers
from fastopt._rows import SparseRows as SparseRows
from fastopt._threads import get_num_threads as get_num_threads
from fastopt._threads import set_num_threads as set_num_threads
from fastopt.curvature import check_grad as check_grad
from fastopt.curvature import critical_point as critical_point
from fastopt.curvature import escape as escape
from fastopt.curvature import hessian as hessian
from fastopt.curvature import hvp as hvp
from fastopt.curvature import why_stalled as why_stalled
from fastopt.linalg import eigh as eigh
from fastopt.linalg import eigsh as eigsh
from fastopt.linalg import eigvalsh as eigvalsh
from fastopt.linalg import inertia as inertia
from fastopt.methods import minimize as minimize
from fastopt.optim import *  # noqa: F403
from fastopt.optimizer import Optimizer as Optimizer
from fastopt.rule import Rule as Rule

__version__: str
