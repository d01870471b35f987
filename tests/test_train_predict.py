"""A trained model in use: the same bits as in the session, from the file alone; and what cannot be used."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.cli import main
from fastopt.train import CheckpointError, Problem, Session, Settings, digits, load, read_data
from fastopt.train.optimizers import trained_model
from stopping import StopAfter

RNG = np.random.default_rng(4)
X = RNG.standard_normal((90, 3)) * [1, 100, 1e-3] + [5, 0, 1]
TARGETS = {
    "text": np.where(X[:, 0] > 5, "yes", "no"),
    "integers": np.where(X[:, 1] > 0, 7, -3),
    "truths": X[:, 1] > 0,
    "three": np.digitize(X[:, 0], [4.5, 5.5]) * 10,
    "one value": 1000 + 50 * X[:, 0],
    "two values": np.stack([X[:, 0] * 1e6, X[:, 1]], axis=1),
}
SMALL: dict[str, Any] = {"hidden": (8,), "epochs": 3}


def trained(path: Path, y: np.ndarray, **settings: Any) -> Session:
    np.savez(path / "data.npz", X=X, y=y)
    session = Session(Settings(data=str(path / "data.npz"), **{**SMALL, **settings}))
    assert session.run(checkpoint=path / "model.npz")
    return session


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize(
    "more", [{}, {"bn_test": "running"}, {"batch_norm": False, "options": ("ema_decay=0.9",)}]
)
def test_predictions_are_those_of_the_session_to_the_bit(
    tmp_path: Path, y: np.ndarray, more: dict[str, Any]
) -> None:
    session = trained(tmp_path, y, **more)
    model, problem = load(tmp_path / "model.npz"), session.problem
    rows, z = problem.rows.test, session.results[0]["test_values"]
    assert model._values(X[rows]).tobytes() == z.tobytes()
    expected = problem.predictions(z)
    found = model.predict(X[rows])
    if problem.task == "classes":
        assert found.dtype == y.dtype
        assert (found == np.unique(y)[expected]).all()
        p = model.probabilities(X[rows])
        assert p.shape == (len(rows), len(np.unique(y)))
        assert (np.array(model.labels)[p.argmax(axis=1)] == found).all()
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    else:
        assert found.tobytes() == (expected[:, 0] if y.ndim == 1 else expected).tobytes()
        assert found.shape == y[rows].shape
        with pytest.raises(ValueError, match="expected a model of classes"):
            model.probabilities(X)


@pytest.mark.parametrize("output", ["sigmoid", "sigmoid-mse", "softmax", "linear"])
def test_two_classes_of_any_output_come_back(tmp_path: Path, output: str) -> None:
    y = TARGETS["integers"]
    trained(tmp_path, y, output=output, epochs=200, hidden=(32,), dropout=0.0)
    # Labels that changed places would be right for a fifth of the rows at best.
    assert (load(tmp_path / "model.npz").predict(X) == y).mean() > 0.8


def test_values_come_back_in_the_units_of_the_data(tmp_path: Path) -> None:
    y = TARGETS["two values"]
    trained(tmp_path, y, epochs=150, dropout=0.0, hidden=(32,))
    errors = np.abs(load(tmp_path / "model.npz").predict(X) - y).mean(axis=0)
    assert (errors < 0.3 * y.std(axis=0)).all()


def test_the_data_is_not_needed_any_more(tmp_path: Path) -> None:
    session = trained(tmp_path, TARGETS["text"], residual=True, hidden=(8, 8), activation="tanh", dropout=0.4)
    (tmp_path / "data.npz").unlink()
    model = load(str(tmp_path / "model.npz"))
    inside = trained_model(session.runs()[0], session.problem, session.results[0])
    z = inside.values(session.problem.x["validation"])
    assert model._values(X[session.problem.rows.validation]).tobytes() == z.tobytes()


def test_images_come_as_images_or_as_rows(tmp_path: Path) -> None:
    session = Session(Settings(**SMALL))
    assert session.run(checkpoint=tmp_path / "m.npz")
    model, data = load(tmp_path / "m.npz"), digits()
    assert (model.predict(data.x.reshape(-1, 8, 8)) == model.predict(data.x)).all()
    with pytest.raises(
        ValueError, match=r"X: expected 64 features \(images of 8 x 8\).*got images of 4 x 16"
    ):
        model.predict(data.x.reshape(-1, 4, 16))


def test_one_of_several_runs(tmp_path: Path) -> None:
    session = trained(
        tmp_path, TARGETS["three"], optimizers=("sgd:lr=1e-9", "adamw", "sgd:lr=1e30"), epochs=9
    )
    losses = [r["metrics"]["validation"]["loss"] if r["metrics"] else np.inf for r in session.results]
    labels = [r["label"] for r in session.results]
    assert load(tmp_path / "model.npz").run == labels[int(np.argmin(losses))] == "adamw"
    assert load(tmp_path / "model.npz", "sgd:lr=1e-9").run == "sgd:lr=1e-9"
    with pytest.raises(ValueError, match=r"run: expected one of the finished runs.*adamw; .*got 'lion'"):
        load(tmp_path / "model.npz", "lion")
    if losses[2] == np.inf:
        with pytest.raises(ValueError, match="which diverged"):
            load(tmp_path / "model.npz", "sgd:lr=1e30")


def test_the_larger_model_of_a_diagnosis_can_be_asked_for(tmp_path: Path) -> None:
    trained(tmp_path, TARGETS["three"], diagnose=True)
    assert load(tmp_path / "model.npz").model.sizes == (3, 8, 3)
    assert load(tmp_path / "model.npz", "adamw, larger model").model.sizes == (3, 16, 3)


def test_a_training_that_was_stopped_has_no_model_yet(tmp_path: Path) -> None:
    assert not Session(Settings(**SMALL)).run(StopAfter(5), tmp_path / "m.npz")
    with pytest.raises(CheckpointError, match=r"m\.npz: expected a finished run"):
        load(tmp_path / "m.npz")


def test_files_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing.npz")
    fastopt.Adam([np.ones(3, np.float32)]).save(tmp_path / "opt.npz")
    with pytest.raises(CheckpointError, match=r"opt\.npz: .*not a checkpoint of fastopt train"):
        load(tmp_path / "opt.npz")
    fastopt.save(tmp_path / "run.npz", {"epoch": 3})
    with pytest.raises(CheckpointError, match=r"run\.npz: not a checkpoint of fastopt train"):
        load(tmp_path / "run.npz")
    np.savez(tmp_path / "data.npz", X=X)
    with pytest.raises(CheckpointError, match="expected a fastopt checkpoint"):
        load(tmp_path / "data.npz")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X[:, :2], "X: expected 3 features as in the training data, got 2"),
        (np.where(X[1, 2] == X, np.nan, X), r"X\[1, 2\]: expected a finite number, got nan"),
        (X.astype(str), "X: expected numbers"),
        (X[0], "X: expected numbers of shape"),
    ],
)
def test_arrays_that_cannot_be_predicted_for(tmp_path: Path, x: np.ndarray, message: str) -> None:
    trained(tmp_path, TARGETS["text"])
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "model.npz").predict(x)


# The command, on a file with a header line whose columns are then found by name.

HEADER = "width,height,kind,price"
ROWS = [f"{i / 7:.3f},{i * i % 11},{i % 3},{3 * i + 0.5}" for i in range(40)]


@pytest.fixture
def priced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("train.csv").write_text("\n".join([HEADER, *ROWS]), encoding="utf-8")
    assert (
        main(["train", "--data", "train.csv", "--epochs", "3", "--hidden", "8", "--out", ".", "--quiet"]) == 0
    )
    return tmp_path


def predict(*args: str) -> int:
    return main(["predict", "--model", "checkpoint.npz", *args])


def test_the_command_needs_no_target_and_finds_columns_by_name(
    priced: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = load("checkpoint.npz").predict(read_data("train.csv").x)
    rows = [row.split(",") for row in ROWS]
    Path("with.csv").write_text("\n".join([HEADER, *ROWS]), encoding="utf-8")
    Path("without.csv").write_text(
        "\n".join(["width,height,kind", *(",".join(r[:3]) for r in rows)]), encoding="utf-8"
    )
    Path("mixed.csv").write_text(
        "\n".join(["id;kind;width;height", *(f"a;{r[2]};{r[0]};{r[1]}" for r in rows)]), encoding="utf-8"
    )
    Path("bare.csv").write_text("\n".join(",".join(r[:3]) for r in rows), encoding="utf-8")
    np.savez("new.npz", X=read_data("train.csv").x)
    capsys.readouterr()
    for name in ("with.csv", "without.csv", "mixed.csv", "bare.csv", "new.npz"):
        assert predict("--data", name) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "price"
        assert [float(line) for line in lines[1:]] == values.tolist(), name


def test_the_command_writes_files(priced: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("--data", "train.csv", "--output", "p.csv") == 0
    assert predict("--data", "train.csv", "--output", "p.npz") == 0
    assert "40 predictions of adamw in p.npz" in capsys.readouterr().err
    with open("p.csv", newline="", encoding="utf-8") as file:
        column = [float(row["price"]) for row in csv.DictReader(file)]
    with np.load("p.npz") as archive:
        assert archive.files == ["prediction"]
        assert archive["prediction"].tolist() == column


def test_classes_are_written_as_they_were(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path, TARGETS["text"])
    args = ["predict", "--model", str(tmp_path / "model.npz"), "--data", str(tmp_path / "data.npz")]
    assert main(args) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "prediction"
    assert set(lines[1:]) <= {"yes", "no"}
    assert main([*args, "--output", str(tmp_path / "p.npz")]) == 0
    with np.load(tmp_path / "p.npz", allow_pickle=False) as archive:
        assert archive["prediction"].tolist() == lines[1:]
        assert archive["probabilities"].shape == (90, 2)


BAD = [
    (
        "width,height\n1,2\n",
        "bad.csv: no column is called 'kind'; the model was trained on width, height, kind",
    ),
    ("width,kind,kind,height\n1,2,3,4\n", "bad.csv: several columns are called 'kind'"),
    ("1,2\n", "bad.csv: expected 3 columns, the features without the target, as in training, got 2"),
    ("1,2,3,4\n", "bad.csv: expected 3 columns, the features without the target, as in training, got 4"),
    ("kind,width,height\n1,x,3\n", "bad.csv:2: column 2: expected a number, got 'x'"),
    ("kind,width,height\n1,,3\n", "bad.csv:2: column 2: expected a number, got an empty cell"),
    ("kind,width,height\n1,2,nan\n", "bad.csv: X[0, 1]: expected a finite number, got nan"),
    ("kind,width,height\n1,2\n", "bad.csv:2: expected 3 columns, got 2"),
    ("kind,width,height\n", "bad.csv: expected at least one row of data"),
    ("", "bad.csv:1: expected at least one column"),
]


def test_unusable_data_is_one_line_that_names_the_place(
    priced: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    for text, message in BAD:
        Path("bad.csv").write_text(text, encoding="utf-8")
        assert predict("--data", "bad.csv") == 2
        out, err = capsys.readouterr()
        assert (out, len(err.splitlines())) == ("", 1)
        assert message in err
    np.savez("bad.npz", X=np.ones((4, 5)))
    np.savez("none.npz", x=np.ones((4, 3)))
    for args, message in (
        (["--data", "bad.npz"], "bad.npz: X: expected 3 features as in the training data, got 5"),
        (["--data", "none.npz"], "none.npz: expected an array named X, found x"),
        (["--data", "missing.csv"], "missing.csv: no such file"),
        (["--data", "train.csv", "--output", "p.txt"], "--output: expected a file ending in .csv or .npz"),
        (["--data", "train.csv", "--output", "no/p.csv"], "no/p.csv: No such file or directory"),
        (["--data", "train.csv", "--run", "x"], "--run: expected one of the finished runs of checkpoint.npz"),
        (["--data", "train.csv", "--model", "missing.npz"], "missing.npz: No such file or directory"),
        (["--data", "train.csv", "--model", "train.csv"], "train.csv: expected a fastopt checkpoint"),
    ):
        assert predict(*args) == 2
        out, err = capsys.readouterr()
        assert (out, len(err.splitlines())) == ("", 1), err
        assert message in err


def test_a_reader_that_has_had_enough_is_no_error(priced: Path) -> None:
    command = f"{sys.executable} -m fastopt predict --model checkpoint.npz --data big.csv | head -1"
    Path("big.csv").write_text("\n".join(["width,height,kind", *(["1,2,3"] * 30000)]), encoding="utf-8")
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("price\n", "")


def test_the_training_still_splits_what_it_reads() -> None:
    assert Problem(digits(), Settings()).dataset.labels == tuple(range(10))
