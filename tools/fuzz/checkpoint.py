"""Checkpoint files: bytes changed, bytes changed under a right checksum, and files built around a changed
list.

Why no coverage-guided fuzzer: the reader compares instead of parsing, behind a SHA-256. Random bytes, however
well guided, end at the checksum; what is behind it is reached by a mutator that knows the format and signs
what it made. It is Python, where a sanitizer has nothing to see.

Held in each round: CheckpointError or an answer. What is not signed again is refused unless it is the same
file. What is accepted comes back after it is written again. Where a state does not fit, nothing has changed.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import tempfile
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from making import make
from mutators import PLAIN, mutate_tree, mutated

import fastopt
from engine import bits, everything
from fastopt import _metadata, _npz
from fastopt.checkpoint import LABEL, TRAILER, CheckpointError, read, write

GOLDEN = Path(__file__).parents[2] / "tests" / "golden"


class Seed(NamedTuple):
    """A good file, taken apart: its text, and each array's elements."""

    content: bytes
    document: dict[str, Any]
    elements: list[bytes]
    into: Callable[[], Any]  # what it may be loaded into


def prepare() -> Callable[[Random], str]:
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
    path, other = folder / "a.npz", folder / "b.npz"
    warnings.simplefilter("ignore")  # a learning rate that was a callable is told of
    seeds = [_taken_apart(content, into) for content, into in _files(path)]

    def one_round(rng: Random) -> str:
        seed = rng.choice(seeds)
        content, signed = _content(rng, seed)
        path.write_bytes(content)
        try:
            arrays, meta = read(path)
        except CheckpointError:
            _refused_everywhere(path, seed if rng.randrange(8) == 0 else None)
            return "refused"
        if not signed:
            assert content == seed.content, "a change was not noticed"
        if rng.randrange(3):
            return _loaded(path, seed)
        write(other, arrays, meta)
        again, text = read(other)
        assert bits(again) == bits(arrays), "not the same arrays after writing them again"
        assert bits(text) == bits(meta)
        return "written again"

    return one_round


def _content(rng: Random, seed: Seed) -> tuple[bytes, bool]:
    kind = rng.randrange(6)
    if kind == 0:
        return mutated(rng, seed.content), False
    if kind == 1:
        return _signed(mutated(rng, seed.content[:-TRAILER])), True
    document = copy.deepcopy(seed.document)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        mutate_tree(rng, document, lambda rng: rng.choice(PLAIN))
    elements = [mutated(rng, e) if rng.randrange(9) == 0 else e for e in seed.elements]
    return _signed(_built(rng, document, elements)), True


def _signed(content: bytes) -> bytes:
    return content + LABEL + hashlib.sha256(content).hexdigest().encode()


def _built(rng: Random, document: Any, elements: list[bytes]) -> bytes:
    """An archive with headers that fit the list of arrays, as far as it is one."""
    try:
        text = json.dumps(document, separators=(",", ":")).encode()
    except (ValueError, RecursionError):  # a knot
        text = b"{}"
    if rng.randrange(20) == 0:
        text = mutated(rng, text)
    listed = document.get("arrays") if isinstance(document, dict) else None
    parts, members = [], [_npz.Member(b"fastopt.json", zlib.crc32(text), len(text))]
    parts += [_npz.local_header(members[0]), text]
    entries = listed if isinstance(listed, list) else []
    for number, entry in enumerate(entries):
        try:
            name, dtype, shape = entry
            header = _npz.npy_header("<u2" if dtype == "bfloat16" else dtype, tuple(shape))
            label = f"{name}.npy".encode()
        except (TypeError, ValueError):
            name, header, label = "x", b"", b"x.npy"
        data = elements[number % len(elements)] if elements else b""
        try:  # mostly as many bytes as the list says
            wanted = _metadata.Entry(name, dtype, tuple(shape)).nbytes
            if 0 <= wanted < 1 << 16 and rng.randrange(8):
                data = data.ljust(wanted, b"\1")[:wanted]
        except (TypeError, ValueError, OverflowError, UnboundLocalError):  # no lengths at all
            pass
        if len(label) < 1 << 16:
            members.append(_npz.Member(label, zlib.crc32(header + data), len(header) + len(data)))
            parts += [_npz.local_header(members[-1]), header, data]
    return b"".join(parts) + _npz.directory(members, TRAILER)


