"""Adam beside optax's, in a process whose XLA has been told to use one thread."""

from __future__ import annotations

from functools import partial
from typing import Any

from common import side_by_side, staggered
from step_cases import ours, set_threads


def measure(exponent: int) -> dict[str, Any]:
    """Both sides in turns; optax updates in place, on donated buffers, and is waited for."""
    import jax
    import optax

    set_threads(1)
    theta, grad = staggered(1 << exponent, 2)
    rule = optax.adam(1e-3)
    gradient = jax.numpy.array(grad)
    held: list[Any] = [jax.numpy.array(theta)]
    held.append(rule.init(held[0]))

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(p: Any, state: Any, g: Any) -> Any:
        change, state = rule.update(g, state, p)
        return optax.apply_updates(p, change), state

    def step() -> None:
        held[:] = update(*held, gradient)
        held[0].block_until_ready()

    opt = ours("Adam", theta, grad)
    return side_by_side({"ours": opt.step, "optax": step}, turns=15 if exponent < 22 else 9)
