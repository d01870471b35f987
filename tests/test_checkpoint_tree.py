"""fastopt.save and load: a whole run in one file, and back into the objects of another, all or nothing."""

from __future__ import annotations

import math
import pickle
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from engine import BFLOAT16, bits, everything, make
from fastopt import schedules as s
from fastopt.checkpoint import read, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.npz"


# --- plain values and arrays --------------------------------------------------------------------------------

PLAIN = [
    None,
    True,
    0,
    -(2**63),
    2**64,
    2**64 + 1,
    -(10**6000),
    0.1 + 0.2,
    -0.0,
    5e-324,
    math.nan,
    -math.inf,
    complex(math.nan, -0.0),
    1e308j,
    "",
    "Grüße\n\0\ud800",
    "$array",
    b"",
    bytes(range(256)),
    np.float32(0.1),
    np.int8(-3),
    np.bool_(True),
    np.complex64(1j),
    [],
    (),
    {},
    {"$array": 1, "": 2},
    {1: "int", "1": "str", 1.5: "float", None: "none", math.inf: "inf"},
    {True: (1, (2,), [3, (4,)])},
    {"a.b": {"c": np.arange(2)}, "a": {"b.c": np.arange(3)}},  # one path
    {"../x": np.arange(2), "w.npy": np.arange(3), "\n": np.arange(4), "fastopt.json": np.arange(5)},
]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return (
            type(b) is np.ndarray and (a.dtype, a.shape) == (b.dtype, b.shape) and a.tobytes() == b.tobytes()
        )
    if isinstance(a, dict):
        return (
            type(b) is dict
            and list(map(repr, a)) == list(map(repr, b))
            and all(same(x, y) for x, y in zip(a.values(), b.values(), strict=True))
        )
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (float, complex)):
        return type(a) is type(b) and repr(a) == repr(b)
    return type(a) is type(b) and bool(a == b)


@pytest.mark.parametrize("value", PLAIN, ids=range(len(PLAIN)))
def test_values_come_back_with_type_and_bits(path: Path, value: Any) -> None:
    for tree in (value, [value], {"x": value}, ({"y": [value]},)):
        fastopt.save(path, tree)
        assert same(tree, fastopt.load(path))
        # plain values come from the file, also where there is another one
    if not any(isinstance(item, np.ndarray) for item in json_leaves(value)):
        assert same({"x": value}, fastopt.load(path, into={}) if save_as_x(path, value) else None)
        assert same({"x": value}, fastopt.load(path, into={"x": None if not isinstance(value, dict) else {}}))


def save_as_x(path: Path, value: Any) -> bool:
    fastopt.save(path, {"x": value})
    return True


def json_leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in json_leaves(item)]
    return [value]


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "u2", ">i4", "i8", "f2", "f4", ">f8", "c8", "c16", BFLOAT16], ids=str
)
def test_arrays_of_every_dtype_and_layout(path: Path, dtype: Any) -> None:
    base = np.arange(24).reshape(4, 6).astype(dtype)
    tree = {"a": base, "t": base.T, "s": base[::-2, 1::2], "0": base[1, 2, ...], "none": base[:0]}
    fastopt.save(path, tree)
    found = fastopt.load(path)
    for key, array in tree.items():
        assert (found[key].dtype, found[key].shape) == (array.dtype, array.shape)
        assert found[key].tobytes() == array.tobytes()
    places = {key: np.empty_like(array) for key, array in tree.items()}
    result = fastopt.load(path, into=places)
    for key, array in tree.items():
        assert result[key] is places[key]
        assert places[key].tobytes() == array.tobytes()


def test_numpy_reads_the_arrays_by_their_path(path: Path) -> None:
    fastopt.save(path, {"model": {"w": np.eye(2), "b": [np.zeros(1), np.ones(1)]}})
    with np.load(path, allow_pickle=False) as file:
        assert set(file.files) == {"fastopt.json", "model.w", "model.b.0", "model.b.1"}
        np.testing.assert_array_equal(file["model.w"], np.eye(2))


