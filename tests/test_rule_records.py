"""What `Optimizer.rule` says of each class is what its steps do, and what the documentation says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import CLASSES, bits, make, setting
from fastopt._dispatch import core

RULES = {name: getattr(fastopt, name).rule for name in CLASSES}
DOCS = Path(__file__).parents[1]
DECAY = 0.3
CHOOSE = [name for name in CLASSES if "decoupled_weight_decay" in getattr(fastopt, name)._hypers]
KINDS = [(name, None) for name in CLASSES] + [(name, kind) for name in CHOOSE for kind in (False, True)]


def walked(name: str, kind: str, options: dict[str, Any]) -> Any:
    """theta after eight steps with weight decay: the class's own, or by hand what "coupled" and "decoupled"
    mean.
    """
    theta = np.array([1.0, -2.0, 3.0])
    drawn = {key: value for key, value in setting(name).items() if key != "decoupled_weight_decay"}
    opt = make(name, [theta], **{**drawn, **options, "weight_decay": DECAY if kind == "own" else 0.0})
    for k in range(8):
        g = np.array([0.5, 0.25, -1.0]) * (k + 1)
        if kind == "coupled":
            g += DECAY * theta
        if kind == "decoupled" and not (k == 0 and opt.rule.fills_first):
            theta *= 1 - opt.param_groups[0]["lr"] * DECAY
        opt.step([g])
    return theta


def test_a_class_without_momentum_says_so() -> None:
    takes = {name for name in CLASSES if "momentum" in getattr(fastopt, name)._hypers}
    assert takes == {name for name, rule in RULES.items() if rule.momentum != "none"}


@pytest.mark.parametrize(("name", "decoupled"), KINDS)
def test_decay_is_of_the_kind_that_the_record_says(name: str, decoupled: bool | None) -> None:
    options = {} if decoupled is None else {"decoupled_weight_decay": decoupled}
    opt = make(name, [np.ones(3)], **options)
    kind = RULES[name].decay(opt.param_groups[0])
    assert kind == RULES[name].decay({**opt.defaults, **options})
    if decoupled is None:
        assert kind == RULES[name].weight_decay
    got = walked(name, "own", options)
    agrees = {
        by_hand: np.allclose(got, walked(name, by_hand, options)) for by_hand in ("coupled", "decoupled")
    }
    assert agrees == {by_hand: by_hand == kind for by_hand in agrees}


LONGER = {"sum": 5.0, "average": 1.0}  # times as long are steps with momentum 0.8 under a steady gradient


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.momentum in LONGER])
def test_momentum_sums_or_averages_as_the_record_says(name: str) -> None:
    def last_step(momentum: float) -> float:
        theta = np.full(5, 1e6)  # so large that no norm of it changes
        opt = make(name, [theta], lr=1e-3, weight_decay=0.0, momentum=momentum)
        for _ in range(300):
            before = theta[0]
            opt.step([np.ones(5)])
        return float(before - theta[0])

    assert last_step(0.8) / last_step(0.0) == pytest.approx(LONGER[RULES[name].momentum], rel=0.1)


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.momentum == "interpolation"])
@pytest.mark.parametrize("momentum", [0.3, 0.9])
def test_momentum_interpolates_as_the_record_says(name: str, momentum: float) -> None:
    """Between the steps' own path z and its average: under a steady gradient the latter goes half as far."""
    theta = np.full(5, 1.0)
    opt = make(name, [theta], lr=1e-3, weight_decay=0.0, momentum=momentum)
    for _ in range(3000):
        opt.step([np.ones(5)])
    z = opt.state[0]["z"]
    assert (theta[0] - 1) / (z[0] - 1) == pytest.approx(1 - momentum / 2, rel=1e-2)


@pytest.mark.parametrize("name", CLASSES)
def test_only_norms_tie_the_elements_of_a_tensor_together(name: str) -> None:
    whole, parts = np.arange(1.0, 9.0), np.arange(1.0, 9.0)
    together = make(name, [whole], **setting(name))
    apart = make(name, [parts[:3], parts[3:]], **setting(name))
    for k in range(2):
        g = np.linspace(-1, 2 + 3 * k, 8)
        together.step([g])
        apart.step([g[:3], g[3:]])
    if RULES[name].norms == "all":  # tensors too are tied together, in whatever order the sums are
        np.testing.assert_allclose(whole, parts, rtol=1e-12)
    else:
        assert (bits(whole) == bits(parts)) == (RULES[name].norms == "none")


@pytest.mark.parametrize("name", CLASSES)
def test_the_policies_look_at_squares_where_the_record_says_so(name: str) -> None:
    opt = make(name, [np.ones(3, np.float32)], lr=0.0, nonfinite="skip")
    opt.step([np.full(3, 3e19, np.float32)])
    assert opt.skipped == RULES[name].squares


@pytest.mark.parametrize("name", CLASSES)
def test_the_first_step_moves_nothing_where_the_record_says_so(name: str) -> None:
    """Not by decay or the proximal step of L1 either; a parameter that joins later has a first step too."""
    params = [np.array([1.0, -2.0, 0.5]) for _ in range(2)]
    start = bits(params[0])
    drawn = {**setting(name), "weight_decay": 0.1, "l1_proximal": 0.1}
    opt = make(name, params, **drawn)
    g = np.array([0.5, 0.25, -1.0])
    opt.step([g, None])
    assert (bits(params[0]) == start) == RULES[name].fills_first
    first = bits(params[0])
    opt.step([g, g])
    assert bits(params[0]) != first
    assert (bits(params[1]) == start) == RULES[name].fills_first


