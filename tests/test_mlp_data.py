"""Data for the perceptron: the embedded digits, the user's files with their errors, splits, scales."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastopt.train import DataError, Problem, Settings, digits, read_data
from fastopt.train.encoding import Standardiser
from fastopt.train.splits import fold, split, subset

RNG = np.random.default_rng(2)


def test_digits_are_uci_s_test_file() -> None:
    data = digits()
    assert data.x.shape == (1797, 64)
    assert data.x.dtype == np.uint8
    assert (data.x.min(), data.x.max()) == (0, 16)
    # The class counts that UCI prints for its test file.
    assert np.bincount(data.y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert data.classes == tuple("0123456789")
    assert data.image_shape == (8, 8)


def save(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def test_npz_with_integer_labels_is_classification(tmp_path: Path) -> None:
    data = read_data(save(tmp_path / "a.npz", X=RNG.standard_normal((9, 3)), y=np.array([5, 7, 5] * 3)))
    assert (data.task, data.classes, data.outputs) == ("classes", ("5", "7"), 2)
    assert data.y.tolist() == [0, 1, 0] * 3


def test_npz_with_float_targets_is_regression(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", X=np.ones((9, 2, 3), np.uint8), y=np.linspace(0, 1, 18).reshape(9, 2))
    data = read_data(path)
    assert (data.task, data.outputs, data.x.shape, data.image_shape) == ("regression", 2, (9, 6), (2, 3))


def test_task_overrides_the_inference(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", X=np.arange(12.0).reshape(6, 2), y=np.array([1, 2, 3, 1, 2, 3]))
    assert read_data(path, task="regression").y.tolist() == [[1.0], [2.0], [3.0]] * 2
    path = save(
        tmp_path / "b.npz", X=np.arange(12.0).reshape(6, 2), y=np.array([1.0, 2.0, 2.0, 1.0, 2.0, 1.0])
    )
    assert read_data(path, task="classes").classes == ("1", "2")


CSV = "width,kind,height\n1.5,oak,10\n2.5,elm,20\n3.5,oak,30\n4.5,elm,40\n5.5,oak,50\n"


def test_csv_with_header_takes_the_last_column_or_the_named_one(tmp_path: Path) -> None:
    path = tmp_path / "trees.csv"
    path.write_text(CSV.replace("oak", "1").replace("elm", "2"), encoding="utf-8")
    assert read_data(path, task="regression").y[:, 0].tolist() == [10, 20, 30, 40, 50]
    data = read_data(path, target="kind")
    assert data.y.tolist() == [0, 1, 0, 1, 0]
    assert data.x.tolist() == [[1.5, 10], [2.5, 20], [3.5, 30], [4.5, 40], [5.5, 50]]
    assert (
        read_data(path, target="-2").y.tolist() == read_data(path, target="1").y.tolist() == data.y.tolist()
    )


def test_csv_takes_text_labels_semicolons_tabs_quotes_and_no_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for delimiter in ";\t,":
        lines = [f"{i}.5{delimiter}{i * i}{delimiter}{'yes' if i % 2 else 'no'}" for i in range(6)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        data = read_data(path)
        assert data.classes == ("no", "yes")
        assert data.x.tolist() == [[i + 0.5, i * i] for i in range(6)]
    path.write_text('"a, b",c\n' + '"1","x"\n' * 3 + "2,y\n" * 3, encoding="utf-8-sig")
    assert read_data(path).x[:, 0].tolist() == [1, 1, 1, 2, 2, 2]


BAD_CSV = [
    (CSV, r":2: column 2: expected a number, got 'oak'"),
    ("a,b\n1,2\n3\n", r":3: expected 2 columns, got 1"),
    ("a,b\n1,2\n,3\n", r":3: column 1: expected a number, got an empty cell"),
    ("a,b\n1,2\n1,\n", r":3: the target \(column 2\) is empty"),
    ("a,b\n1,0.5\nnan,0.5\n" + "1,0.5\n" * 4, r"X\[1, 0\]: expected a finite number, got nan"),
    ("a,b\n1,0.5\n1,inf\n" + "1,0.5\n" * 4, r"y\[1\]: expected a finite number, got inf"),
    ("a\n1\n2\n", r":1: expected at least two columns"),
    ("a,b\n", r"expected at least one row of data"),
    ("", r":1: expected at least two columns"),
    ("a,b\n" + "1,2\n" * 3, r"expected at least 5 rows to split in three, got 3"),
    ("a,b\n" + "1,2\n" * 9, r"expected at least two classes, got only 2"),
    ("a,b\n" + "".join(f"1,{i}\n" for i in range(90)), r"90 different integers in 90 rows.*--task"),
]


@pytest.mark.parametrize(("text", "message"), BAD_CSV)
def test_unusable_csv_is_an_error_that_names_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.csv:.*" + message if message[0] != ":" else r"a\.csv" + message):
        read_data(path)


GOOD_X, GOOD_Y = np.ones((6, 2)), np.array([0, 1] * 3)
BAD_NPZ = [
    ({"x": GOOD_X, "y": GOOD_Y}, "expected arrays named X and y, found x, y"),
    ({"X": GOOD_X, "y": GOOD_Y[:4]}, "same number of rows, got 6 and 4"),
    (
        {"X": GOOD_X[0], "y": GOOD_Y},
        r"X: expected numbers of shape \(rows, features\).*got float64 of shape \(2,\)",
    ),
    ({"X": GOOD_X.astype(complex), "y": GOOD_Y}, "X: expected numbers .*got complex128"),
    ({"X": GOOD_X.astype(object), "y": GOOD_Y}, "Python objects are never loaded"),
    ({"X": GOOD_X, "y": np.array([0, 1] * 3, object)}, "Python objects are never loaded"),
    (
        {"X": GOOD_X, "y": np.ones((6, 2), int)},
        r"y: expected class labels of shape \(rows,\), got shape \(6, 2\)",
    ),
    ({"X": np.full((6, 2), np.inf), "y": GOOD_Y}, r"X\[0, 0\]: expected a finite number, got inf"),
    ({"X": np.ones((6, 0)), "y": GOOD_Y}, "X: expected numbers"),
]


@pytest.mark.parametrize(("arrays", "message"), BAD_NPZ)
def test_unusable_npz_is_an_error(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_data(save(tmp_path / "a.npz", **arrays))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_data(tmp_path / "missing.npz")
    for name, message in (("a.npz", "not a readable"), ("a.txt", "ending in .npz or .csv")):
        (tmp_path / name).write_bytes(b"PK\x03\x04 truncated")
        with pytest.raises(DataError, match=message):
            read_data(tmp_path / name)
    np.save(tmp_path / "b.npy", GOOD_X)
    (tmp_path / "b.npy").rename(tmp_path / "b.npz")
    with pytest.raises(DataError, match="it is no ZIP archive"):
        read_data(tmp_path / "b.npz")
    (tmp_path / "c.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    with pytest.raises(DataError, match="expected UTF-8"):
        read_data(tmp_path / "c.csv")
    with pytest.raises(DataError, match=r"for \.csv files"):
        read_data(save(tmp_path / "d.npz", X=GOOD_X, y=GOOD_Y), target="y")


def test_split_is_a_partition_with_every_class_in_proportion() -> None:
    labels = np.repeat([0, 1, 2], [500, 100, 50])
    parts = split(650, (0.6, 0.2, 0.2), np.random.default_rng(1), labels)
    assert sorted(np.concatenate(parts).tolist()) == list(range(650))
    assert [len(part) for part in parts] == [390, 130, 130]
    for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True):
        assert np.abs(np.bincount(labels[part]) - share * np.array([500, 100, 50])).max() <= 1
    again = split(650, (0.6, 0.2, 0.2), np.random.default_rng(1), labels)
    assert all((a == b).all() for a, b in zip(parts, again, strict=True))
    other = split(650, (0.6, 0.2, 0.2), np.random.default_rng(2), labels)
    assert not (parts.train == other.train).all()


def test_the_first_rows_of_a_part_are_a_sample_of_all_classes() -> None:
    parts = split(1000, (0.6, 0.2, 0.2), np.random.default_rng(0), np.repeat(np.arange(10), 100))
    assert len(np.unique(parts.train[:100] // 100)) == 10


@pytest.mark.parametrize(
    "fractions", [(0.5, 0.5), (0.6, 0.2, 0.3), (1.0, 0.0, 0.0), (0.6, 0.2, float("nan"))]
)
def test_fractions_that_are_none(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="split: expected three positive fractions that sum to 1"):
        split(10, fractions, np.random.default_rng(0))


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(ValueError, match="the test part of 5 rows is empty"):
        split(5, (0.9, 0.05, 0.05), np.random.default_rng(0))


def test_folds_test_every_row_once_with_every_class_in_proportion() -> None:
    labels = np.repeat([0, 1, 2], [500, 103, 47])
    folds = [fold(650, i, 4, (0.6, 0.2, 0.2), np.random.default_rng(1), labels) for i in range(4)]
    assert sorted(np.concatenate([f.test for f in folds]).tolist()) == list(range(650))
    for parts in folds:
        assert sorted(np.concatenate(parts).tolist()) == list(range(650))
        assert len(parts.test) in (162, 163)
        assert abs(len(parts.validation) - (650 - len(parts.test)) / 4) <= 1
        for part in parts:
            expected = len(part) / 650 * np.array([500, 103, 47])
            assert np.abs(np.bincount(labels[part]) - expected).max() <= 1.5
    assert len(np.unique(labels[folds[0].train[:60]])) == 3  # shuffled
    with pytest.raises(ValueError, match="folds: expected at most one per row, 5, got 6"):
        fold(5, 0, 6, (0.6, 0.2, 0.2), np.random.default_rng(0))
    with pytest.raises(ValueError, match="folds: 2 folds of 2 rows leave none"):
        fold(2, 0, 2, (0.6, 0.2, 0.2), np.random.default_rng(0))


def test_a_subset_keeps_the_classes_in_proportion_and_loses_none() -> None:
    rows = np.random.default_rng(0).permutation(1000)[:650]
    labels = np.repeat([0, 1, 2, 3], [500, 100, 48, 2])
    chosen = subset(rows, 0.1, np.random.default_rng(1), labels)
    assert np.isin(chosen, rows).all()
    assert len(set(chosen.tolist())) == len(chosen)
    of_row = dict(zip(rows.tolist(), labels.tolist(), strict=True))
    assert np.abs(np.bincount([of_row[int(r)] for r in chosen]) - [50, 10, 4.8, 1]).max() <= 1
    assert len(subset(rows, 1.0, np.random.default_rng(1))) == 650
    assert len(subset(rows, 1e-9, np.random.default_rng(1))) == 1


def test_only_training_rows_are_left_out_by_a_subset() -> None:
    whole, part = Problem(digits(), Settings()), Problem(digits(), Settings(subset=0.1))
    assert len(part.rows.train) == 108
    assert np.isin(part.rows.train, whole.rows.train).all()
    for name in ("validation", "test"):
        np.testing.assert_array_equal(part.y[name], whole.y[name])
    data = digits()
    few = type(data)("few", data.x[:10], np.linspace(0, 1, 10)[:, None], ())
    with pytest.raises(ValueError, match=r"subset: 0\.001 of 6 training rows is only 1"):
        Problem(few, Settings(subset=0.001))


def test_standardisation_uses_the_training_rows_alone() -> None:
    problem = Problem(digits(), Settings())
    train = problem.x["train"]
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-6)
    assert (train**2).mean() == pytest.approx(1, abs=1e-5)
    assert abs(problem.x["test"].mean()) > 1e-6
    rows = problem.rows.train
    np.testing.assert_array_equal(problem.x_scale.mean, digits().x[rows].mean(axis=0))


def test_columns_get_unit_variance_and_constant_ones_are_left_at_zero() -> None:
    a = np.column_stack([RNG.standard_normal(50) * 1e4, RNG.standard_normal(50) * 1e-3, np.full(50, 1e8 / 3)])
    scale = Standardiser.fit(a)
    b = scale.apply(a)
    assert b.dtype == np.float32
    np.testing.assert_allclose(b[:, :2].std(axis=0), 1, rtol=1e-6)
    assert np.abs(b[:, 2]).max() < 1e-6
    np.testing.assert_allclose(scale.undo(b), a, rtol=1e-5, atol=1e-3)


def test_two_classes_need_one_sigmoid_output_but_two_of_softmax(tmp_path: Path) -> None:
    data = read_data(save(tmp_path / "a.npz", X=RNG.standard_normal((20, 2)), y=np.array([0, 1] * 10)))
    for output, columns in (("sigmoid", 1), ("sigmoid-mse", 1), ("softmax", 2), ("linear", 2)):
        problem = Problem(data, Settings(output=output))
        assert problem.t["train"].shape == (12, columns)
        z = np.array([[-1.0, 2.0], [3.0, -4.0]])[:, :columns]
        expected = [0, 1] if columns == 1 else [1, 0]
        assert problem.predictions(z).tolist() == expected


def test_three_classes_need_three_outputs_of_any_kind(tmp_path: Path) -> None:
    data = read_data(save(tmp_path / "a.npz", X=RNG.standard_normal((30, 2)), y=np.array([0, 1, 2] * 10)))
    for output in ("sigmoid", "sigmoid-mse", "softmax", "linear"):
        assert Problem(data, Settings(output=output)).t["train"].shape == (18, 3)


def test_regression_takes_only_the_linear_output(tmp_path: Path) -> None:
    data = read_data(save(tmp_path / "a.npz", X=RNG.standard_normal((20, 2)), y=RNG.standard_normal(20)))
    with pytest.raises(ValueError, match="output: 'softmax' is for classes, not regression"):
        Problem(data, Settings(output="softmax"))