class Custom:
    pass


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("tree", "error", "message"),
    [
        ({"a": [Custom()]}, TypeError, r"tree\['a'\]\[0\]: expected a dict, list, tuple, .*got .*Custom"),
        ({"a": {1, 2}}, TypeError, r"tree\['a'\]: .*got \{1, 2\} of type set"),
        ({"a": np.array([None])}, TypeError, r"tree\['a'\]: expected booleans or numbers.*got object"),
        ({"a": np.array(["x"])}, TypeError, r"tree\['a'\]: expected booleans or numbers"),
        ({"a": np.ma.masked_array([1.0])}, TypeError, r"tree\['a'\]: expected a NumPy array without mask"),
        ({"a": np.datetime64(1, "s")}, TypeError, r"tree\['a'\]: expected booleans or numbers"),
        ({(1, 2): 3}, TypeError, r"tree: expected keys of type str, int, float, bool or None, got \(1, 2\)"),
        ({b"x": 3}, TypeError, "tree: expected keys of type str"),
        (CYCLE, ValueError, "expected at most 18 levels, got more, or a cycle"),
        (lambda k: 0.1, TypeError, "tree: expected a dict, list, tuple"),
    ],
    ids=range(10),
)
def test_what_cannot_be_saved_is_named_and_the_old_file_stays(
    path: Path, tree: Any, error: type[Exception], message: str
) -> None:
    path.write_bytes(b"old")
    with pytest.raises(error, match=message):
        fastopt.save(path, tree)
    assert path.read_bytes() == b"old"
    assert len(list(path.parent.iterdir())) == 1


# --- a whole run --------------------------------------------------------------------------------------------


