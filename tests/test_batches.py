"""fastopt.batches: what an epoch is, orders as functions of (seed, epoch), groups, exact resumption."""

from __future__ import annotations

import json
from itertools import chain, pairwise

import numpy as np
import pytest

import fastopt

Y = np.arange(23)
X = Y[:, None] * [1.0, 10.0]


def drawn(batches):
    return [batch.tolist() for batch in batches]


@pytest.mark.parametrize(
    ("batch_size", "drop_last"),
    [(size, False) for size in (1, 4, 5, 22, 23, 24, 1000)] + [(size, True) for size in (1, 4, 5, 22, 23)],
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_epoch_hands_out_every_row_once(batch_size, drop_last, shuffle):
    loader = fastopt.batches(X, Y, batch_size=batch_size, epochs=3, shuffle=shuffle, drop_last=drop_last)
    steps = 23 // batch_size if drop_last else -(-23 // batch_size)
    assert len(loader) == 3 * steps
    assert loader.steps_per_epoch == steps
    for epoch in range(3):
        seen = []
        for step in range(steps):
            xb, yb = next(loader)
            assert loader.epoch == epoch
            np.testing.assert_array_equal(xb, X[yb])
            assert len(yb) == min(batch_size, 23 - step * batch_size)
            seen += yb.tolist()
        assert len(set(seen)) == len(seen) == (steps * batch_size if drop_last else 23)
        if not shuffle:
            assert seen == list(range(len(seen)))
    assert next(loader, None) is None
    assert loader.epoch == 2


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    def epochs(**keywords):
        loader = fastopt.batches(Y, batch_size=23, **keywords)
        return drawn(loader)

    three = epochs(seed=5, epochs=3)
    np.random.seed(0)  # noqa: NPY002  (the global generator plays no part)
    assert epochs(seed=5, epochs=2) == three[:2]
    assert len({tuple(order) for order in three + epochs(seed=6, epochs=3) + epochs(seed=5 + 2**32)}) == 7
    small = fastopt.batches(Y, batch_size=5, epochs=3, seed=5)
    assert list(chain(*drawn(small))) == list(chain(*three))


def test_the_order_is_the_same_in_every_version():
    # Sorted raw PCG64 output. Resuming a run after an upgrade depends on these numbers: they may not change.
    bits = np.random.PCG64(np.random.SeedSequence(7, spawn_key=(1,)))
    keys = [int(bits.random_raw()) for _ in range(9)]
    expected = sorted(range(9), key=keys.__getitem__)
    loader = fastopt.batches(np.arange(9), batch_size=9, epochs=2, seed=7)
    assert drawn(loader)[1] == expected == [1, 4, 3, 2, 6, 5, 8, 0, 7]


def test_every_order_is_equally_likely():
    counts = np.zeros((4, 4))
    for order in fastopt.batches(np.arange(4), batch_size=4, epochs=6000):
        counts[np.arange(4), order] += 1
    # 1500 expected; 5 standard deviations of the binomial distribution.
    assert np.abs(counts - 1500).max() < 5 * np.sqrt(6000 * 0.25 * 0.75)


def test_one_array_gives_arrays_and_several_give_tuples():
    assert type(next(fastopt.batches(Y, batch_size=4))) is np.ndarray
    one, two, three = next(fastopt.batches(X, Y, Y, batch_size=4))
    assert one.shape == (4, 2)
    np.testing.assert_array_equal(two, three)


def test_batches_are_views_without_and_copies_with_shuffling():
    view = next(fastopt.batches(X, batch_size=4, shuffle=False))
    assert np.shares_memory(view, X)
    assert not np.shares_memory(next(fastopt.batches(X, batch_size=4)), X)
    whole = next(fastopt.batches(X, batch_size=23, shuffle=False, groups=Y))
    assert np.shares_memory(whole, X)


@pytest.mark.parametrize("make", [np.asfortranarray, lambda a: a[::-1], lambda a: a.astype(">f4")])
def test_any_layout_and_dtype_comes_out_as_it_is(make):
    array = make(X)
    for rows in fastopt.batches(array, Y, batch_size=4):
        np.testing.assert_array_equal(rows[0], array[rows[1]])
        assert rows[0].dtype == array.dtype


# --- groups -------------------------------------------------------------------------------------------------

SIZES = [3, 1, 4, 1, 5, 2, 2, 3, 1, 1]  # of groups 0..9; 23 rows
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(10), SIZES))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batch_size", [5, 6, 23, 100])
def test_groups_stay_whole_contiguous_and_in_order(shuffle, batch_size):
    loader = fastopt.batches(Y, batch_size=batch_size, epochs=4, shuffle=shuffle, groups=LABELS)
    total = 0
    for _ in range(4):
        rows_of_epoch, groups_of_epoch, batches_of_epoch = [], [], []
        while len(rows_of_epoch) < 23:
            batch = next(loader)
            total += 1
            assert 0 < len(batch) <= batch_size
            labels = LABELS[batch]
            starts = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(batch)]
            for begin, end in pairwise(starts):
                assert batch[begin:end].tolist() == np.flatnonzero(labels[begin] == LABELS).tolist()
                groups_of_epoch.append(int(labels[begin]))
            rows_of_epoch += batch.tolist()
            batches_of_epoch.append((len(batch), SIZES[labels[0]]))
        assert sorted(groups_of_epoch) == list(range(10))
        assert loader.steps_per_epoch == len(batches_of_epoch)
        # Full as can be: the next batch's first group would not have fitted.
        assert all(a + first > batch_size for (a, _), (_, first) in pairwise(batches_of_epoch))
        if not shuffle:
            assert groups_of_epoch == list(dict.fromkeys(LABELS.tolist()))
    assert next(loader, None) is None
    assert len(loader) == total


