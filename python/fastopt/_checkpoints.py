"""`fastopt.save` and `fastopt.load`: all that a training run consists of, in one file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from operator import methodcaller
from os import PathLike
from typing import Any

from fastopt import _state, checkpoint
from fastopt._checks import path_of
from fastopt._errors import CheckpointError
from fastopt._fill import Filling, kind_of
from fastopt._generators import state_of_generator
from fastopt._tree import Saved, put_together, take_apart
from fastopt.optimizer import Optimizer
from fastopt.schedules import from_description

__all__ = ["load", "save"]

FORMAT, VERSION = "fastopt.tree", 1


def save(path: str | PathLike[str], tree: Any) -> None:
    """Write a whole training run, parameters included, to one checksummed file, all of it or nothing.

    The file is an `.npz` (`numpy.load` reads its arrays) without pickle. It is written beside `path`, synced
    to disk and renamed: whatever happens (a full disk, a crash, ``kill -9``), `path` is the old file or the
    new one, whole.

    Parameters
    ----------
    path : str or path-like
        The file to create or replace; the name is used as it is.
    tree : dict, list or tuple, nested
        Of NumPy arrays; optimizers, schedules, `Batches`, `EWMA` and NumPy's random generators, whose states
        are saved; and plain values: None, bool, int, float, complex, str, bytes, NumPy scalars. Dicts have
        keys of type str, int, float, bool or None. Subclasses of dict, list and tuple are saved as these. At
        most 18 levels.

    Raises
    ------
    TypeError, ValueError
        If something cannot be saved; the message says where it is. The old file is untouched.
    RuntimeError
        If a call on one of the optimizers has not returned yet (a step in another thread: try again), or
        inside its `lookahead` or `ema_weights`, where the parameters are not at their own place. Likewise.
    OSError
        As the system reports it. Likewise.

    Notes
    -----
    If there are optimizers in the tree, everything is copied first, while none of them can be used, and
    written afterwards: parameters, moments and counts are of one moment between two steps. Without optimizers
    arrays are written as they are, and nobody may change them meanwhile: ``with opt.ema_weights():
    fastopt.save(path, {"model": params})`` writes the averages.

    See Also
    --------
    load

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, fastopt
    >>> path = os.path.join(tempfile.mkdtemp(), "run.npz")
    >>> params = {"w": np.ones(3)}
    >>> opt = fastopt.Adam(params)
    >>> opt.step({"w": np.ones(3)})
    >>> fastopt.save(path, {"model": params, "optimizer": opt, "epoch": 3})
    >>> params = {"w": np.zeros(3)}  # another day
    >>> opt = fastopt.Adam(params)
    >>> fastopt.load(path, into={"model": params, "optimizer": opt})["epoch"]
    3
    >>> opt.step_count, params["w"]
    (1, array([0.999, 0.999, 0.999]))
    """
    path = path_of("path", path)
    with _together(tree) as optimizers:
        arrays, skeleton = take_apart(tree, _state_of, copy=bool(optimizers))
    checkpoint.write(path, arrays, {"format": FORMAT, "version": VERSION, "tree": skeleton})


def load(path: str | PathLike[str], into: Any = None, *, override: Mapping[str, Any] | None = None) -> Any:
    """Read what `save` wrote: as a new tree, or into the arrays and objects that there are.

    Parameters
    ----------
    path : str or path-like
        A file written by `save`.
    into : dict, list or tuple, nested, optional
        A tree like the saved one. Its arrays are filled in place, its optimizers, `Batches`, `EWMA` and
        random generators get the saved states; its schedules must be the saved ones (`reduce_on_plateau` gets
        its memory). All or nothing. Plain values need not be in it; where they are, the saved ones are
        returned.
    override : dict, optional
        What is to be otherwise than it was saved, of each optimizer in `into`: see
        `Optimizer.load_state_dict`.

    Returns
    -------
    dict, list or tuple, nested
        The saved tree, with new arrays, schedules, and what ``state_dict`` returned in place of other objects
        (of a random generator: its ``bit_generator.state``). With `into`: its arrays and objects, and the
        saved plain values.

    Raises
    ------
    CheckpointError
        If the file is damaged or of another kind, or if anything does not fit `into`: shapes, dtypes, missing
        and unknown entries, optimizers' options are all listed. Nothing was changed. It is a ValueError.
    TypeError, ValueError
        If `override` is not one, or `into` holds what cannot be loaded.
    RuntimeError
        If one of the optimizers is in use, or inside its `lookahead` or `ema_weights`. Nothing was changed.
    OSError
        As the system reports it.

    Notes
    -----
    An optimizer takes its state in one operation. Between several objects an interrupt (Ctrl-C) can come, and
    leave a part of them loaded; load again.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, fastopt
    >>> path = os.path.join(tempfile.mkdtemp(), "run.npz")
    >>> fastopt.save(path, {"model": {"w": np.ones(3)}, "epoch": 3})
    >>> fastopt.load(path)  # a new tree
    {'model': {'w': array([1., 1., 1.])}, 'epoch': 3}
    >>> w = np.zeros(3)
    >>> _ = fastopt.load(path, into={"model": {"w": w}})  # the array that there is
    >>> w
    array([1., 1., 1.])

    What does not fit is listed, and nothing is changed:

    >>> fastopt.load(path, into={"model": {"w": np.zeros(4)}})
    Traceback (most recent call last):
        ...
    fastopt.CheckpointError: ...
    """
    tree = _read(path)
    if into is None:
        if override is not None:
            raise TypeError("override: expected None without into, where there is no optimizer to load")
        return _states(tree)
    with _together(into) as optimizers:
        if override is not None and not optimizers:
            raise TypeError("override: expected None where into has no optimizer")
        filling = Filling(override)
        result = filling.match(tree, into, "")
        try:
            filling.problems.refuse()
        except CheckpointError as error:
            raise CheckpointError(f"{path}: does not fit into:\n{error}") from None
        filling.commit()
        for opt in optimizers:  # their parameters may have been filled after them
            opt._plan.write_shadows()
    return result


def _read(path: str | PathLike[str]) -> Any:
    arrays, meta = checkpoint.read(path)
    if meta.get("format") != FORMAT:
        hint = "; an optimizer's own load() reads it" if meta.get("format") == "fastopt.optimizer" else ""
        raise CheckpointError(f"{path}: expected a file of fastopt.save, got {meta.get('format')!r}{hint}")
    if meta.get("version") != VERSION or "tree" not in meta:
        raise CheckpointError(f"{path}: this fastopt reads version {VERSION}, got {meta.get('version')!r}")
    try:
        return put_together(arrays, meta["tree"])
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None


@contextlib.contextmanager
def _together(tree: Any) -> Iterator[list[Optimizer]]:
    """The optimizers in a tree, which nobody else can use meanwhile."""
    optimizers = list({id(leaf): leaf for leaf in _leaves(tree, 0) if isinstance(leaf, Optimizer)}.values())
    with contextlib.ExitStack() as stack:
        for opt in optimizers:
            stack.enter_context(opt._plan.exclusive())
            opt._plan.refuse_elsewhere("fastopt.save() and load()")
        yield optimizers


def _leaves(tree: Any, depth: int) -> Iterator[Any]:
    if isinstance(tree, (Mapping, list, tuple)):
        for item in tree.values() if isinstance(tree, Mapping) else tree:
            if depth < 100:  # deeper trees are refused later, with their place
                yield from _leaves(item, depth + 1)
    else:
        yield tree


#: How the state of an object is read, by its kind.
_STATE_OF: dict[str, Callable[[Any], Any]] = {
    "optimizer": _state.collect_within,
    "schedule": methodcaller("describe"),
    "batches": methodcaller("state_dict"),
    "ewma": methodcaller("state_dict"),
    "generator": state_of_generator,
}


def _state_of(value: Any) -> Saved | None:
    kind = kind_of(value)
    return None if kind is None else Saved(kind, _STATE_OF[kind](value))


def _states(tree: Any) -> Any:
    """The tree with states in place of `Saved`, and schedules, which are values."""
    if isinstance(tree, Saved):
        if tree.kind != "schedule":
            return tree.state
        try:
            return from_description(tree.state)
        except (TypeError, ValueError) as error:
            raise CheckpointError(str(error)) from None
    if isinstance(tree, dict):
        return {key: _states(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(_states, tree))
    return tree