class Loop:
    """A training loop with everything that it needs to go on exactly as it would have."""

    def __init__(self, dtype: Any = np.float32, state_dtype: Any = None, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.params = {"w": rng.normal(size=(3, 2)).astype(dtype), "b": rng.normal(size=2).astype(dtype)}
        self.plateau = s.reduce_on_plateau(0.1, patience=0, factor=0.5)
        self.opt = make(
            "AdamW",
            self.params,
            lr=s.warmup_then(self.plateau, warmup=3),
            ema_decay=0.9,
            clip_norm=1.0,
            **({"state_dtype": state_dtype} if state_dtype else {}),
        )
        self.batches = fastopt.batches(np.arange(20.0), batch_size=4, epochs=9, seed=seed + 1)
        self.loss = fastopt.EWMA(0.7)
        self.rng = np.random.Generator(np.random.PCG64(seed + 2))
        self.legacy = np.random.RandomState(seed + 3)
        self.sfc = np.random.SFC64(seed + 4)
        self.epoch = 0

    def tree(self) -> dict[str, Any]:
        return {
            "model": self.params,
            "run": [self.opt, (self.batches, self.loss)],
            "random": {"new": self.rng, "old": self.legacy, "bits": self.sfc},
            "plateau": self.plateau,
            "epoch": self.epoch,
            "best": math.inf,
        }

    def walk(self, steps: int) -> None:
        for _ in range(steps):
            x = next(self.batches)
            noise = self.rng.normal() + self.legacy.normal() + np.random.Generator(self.sfc).random()
            grads = {k: (p * x.mean() + noise).astype(p.dtype) for k, p in self.params.items()}
            self.opt.step(grads)
            self.plateau.report(self.loss.update(abs(noise)))
            self.epoch += 1

    def everything(self, whole: bool = True) -> Any:
        return (
            everything(self.opt)
            if whole
            else bits(self.opt.state_dict()),  # states that have not begun differ
            bits(list(self.params.values())),
            self.batches.state_dict(),
            self.loss.state_dict(),
            str(self.rng.bit_generator.state),
            str(self.legacy.get_state()),
            str(self.sfc.state),
            self.plateau.describe(),
        )


@pytest.mark.parametrize(
    ("dtype", "state_dtype"),
    [("f8", None), ("f4", None), ("f4", "bfloat16"), ("f2", None), (BFLOAT16, None), (BFLOAT16, "bfloat16")],
    ids=str,
)
@pytest.mark.parametrize("stop", [0, 1, 7])
def test_a_run_goes_on_bit_for_bit(path: Path, dtype: Any, state_dtype: Any, stop: int) -> None:
    run, other = Loop(dtype, state_dtype), Loop(dtype, state_dtype)
    run.walk(stop)
    fastopt.save(path, run.tree())
    other.walk(4)
    other.params["w"][...] = 7
    result = fastopt.load(path, into=other.tree())
    assert other.everything(False) == run.everything(False)
    assert (result["epoch"], result["best"]) == (stop, math.inf)
    assert result["model"]["w"] is other.params["w"]
    assert result["run"][0] is other.opt
    for each in (run, other):
        each.walk(9)
    assert other.everything() == run.everything()


def test_alone_it_returns_states_that_the_objects_take(path: Path) -> None:
    run, other = Loop(), Loop()
    run.walk(5)
    fastopt.save(path, run.tree())
    tree = fastopt.load(path)
    assert bits(tree["model"]) == bits(run.params)
    assert tree["plateau"] == run.plateau
    assert tree["plateau"](0) == run.plateau(0)
    other.opt.load_state_dict(tree["run"][0])
    other.batches.load_state_dict(tree["run"][1][0])
    other.loss.load_state_dict(tree["run"][1][1])
    other.rng.bit_generator.state = tree["random"]["new"]
    other.legacy.set_state(tree["random"]["old"])
    other.sfc.state = tree["random"]["bits"]
    for key, array in tree["model"].items():
        other.params[key][...] = array
    other.walk(3)
    run.walk(3)
    assert other.everything() == run.everything()


@pytest.mark.parametrize("name", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_every_generator_of_numpy(path: Path, name: str) -> None:
    a, b = (np.random.Generator(getattr(np.random, name)(seed)) for seed in (1, 2))
    a.integers(0, 2**16, 3, dtype=np.uint16)  # leaves half a word behind
    fastopt.save(path, {"rng": a})
    fastopt.load(path, into={"rng": b})
    assert (
        a.integers(0, 2**16, 5, dtype=np.uint16).tolist() == b.integers(0, 2**16, 5, dtype=np.uint16).tolist()
    )
    assert a.normal() == b.normal()


# --- what does not fit --------------------------------------------------------------------------------------


def test_everything_that_differs_is_listed_and_nothing_has_changed(path: Path) -> None:
    run = Loop()
    run.walk(5)
    fastopt.save(path, {**run.tree(), "more": np.ones(2), "more plain": [1, {"x": 2}]})
    other = Loop(seed=5)
    other.walk(2)
    into = other.tree()
    read_only = np.zeros((3, 2), np.float32)
    read_only.flags.writeable = False
    into |= {
        "model": {"w": np.zeros((2, 3), np.float32), "b": np.zeros(2), "c": np.zeros(1)},
        "plateau": s.constant(0.1),
        "random": {"new": np.random.Generator(np.random.MT19937(1)), "old": other.rng, "bits": other.opt},
        "epoch": np.zeros(1),
    }
    before = other.everything()
    with pytest.raises(fastopt.CheckpointError) as caught:
        fastopt.load(path, into=into)
    text = str(caught.value)
    for line in (
        "['model']['w']: expected an array of float32 and shape (2, 3), got an array of float32 and shape (3",
        "['model']['b']: expected an array of float64 and shape (2,), got an array of float32 and shape (2,)",
        "['model']['c']: expected an entry, the file has none",
        "['run'][1][0]: state['seed']: expected 6, as here, got 1",
        "['random']['new']: expected the state of MT19937, got that of 'PCG64'",
        "['random']['old']: expected the entries bit_generator",
        "['random']['bits']: expected the state of an optimizer, got the state of a generator",
        "['plateau']: expected the schedule fastopt.schedules.constant(0.1), got fastopt.schedules.reduce_on",
        "['epoch']: expected an array of float64 and shape (1,), got 5 of type int",
        "['more']: expected no such entry, into has none, got an array of float64 and shape (2,)",
    ):
        assert line in text or line.startswith("['random']['old']"), line
    assert "['random']['old']: " in text
    assert "more plain" not in text
    assert other.everything() == before
    assert not into["model"]["w"].any()


def test_an_optimizers_differences_are_all_listed_with_their_place(path: Path) -> None:
    old = fastopt.Adam([np.ones(3)], clip_norm=1.0, ema_decay=0.5)
    old.step([np.ones(3)])
    fastopt.save(path, {"opt": old})
    new = fastopt.Adam([np.ones(4)], lr=s.cosine(0.1, total=9), clip_norm=2.0, amsgrad=True)
    before = everything(new)
    with pytest.raises(fastopt.CheckpointError) as caught:
        fastopt.load(path, into={"opt": new})
    lines = str(caught.value).splitlines()[1:]
    assert all(line.startswith("['opt']: ") for line in lines)
    for part in (
        "expected the options",
        "amsgrad=True",
        "the constant lr",
        "['exp_avg']: expected shape (4,), got (3,)",
    ):
        assert any(part in line for line in lines), part
    assert everything(new) == before


@pytest.mark.parametrize("at", ["read-only", "list", "dict", "plain", "length", "ema", "no override"])
def test_other_misfits(path: Path, at: str) -> None:
    fastopt.save(path, {"x": np.ones(2), "l": [1, 2], "e": fastopt.EWMA(0.5)})
    x = np.zeros(2)
    into: dict[str, Any] = {"x": x, "e": fastopt.EWMA(0.5)}
    x.flags.writeable = at != "read-only"
    into |= {"list": {"l": {}}, "dict": {"x": {}}, "plain": {"x": 3}, "length": {"l": [1]}}.get(at, {})
    if at == "ema":
        into["e"] = fastopt.EWMA(0.6)
    expected: type[Exception] = TypeError if at == "no override" else fastopt.CheckpointError
    with pytest.raises(expected):
        fastopt.load(path, into=into, override={"lr": 1.0} if at == "no override" else None)
    assert not x.any()


def test_files_of_the_other_kind_name_the_right_call(path: Path) -> None:
    opt = fastopt.SGD([np.ones(2)])
    opt.save(path)
    with pytest.raises(fastopt.CheckpointError, match="an optimizer's own load"):
        fastopt.load(path)
    fastopt.save(path, opt)
    with pytest.raises(fastopt.CheckpointError, match=re.escape("fastopt.load() reads it")):
        opt.load(path)
    assert fastopt.load(path)["fastopt"]["optimizer"] == "SGD"


SKELETONS: list[Any] = [
    {"$array": "nothing"},
    {"$array": 3},
    {"$array": ["a"]},
    [{"$array": "a"}, {"$array": "a"}],
    3,
    {"$scalar": "a"},
    {"x": {"$array": "a"}, "y": {"$unknown": 1}},
    {"$array": "a", "more": 1},
    {"$dict": [[1, {"$array": "a"}], [1, 2]]},
    {"$dict": [[[], {"$array": "a"}]]},
    {"$dict": [[1]]},
    {"x": {"$array": "a"}, "y": {"$tuple": 3}},
    {"x": {"$array": "a"}, "y": {"$float": "x"}},
    {"x": {"$array": "a"}, "y": {"$int": 3}},
    {"x": {"$array": "a"}, "y": {"$complex": ["1", "2", "3"]}},
    {"x": {"$array": "a"}, "y": {"$schedule": {"name": "os.system"}}},
]


@pytest.mark.parametrize("skeleton", SKELETONS, ids=str)
def test_a_skeleton_that_lies_is_refused(path: Path, skeleton: Any) -> None:
    write(path, {"a": np.ones(2)}, {"format": "fastopt.tree", "version": 1, "tree": {"$array": "a"}})
    assert fastopt.load(path).tolist() == [1, 1]
    write(path, {"a": np.ones(2)}, {"format": "fastopt.tree", "version": 1, "tree": skeleton})
    with pytest.raises(fastopt.CheckpointError, match="expected"):
        fastopt.load(path)


GENERATOR_LIES: list[Any] = [
    None,
    {},
    {"bit_generator": "PCG64"},
    {"state": 1},
    {"state": {"state": -1, "inc": 1}},
]


@pytest.mark.parametrize("lie", GENERATOR_LIES, ids=str)
def test_a_generators_state_that_lies_is_refused(path: Path, lie: Any) -> None:
    rng = np.random.default_rng(1)
    state = {**rng.bit_generator.state, **lie} if lie and "state" in lie else lie
    before = str(rng.bit_generator.state)
    meta = {
        "format": "fastopt.tree",
        "version": 1,
        "tree": {"x": {"$array": "x"}, "r": {"$generator": state}},
    }
    write(path, {"x": np.ones(2)}, meta)
    x = np.zeros(2)
    with pytest.raises(fastopt.CheckpointError):
        fastopt.load(path, into={"x": x, "r": rng})
    assert str(rng.bit_generator.state) == before
    assert not x.any()


def test_every_changed_byte_of_a_run_is_noticed(path: Path) -> None:
    opt = fastopt.Adam({"w": np.ones(3)})
    opt.step({"w": np.ones(3)})
    fastopt.save(path, {"opt": opt, "rng": np.random.default_rng(1), "x": (1, b"2")})
    content = path.read_bytes()
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        path.unlink()
        path.write_bytes(damaged)
        with pytest.raises(fastopt.CheckpointError, match="expected"):
            fastopt.load(path)
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(fastopt.CheckpointError, match="expected"):
            fastopt.load(path)


# --- one operation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 1 << 17])
def test_saved_while_another_thread_steps_all_is_of_one_moment(path: Path, size: int) -> None:
    """Adagrad with gradient 1: its sums are the number of the step, and weights tell theirs by their bits."""
    theta, buddy = np.zeros(size), np.zeros(size)
    opt = fastopt.Adagrad([theta, buddy], lr=0.1)
    one = np.zeros(1)
    twin = fastopt.Adagrad([one], lr=0.1)
    stop, grads = threading.Event(), [np.ones(size), np.ones(size)]

    def forever() -> None:
        while not stop.wait(0.0005 if size == 10 else 0.0):  # small steps do not give the interpreter away
            try:
                opt.step(grads)
            except RuntimeError as error:
                assert "in use" in str(error)  # noqa: PT017

    thread = threading.Thread(target=forever)
    thread.start()
    seen = set()
    try:
        for _ in range(100_000):
            try:
                fastopt.save(path, {"model": {"a": theta, "b": buddy[::-1]}, "optimizer": opt})
            except RuntimeError as error:
                assert "in use" in str(error)  # noqa: PT017
                continue
            tree = fastopt.load(path)
            k = tree["optimizer"]["fastopt"]["step_count"]
            while twin.step_count < k:
                twin.step([np.ones(1)])
            for part in tree["model"].values():
                assert (part == one).all()
            if k:
                assert (tree["optimizer"]["state"][0]["sum"] == k).all()
            seen.add(k)
            if len(seen) == 8:
                break
    finally:
        stop.set()
        thread.join(60)
    assert len(seen) == 8


@pytest.mark.parametrize("block", ["lookahead", "ema_weights"])
def test_parameters_that_are_elsewhere_are_neither_saved_nor_loaded(path: Path, block: str) -> None:
    w = np.ones(3)
    opt = fastopt.SGD([w], lr=0.1, momentum=0.9, ema_decay=0.5)
    for _ in range(2):
        opt.step([np.ones(3)])
    fastopt.save(path, {"w": w, "opt": opt})
    content = path.read_bytes()
    home = w.copy()
    with getattr(opt, block)():
        away = w.copy()
        for call in (fastopt.save, fastopt.load):
            with pytest.raises(RuntimeError, match="not at their own place"):
                call(path, {"w": w, "opt": opt})
        fastopt.save(path.with_name("averages.npz"), {"w": w})  # the way to write averages
        assert (w == away).all()
    assert path.read_bytes() == content
    assert (w == home).all()
    assert (fastopt.load(path.with_name("averages.npz"))["w"] == away).all()


def test_an_optimizer_in_use_is_refused(path: Path) -> None:
    opt = fastopt.SGD([np.ones(3)])
    fastopt.save(path, opt)
    content = path.read_bytes()
    with opt._plan.exclusive():
        for call in (fastopt.save, fastopt.load):
            with pytest.raises(RuntimeError, match="in use"):
                call(path, [opt] if call is fastopt.save else opt)
    assert path.read_bytes() == content
    opt.step([np.ones(3)])  # nothing is held


def test_several_optimizers_over_one_model(path: Path) -> None:
    a, b = np.ones(3), np.ones(3)
    one, two = fastopt.Adam([a]), fastopt.SGD([b], momentum=0.5)
    for opt, p in ((one, a), (two, b), (two, b)):
        opt.step([p.copy()])
    fastopt.save(path, {"opts": [one, two, one], "model": [a, b]})
    c, d = np.zeros(3), np.zeros(3)
    three, four = fastopt.Adam([c]), fastopt.SGD([d], momentum=0.5)
    fastopt.load(path, into={"opts": [three, four, three], "model": [c, d]})
    assert bits([a, b]) == bits([c, d])
    for mine, theirs in ((one, three), (two, four)):
        assert bits(mine.state_dict()) == bits(theirs.state_dict())


def test_nothing_is_unpickled(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("pickle")

    run = Loop()
    for name in ("load", "loads", "dump", "dumps"):
        monkeypatch.setattr(pickle, name, refuse)
    fastopt.save(path, run.tree())
    fastopt.load(path, into=Loop().tree())
    assert b"pickle" not in path.read_bytes()


def test_the_file_is_one_that_read_reads(path: Path) -> None:
    fastopt.save(path, {"w": np.ones(2), "n": 1})
    arrays, meta = read(path)
    assert list(arrays) == ["w"]
    assert meta == {"format": "fastopt.tree", "version": 1, "tree": {"w": {"$array": "w"}, "n": 1}}


def test_a_run_of_version_1_is_read() -> None:
    """Written by the first version with this format; what changes the reading must go on reading this."""
    golden = Path(__file__).parent / "golden" / "run_version_1.npz"
    lr = s.warmup_cosine(0.1, warmup=2, total=10)
    w = {"w": np.arange(6, dtype="f4").reshape(2, 3)}
    expected = fastopt.Adam(w, lr=lr)
    for _ in range(3):
        expected.step({"w": np.full((2, 3), 0.5, "f4")})
    found = {"w": np.zeros((2, 3), "f4")}
    opt = fastopt.Adam(found, lr=lr, state_dtype="bfloat16")
    loss, rng = fastopt.EWMA(0.5), np.random.default_rng(1)
    batches = fastopt.batches(np.arange(6), batch_size=2, epochs=2, seed=3)
    result = fastopt.load(
        golden, into={"model": found, "optimizer": opt, "loss": loss, "batches": batches, "rng": rng}
    )
    assert result["plain"] == {1: (math.inf, 2**70, b"x", 1j), "$": None}
    assert result["epoch"] == opt.step_count == 3
    assert (loss.value, loss.count) == (3.0, 1)
    assert batches.state_dict()["batch"] == 1
    assert rng.random() == np.random.Generator(np.random.PCG64(7)).random()
    arrays, _ = read(golden)
    np.testing.assert_array_equal(found["w"], arrays["model.w"])
    np.testing.assert_allclose(found["w"], w["w"], rtol=1e-3)
    for key, state in opt.state_dict()["state"][0].items():
        if key != "step":
            np.testing.assert_array_equal(state.view(np.uint16), arrays[f"optimizer.state.0.{key}"])
            there = (state.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
            np.testing.assert_allclose(there, expected.state["w"][key], rtol=2**-7)