def test_groups_are_shuffled_as_groups_of_their_own():
    equal = np.repeat(np.arange(6), 2)
    loader = fastopt.batches(np.arange(12), batch_size=4, epochs=200, groups=equal)
    assert len(loader) == 600
    firsts = [int(batch[0]) // 2 for batch in loader]
    counts = np.bincount(firsts, minlength=6)
    assert np.abs(counts - 100).max() < 5 * np.sqrt(600 / 6 * 5 / 6)


@pytest.mark.parametrize("labels", [["b", "b", "a", "b"], [True, True, False, True], [-7, -7, 300, -7]])
def test_labels_of_any_kind(labels):
    assert drawn(fastopt.batches(np.arange(4), batch_size=3, shuffle=False, groups=labels)) == [
        [0, 1, 3],
        [2],
    ]


# --- position -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [None, LABELS], ids=["rows", "groups"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_resuming_anywhere_gives_the_batches_of_an_uninterrupted_run(shuffle, groups):
    def loader():
        return fastopt.batches(Y, batch_size=6, epochs=3, shuffle=shuffle, seed=9, groups=groups)

    whole = drawn(loader())
    for done in range(len(whole) + 1):
        first, second = loader(), loader()
        begin = [next(first).tolist() for _ in range(done)]
        state = json.loads(json.dumps(first.state_dict()))
        for _ in range(5):
            next(second, None)  # where it stood before is forgotten
        second.load_state_dict(state)
        assert second.epoch == first.epoch
        assert second.state_dict() == state
        assert begin + drawn(second) == whole
        assert len(second) == len(whole)


def test_a_run_can_be_resumed_with_more_epochs():
    short = fastopt.batches(Y, batch_size=6, epochs=1)
    begin = drawn(short)
    longer = fastopt.batches(Y, batch_size=6, epochs=2)
    longer.load_state_dict(short.state_dict())
    assert begin + drawn(longer) == drawn(fastopt.batches(Y, batch_size=6, epochs=2))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rows": 24}, ValueError, r"state\['rows'\]: expected 23, as here, got 24"),
        ({"batch_size": 5}, ValueError, r"state\['batch_size'\]: expected 6, as here, got 5"),
        ({"seed": 8}, ValueError, r"state\['seed'\]: expected 9, as here, got 8"),
        ({"seed": 9.0}, ValueError, r"state\['seed'\]: "),
        ({"shuffle": False}, ValueError, r"state\['shuffle'\]: "),
        ({"shuffle": 1}, ValueError, r"state\['shuffle'\]: "),
        ({"drop_last": True}, ValueError, r"state\['drop_last'\]: "),
        ({"groups": "0" * 64}, ValueError, r"state\['groups'\]: "),
        ({"epoch": 3}, ValueError, r"state\['epoch'\]: expected an integer >= 0 and <= 2, got 3"),
        ({"epoch": -1}, ValueError, r"state\['epoch'\]: "),
        ({"batch": 5}, ValueError, r"state\['batch'\]: expected an integer >= 0 and <= 4, got 5"),
        ({"batch": "1"}, TypeError, r"state\['batch'\]: "),
        ({"extra": 1}, ValueError, "state: expected the keys epoch, batch, rows"),
    ],
)
def test_a_state_of_another_iterator_is_refused_and_changes_nothing(change, error, message):
    loader = fastopt.batches(Y, batch_size=6, epochs=3, seed=9)
    next(loader)
    before = loader.state_dict()
    with pytest.raises(error, match=message):
        loader.load_state_dict(before | change)
    assert loader.state_dict() == before
    with pytest.raises(TypeError, match="state: expected a dict"):
        loader.load_state_dict(None)
    with pytest.raises(ValueError, match="state: expected the keys"):
        loader.load_state_dict({})


