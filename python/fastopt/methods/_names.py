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
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "adan",
    "ademamix",
    "adopt",
    "asgd",
    "ftrl",
    "grams",
    "kron",
    "lamb",
    "laprop",
    "lars",
    "lion",
    "mars",
    "muon",
    "nadam",
    "prodigy",
    "radam",
    "rmsprop",
    "rowwiseadagrad",
    "rowwiseadam",
    "rprop",
    "schedulefreeadamw",
    "schedulefreeradam",
    "schedulefreesgd",
    "sgd",
    "shampoo",
    "signsgd",
    "signum",
    "stableadamw",
    "soap",
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
    alpha_warmup: float | None
    amsgrad: bool
    average: bool
    balance_prob: float
    batch_axes: int | None
    beta1: float
    beta2: float
    beta2_decay: float
    beta3: float | None
    beta3_warmup: float | None
    betas: tuple[float, float] | tuple[float, float, float]
    betas_1d: tuple[float, float]
    block_size: int
    centered: bool
    clip_exp: float | None
    compat: (
        Literal["torch", "keras", "tf1", "optax"]
        | Literal["torch", "keras", "optax"]
        | Literal["torch", "optax"]
        | Literal["keras", "optax"]
        | None
    )
    correct_bias: bool
    d: float
    d0: float
    d_coef: float
    dampening: float
    decouple: bool
    decoupled_weight_decay: bool
    eps: float | tuple[float | None, float]  # of adafactor two
    eps_after_max: bool
    eps_form: Literal["floor", "added"]
    eps_hat: bool
    eps_inside_root: bool
    epsilon: float
    etas: tuple[float, float]
    exclude: tuple[str, ...]
    fixed_decay: bool
    gamma: float
    graft_beta2: float
    graft_eps: float
    grafting: Literal["none", "sgd", "adam"]
    growth_rate: float | Literal["inf"]
    initial_accumulator_value: float | Literal["gradient"]
    lambd: float
    lambda1: float
    lr: Lr
    lr_1d_factor: float
    lr_decay: float
    mars_type: Literal["mars-adamw", "mars-lion"]
    max_precond_dim: int
    max_size_triangular: int
    memory_save_mode: Literal["one_diag", "smart_one_diag", "all_diag"] | None
    merge_dims: bool
    min_ndim_triangular: int
    momentum: float
    momentum_decay: float
    momentum_into_precond_update: bool
    momentum_form: Literal["gradient", "step", "average"] | Literal["gradient", "step"]
    nesterov: bool
    normalize: bool
    normalize_grads: bool
    ns_coefficients: Literal["original", "polar-express"] | tuple[float, float, float]
    ns_steps: int
    optimize_1d: bool
    precond_init_scale: float
    precond_lr: float
    precondition_1d: bool
    precondition_frequency: int
    preconditioner_update_probability: float | None
    r: float
    rectify_threshold: float
    relative_step: bool
    rho: float  # perturbed-gd's too
    safeguard_warmup: bool
    scale_parameter: bool
    scaled_decay: bool
    shampoo_beta: float
    silent_sgd_phase: bool
    row_steps: bool
    step_sizes: tuple[float, float]
    t0: float
    trust_coefficient: float
    update_freq: int
    use_bias_correction: bool
    use_muon: bool | None
    warmup_init: bool
    warmup_steps: int
    weight_decay: float
    weight_decay_1d: float
    weight_lr_power: float
