# What `fastopt.linalg` exports, for type checkers and for `_lazy`: one import on a line.
from fastopt.linalg._eigh import EighResult as EighResult
from fastopt.linalg._eigh import eigh as eigh
from fastopt.linalg._eigh import eigvalsh as eigvalsh
from fastopt.linalg._eigsh import EigshNoConvergence as EigshNoConvergence
from fastopt.linalg._eigsh import EigshResult as EigshResult
from fastopt.linalg._eigsh import eigsh as eigsh
from fastopt.linalg._inertia import Inertia as Inertia
from fastopt.linalg._inertia import inertia as inertia