def test_a_state_knows_its_groups_but_not_their_names():
    state = fastopt.batches(Y, batch_size=6, groups=LABELS).state_dict()
    fastopt.batches(Y, batch_size=6, groups=[f"g{label}" for label in LABELS]).load_state_dict(state)
    with pytest.raises(ValueError, match=r"state\['groups'\]: "):
        fastopt.batches(Y, batch_size=6, groups=LABELS[::-1].copy()).load_state_dict(state)
    neighbours = fastopt.batches(np.arange(4), batch_size=2, groups=[0, 0, 1, 1]).state_dict()
    with pytest.raises(ValueError, match=r"state\['groups'\]: "):  # as many groups, of the same sizes
        fastopt.batches(np.arange(4), batch_size=2, groups=[0, 1, 0, 1]).load_state_dict(neighbours)


# --- bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrays", "keywords", "error", "message"),
    [
        ((), {}, TypeError, "arrays: expected at least one array"),
        (([1, 2],), {}, TypeError, r"arrays\[0\]: expected a NumPy array, got \[1, 2\] of type list"),
        ((Y, np.float64(1)), {}, TypeError, r"arrays\[1\]: expected a NumPy array"),
        ((np.array(1),), {}, ValueError, r"arrays\[0\]: expected at least one axis, got a 0-d array"),
        ((Y, Y[1:]), {}, ValueError, r"arrays\[1\]: expected 23 rows, as arrays\[0\] has, got 22"),
        ((Y[:0],), {}, ValueError, r"arrays\[0\]: expected at least one row, got shape \(0,\)"),
        ((Y,), {"batch_size": 0}, ValueError, "batch_size: expected an integer >= 1, got 0"),
        ((Y,), {"batch_size": 2.0}, TypeError, "batch_size: "),
        ((Y,), {"batch_size": 24, "drop_last": True}, ValueError, "batch_size: expected at most the 23 rows"),
        ((Y,), {"epochs": 0}, ValueError, "epochs: "),
        ((Y,), {"seed": -1}, ValueError, "seed: "),
        ((Y,), {"seed": None}, TypeError, "seed: "),
        ((Y,), {"shuffle": 1}, TypeError, "shuffle: expected True or False, got 1"),
        ((Y,), {"drop_last": "no"}, TypeError, "drop_last: "),
        ((Y,), {"groups": LABELS, "drop_last": True}, ValueError, "drop_last: expected False with groups"),
        ((Y,), {"groups": LABELS[1:]}, ValueError, r"groups: .*shape \(23,\), got shape \(22,\)"),
        ((Y,), {"groups": LABELS[:, None]}, ValueError, r"groups: .*got shape \(23, 1\)"),
        ((Y,), {"groups": LABELS * 0.5}, TypeError, "groups: expected integers, booleans or strings"),
        ((Y,), {"groups": [None] * 23}, TypeError, "groups: .*got dtype object"),
        (
            (Y,),
            {"groups": LABELS, "batch_size": 4},
            ValueError,
            "batch_size: expected at least 5, the rows of",
        ),
    ],
)
def test_bad_arguments_are_refused_by_name(arrays, keywords, error, message):
    with pytest.raises(error, match=message):
        fastopt.batches(*arrays, **({"batch_size": 6} | keywords))
