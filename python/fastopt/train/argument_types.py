"""Types and actions for argparse whose errors say what was expected and what came."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from fastopt.train.specs import SpecError, parse_list
from fastopt.train.splits import check_fractions


def at_least(low: int) -> Callable[[str], int]:
    """An argparse type: integers from `low` up."""

    def integer(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low:
            raise argparse.ArgumentTypeError(f"expected an integer of at least {low}, got {text!r}")
        return value

    return integer


def number(low: float, high: float = float("inf"), *, open_low: bool = False) -> Callable[[str], float]:
    """An argparse type: finite numbers in [low, high), or (low, high)."""
    wanted = f"in {'(' if open_low else '['}{low:g}, {high:g})" if high < float("inf") else ""
    wanted = wanted or (f"above {low:g}" if open_low else f"of at least {low:g}")

    def real(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value < high or (open_low and value == low):
            raise argparse.ArgumentTypeError(f"expected a finite number {wanted}, got {text!r}")
        return value

    return real


def share(text: str) -> float:
    """A number above 0 and up to 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share above 0 and up to 1, got {text!r}")
    return value


def sizes(text: str) -> tuple[int, ...]:
    """256,128 -> (256, 128); none -> ()."""
    if text.lower() == "none":
        return ()
    try:
        values = tuple(int(part) for part in text.split(","))
    except ValueError:
        values = (0,)
    if min(values) < 1:
        raise argparse.ArgumentTypeError(f"expected layer sizes such as 256,128 or none, got {text!r}")
    return values


def fractions(text: str) -> tuple[float, ...]:
    """0.6,0.2,0.2 -> three fractions that sum to 1."""
    try:
        values = tuple(float(part) for part in text.split(","))
        check_fractions(values)
    except ValueError:
        message = f"expected three positive fractions that sum to 1, such as 0.6,0.2,0.2, got {text!r}"
        raise argparse.ArgumentTypeError(message) from None
    return values


def optimizers(text: str) -> tuple[str, ...]:
    """The texts of the optimizers' specs."""
    try:
        return tuple(spec.text for spec in parse_list(text, "optimizer"))
    except SpecError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("optimizer: ")) from None


class AppendTuple(argparse.Action):
    """Collects the values of an option given several times in a tuple."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, (*getattr(namespace, self.dest, ()), values))
