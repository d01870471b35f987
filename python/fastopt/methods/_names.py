"""What type checkers know of `fastopt.minimize`: names of methods, and the options that one or another has.

A test holds both to the registry and to what the methods take.
"""

from __future__ import annotations

from typing import Any, Literal

from fastopt._signature import Common, Lr

__all__ = ["Beta", "MethodName", "Options", "Subproblem"]

#: Ours, the optimizer classes in lower case, and SciPy's names that lead to ours. At run time case, hyphens
#: and underscores do not matter.
MethodName = Literal[
    "l-bfgs",
    "cg",
    "trust-region",
    "saddle-free-newton",
    "arc",
    "perturbed-gd",
    "adabelief",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "adan",
    "asgd",
    "ftrl",
    "lamb",
    "lars",
    "lion",
    "muon",
    "nadam",
    "radam",
    "rmsprop",
    "rowwiseadagrad",
    "rowwiseadam",
    "rprop",
    "sgd",
    "signsgd",
    "CG",
    "L-BFGS-B",
    "trust-exact",
    "trust-krylov",
]
Beta = Literal["hager-zhang", "polak-ribiere", "hestenes-stiefel", "dai-yuan", "fletcher-reeves"]
Subproblem = Literal["auto", "dense", "lanczos"]


class Options(Common, total=False):
    """Documented at each method; those of `Common` are of the optimizer classes, as the second half here."""

    beta: Beta | float  # of cg a word, of ftrl a number
    c1: float
    c2: float | None
    f_thres: float | None
    history: int
    initial_radius: float | None
    initial_sigma: float | None
    initial_step: float | None
    krylov_size: int | None
    powell: float | None
    radius: float | None
    restart_every: int | None
    second_order: bool
    seed: Any
    subproblem: Subproblem
    t_thres: int | None

    adamw_betas: tuple[float, float]
    adamw_eps: float
    adamw_lr_ratio: float
    adamw_weight_decay: float | None
    adjust_lr_fn: Literal["original", "match_rms_adamw"] | None
    alpha: float
    amsgrad: bool
    average: bool
    batch_axes: int | None
    beta2: float
    betas: tuple[float, float] | tuple[float, float, float]
    centered: bool
    dampening: float
    decoupled_weight_decay: bool
    eps: float
    eps_inside_root: bool
    etas: tuple[float, float]
    exclude: tuple[str, ...]
    initial_accumulator_value: float | Literal["gradient"]
    lambd: float
    lambda1: float
    lr: Lr
    lr_decay: float
    momentum: float
    momentum_decay: float
    momentum_form: Literal["gradient", "step", "average"]
    nesterov: bool
    normalize: bool
    ns_coefficients: Literal["original", "polar-express"] | tuple[float, float, float]
    ns_steps: int
    rectify_threshold: float
    rho: float  # perturbed-gd's too
    row_steps: bool
    step_sizes: tuple[float, float]
    t0: float
    trust_coefficient: float
    use_muon: bool | None
    weight_decay: float
