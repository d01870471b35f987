"""fastopt.flatten: one aligned buffer without gaps, views in the shapes of the originals."""

from __future__ import annotations

import numpy as np
import pytest

import fastopt

SHAPES = [(3, 5), (), (7,), (0,), (2, 0, 3), (1, 1), (64,), (4, 3, 2)]


def some_arrays(dtype):
    rng = np.random.default_rng(5)
    return [np.asarray(100 * rng.random(shape)).astype(dtype) for shape in SHAPES]


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i8", "u1", "c16", "bool", ">f4"])
def test_values_order_alignment_and_sharing(dtype):
    arrays = some_arrays(dtype)
    flat, views = fastopt.flatten(arrays)
    assert flat.dtype == np.dtype(dtype)
    assert flat.shape == (sum(a.size for a in arrays),)
    assert flat.ctypes.data % 64 == 0
    assert flat.flags.c_contiguous
    assert flat.flags.writeable
    np.testing.assert_array_equal(flat, np.concatenate([a.ravel() for a in arrays]))
    start = flat.ctypes.data
    for array, view in zip(arrays, views, strict=True):
        assert view.shape == array.shape
        assert view.flags.c_contiguous
        assert view.ctypes.data == start or not view.size  # no gap
        assert not np.shares_memory(array, view)
        start += array.nbytes
    flat[:] = 1
    assert all((view == 1).all() for view in views)
    views[0][1, 2] = 0
    assert flat[1 * 5 + 2] == 0


def test_bfloat16_stays_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    arrays = some_arrays(ml_dtypes.bfloat16)
    flat, views = fastopt.flatten(arrays)
    assert flat.dtype == views[0].dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(views[0].view(np.uint16), arrays[0].view(np.uint16))


def test_any_strides_are_read_in_logical_order():
    base = np.arange(24.0).reshape(4, 6)
    for array in (base.T, np.asfortranarray(base), base[::-1, ::2], np.broadcast_to(base[0], (3, 6))):
        flat, view = fastopt.flatten(array)
        np.testing.assert_array_equal(view, array)
        np.testing.assert_array_equal(flat, array.ravel(order="C"))


def test_the_views_come_in_the_structure_of_the_arrays():
    w, b = np.ones((2, 3)), np.zeros(3)
    flat, view = fastopt.flatten(w)
    assert view.shape == (2, 3)
    assert np.shares_memory(flat, view)
    _, views = fastopt.flatten({"w": w, "b": b})
    assert list(views) == ["w", "b"]
    assert views["b"].shape == (3,)
    for several in ([w, b], (w, b), iter([w, b])):
        _, views = fastopt.flatten(several)
        assert isinstance(views, list)
        assert [v.shape for v in views] == [(2, 3), (3,)]


def test_nothing_but_empty_arrays():
    flat, (view,) = fastopt.flatten([np.zeros((0, 4), np.float32)])
    assert flat.shape == (0,)
    assert view.shape == (0, 4)


def test_the_originals_are_untouched_and_may_go():
    arrays = some_arrays("f8")
    copies = [a.copy() for a in arrays]
    flat, views = fastopt.flatten(arrays)
    flat[:] = 0
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    del flat, arrays
    assert (views[0] == 0).all()


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ([], ValueError, "arrays: expected at least one array"),
        ({}, ValueError, "arrays: expected at least one array"),
        (
            [np.ones(2), np.ones(2, "f4")],
            TypeError,
            r"arrays\[1\]: expected float64, the dtype of arrays\[0\]",
        ),
        (
            {"w": np.ones(2), "b": np.ones(2, "f4")},
            TypeError,
            r"arrays\['b'\]: expected float64.*got float32",
        ),
        ([np.ones(2), np.ones(2, ">f8")], TypeError, r"arrays\[1\]: expected float64"),
        ([np.ones(2), [1.0]], TypeError, r"arrays\[1\]: expected a NumPy array, got list"),
        ([1.0], TypeError, r"arrays\[0\]: expected a NumPy array, got float"),
        (3.0, TypeError, "arrays: expected an array, a dict or a list of arrays, got float"),
        ("ab", TypeError, "arrays: expected .*got str"),
        ([np.array([None])], TypeError, r"arrays\[0\]: expected a dtype of numbers, got object"),
        ([np.ma.masked_array([1.0])], TypeError, r"arrays\[0\]: .*masked"),
    ],
)
def test_bad_arguments_are_refused_by_name(arrays, error, message):
    with pytest.raises(error, match=message):
        fastopt.flatten(arrays)