@pytest.mark.parametrize("name", CLASSES)
def test_the_seed_matters_where_the_record_says_so(name: str) -> None:
    thetas = [np.arange(1.0, 7.0).reshape(2, 3) for _ in range(2)]
    for seed, theta in enumerate(thetas):
        opt = make(name, [theta], seed=seed, **setting(name))
        for _ in range(4):
            opt.step([np.array([[0.5, 0.25, -1.0], [1.0, -2.0, 0.125]])])
    assert (bits(thetas[0]) != bits(thetas[1])) == RULES[name].draws


#: In torch.optim as well, with other numbers: its Muon computes in bfloat16 and takes matrices only.
OTHER_IN_TORCH = {"Muon"}


def test_torch_has_the_classes_that_the_records_say() -> None:
    torch = pytest.importorskip("torch")
    for name, rule in RULES.items():
        assert rule.torch == (hasattr(torch.optim, name) and name not in OTHER_IN_TORCH), name


def test_a_record_can_be_neither_changed_nor_assigned() -> None:
    with pytest.raises(AttributeError):
        fastopt.Adam.rule.comparison_lr = 1.0  # type: ignore[misc]
    with pytest.raises(AttributeError, match="rule: can be read, not assigned"):
        fastopt.Adam([np.ones(2)]).rule = fastopt.SGD.rule  # type: ignore[misc]


def test_the_table_of_the_design_note_is_the_records() -> None:
    lines = (DOCS / "docs/design/rules.md").read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("| `")]
    assert table == [
        f"| `{name}` | {r.weight_decay} | {r.momentum} | {r.norms} | {'yes' if r.squares else 'no'} | "
        f"{'yes' if r.torch else 'no'} | {r.comparison_lr:g} |"
        for name, r in RULES.items()
    ]


@pytest.mark.parametrize("name", CLASSES)
def test_the_readme_names_every_class(name: str) -> None:
    assert (
        name
        in (DOCS / "README.md")
        .read_text(encoding="utf-8")
        .replace(",", " ")
        .replace(".", " ")
        .replace(";", " ")
        .split()
    )


# What other tests take from the records, so that they would follow a record that is wrong.

#: Which form no square of a gradient's element, so that any finite gradient may pass.
WITHOUT_SQUARES = {
    *("SGD", "ASGD", "Rprop", "Lion", "SignSGD", "Signum", "ScheduleFreeSGD"),
    *("Adamax", "LARS", "Kron"),  # a maximum; norms in double; products of matrices
}
#: Element by element, states in the unit of g^2: float16 ends at 65504, which 256 squared is beyond.
HOLD_SQUARES = {
    *("sum", "square_avg", "acc_delta", "exp_avg_sq", "exp_avg_var", "max_exp_avg_sq", "max_exp_avg_var"),
}
#: States that weights are formed of, or of what they differ from others by: no rounding to fewer bits.
EXACT = {
    "asgd": {"ax"},
    "ftrl": {"linear", "sum"},
    "prodigy": {"p0"},
    "rmsprop": {"grad_avg", "square_avg"},  # centered
    **{f"schedule_free_{rule}": {"z"} for rule in ("adamw", "radam", "sgd")},
}
#: States of which float16 would take what matters for 0.
SMALL = {"adamax": {"exp_inf"}, "prodigy": {"s"}, "rprop": {"prev", "step_size"}}
#: Whose elements move without a gradient, or which look at all of a tensor.
REFUSE_ROWS = {
    *("ASGD", "ADOPT", "Adan", "LAMB", "LARS", "MARS", "StableAdamW", "Prodigy"),
    *("ScheduleFreeAdamW", "ScheduleFreeSGD", "ScheduleFreeRAdam"),
    *("Adafactor", "Muon", "SOAP", "Shampoo", "Kron"),
}


@pytest.mark.parametrize("name", CLASSES)
def test_which_classes_form_squares(name: str) -> None:
    assert RULES[name].squares == (name not in WITHOUT_SQUARES)


@pytest.mark.parametrize("rule", sorted({record["name"] for record in core.rules()}))
def test_which_states_hold_squares(rule: str) -> None:
    for record in core.rules():
        whole = {s for s, shape in zip(record["states"], record["shapes"], strict=True) if s and not shape}
        if record["name"] == rule:
            assert {s for s in record["squared"] if s} == whole & HOLD_SQUARES


@pytest.mark.parametrize("rule", sorted({record["name"] for record in core.rules()}))
def test_which_states_keep_what_is_computed(rule: str) -> None:
    records = [record for record in core.rules() if record["name"] == rule]
    for key, table in (("exact", EXACT), ("small", SMALL)):
        assert {s for record in records for s in record[key] if s} == table.get(rule, set())


@pytest.mark.parametrize("name", CLASSES)
def test_which_classes_take_rows(name: str) -> None:
    table = np.ones((6, 4))
    opt = make(name, [table], **({"optimize_1d": False} if name == "MARS" else {}))
    rows = fastopt.SparseRows(np.array([1, 4]), np.ones((2, 4)))
    if name in REFUSE_ROWS:
        with pytest.raises(TypeError, match=r"^grads\[0\]: .*SparseRows"):
            opt.step([rows])
    else:
        opt.step([rows])
        assert (table[[0, 2, 3, 5]] == 1).all()
