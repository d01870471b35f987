r"""How far Lanczos may have stayed away from an end of a spectrum, and with which probability.

Kuczynski and Wozniakowski, SIAM J. Matrix Anal. Appl. 13 (1992) 1094-1122, theorem 4.2: from a uniformly
random start vector, the extreme Ritz value after k steps misses by more than a share e of the spectrum's
width with probability at most :math:`1.648 \sqrt n\, e^{-(2k - 1) \sqrt e}`.
"""

from __future__ import annotations

import math


def chance_of(n: int, steps: int, share: float) -> float:
    """The probability, or a number above 1."""
    return 1.648 * math.sqrt(n) * math.exp(-(2 * steps - 1) * math.sqrt(share))


def missed(n: int, steps: int, chance: float) -> float:
    """The share whose probability is `chance`."""
    return (math.log(1.648 * math.sqrt(n) / chance) / (2 * steps - 1)) ** 2


def steps_needed(n: int, share: float, chance: float) -> int:
    """The steps after which `missed` is `share`."""
    return math.ceil((math.log(1.648 * math.sqrt(n) / chance) / math.sqrt(share) + 1) / 2)
