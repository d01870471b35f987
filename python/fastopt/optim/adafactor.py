"""Adafactor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fastopt._checks import brief, real
from fastopt._hypers import Hyper, choice, positive, switch, unit
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


def _not_positive(name: str, value: Any) -> float:
    return real(name, value, maximum=0.0)


def _epsilons(name: str, value: Any) -> tuple[float | None, float]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"{name}: expected two numbers, the first of which may be None, got {brief(value)}")
    first, second = value
    checked = None if first is None else real(f"{name}[0]", first, minimum=0.0)
    return checked, real(f"{name}[1]", second, minimum=0.0)


def _native_epsilons(name: str, value: tuple[float | None, float]) -> Mapping[str, float]:
    return {"eps1": -1.0 if value[0] is None else value[0], "eps2": value[1]}


class Adafactor(Optimizer):
    r"""Adafactor: second moments of rows and columns only, clipped updates, a rate relative to the parameter.

    For a matrix G of gradients at step t, with :math:`\hat\beta_t = 1 - t^{\tau}`:

    .. math::
        R &\leftarrow \hat\beta_t R + (1 - \hat\beta_t)\, \mathrm{mean}_j\, G_{ij}^2, \qquad
        C \leftarrow \hat\beta_t C + (1 - \hat\beta_t)\, \mathrm{mean}_i\, G_{ij}^2 \\
        V &= R\,C / \max(\mathrm{mean}\,R, \epsilon_1), \qquad U = G / \max(\sqrt{V}, \epsilon_1) \\
        \theta &\leftarrow \theta - lr\, \lambda\, \theta
        - \rho_t \max(\epsilon_2, \mathrm{RMS}(\theta))\, \frac{U}{\max(1, \mathrm{RMS}(U) / d)},
        \qquad \rho_t = \min(lr, 1 / \sqrt t)

    Arrays of fewer than two axes have a V of their own elements. Of more axes the last two are the matrix,
    and those before count matrices.

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`. `lr` limits the relative rate :math:`\rho_t`, 1e-2 as in the paper.
    beta2_decay : float, default -0.8
        :math:`\tau` <= 0.
    eps : (float or None, float), default (None, 1e-3)
        :math:`\epsilon_1`, None for the spacing of the parameter's numbers at 1 (``finfo(dtype).eps``), and
        :math:`\epsilon_2`, the least size of a parameter that scales its rate.
    d : float, default 1
        Clipping threshold of the update's root mean square, > 0; `transformers` calls it `clip_threshold`.
    weight_decay : float, default 0
        :math:`\lambda`, decoupled.
    beta1 : float, default 0
        Decay of an average of the updates that is applied in their place, in [0, 1); 0 keeps none.
    relative_step : bool, default True
        False: :math:`\rho_t` = lr.
    scale_parameter : bool, default True
        False: without the factor :math:`\max(\epsilon_2, \mathrm{RMS}(\theta))`.
    warmup_init : bool, default False
        With `relative_step`: :math:`\rho_t = \min(10^{-6} t, 1 / \sqrt t)`.
    eps_form : {"floor", "added"}, default "floor"
        Where :math:`\epsilon_1` acts: as above, or added to every squared gradient, as in the paper.
    scaled_decay : bool, default False
        Decay by the step's own rate, :math:`\rho_t \max(\epsilon_2, \mathrm{RMS}(\theta))`, in place of lr.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    The defaults are those of `torch.optim.Adafactor`. Those of `transformers.Adafactor` are ``eps=(1e-30,
    1e-3), eps_form="added", scaled_decay=True``, its options have the same names; give a `lr` there with
    ``relative_step=False`` only.

    States: ``row_var`` (R) and ``col_var`` (C), or ``variance`` (V) of fewer than two axes; ``exp_avg`` with
    `beta1`. Means are summed in float64, in an order that depends on the shape alone: the same bits come out
    on every CPU level and with any number of threads. Source: Shazeer & Stern 2018 (arXiv:1804.04235),
    Algorithms 4 to 6.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([[1.0, -2.0], [2.0, 4.0]])
    >>> opt = fastopt.Adafactor([w], lr=0.1)
    >>> opt.step([2 * w])
    >>> w
    array([[ 0.75, -1.75],
           [ 1.75,  3.75]])
    """

    rule = Rule(
        "adafactor",
        comparison_lr=1e-1,
        weight_decay="own",
        norms="update",
        squares=True,
        matrix=True,
        torch=True,
    )
    _hypers = {
        "beta2_decay": Hyper(_not_positive),
        "eps": Hyper(_epsilons, _native_epsilons, guards="eps1"),
        "d": positive(),
        "beta1": unit(),
        "relative_step": switch(),
        "scale_parameter": switch(),
        "warmup_init": switch(),
        "eps_form": choice("floor", "added")._replace(
            native=lambda name, value: {"added": float(value == "added")}
        ),
        "scaled_decay": switch(),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-2,
        *,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        beta1: float = 0.0,
        relative_step: bool = True,
        scale_parameter: bool = True,
        warmup_init: bool = False,
        eps_form: Literal["floor", "added"] = "floor",
        scaled_decay: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            beta2_decay=beta2_decay,
            eps=eps,
            d=d,
            weight_decay=weight_decay,
            beta1=beta1,
            relative_step=relative_step,
            scale_parameter=scale_parameter,
            warmup_init=warmup_init,
            eps_form=eps_form,
            scaled_decay=scaled_decay,
            **common,
        )

    @classmethod
    def _flags(cls, values: Mapping[str, Any]) -> set[str]:
        return super()._flags(values) | ({"beta1"} if values["beta1"] > 0 else set())

    @classmethod
    def _batch_axes(cls, values: Mapping[str, Any], ndim: int) -> int:
        return max(ndim - 2, 0)

    @classmethod
    def _state_shape(
        cls, values: Mapping[str, Any], name: str, shape: tuple[int, ...]
    ) -> tuple[int, ...] | None:
        if name == "exp_avg":
            return shape
        if (name == "variance") == (len(shape) > 1):
            return None
        return {"row_var": (*shape[:-1], 1), "col_var": (*shape[:-2], 1, *shape[-1:])}.get(name, shape)
