"""Random numbers that are the user's to repeat, and nobody else's by accident."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastopt._checks import shown

#: Keeps our streams apart from those of ``numpy.random.default_rng(seed)``.
KEY = 0x6661_7374


def generator(seed: Any) -> np.random.Generator:
    """A generator for `seed`; a Generator is used as it is.

    An operator made of ``default_rng(0).standard_normal(n)`` must not meet that same vector again as a random
    probe: results would be wrong by many of their error bars.
    """
    if isinstance(seed, np.random.Generator):
        return seed
    if isinstance(seed, (np.random.SeedSequence, np.random.BitGenerator)):
        return np.random.default_rng(seed)
    try:
        sequence = np.random.SeedSequence(seed, spawn_key=(KEY,))
    except (TypeError, ValueError) as error:
        raise _named(seed, error) from None
    return np.random.default_rng(sequence)


def numpys(seed: Any) -> np.random.Generator:
    """`numpy.random.default_rng`, whose errors name the argument."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise _named(seed, error) from None


def _named(seed: Any, error: Exception) -> Exception:
    return type(error)(f"seed: expected what numpy.random.default_rng takes, got {shown(seed)} ({error})")
