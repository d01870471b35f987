"""`fastopt train` end to end, as a user runs it: its files, resuming, interruption, errors."""

from __future__ import annotations

import html.parser
import json
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastopt.cli import main
from stopping import StopAfter

# A small model and few epochs: what is tested here is the machinery, not the accuracy.
SMALL = ["--hidden", "24", "--epochs", "3"]


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "fastopt", "train", *map(str, args)]


def train(*args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*args), cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def metrics(out: Path) -> dict[str, Any]:
    """The content of metrics.json without what depends on the clock."""
    content: dict[str, Any] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    for result in content["optimizers"].values():
        for key in ("seconds", "optimizer_share", "steps_per_second"):
            del result[key]
    return content


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files if not name.endswith(".json")}


def assert_same_outcome(a: Path, b: Path) -> None:
    assert metrics(a) == metrics(b)
    left, right = arrays(a / "checkpoint.npz"), arrays(b / "checkpoint.npz")
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].tobytes() == right[name].tobytes(), name


def test_default_run_reaches_the_promised_accuracy(tmp_path: Path) -> None:
    done = train(cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "fastopt-train"
    content = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    adamw = content["optimizers"]["adamw"]
    assert adamw["test_accuracy"] >= 0.96
    assert f"{100 * adamw['test_accuracy']:.2f} %" in done.stdout
    assert content["data"]["rows"] == {"train": 1078, "validation": 360, "test": 359}
    assert {path.name for path in out.iterdir()} == {"metrics.json", "report.html", "checkpoint.npz"}
    # Not on a terminal: plain lines, no control characters.
    assert "epoch 40/40" in done.stderr
    assert not re.search(r"[\r\x1b]", done.stderr)


def test_several_optimizers_are_compared(tmp_path: Path) -> None:
    labels = ["adamw", "sgd:momentum=0.9,nesterov=true", "adam:lr=0.002,betas=[0.8,0.99]"]
    done = train(*SMALL, "--optimizer", ",".join(labels), "--out", "o", "--json", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    content = json.loads(done.stdout)
    assert content == json.loads((tmp_path / "o" / "metrics.json").read_text(encoding="utf-8"))
    assert list(content["optimizers"]) == labels
    assert content["optimizers"][labels[1]]["options"] == {"momentum": 0.9, "nesterov": True}
    assert content["optimizers"][labels[2]]["lr"] == 0.002
    assert content["best"] == max(labels, key=lambda k: content["optimizers"][k]["test_accuracy"])
    for result in content["optimizers"].values():
        assert result["steps"] == 3 * (1078 // 32)
        assert 0 < result["test_accuracy"] <= 1
        assert 0 < result["optimizer_share"] < 1
        history = result["history"]
        assert history["epoch"] == [1, 2, 3]
        assert all(len(column) == 3 for column in history.values())
        assert history["validation_accuracy"][-1] == result["validation_accuracy"]


class References(html.parser.HTMLParser):
    """Collects everything by which a page could fetch another file."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fetching = ("src", "href", "srcset", "data", "poster", "action", "xlink:href", "background")
        self.found += [value or "" for name, value in attrs if name in fetching]
        assert tag not in ("link", "iframe", "object", "embed", "base")


@pytest.mark.parametrize("name", ["digits", "regression", "two classes", "many classes"])
def test_report_is_well_formed_and_self_contained(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 4))
    targets = {
        "regression": np.stack([x[:, 0] * 3 + 1, x[:, 1]], axis=1),
        "two classes": np.where(x[:, 0] > 0, "<yes> & 'so'", "no"),
        "many classes": np.arange(400) % 40,
    }
    data = []
    if name in targets:
        np.savez(tmp_path / "data.npz", X=x, y=targets[name])
        data = ["--data", "data.npz"]
    done = train(*SMALL, *data, "--optimizer", "adamw,sgd", "--out", "o", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    root = ET.fromstring(text.removeprefix("<!DOCTYPE html>"))
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    charts = [element for element in root.iter() if element.get("class") == "chart"]
    assert len(charts) == 4  # loss, score, learning rate, gradient norm
    for chart in charts:
        content = json.loads(chart.get("data-chart", ""))
        assert {series["run"] for series in content["series"]} == {0, 1}
    references = References()
    references.feed(text)
    assert all(found.startswith("data:") for found in references.found)
    assert "url(" not in text
    assert "@import" not in text
    assert not re.search(
        r"\b(nan|inf)\b", "".join(ET.tostring(svg, "unicode") for svg in charts), re.IGNORECASE
    )


def interrupted(number: int, cwd: Path, *args: object) -> tuple[int, str, str]:
    """A run that gets a signal in the middle: its exit code, output and error output."""
    for _ in range(5):
        process = subprocess.Popen(
            command(*args), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        head = ""
        while "epoch" not in head:  # the first line of progress: training is under way
            line = process.stderr.readline()
            assert line, head
            head += line
        time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        # On a busy machine the run may have ended before we got to send the signal: then once more.
        if process.returncode != 0:
            break
        (cwd / "part" / "metrics.json").unlink()
    return process.returncode, out, err


LONG = ["--hidden", "24", "--epochs", "60", "--optimizer", "sgd:momentum=0.9,adamw", "--early-stopping", "45"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_resumes_to_the_same_bits(tmp_path: Path, number: int, code: int) -> None:
    whole = train(*LONG, "--out", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    returned, out, err = interrupted(number, tmp_path, *LONG, "--out", "part")
    assert (returned, out) == (code, "")
    assert "checkpoint: part/checkpoint.npz" in err
    assert "train --resume part/checkpoint.npz" in err
    assert re.search(r"at step [1-9]\d* of", err)
    assert not (tmp_path / "part" / "metrics.json").exists()
    done = train("--resume", "part/checkpoint.npz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same_outcome(tmp_path / "whole", tmp_path / "part")


def test_stopping_after_every_possible_step_of_an_epoch_changes_nothing(tmp_path: Path) -> None:
    """In one process, so that the step is chosen exactly."""
    from fastopt.train import Session, Settings

    settings = Settings(
        hidden=(12,),
        epochs=2,
        batch_size=128,
        early_stopping=1,
        options=("ema_decay=0.9",),
        bn_test="running",
    )
    whole = Session(settings)
    assert whole.run()

    total = whole.results[0]["steps"]
    assert total == 16
    for step in range(1, total):
        path = tmp_path / "c.npz"
        assert not Session(settings).run(StopAfter(step), path)
        resumed = Session.resume(path)
        assert resumed.trainer is not None
        assert resumed.trainer.step == step
        assert resumed.run()
        assert resumed.results[0]["metrics"] == whole.results[0]["metrics"]
        assert resumed.results[0]["history"] == whole.results[0]["history"]
        for name, value in whole.results[0]["parameters"].items():
            assert value.tobytes() == resumed.results[0]["parameters"][name].tobytes()


def test_resuming_a_finished_run_makes_its_report_again(tmp_path: Path) -> None:
    assert train(*SMALL, "--out", "o", "--quiet", cwd=tmp_path).returncode == 0
    before = metrics(tmp_path / "o")
    (tmp_path / "o" / "metrics.json").unlink()
    assert train("--resume", "o/checkpoint.npz", "--quiet", cwd=tmp_path).returncode == 0
    assert metrics(tmp_path / "o") == before


def test_checkpoint_knows_its_data_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 3)), np.arange(60) % 2
    np.savez(tmp_path / "data.npz", X=x, y=y)
    assert train(*SMALL, "--data", "data.npz", "--out", "o", "--quiet", cwd=tmp_path).returncode == 0
    (tmp_path / "data.npz").rename(tmp_path / "moved.npz")
    missing = train("--resume", "o/checkpoint.npz", cwd=tmp_path)
    assert (missing.returncode, missing.stderr) == (
        2,
        "fastopt train: error: data.npz: no such file\n".replace("fastopt", "python -m fastopt", 1),
    )
    assert (
        train("--resume", "o/checkpoint.npz", "--data", "moved.npz", "--quiet", cwd=tmp_path).returncode == 0
    )
    np.savez(tmp_path / "data.npz", X=x + 1, y=y)
    changed = train("--resume", "o/checkpoint.npz", "--data", "data.npz", cwd=tmp_path)
    assert changed.returncode == 2
    assert "data.npz does not hold the data of this checkpoint" in changed.stderr


def test_checkpoint_can_be_used_without_fastopt(tmp_path: Path) -> None:
    assert train(*SMALL, "--out", "o", "--quiet", cwd=tmp_path).returncode == 0
    content = arrays(tmp_path / "o" / "checkpoint.npz")
    assert content["results.0.parameters.layer1.weight"].shape == (64, 24)
    assert content["standardisation.x.mean"].shape == (64,)


def test_diverging_runs_are_reported(tmp_path: Path) -> None:
    wild = ["--optimizer", "sgd:lr=1e30,momentum=0.9,adamw", "--no-batch-norm", "--out", "o"]
    done = train(*SMALL, *wild, cwd=tmp_path)
    assert done.returncode == 1
    assert "diverged" in done.stdout
    content = metrics(tmp_path / "o")
    assert content["optimizers"]["sgd:lr=1e30,momentum=0.9"]["status"] == "diverged"
    assert "test_accuracy" not in content["optimizers"]["sgd:lr=1e30,momentum=0.9"]
    assert content["best"] == "adamw"
    ET.fromstring((tmp_path / "o" / "report.html").read_text("utf-8").removeprefix("<!DOCTYPE html>"))


def test_a_full_batch_method_on_mini_batches_is_remarked_on(tmp_path: Path) -> None:
    args = ["--hidden", "8", "--epochs", "1", "--optimizer", "rprop", "--out", "o"]
    assert "rprop is made for whole batches: consider --batch-size 1078" in train(*args, cwd=tmp_path).stderr
    assert "whole batches" not in train(*args, "--batch-size", "1078", cwd=tmp_path).stderr


def test_early_stopping_tests_the_best_epoch(tmp_path: Path) -> None:
    args = ["--hidden", "24", "--epochs", "60", "--early-stopping", "3", "--lr", "0.03", "--dropout", "0"]
    assert train(*args, "--out", "o", "--quiet", cwd=tmp_path).returncode == 0
    result = metrics(tmp_path / "o")["optimizers"]["adamw"]
    losses = result["history"]["validation_loss"]
    assert result["status"] == "stopped early"
    assert result["tested_epoch"] == 1 + losses.index(min(losses)) == result["epochs"] - 3
    assert result["validation_loss"] == min(losses)


def test_folds_give_mean_and_deviation_of_every_metric(tmp_path: Path) -> None:
    args = [*SMALL, "--folds", "3", "--optimizer", "adamw,sgd", "--out", "o", "--quiet"]
    done = train(*args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    content = metrics(tmp_path / "o")
    folds = [f"adamw, fold {i}" for i in (1, 2, 3)]
    assert list(content["optimizers"])[:3] == folds
    scores = [content["optimizers"][label]["test_accuracy"] for label in folds]
    found = content["cross_validation"]["adamw"]
    assert found["folds"] == 3
    assert found["test_accuracy"]["mean"] == pytest.approx(np.mean(scores), rel=1e-12)
    assert found["test_accuracy"]["deviation"] == pytest.approx(np.std(scores, ddof=1), rel=1e-9)
    assert content["best"] in ("adamw", "sgd")
    mean, deviation = 100 * np.mean(scores), 100 * np.std(scores, ddof=1)
    assert f"{mean:.2f} ± {deviation:.2f} %" in done.stdout
    page = (tmp_path / "o" / "report.html").read_text("utf-8")
    root = ET.fromstring(page.removeprefix("<!DOCTYPE html>"))
    counts = [int(e.text or 0) for e in root.iter() if (e.get("class") or "").startswith("count")]
    assert sum(counts) == 1797  # the confusion matrix is over all rows, each tested once
    assert f"mean of 3 folds, deviation {deviation:.2f} %" in page or content["best"] == "sgd"


def test_a_diagnosis_is_told_everywhere(tmp_path: Path) -> None:
    args = ["--hidden", "2", "--epochs", "15", "--out", "o"]
    assert train(*args, "--quiet", cwd=tmp_path).returncode == 0
    assert "diagnosis" not in metrics(tmp_path / "o")
    # Asked of a run that is over already: only the larger model is trained.
    done = train("--resume", "o/checkpoint.npz", "--diagnose", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "adamw, larger model: finished" in done.stderr
    assert "\ndiagnosis  model bias (adamw): the training loss" in done.stdout
    content = metrics(tmp_path / "o")
    found = content["diagnosis"]
    assert found["kind"] == "model bias"
    assert found["larger"]["hidden"] == [4]
    assert found["losses"]["train"] == content["optimizers"]["adamw"]["train_loss"] > found["high"]
    assert content["best"] == "adamw"
    page = (tmp_path / "o" / "report.html").read_text("utf-8")
    ET.fromstring(page.removeprefix("<!DOCTYPE html>"))
    assert "The model is too small" in page


def test_rows_from_another_source_are_diagnosed_as_a_mismatch(tmp_path: Path) -> None:
    """The digits turned upside down: what was learned does not hold for them."""
    from fastopt.train import digits

    data = digits()
    images = data.x.reshape(-1, 8, 8)
    np.savez(tmp_path / "mine.npz", X=images[:1400], y=data.y[:1400])
    np.savez(tmp_path / "other.npz", X=images[1400:, ::-1, ::-1], y=data.y[1400:])
    args = ["--data", "mine.npz", "--test-data", "other.npz", "--diagnose", "--epochs", "10", "--out", "o"]
    done = train(*args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    content = metrics(tmp_path / "o")
    assert content["data"]["rows"] == {"train": 1050, "validation": 350, "test": 397}
    assert content["diagnosis"]["kind"] == "mismatch"
    assert "drawn from another distribution" in " ".join(done.stdout.split())
    page = (tmp_path / "o" / "report.html").read_text("utf-8")
    assert "The test rows come from another distribution" in page
    for change, message in (
        ({"X": images[:9, :4], "y": data.y[:9]}, "number of features: expected 64 as in mine.npz, got 32"),
        ({"X": images[:9].reshape(9, 64), "y": data.y[:9]}, "shape of images: expected (8, 8)"),
        ({"X": images[:9], "y": data.y[:9] + 5}, "class '10' does not occur in mine.npz"),
    ):
        np.savez(tmp_path / "wrong.npz", **change)
        wrong = train("--data", "mine.npz", "--test-data", "wrong.npz", cwd=tmp_path)
        assert wrong.returncode == 2
        assert f"wrong.npz: {message}" in wrong.stderr


def test_a_subset_residual_connections_and_augmented_images(tmp_path: Path) -> None:
    args = ["--epochs", "2", "--hidden", "64,64", "--quiet", "--json"]
    done = train(*args, "--subset", "0.1", "--residual", "--augment", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content["data"]["rows"] == {"train": 108, "validation": 360, "test": 359}
    assert content["settings"]["residual"] is True
    assert content["settings"]["augment"] == "shift=0.5,rotate=10,noise=0.1"
    losses = {content["optimizers"]["adamw"]["test_loss"]}
    for change in (["--residual"], ["--augment", "noise=0.5"], []):
        plain = json.loads(train(*args, "--subset", "0.1", *change, cwd=tmp_path).stdout)
        losses.add(plain["optimizers"]["adamw"]["test_loss"])
    assert len(losses) == 4  # each of them has an effect


def test_folds_augmented_images_and_a_diagnosis_resume_to_the_same_bits(tmp_path: Path) -> None:
    from fastopt.train import Session, Settings

    common: dict[str, Any] = {"hidden": (64,), "residual": True, "epochs": 2, "batch_size": 90, "subset": 0.5}
    for more in ({"folds": 2}, {"diagnose": True, "curvature_every": 2}):
        settings = Settings(**common, **more, augment="shift=1,noise=0.2")
        whole = Session(settings)
        assert whole.run()
        path = tmp_path / "c.npz"
        session = Session(settings)
        stops = 0
        while not session.run(StopAfter(2), path):
            session, stops = Session.resume(path), stops + 1
        assert stops >= 3
        assert len(session.results) == len(whole.results) == 2
        for a, b in zip(session.results, whole.results, strict=True):
            assert (a["label"], a["metrics"], a["history"]) == (b["label"], b["metrics"], b["history"])
            for name, value in a["parameters"].items():
                assert value.tobytes() == b["parameters"][name].tobytes()


BAD = [
    (["--folds", "1"], "--folds: expected an integer of at least 2, got 1"),
    (["--folds", "3", "--diagnose"], "--diagnose: expected without folds"),
    (["--folds", "3", "--curvature"], "--curvature: expected without folds"),
    (["--folds", "3", "--curvature-every", "1"], "--curvature-every: expected without folds"),
    (["--curvature-every", "41"], "--curvature-every: expected at most the number of epochs, 40, got 41"),
    (["--folds", "3", "--test-data", "x.npz"], "--test-data: expected without folds"),
    (["--test-data", "missing.npz"], "missing.npz: no such file"),
    (["--folds", "1798"], "--folds: expected at most one per row, 1797, got 1798"),
    (["--subset", "0"], "--subset: expected a share above 0 and up to 1, got 0"),
    (["--subset", "x"], "argument --subset: invalid float value: 'x'"),
    (["--augment", "zoom=2"], "--augment: unknown option 'zoom'; it has shift, rotate, noise"),
    (
        ["--residual"],
        "--residual: expected a hidden layer as wide as what comes before it, got widths 64-256",
    ),
    (["--epochs", "0"], "--epochs: expected an integer of at least 1, got 0"),
    (["--lr", "-1"], "--lr: expected a finite number of at least 0, got -1"),
    (["--dropout", "1"], "--dropout: expected a probability in [0, 1), got 1"),
    (["--hidden", "3,x"], "argument --hidden: expected layer sizes such as 256,128 or none, got '3,x'"),
    (["--clip-norm", "0"], "clip_norm: expected a finite number > 0, got 0"),
    (["--weight-decay", "-1"], "weight_decay: expected a finite number >= 0, got -1"),
    (["--lr", "nan"], "--lr: expected a finite number of at least 0, got nan"),
    (["--epochs", "1.5"], "argument --epochs: invalid int value: '1.5'"),
    (["--split", "1,x"], "argument --split: expected three fractions such as 0.6,0.2,0.2, got '1,x'"),
    (["--split", "1,1"], "--split: expected three positive fractions"),
    (["--activation", "swish"], "argument --activation: invalid choice: 'swish'"),
    (["--optimizer", "nadamm"], "optimizer: expected one of adabelief,"),
    (
        ["--optimizer", "adamw:bogus=1"],
        "optimizer adamw:bogus=1: AdamW() got an unexpected keyword argument 'bogus'",
    ),
    (["--optimizer", "adamw:betas=[0.9,2]"], "betas[1]: expected a number in [0, 1), got 2"),
    (["--optimizer", "sgd,sgd"], "'sgd' is given twice"),
    (["--opt", "momentum"], "expected an option as key=value, got 'momentum'"),
    (["--schedule", "cosines"], "schedule cosines: name: expected one of constant, cosine,"),
    (["--schedule", "step:size=3"], "schedule step:size=3: size: expected one of the options of step"),
    (["--init", "he:std=1"], "init he: unknown option 'std'"),
    (["--batch-size", "1"], "--batch-size: expected at least 2 with batch normalisation, got 1"),
    (["--blas-threads", "99999999999999999999"], "--blas-threads: expected an integer of at most 2147483647"),
    (["--task", "regression"], "--task: expected only together with data"),
    (["--data", "missing.csv"], "missing.csv: no such file"),
    (["--resume", "missing.npz"], "missing.npz: No such file or directory"),
    (["--resume", "x.npz", "--lr", "1"], "--lr cannot be given with --resume"),
    (["--epoch", "3"], "unknown arguments: --epoch 3"),
]


def test_augmenting_what_is_no_image_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, X=np.random.default_rng(0).standard_normal((60, 3)), y=np.arange(60) % 2)
    assert main(["train", "--data", str(path), "--augment", "--out", str(tmp_path / "o")]) == 2
    expected = (
        f"--augment: expected images, an .npz with X of shape (rows, height, width); {path} has 3 features"
    )
    assert expected in capfd.readouterr().err


def test_what_is_read_is_never_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).standard_normal((60, 3))
    np.savez("data.npz", X=rows, y=np.arange(60) % 2)
    os.link("data.npz", "test.npz")
    train = ["train", "--data", "data.npz", "--hidden", "4", "--epochs", "1", "--quiet", "--out", "o"]
    assert main(train) == 0
    model = ["predict", "--model", "o/checkpoint.npz", "--data", "data.npz"]
    kept = {name: Path(name).read_bytes() for name in ("data.npz", "o/checkpoint.npz")}
    capfd.readouterr()
    for args, message in (
        ([*train, "--checkpoint", "data.npz"], "--checkpoint: data.npz is the file of --data"),
        ([*train, "--checkpoint", "./o/../test.npz"], "--checkpoint: o/../test.npz is the file of --data"),
        ([*model, "--output", "data.npz"], "--output: data.npz is the file of --data"),
        ([*model, "--output", "o/checkpoint.npz"], "--output: o/checkpoint.npz is the file of --model"),
    ):
        assert main(args) == 2
        err = capfd.readouterr().err
        assert (message in err, len(err.splitlines())) == (True, 1), err
        assert kept == {name: Path(name).read_bytes() for name in kept}
    assert main(["train", "--resume", "o/checkpoint.npz", "--quiet"]) == 0  # its own is written


def test_memory_that_is_short_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def short(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 1.46 TiB")

    monkeypatch.setattr("fastopt.train.session.Session.run", short)
    assert main(["train", "--quiet", "--out", str(tmp_path / "o")]) == 1
    expected = "train: error: not enough memory: Unable to allocate 1.46 TiB\n"
    assert capfd.readouterr().err.endswith(expected)


def test_a_rate_beyond_float32_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "o")
    assert main(["train", "--quiet", "--hidden", "4", "--epochs", "1", "--lr", "1e300", "--out", out]) == 1
    err = capfd.readouterr().err
    assert "train: error: adamw: lr: expected" in err
    assert len(err.splitlines()) == 1


def test_a_folder_is_no_file_of_data(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.csv").mkdir()
    for path in (tmp_path, tmp_path / "data.csv"):
        assert main(["train", "--data", str(path)]) == 2
        assert f"{path}: expected a file, got a folder" in capfd.readouterr().err


@pytest.mark.parametrize(("args", "message"), BAD)
def test_bad_arguments_give_one_line_and_code_2(
    args: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *args]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_checkpoint_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "checkpoint.npz"
    assert main(["train", *SMALL, "--out", str(tmp_path), "--quiet"]) == 0
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:5000] + b"\x00\xff" + whole[5002:], b""):
        path.write_bytes(damaged)
        capfd.readouterr()
        assert main(["train", "--resume", str(path)]) == 2
        err = capfd.readouterr().err
        assert str(path) in err
        assert len(err.splitlines()) == 1


def test_the_checkpoint_of_an_optimizer_is_not_one_of_a_training(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import fastopt

    path = tmp_path / "opt.npz"
    fastopt.Adam([np.ones(3, np.float32)]).save(path)
    assert main(["train", "--resume", str(path)]) == 2
    assert "not a checkpoint of fastopt train" in capfd.readouterr().err


def test_help_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    import fastopt

    assert main(["train", "--help"]) == 0
    text = capsys.readouterr().out
    for word in [*fastopt.optimizers(), *fastopt.schedules.names(), "--resume", "exit codes"]:
        assert word in text
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("train", "bench", "info", "selftest"))
    assert main([]) == 2
    assert main(["trane"]) == 2


def test_importing_fastopt_imports_neither_the_model_nor_the_command_line() -> None:
    wings = ("fastopt.train", "fastopt.cli")
    code = f"import sys, fastopt; print([m for m in sys.modules if m.startswith({wings})])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_progress_table_and_metrics_tell_one_speed(tmp_path: Path) -> None:
    done = train("--hidden", "24", "--epochs", "10", "--out", "o", cwd=tmp_path)
    measured = json.loads((tmp_path / "o" / "metrics.json").read_text(encoding="utf-8"))["optimizers"][
        "adamw"
    ]
    shown = re.findall(r"(\d+) training steps/s", done.stderr)
    assert len(shown) == 10
    assert float(shown[-1]) == pytest.approx(measured["steps_per_second"], abs=0.51)  # rounded
    assert "training steps/s" in done.stdout.splitlines()[0]
    assert f"{measured['steps_per_second']:,.0f}" in done.stdout.splitlines()[2].split()
    seconds = measured["seconds"]
    training = seconds["batches"] + seconds["gradients"] + seconds["optimizer"]
    assert measured["steps_per_second"] == pytest.approx(measured["steps"] / training)


def screen(text: str) -> list[str]:
    """The lines that a terminal shows after this text, by the sequences that a line renewing itself needs."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[\??\d*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif part.endswith("A") and part[0] == "\x1b":
            row -= int(part[2:-1] or 1)
        elif part in ("\x1b[2K", "\x1b[K", "\x1b[0K"):
            lines[row] = ""
        elif part[0] not in "\x1b\r":
            lines[row] += part
    return [line for line in lines if line.strip()]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="pseudo-terminals are a POSIX thing")
def test_a_terminal_gets_one_line_that_renews_itself(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        command("--hidden", "24", "--epochs", "30"), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # Linux's way to say that the other side is closed
        pass
    os.close(ours)
    assert process.wait(timeout=30) == 0
    text = shown.decode()
    live = [line for line in re.split(r"[\r\n]+", text) if "left" in line]
    assert live
    assert all(word in live[-1] for word in ("adamw", "epoch", "loss"))
    assert [line.split()[0] for line in screen(text)] == ["data", "model", "adamw:"]  # nothing is left behind
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") <= 1  # the cursor is back
