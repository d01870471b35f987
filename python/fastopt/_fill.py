"""A saved tree against the one that it is loaded into: everything is compared, then everything is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastopt._batches import Batches
from fastopt._checks import shown
from fastopt._ewma import EWMA
from fastopt._generators import GENERATORS, read_generator, take_generator
from fastopt._problems import Problems
from fastopt._restore import prepare
from fastopt._tree import KINDS, Saved
from fastopt.optimizer import Optimizer
from fastopt.schedules import Schedule, from_description

__all__ = ["Filling", "kind_of"]

_TYPES: dict[str, Any] = dict(zip(KINDS, (Optimizer, Schedule, Batches, EWMA, GENERATORS), strict=True))


def kind_of(value: Any) -> str | None:
    """The word of a file for an object with a state; None for everything else."""
    return next((kind for kind, cls in _TYPES.items() if isinstance(value, cls)), None)


class Filling:
    """What is wrong so far, and what is to be done if nothing is."""

    def __init__(self, override: Mapping[str, Any] | None) -> None:
        self.problems = Problems()
        self._override = override
        self._optimizers: list[Callable[[], object]] = []
        self._rest: list[Callable[[], object]] = []

    def commit(self) -> None:
        """Take everything; optimizers first, since of all that is done here only they need memory."""
        for take in [*self._optimizers, *self._rest]:
            take()

    def match(self, saved: Any, into: Any, where: str) -> Any:
        """Compare; return what `load` returns for this part."""
        if isinstance(into, np.ndarray):
            self._array(saved, into, where)
            return into
        kind = kind_of(into)
        if kind is not None:
            self._object(kind, saved, into, where)
            return into
        if isinstance(into, Mapping):
            return self._dict(saved, into, where)
        if isinstance(into, (list, tuple)):
            return self._sequence(saved, into, where)
        if into is not None and not isinstance(into, (bool, int, float, complex, str, bytes, np.generic)):
            raise TypeError(f"into{where}: expected what fastopt.save takes, got {shown(into)}")
        self._only_plain(saved, where, f"a plain value, as {shown(into)} is one")
        return saved

    def _array(self, saved: Any, into: np.ndarray[Any, Any], where: str) -> None:
        wanted = f"an array of {into.dtype} and shape {into.shape}"
        if not isinstance(saved, np.ndarray) or (saved.dtype, saved.shape) != (into.dtype, into.shape):
            self.problems.append(f"{where or 'tree'}: expected {wanted}, got {_what(saved)}")
        elif not into.flags.writeable:
            self.problems.append(
                f"{where or 'tree'}: expected a writeable array in into, got a read-only one"
            )
        else:
            self._rest.append(lambda: np.copyto(into, saved))

    def _object(self, kind: str, saved: Any, into: Any, where: str) -> None:
        if not isinstance(saved, Saved) or saved.kind != kind:
            self.problems.append(
                f"{where or 'tree'}: expected the state of {_named(kind)}, got {_what(saved)}"
            )
            return
        try:
            getattr(self, f"_{kind}")(into, saved.state)
        except (TypeError, ValueError) as error:
            if kind == "optimizer" and type(error) in (TypeError, ValueError):
                raise  # the override is wrong, not the file
            self.problems += [f"{where or 'tree'}: {line}" for line in str(error).splitlines()]

    def _optimizer(self, into: Optimizer, state: Any) -> None:
        arguments = prepare(into, state, self._override)
        self._optimizers.append(lambda: into._plan.restore(*arguments))

    def _schedule(self, into: Schedule, state: Any) -> None:
        wanted = from_description(state)
        if wanted != into:
            raise ValueError(f"expected the schedule {into!r}, got {wanted!r}")
        memories = into._memories(wanted)
        self._rest.append(lambda: [place.update(new) for place, new in memories])

    def _batches(self, into: Batches, state: Any) -> None:
        position = into._read(state)
        self._rest.append(lambda: setattr(into, "_position", position))

    def _ewma(self, into: EWMA, state: Any) -> None:
        so_far = into._read(state)
        self._rest.append(lambda: setattr(into, "_so_far", so_far))

    def _generator(self, into: Any, state: Any) -> None:
        read = read_generator(into, state)
        self._rest.append(lambda: take_generator(into, read))

    def _dict(self, saved: Any, into: Mapping[Any, Any], where: str) -> Any:
        if not isinstance(saved, dict):
            self.problems.append(f"{where or 'tree'}: expected a dict, got {_what(saved)}")
            return None
        result = {}
        for key, value in saved.items():
            place = f"{where}[{key!r}]"
            if key in into:
                result[key] = self.match(value, into[key], place)
            else:
                self._only_plain(value, place, "no such entry, into has none")
                result[key] = value
        self.problems += [
            f"{where}[{key!r}]: expected an entry, the file has none" for key in into if key not in saved
        ]
        return result

    def _sequence(self, saved: Any, into: Any, where: str) -> Any:
        if not isinstance(saved, (list, tuple)) or isinstance(saved, Saved):
            self.problems.append(f"{where or 'tree'}: expected a list or tuple, got {_what(saved)}")
            return None
        if len(saved) != len(into):
            self.problems.append(f"{where or 'tree'}: expected {len(into)} items, got {len(saved)}")
            return None
        items = [self.match(s, i, f"{where}[{n}]") for n, (s, i) in enumerate(zip(saved, into, strict=True))]
        return tuple(items) if isinstance(into, tuple) else items

    def _only_plain(self, saved: Any, where: str, wanted: str) -> None:
        """Plain values need no counterpart; arrays and states that nobody takes would be lost."""
        if isinstance(saved, (np.ndarray, Saved)):
            self.problems.append(f"{where or 'tree'}: expected {wanted}, got {_what(saved)}")
        elif isinstance(saved, (dict, list, tuple)):
            for key, item in saved.items() if isinstance(saved, dict) else enumerate(saved):
                self._only_plain(item, f"{where}[{key!r}]", wanted)


def _named(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeo' else 'a'} {kind}"


def _what(saved: Any) -> str:
    if isinstance(saved, np.ndarray):
        return f"an array of {saved.dtype} and shape {saved.shape}"
    return f"the state of {_named(saved.kind)}" if isinstance(saved, Saved) else shown(saved)
