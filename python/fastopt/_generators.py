"""The states of NumPy's random generators, checked before they are taken."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastopt._checks import shown

__all__ = ["GENERATORS", "read_generator", "state_of_generator", "take_generator"]

_BITS = {
    c.__name__: c
    for c in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}

GENERATORS = (np.random.Generator, np.random.RandomState, np.random.BitGenerator)


def state_of_generator(generator: Any) -> dict[str, Any]:
    """The state; with the normal deviate that the legacy generator keeps for the next call."""
    if isinstance(generator, np.random.RandomState):
        return dict(generator.get_state(legacy=False))
    return dict(_bits(generator).state)


def read_generator(generator: Any, state: Any) -> Any:
    """Try a state on a copy; raise TypeError or ValueError if it is none for this generator."""
    if not isinstance(state, dict):
        raise TypeError(f"expected the state of a random generator, got {shown(state)}")
    mine = state_of_generator(generator)
    if state.get("bit_generator") != mine["bit_generator"]:
        raise ValueError(
            f"expected the state of {mine['bit_generator']}, got that of {state.get('bit_generator')!r}"
        )
    if state.keys() != mine.keys():
        raise ValueError(f"expected the entries {', '.join(mine)}, got {', '.join(map(str, state))}")
    bits = _BITS.get(mine["bit_generator"])
    if bits is None:
        raise TypeError(f"expected one of {', '.join(_BITS)}, got {mine['bit_generator']}")
    trial = bits(0)
    try:
        take_generator(np.random.RandomState(trial) if "gauss" in mine else trial, state)
    except Exception as error:  # NumPy raises what its conversions raise: KeyError, OverflowError, ...
        raise ValueError(f"expected a state of {mine['bit_generator']}, got one with {error!r}") from None
    return state


def take_generator(generator: Any, state: Any) -> None:
    """Set the state."""
    if isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        _bits(generator).state = state


def _bits(generator: Any) -> Any:
    return generator.bit_generator if isinstance(generator, np.random.Generator) else generator