def _loaded(path: Path, seed: Seed) -> str:
    """As a tree and into what there is: taken or refused, and then nothing has changed."""
    try:
        fastopt.load(path)
        outcome = "tree"
    except CheckpointError:
        outcome = "no tree"
    return f"{outcome}, {_into(path, seed)}"


def _into(path: Path, seed: Seed) -> str:
    into = seed.into()
    tree = into if isinstance(into, dict) else {"opt": into}
    before = _state(tree)
    try:
        fastopt.load(path, into=tree) if tree is into else into.load(path)
    except CheckpointError:
        assert _state(tree) == before, "refused, and something has changed"
        return "refused"
    opt = tree["opt"]
    opt.step(
        None
        if opt._names is None
        else {n: np.ones_like(p) for n, p in zip(opt._names, opt._params, strict=True)}
    )
    return "loaded"


def _refused_everywhere(path: Path, seed: Seed | None) -> None:
    try:
        fastopt.load(path)
    except CheckpointError:
        pass
    else:
        raise AssertionError("load takes what read refuses")
    if seed is not None:
        assert _into(path, seed) == "refused"


def _state(tree: dict[str, Any]) -> Any:
    found = [everything(tree["opt"])]
    if "model" in tree:
        found += [
            bits(tree["model"]),
            str(tree["rng"].bit_generator.state),
            bits(tree["batches"].state_dict()),
            bits(tree["ewma"].state_dict()),
        ]
    return found


# --- good files ---


def _files(path: Path) -> list[tuple[bytes, Callable[[], Any]]]:
    run, opt = _run(), _optimizer()
    for _ in range(3):
        run["opt"].step({"w": np.ones((2, 3), np.float32), "b": np.ones(3, np.float32)})
        opt.step()
        run["ewma"].update(1.0)
        next(run["batches"])
    fastopt.save(path, run | {"more": {"$x": (1, b"2", 1j, np.float32(3), float("nan"), 2**70)}})
    files: list[tuple[bytes, Callable[[], Any]]] = [(path.read_bytes(), _run)]
    opt.save(path)
    files.append((path.read_bytes(), _optimizer))
    files += [((GOLDEN / name).read_bytes(), _run) for name in ("adam_version_1.npz", "run_version_1.npz")]
    return files


def _run() -> dict[str, Any]:
    params = {"w": np.full((2, 3), 2, np.float32), "b": np.full(3, 3, np.float32)}
    lr = fastopt.schedules.warmup_then(fastopt.schedules.reduce_on_plateau(0.1, patience=1), warmup=2)
    return {
        "model": params,
        "opt": make("AdamW", params, lr=lr, ema_decay=0.9, clip_norm=1.0),
        "rng": np.random.default_rng(3),
        "batches": fastopt.batches(np.arange(12.0), batch_size=4, epochs=3, seed=1),
        "ewma": fastopt.EWMA(0.5),
    }


def _optimizer() -> Any:
    params = [np.full(130, 1.5, np.float32), np.full((), 2, np.float32)]
    opt = make("Adam", params, lr=0.1, state_dtype="int8", amsgrad=True, nonfinite="skip")
    opt.bind_grads([np.ones_like(p) for p in params])
    return opt


def _taken_apart(content: bytes, into: Callable[[], Any]) -> Seed:
    """Of a file that is as written: members one after the other."""
    start = len(_npz.local_header(_npz.Member(b"fastopt.json", 0, 0)))
    size = _npz.size_in(content[:start])
    document = json.loads(content[start : start + size])
    entries, _ = _metadata.decode(content[start : start + size])
    at, elements = start + size, []
    for entry in entries:
        at += len(_npz.local_header(entry.member(0))) + len(entry.header) + entry.nbytes
        elements.append(content[at - entry.nbytes : at])
    assert at < len(content) - TRAILER, os.fsdecode(content[:40])
    return Seed(content, document, elements, into)
