"""What `Plan.restore` refuses of codes, remainders and matrices, and what `encode` and `decode` refuse.

`test_native_plan.py` has the cases of states that are arrays of the parameter's shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine import everything, make
from fastopt import _dispatch, _restore

F = np.float32
SIZE = 64 * 64


def coded() -> Any:
    """Of bfloat16, with remainders and moments in eight bits."""
    theta = np.full((64, 64), 0x3F80, np.uint16)
    options = {"dtype": "bfloat16", "state_dtype": "int8", "master": "split16"}
    return stepped(make("AdamW", [theta], **options), theta)


def with_matrices() -> Any:
    """Two moments, then a matrix for each side."""
    theta = np.ones((3, 4), F)
    return stepped(make("SOAP", [theta]), theta)


def one_sided() -> Any:
    """A matrix for one side alone."""
    theta = np.ones((3, 40), F)
    return stepped(make("SOAP", [theta], max_precond_dim=10), theta)


def stepped(opt: Any, theta: Any) -> Any:
    opt.step([theta.copy()])
    return opt


def arguments(opt: Any) -> list[Any]:
    """What the plan's `restore` is given for the optimizer's own state."""
    state = opt.state_dict()
    with opt._plan.exclusive():
        return list(_restore.prepare(opt, state, None))


def changed(given: list[Any], **entries: Any) -> list[Any]:
    """With other entries of the first tensor: count, scalars, states, ema, master."""
    names = ("count", "scalars", "states", "ema", "master")
    saved = dict(zip(names, given[0][0], strict=True))
    return [[tuple({**saved, **entries}.values()), *given[0][1:]], *given[1:]]


def refused(opt: Any, error: Any, text: str, **entries: Any) -> None:
    given, before = arguments(opt), everything(opt)
    opt._plan.restore(*given)
    assert everything(opt) == before
    with pytest.raises(error, match=text):
        opt._plan.restore(*changed(given, **entries))
    assert everything(opt) == before


def test_the_same_state_is_the_same() -> None:
    for opt in (coded(), with_matrices(), one_sided()):
        before = everything(opt)
        opt._plan.restore(*arguments(opt))
        assert everything(opt) == before


# --- bytes in memory order ---

BYTES: dict[str, tuple[Any, str]] = {
    "none": (None, "of one axis"),
    "text": ("codes", "of one axis"),
    "two axes": (np.zeros((64, 64), np.int8), "of one axis"),
    "no axis": (np.array(0, np.int8), "of one axis"),
    "one too few": (np.zeros(SIZE - 1, np.int8), "4096 bytes"),
    "wider": (np.zeros(SIZE, np.int64), "4096 bytes"),
    "backwards": (np.zeros(SIZE, np.int8)[::-1], "4096 bytes"),
    "gaps": (np.zeros(2 * SIZE, np.int8)[::2], "4096 bytes"),
    "objects": (np.zeros(SIZE // 8, object), "4096 bytes"),
    "text in an array": (np.zeros(SIZE, "S1"), "4096 bytes"),
    "truths": (np.zeros(SIZE, bool), "4096 bytes"),
}


@pytest.mark.parametrize("case", BYTES)
def test_codes_that_are_none(case: str) -> None:
    bad, text = BYTES[case]
    opt = coded()
    first, *others = arguments(opt)[0][0][2]
    refused(opt, (TypeError, ValueError), text, states=((bad, first[1]), *others))


@pytest.mark.parametrize("scales", [None, np.zeros(3, F), np.zeros((8, 8), F), np.zeros(64, F)[::-1]])
def test_scales_that_are_none(scales: Any) -> None:
    opt = coded()
    first, *others = arguments(opt)[0][0][2]
    refused(opt, (TypeError, ValueError), "saved array of", states=((first[0], scales), *others))


@pytest.mark.parametrize("pair", [None, [1, 2], np.zeros((64, 64), F), (), (np.zeros(SIZE, np.int8),)])
def test_codes_without_scales(pair: Any) -> None:
    opt = coded()
    _, *others = arguments(opt)[0][0][2]
    refused(opt, (TypeError, ValueError), "^states: ", states=(pair, *others))


@pytest.mark.parametrize("case", [key for key in BYTES if key != "none"])
def test_remainders_that_are_none(case: str) -> None:
    refused(coded(), (TypeError, ValueError), "params.0.: expected a saved array", master=BYTES[case][0])


# --- matrices beside the states ---

MATRICES: dict[str, Any] = {
    "text": "q",
    "one too few": np.zeros(24, F),
    "float64": np.zeros(25),
    "bytes swapped": np.zeros(25, F).astype(">f4"),
    "whole numbers": np.zeros(25, np.int32),
}


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("case", MATRICES)
def test_matrices_that_are_none(case: str, side: int) -> None:
    opt = with_matrices()
    states = list(arguments(opt)[0][0][2])
    states[2 + side] = MATRICES[case]
    refused(opt, TypeError, "params.0.: .*: expected a saved array of 25 float32", states=tuple(states))


@pytest.mark.parametrize("side", [0, 1])
def test_a_matrix_that_is_missing(side: int) -> None:
    opt = with_matrices()
    states = list(arguments(opt)[0][0][2])
    states[2 + side] = None
    refused(opt, TypeError, "expected one where the rule has one", states=tuple(states))


def test_a_matrix_where_the_rule_has_none() -> None:
    """All sides are longer than max_precond_dim."""
    theta = np.ones((3, 40), F)
    opt = stepped(make("SOAP", [theta], max_precond_dim=2), theta)
    states = arguments(opt)[0][0][2]
    assert states[2:] == (None, None)
    for at in (2, 3):
        bad = [*states[:at], np.zeros(25, F), *states[at + 1 :]]
        refused(opt, TypeError, "expected one where the rule has one", states=tuple(bad))


def test_an_average_where_there_is_none() -> None:
    refused(with_matrices(), TypeError, "ema: expected None, there is no average", ema=np.zeros((3, 4), F))


def test_a_saved_array_has_the_axes_of_its_parameter() -> None:
    theta = np.ones((1, 4), F)
    opt = stepped(make("Adam", [theta]), theta)
    first, *others = arguments(opt)[0][0][2]
    assert first.shape == (1, 4)
    refused(opt, ValueError, "expected a saved array of the parameter's shape", states=(first[0], *others))


def test_a_matrix_with_gaps_is_read() -> None:
    opt = with_matrices()
    given, before = arguments(opt), everything(opt)
    spread = [np.repeat(m, 2)[::2] for m in given[0][0][2][2:]]
    opt._plan.restore(*changed(given, states=(*given[0][0][2][:2], *spread)))
    assert everything(opt) == before


# --- codes outside of a step ---


@pytest.mark.parametrize("positive", [False, True])
def test_codes_and_values(positive: bool) -> None:
    values = np.linspace(0 if positive else -1, 1, 200, dtype=F)
    codes, scales = _dispatch.core.encode(values, positive)
    assert np.abs(_dispatch.core.decode(codes, scales, positive) - values).max() < 2**-4
    assert _dispatch.core.decode(codes[:0], scales[:0], positive).size == 0
    assert _dispatch.core.encode(values[:0], positive)[1].size == 0


@pytest.mark.parametrize(
    ("codes", "scales", "error"),
    [
        (np.zeros((2, 2), np.uint8), np.zeros(1, F), ValueError),
        (np.zeros(2, np.int8), np.zeros(1, F), TypeError),
        (np.zeros(2, np.uint16), np.zeros(1, F), TypeError),
        (np.zeros(2, np.uint8), np.zeros(2, F), ValueError),
        (np.zeros(2, np.uint8), np.zeros((1, 1), F), ValueError),
        (np.zeros(0, np.uint8), np.zeros(1, F), ValueError),
        (None, np.zeros(1, F), TypeError),
        (np.zeros(2, np.uint8), "scales", (TypeError, ValueError)),
    ],
)
def test_what_is_no_codes_and_scales(codes: Any, scales: Any, error: Any) -> None:
    with pytest.raises(error):
        _dispatch.core.decode(codes, scales, False)


@pytest.mark.parametrize("values", [np.zeros((2, 2), F), np.array(1, F), "values"])
def test_values_that_have_no_codes(values: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        _dispatch.core.encode(values, False)
