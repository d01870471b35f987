"""Small changes to bytes and to trees of dicts and lists, drawn from a `random.Random`."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

#: Where arithmetic on lengths goes wrong.
EDGES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)


def _flip(rng: Random, data: bytearray, at: int) -> None:
    data[at] ^= 1 << rng.randrange(8)


def _set(rng: Random, data: bytearray, at: int) -> None:
    data[at] = rng.choice((0, 0x20, 0x22, 0x2C, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _insert(rng: Random, data: bytearray, at: int) -> None:
    data[at:at] = rng.randbytes(rng.choice((1, 1, 2, 4, 64)))


def _delete(rng: Random, data: bytearray, at: int) -> None:
    del data[at : at + rng.choice((1, 1, 2, 4, 64))]


def _repeat(rng: Random, data: bytearray, at: int) -> None:
    data[at:at] = data[at : at + rng.randrange(1, 80)] * rng.choice((1, 1, 2, 50))


def _number(rng: Random, data: bytearray, at: int) -> None:
    width = rng.choice((2, 4, 8))
    data[at : at + width] = (rng.choice(EDGES) % (1 << 8 * width)).to_bytes(width, "little")


def _swap(rng: Random, data: bytearray, at: int) -> None:
    other = rng.randrange(len(data))
    data[at], data[other] = data[other], data[at]


def _cut(rng: Random, data: bytearray, at: int) -> None:
    del data[at:]


CHANGES: tuple[Callable[[Random, bytearray, int], None], ...] = (
    *(_flip, _flip, _set, _set, _insert, _delete, _repeat, _number, _swap, _cut),
)


def mutated(rng: Random, content: bytes) -> bytes:
    """One to four changes at random places."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if data:
            rng.choice(CHANGES)(rng, data, rng.randrange(len(data)))
    return bytes(data)


# --- trees ---

#: What a node may be replaced by; JSON can hold it.
PLAIN: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 0.5, -0.0, 1e308, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**30),
    *("", "w", "callable", "\x00", "\ud800", "$array", "nan", "bfloat16", "../x", "fastopt", "state"),
    *(
        [],
        {},
        [[]],
        [{}],
        {"": None},
        {"$array": "w"},
        {"$tuple": []},
        {"name": "cosine"},
        {"$float": "x"},
        [0, 1],
        [1, 0],
    ),
)


def strange(rng: Random) -> Any:
    """What a state dict in memory may hold and JSON may not."""
    kinds = ("f4", "f8", "f2", "i8", "u1", ">f4", "c8", "?", "U3", "O", "M8[s]")
    match rng.randrange(8):
        case 0:
            return np.ones(rng.choice(((), 1, 3, (2, 3), 0, (1, 1, 1))), rng.choice(kinds))
        case 1:
            return rng.choice(
                (math.nan, math.inf, 1j, b"x", ..., range(3), {1, 2}, np.float32(1), np.int8(3), print)
            )
        case 2:
            return rng.choice(
                (
                    np.ones(6, "f4")[::-2],
                    np.broadcast_to(np.float32(1), (2, 3)),
                    np.ma.ones(3),
                    np.matrix([1.0]),
                )
            )
        case 3:
            return (1, 2)
        case _:
            return rng.choice(PLAIN)


Path = list[tuple[Any, Any]]


def nodes(tree: Any) -> Path:
    """(container, key) of every node below the root, once each: an earlier change may have tied a knot."""
    found: Path = []
    stack, seen = [tree], set[int]()
    while stack:
        here = stack.pop()
        if id(here) in seen:
            continue
        if isinstance(here, dict | list):
            seen.add(id(here))
        items = here.items() if isinstance(here, dict) else enumerate(here) if isinstance(here, list) else ()
        for key, item in items:
            found.append((here, key))
            stack.append(item)
    return found


def mutate_tree(rng: Random, tree: Any, draw: Callable[[Random], Any]) -> None:
    """One change in place: a node replaced, removed, renamed, repeated, or exchanged with another."""
    found = nodes(tree)
    if not found:
        return
    here, key = rng.choice(found)
    match rng.randrange(7):
        case 0:
            del here[key]
        case 1 if isinstance(here, dict):
            here[rng.choice(("", "step", "lr", 0, 1, f"{key}x", None, "$dict", "master.split16"))] = here.pop(
                key
            )
        case 1 | 2 if isinstance(here, list):
            here.insert(key, here[key] if rng.randrange(2) else draw(rng))
        case 2 if isinstance(here, dict):
            here[rng.choice(("more", "$tuple", 7, "exp_avg", "fastopt"))] = draw(rng)
        case 3:
            there, other = rng.choice(found)
            if other in there if isinstance(there, dict) else other < len(there):
                here[key], there[other] = there[other], here[key]  # may tie a knot: a cycle is input too
        case _:
            here[key] = draw(rng)
