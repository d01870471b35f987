"""Muon."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

from fastopt._checks import brief, flag, integer, real, shown, word
from fastopt._hypers import Hyper, boolean, choice, epsilon, non_negative, pair, switch, unit
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule

Coefficients = Literal["original", "polar-express"] | tuple[float, float, float]

_ORIGINAL = (3.4445, -4.7750, 2.0315)
_EXCLUDED = ("*embed*", "wte", "wpe", "lm_head", "head")


def _coefficients(name: str, value: Any) -> Any:
    named = isinstance(value, str) and value in ("original", "polar-express")
    if not named and (not isinstance(value, (tuple, list)) or len(value) != 3):
        raise ValueError(f"{name}: expected 'original', 'polar-express' or three numbers, got {brief(value)}")
    return value if named else tuple(real(f"{name}[{i}]", v) for i, v in enumerate(value))


def _native_coefficients(name: str, value: Any) -> Mapping[str, float]:
    a, b, c = _ORIGINAL if isinstance(value, str) else value
    return {"a": a, "b": b, "c": c, "polar_express": float(value == "polar-express")}


def _steps(name: str, value: Any) -> int:
    return integer(name, value, minimum=0, maximum=99)


def _adjustment(name: str, value: Any) -> str:
    if value is None:
        return "original"
    return word(name, value, ("original", "match_rms_adamw"), "'original', 'match_rms_adamw' or None")


def _count_or_none(name: str, value: Any) -> int | None:
    return None if value is None else integer(name, value, minimum=0)


def _flag_or_none(name: str, value: Any) -> bool | None:
    return None if value is None else flag(name, value)


def _patterns(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (tuple, list)) or not all(isinstance(pattern, str) for pattern in value):
        raise TypeError(f"{name}: expected a tuple of patterns, got {shown(value)}")
    return tuple(value)


def _decay_or_none(name: str, value: Any) -> float | None:
    return None if value is None else real(name, value, minimum=0.0)


def _nothing(name: str, value: Any) -> Mapping[str, float]:
    return {}


def _excluded(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(part, pattern) for part in re.split(r"[./]", name) for pattern in patterns)


class Muon(Optimizer):
    r"""Muon: momentum, orthogonalised; and AdamW for the parameters that are no matrices.

    With the momentum :math:`m \leftarrow \mu m + (1 - \mu) g` and Nesterov's average of it and g, a matrix M,

    .. math::
        X_0 = M / \max(\|M\|_F, \epsilon), \qquad
        X_{k+1} = (a I + b X_k X_k^T + c (X_k X_k^T)^2) X_k, \qquad
        \theta \leftarrow (1 - lr\,\lambda) \theta - lr\,s\,X_K,

    where s depends on the shape. The iteration brings all singular values near 1, on the smaller side of the
    matrix and, unlike PyTorch's, in float32 (float64 for float64 parameters). With ``method="exact"`` they
    are 1.

    Which parameters are matrices: arrays of two axes or more whose name says nothing else. Axes behind the
    first are joined, as those of a convolution's kernels, but an array of three axes is a stack of matrices.
    Arrays of fewer axes, and those that `exclude` names, are updated by AdamW in the same step.

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`. As a dict, ``{"blocks.0.attn.q": array, ...}``, whose names `exclude` reads.
    weight_decay : float, default 0.1
        :math:`\lambda`, decoupled, of matrices.
    momentum : float, default 0.95
        :math:`\mu`, in [0, 1).
    nesterov : bool, default True
        Orthogonalise the average of momentum and gradient; else the momentum.
    ns_coefficients : {"original", "polar-express"} or (float, float, float), default "original"
        a, b and c: (3.4445, -4.7750, 2.0315) in every step, those of Amsel et al. (other ones for each step,
        for singular values from 1e-3 on, with a margin of 2 % in each, the last included), or the given ones.
    ns_steps : int, default 5
        K, from 0 to 99.
    eps : float, default 1e-7
        :math:`\epsilon`.
    adjust_lr_fn : {"original", "match_rms_adamw"}, default "original"
        s, for r rows and c columns: :math:`\sqrt{\max(1, r / c)}`, or :math:`0.2 \sqrt{\max(r, c)}`, with
        which steps are as long as AdamW's. None is the former.
    method : {"newton-schulz", "exact"}, default "newton-schulz"
        Exact: X is the orthogonal factor of M's polar decomposition, from the eigenvalues of its Gram matrix;
        `eps`, `ns_steps` and `ns_coefficients` do nothing then. Singular values below 1e-6 of the largest
        count as 0 and stay so.
    normalize : bool, default False
        NorMuon: rows of X are divided by the root of the average over the steps of their mean square; the
        norm of X is kept.
    beta2 : float, default 0.95
        Decay of that average, in [0, 1).
    batch_axes : int, optional
        So many leading axes count matrices. By default one of an array of three axes, none of others.
    use_muon : bool, optional
        False: AdamW for the whole group. True: Muon for all of its arrays of two axes or more, whatever their
        names. By default names decide.
    exclude : tuple of str
        A parameter belongs to AdamW if a part of its name, between dots or slashes, matches one of these
        patterns (`fnmatch`). The default is what everyone leaves out, embeddings and the output layer:
        ``("*embed*", "wte", "wpe", "lm_head", "head")``.
    adamw_lr_ratio : float, default 1
        AdamW's learning rate is `lr` times this, so that one schedule drives both. Without
        ``adjust_lr_fn="match_rms_adamw"`` it is mostly far below 1.
    adamw_betas, adamw_eps
        See `fastopt.AdamW`. The defaults are those of Muon's authors, (0.9, 0.95) and 1e-10.
    adamw_weight_decay : float, optional
        AdamW's, with its own rate; by default `weight_decay`.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    State: ``momentum_buffer`` and, with `normalize`, ``second_momentum`` (a number for each row); AdamW's
    ``exp_avg`` and ``exp_avg_sq``.

    A matrix of zeros stays one; of one that is not finite every element becomes NaN. The same bits come out
    with any number of threads, but CPU levels agree to rounding only.

    Source: Jordan et al. 2024 (kellerjordan.github.io/posts/muon), as `torch.optim.Muon` computes it; Amsel
    et al. 2025 (arXiv:2505.16932); Li et al. 2025 (arXiv:2510.05491).

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> params = {"layer.weight": np.zeros((2, 2)), "layer.bias": np.zeros(2)}
    >>> opt = fastopt.Muon(params, lr=0.1, method="exact")
    >>> opt.step({"layer.weight": np.array([[3.0, 0.0], [0.0, -4.0]]), "layer.bias": np.ones(2)})
    >>> params["layer.weight"].round(2), params["layer.bias"].round(2)
    (array([[-0.1,  0. ],
           [ 0. ,  0.1]]), array([-0.1, -0.1]))
    """

    rule = Rule(
        "muon", comparison_lr=2e-2, weight_decay="decoupled", momentum="average", squares=True, matrix=True
    )
    _other = "adam"
    _hypers = {
        "momentum": unit(),
        "nesterov": switch(),
        "ns_coefficients": Hyper(_coefficients, _native_coefficients),
        "ns_steps": Hyper(_steps),
        "eps": epsilon(),
        "adjust_lr_fn": Hyper(_adjustment, lambda name, value: {"adjust": float(value == "match_rms_adamw")}),
        "method": choice("newton-schulz", "exact")._replace(
            native=lambda name, value: {"exact": float(value == "exact")}, fixed=False
        ),
        "normalize": boolean(),
        "beta2": unit(),
        "batch_axes": Hyper(_count_or_none, _nothing, fixed=True),
        "use_muon": Hyper(_flag_or_none, _nothing, fixed=True),
        "exclude": Hyper(_patterns, _nothing, fixed=True),
        "adamw_lr_ratio": non_negative()._replace(native=lambda name, value: {"other.lr_ratio": value}),
        "adamw_betas": pair("other.beta1", "other.beta2"),
        "adamw_eps": epsilon()._replace(native=lambda name, value: {"other.eps": value}),
        "adamw_weight_decay": Hyper(_decay_or_none, _nothing),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-3,
        *,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: Coefficients = "original",
        ns_steps: int = 5,
        eps: float = 1e-7,
        adjust_lr_fn: Literal["original", "match_rms_adamw"] | None = "original",
        method: Literal["newton-schulz", "exact"] = "newton-schulz",
        normalize: bool = False,
        beta2: float = 0.95,
        batch_axes: int | None = None,
        use_muon: bool | None = None,
        exclude: tuple[str, ...] = _EXCLUDED,
        adamw_lr_ratio: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.95),
        adamw_eps: float = 1e-10,
        adamw_weight_decay: float | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
            ns_coefficients=ns_coefficients,
            ns_steps=ns_steps,
            eps=eps,
            adjust_lr_fn=adjust_lr_fn,
            method=method,
            normalize=normalize,
            beta2=beta2,
            batch_axes=batch_axes,
            use_muon=use_muon,
            exclude=exclude,
            adamw_lr_ratio=adamw_lr_ratio,
            adamw_betas=adamw_betas,
            adamw_eps=adamw_eps,
            adamw_weight_decay=adamw_weight_decay,
            **common,
        )

    @classmethod
    def _takes(cls, values: Mapping[str, Any], shape: tuple[int, ...], name: str | None) -> bool:
        if values["use_muon"] is False or len(shape) < cls._batch_axes(values, len(shape)) + 2:
            return False
        return values["use_muon"] is True or name is None or not _excluded(name, values["exclude"])

    @classmethod
    def _batch_axes(cls, values: Mapping[str, Any], ndim: int) -> int:
        given: int | None = values["batch_axes"]
        return int(ndim == 3) if given is None else given

    @classmethod
    def _native(cls, values: Mapping[str, Any]) -> dict[str, float]:
        own = values["adamw_weight_decay"]
        shared = {"weight_decay": values["weight_decay"] if own is None else own}
        shared |= {key: float(values[key]) for key in ("l1", "l1_proximal", "centralize")}
        return {**super()._native(values), **{f"other.{key}": value for key, value in shared.items()}}
