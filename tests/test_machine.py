"""An optimizer's life, drawn: good calls in any order, bad ones between, and a twin that only sees the good.

After every call the two are equal to the last bit. So a bad call changes nothing, ever, and what an optimizer
does depends on its good calls alone: not on threads, on saving, or on the averages having been looked at.
"""

from __future__ import annotations

import copy
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import fastopt
from drawing import options
from engine import everything, make, normal

CLASSES = {
    "SGD": {"momentum": 0.5},
    "Adam": {"amsgrad": True},
    "NAdam": {},
    "RMSprop": {"initial_accumulator_value": "gradient"},
    "LAMB": {},
}
SHAPES = [(3, 4), (), (5,), (0,), (2, 1, 3)]
BAD_VALUES = {
    "lr": -1.0,
    "weight_decay": float("nan"),
    "l1": "1",
    "maximize": 1,
    "params": [],
    "learning_rate": 0.1,
}


SCHEDULE = fastopt.schedules.cosine(0.1, total=99)


class Life(RuleBasedStateMachine):
    @initialize(
        name=st.sampled_from(sorted(CLASSES)),
        named=st.booleans(),
        extras=st.booleans(),
        nonfinite=st.sampled_from(["propagate", "skip", "raise"]),
    )
    def begin(self, name: str, named: bool, extras: bool, nonfinite: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "state.npz"
        self.saved_params: Any = None
        self.before_threads = fastopt.get_num_threads()
        self.name, self.named = name, named
        common: dict[str, Any] = {"ema_decay": 0.5, "nonfinite": nonfinite, **CLASSES[name]}
        common |= {"clip_norm": 2.0, "l1": 0.01} if extras else {}
        self.common = common
        self.shapes = SHAPES[:2]
        self.opt, self.twin = self.new(), self.new()
        self.seed = 0

    def new(self) -> Any:
        arrays = normal(1, self.shapes)
        params: Any = {f"p{i}": a for i, a in enumerate(arrays)} if self.named else arrays
        return make(self.name, params, lr=0.05, **self.common)

    def grads(self) -> list[Any]:
        self.seed += 1
        return normal(self.seed, self.shapes)

    def given(self, grads: list[Any]) -> Any:
        return {f"p{i}": g for i, g in enumerate(grads)} if self.named else grads

    def both(self, call: Any) -> None:
        for each in (self.opt, self.twin):
            call(each)

    def refused(self, call: Any, *errors: type[BaseException]) -> None:
        with pytest.raises(errors or (TypeError, ValueError)):
            call()

    # --- good calls ---

    @rule(missing=st.sets(st.integers(0, 4)), scale=st.sampled_from([1.0, 2.0]), zero=st.booleans())
    def step(self, missing: set[int], scale: float, zero: bool) -> None:
        grads = [None if i in missing else g for i, g in enumerate(self.grads())]
        self.both(
            lambda each: each.step(
                self.given([None if g is None else g.copy() for g in grads]),
                grad_scale=scale,
                zero_grads=zero,
            )
        )

    @rule()
    def step_with_bound_gradients(self) -> None:
        grads = self.grads()
        self.opt.bind_grads(self.given(grads))
        self.opt.step()
        self.twin.step(self.given(grads))

    @rule(
        values=st.fixed_dictionaries(
            {},
            optional={
                "lr": st.sampled_from([0.0, 0.01, SCHEDULE]),
                "weight_decay": st.sampled_from([0.0, 0.1]),
                "l1_proximal": st.sampled_from([0.0, 0.01]),
                "maximize": st.booleans(),
            },
        )
    )
    def change_a_group(self, values: dict[str, Any]) -> None:
        """Together here, one by one there."""
        self.opt.param_groups[-1].update(values)
        for key, value in values.items():
            self.twin.param_groups[-1][key] = value

    @precondition(lambda self: not self.named and len(self.shapes) < len(SHAPES))
    @rule()
    def add_a_group(self) -> None:
        shape = SHAPES[len(self.shapes)]
        self.shapes = [*self.shapes, shape]
        self.both(lambda each: each.add_param_group({"params": normal(9, [shape]), "lr": 0.02}))

    # --- what leaves no trace ---

    @rule(threads=st.integers(1, 4))
    def change_threads(self, threads: int) -> None:
        fastopt.set_num_threads(threads)

    @rule()
    def look_at_the_averages(self) -> None:
        if not any(self.opt._plan.averaged):
            return self.refused(lambda: self.opt.ema_weights().__enter__(), RuntimeError)
        with self.opt.ema_weights():
            self.refused(lambda: self.opt.step(self.given(self.grads())), RuntimeError)
            self.refused(lambda: self.opt.load_state_dict(self.opt.state_dict()), RuntimeError)

    @rule()
    def look_ahead(self) -> None:
        if self.name != "SGD":
            return self.refused(self.opt.lookahead, TypeError)
        with self.opt.lookahead():
            self.refused(lambda: self.opt.step(self.given(self.grads())), RuntimeError)
            self.refused(lambda: self.opt.lookahead().__enter__(), RuntimeError)

    @rule()
    def through_a_state_dict(self) -> None:
        """A new optimizer over the same numbers goes on in the place of the old one."""
        self.opt = self.continued(lambda other: other.load_state_dict(self.opt.state_dict()))

    def continued(self, load: Any) -> Any:
        params = [p.copy() for p in self.opt._params]
        groups = self.opt.param_groups
        if self.named:
            given: Any = {f"p{i}": p for i, p in enumerate(params)}
        else:
            ends = np.cumsum([len(g["params"]) for g in groups])
            given = [
                {"params": params[end - len(g["params"]) : end], "lr": g["lr"]}
                for end, g in zip(ends, groups, strict=True)
            ]
        other = make(self.name, given, lr=groups[0]["lr"], **self.common)
        load(other)
        return other

    @rule()
    def save(self) -> None:
        self.opt.save(self.path)
        self.saved_params = [p.copy() for p in self.opt._params]
        self.saved_twin = self.twin.state_dict()

    @precondition(lambda self: self.saved_params is not None)
    @rule()
    def load(self) -> None:
        """Back to what was saved: from the file here, from the dict there."""
        fits = len(self.saved_params) == len(self.shapes) and len(self.saved_twin["param_groups"]) == len(
            self.opt.param_groups
        )
        kinds = ["lr_schedule" in g for g in self.saved_twin["param_groups"]]
        if not fits or kinds != [callable(g["lr"]) for g in self.opt.param_groups]:
            return
        self.opt.load(self.path)
        self.twin.load_state_dict(self.saved_twin)
        for each in (self.opt, self.twin):
            for p, saved in zip(each._params, self.saved_params, strict=True):
                p[...] = saved

    # --- bad calls, of one of the two ---

    @rule(which=st.integers(0, 4), how=st.sampled_from(["dtype", "shape", "none", "overlap", "long"]))
    def bad_step(self, which: int, how: str) -> None:
        grads: list[Any] = self.grads()
        i = which % len(grads)
        grads[i] = {
            "dtype": grads[i].astype(np.float64),
            "shape": np.zeros((7, 7), np.float32),
            "none": "none",
            "overlap": self.opt._params[i] if grads[i].size else 5,
            "long": grads[i],
        }[how]
        given = self.given([*grads, grads[0]] if how == "long" else grads)
        self.refused(lambda: self.opt.step(given))
        self.refused(lambda: self.opt.bind_grads(given))

    @rule(bad=st.sampled_from([np.nan, np.inf]))
    def step_that_is_not_finite(self, bad: float) -> None:
        policy = self.common["nonfinite"]
        grads = self.grads()
        grads[0].flat[0] = bad
        if policy == "raise":
            self.refused(lambda: self.opt.step(self.given(grads)))
        elif policy == "skip":
            self.both(lambda each: each.step(self.given(grads)))

    @rule(key=st.sampled_from(sorted(BAD_VALUES)))
    def bad_change(self, key: str) -> None:
        self.refused(
            lambda: self.opt.param_groups[0].update({"lr": 0.77, "weight_decay": 0.5, key: BAD_VALUES[key]})
        )
        self.refused(lambda: setattr(self.opt, "lr", 0.5), AttributeError)
        self.refused(lambda: self.opt.param_groups.pop())

    @rule()
    def bad_group(self) -> None:
        for params in ([self.opt._params[0]], [np.ones(3), "x"], 5):
            self.refused(lambda p=params: self.opt.add_param_group({"params": p}))

    @rule(where=st.sampled_from(["state", "groups", "own"]))
    def bad_state(self, where: str) -> None:
        d = self.opt.state_dict()
        d["param_groups"][0]["weight_decay"] = 0.77
        if where == "state":
            d["state"][0] = {"step": 1, "nobody": np.ones(3)}
        elif where == "groups":
            d["param_groups"][-1]["l1"] = -1.0
        else:
            d["fastopt"]["skipped"] = -1
        self.refused(lambda: self.opt.load_state_dict(d))

    @rule()
    def bad_file(self) -> None:
        other = self.path.with_name("bad.npz")
        self.opt.save(other)
        other.write_bytes(other.read_bytes()[:-100])
        self.refused(lambda: self.opt.load(other))

    @rule()
    def copies(self) -> None:
        for call in (copy.copy, copy.deepcopy, pickle.dumps):
            self.refused(lambda c=call: c(self.opt), TypeError)

    # --- what holds ---

    @invariant()
    def equal(self) -> None:
        if hasattr(self, "opt"):
            mine, theirs = everything(self.opt), everything(self.twin)
            mine[4] = theirs[4] = None  # the norm of the last step is no part of a state
            if not all(self.opt._plan.averaged):
                mine[3] = theirs[3] = None  # nor are averages that have not begun
            assert mine == theirs

    def teardown(self) -> None:
        if hasattr(self, "opt"):
            fastopt.set_num_threads(self.before_threads)
            self.folder.cleanup()


TestLife = Life.TestCase
TestLife.settings = options(40, stateful_step_count=25, phases=[Phase.generate])
