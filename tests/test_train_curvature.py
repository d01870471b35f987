"""The curvature of trained models: against NumPy on the same Hessian, at a known minimum, on the page."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.cli import main
from fastopt.curvature import spectral_density
from fastopt.train import Dataset, Objective, Problem, Session, Settings, digits, spectrum
from fastopt.train.analysis import TrainingLoss, analyse, expected_seconds, reading
from fastopt.train.optimizers import build_model, build_optimizer, l2_in_loss, trained_model
from fastopt.train.spectrum import bells
from fastopt.train.table import heading
from stopping import StopAfter

SMALL: dict[str, Any] = {"hidden": (8,), "epochs": 3, "dropout": 0.2}


def silent(*_: object) -> None:
    pass


def trained(problem: Problem | None = None, **settings: Any) -> Session:
    session = Session(Settings(**{**SMALL, **settings}), problem)
    assert session.run()
    return session


def objective_of(session: Session, **options: Any) -> Objective:
    problem = session.problem
    model = trained_model(session.runs()[0], problem, session.results[0])
    return Objective(model, problem.x["train"], problem.t["train"], **options)


@pytest.mark.parametrize("bn_test", ["exact", "running"])
def test_a_small_model_s_analysis_is_that_of_its_whole_hessian(bn_test: str) -> None:
    session = trained(curvature=True, bn_test=bn_test)
    (found,) = analyse(session, silent)
    loss = objective_of(session, batch_statistics=bn_test == "exact")
    h = loss.hessian(loss.theta)
    values = np.linalg.eigvalsh(h)
    assert (found.n, found.method, found.label) == (loss.n, "dense", "adamw")
    # The loss is the one that was measured, in float32, when training ended.
    assert found.loss == pytest.approx(session.results[0]["metrics"]["train"]["loss"], rel=1e-5)
    np.testing.assert_allclose(found.smallest, values[:6], atol=1e-12)
    np.testing.assert_allclose(found.largest, values[-6:], atol=1e-12)
    assert found.n_negative == (values < -found.tolerance).sum()
    assert found.n_positive == (values > found.tolerance).sum()
    assert found.gradient_norm == pytest.approx(np.linalg.norm(loss.gradient(loss.theta)))
    assert [layer.name for layer in found.layers] == ["layer1", "layer2"]
    assert [layer.n for layer in found.layers] == [64 * 8 + 2 * 8, 8 * 10 + 10]
    traces = [np.trace(h[:528, :528]), np.trace(h[528:, 528:])]
    np.testing.assert_allclose([layer.trace for layer in found.layers], traces, rtol=1e-10)
    assert ("these rows'" if bn_test == "exact" else "constant") in found.about
    assert "all 1078 training rows" in found.about


def test_the_minimum_of_a_convex_loss_is_called_one() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 3))
    y = x @ rng.standard_normal((3, 2)) + rng.standard_normal((200, 2))
    settings = Settings(
        hidden=(),
        epochs=200,
        batch_size=120,
        optimizers=("sgd:lr=0.5",),
        schedule="constant",
        weight_decay=0.1,
        curvature=True,
    )
    session = trained(Problem(Dataset("lines", x, y, ()), settings), **settings.as_dict())
    (found,) = analyse(session, silent)
    assert found.kind == "minimum"
    assert found.min_ratio == (1.0, 1.0)
    inputs = np.hstack([session.problem.x["train"], np.ones((120, 1))]).astype(float)
    block = inputs.T @ inputs / 120 + np.diag([0.1, 0.1, 0.1, 0.0])  # the penalty belongs to the loss
    np.testing.assert_allclose(found.largest[-1], np.linalg.eigvalsh(block)[-1], rtol=1e-9)
    assert "with the L2 penalty 0.1" in found.about


def test_a_large_model_s_analysis_needs_products_alone() -> None:
    """Linear regression with ten outputs: the Hessian is known, 501 eigenvalues of 10 copies each."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1500, 500)) * np.linspace(0.5, 2, 500)
    settings = Settings(hidden=(), epochs=2, curvature=True, optimizers=("sgd:lr=0.01",))
    problem = Problem(Dataset("wide", x, rng.standard_normal((1500, 10)), ()), settings)
    session = trained(problem, hidden=(), epochs=2, curvature=True, optimizers=("sgd:lr=0.01",))
    steps: list[str] = []
    (found,) = analyse(session, lambda label, what, done, total: steps.append(what))
    assert (found.n, found.method) == (5010, "Lanczos")
    inputs = np.hstack([problem.x["train"], np.ones((900, 1))]).astype(float)
    block = inputs.T @ inputs / 900
    values = np.linalg.eigvalsh(block)
    np.testing.assert_allclose([found.smallest[0], found.largest[-1]], values[[0, -1]], rtol=1e-6)
    assert [layer.name for layer in found.layers] == ["layer1"]
    assert found.layers[0].deviation > 0
    assert abs(found.layers[0].trace - 10 * values.sum()) < 5 * found.layers[0].deviation
    # All are positive: the bounds may leave the weight of the nodes beside 0 open, and no more.
    assert 0.8 < found.min_ratio[0] < found.min_ratio[1] == 1.0
    assert found.min_ratio_beyond == (1.0, 1.0)
    density = found.density
    assert density.low is not None
    area = sum(density.density) * (density.at[1] - density.at[0])
    assert area == pytest.approx(1.0, rel=0.02)
    assert list(dict.fromkeys(steps)) == ["verdict", "spectral density", "trace per layer"]
    assert found.products < 0.5 * found.n


def test_the_share_of_positive_eigenvalues_is_within_its_intervals() -> None:
    """A spectrum with a crowd at 0, as those of networks: from -0.3 to 1, nine tenths of it within 1e-3."""
    rng = np.random.default_rng(0)
    crowd, spread = 1e-3 * rng.uniform(-1, 1, 4500), np.concatenate([-0.3 * rng.random(100), rng.random(400)])
    values = np.concatenate([crowd, spread])
    density = spectral_density(lambda v: values * v, 5000, probes=spectrum.PROBES, steps=60)
    low, high = spectrum.positive(density)
    assert low <= (values > 0).mean() <= high
    low, high = spectrum.decided(density)
    beyond = values[np.abs(values) > spectrum.BEYOND * np.abs(values).max()]
    assert low <= (beyond > 0).mean() <= high
    assert high - low < 0.2


def test_a_large_model_s_readings_are_of_the_eigenvalues_away_from_zero() -> None:
    session = trained(hidden=(32,), epochs=2, curvature_every=2)
    columns = session.results[0]["history"]["curvature"]
    assert columns["rows"] == [512] * 2
    assert columns["beyond"] == [spectrum.BEYOND] * 2
    problem = session.problem
    model = trained_model(session.runs()[0], problem, session.results[0])
    loss = Objective(model, problem.x["train"][:512], problem.t["train"][:512])
    assert columns["loss"][-1] == pytest.approx(loss.value(loss.theta), rel=1e-6)
    values = np.linalg.eigvalsh(loss.hessian(loss.theta))
    beyond = values[np.abs(values) > spectrum.BEYOND * np.abs(values).max()]
    share = (beyond > 0).mean()
    width = columns["high"][-1] - columns["low"][-1]
    assert 0.6 < share < 1
    assert columns["low"][-1] - width < share < columns["high"][-1] + width


def test_the_penalty_is_in_the_loss_where_the_optimizer_has_it_there() -> None:
    """As the classes say it themselves."""
    for name, cls in fastopt.optimizers().items():
        settings = Settings(hidden=(4,), optimizers=(name,), weight_decay=0.25)
        problem = Problem(digits(), settings)
        optimizer = build_optimizer(
            settings.optimizer_specs()[0], settings, build_model(settings, problem), total_steps=1
        )
        group = optimizer.param_groups[0]
        coupled = cls.rule.decay(group) == "coupled"
        assert l2_in_loss(optimizer) == (0.25 if coupled else 0.0), name


def test_the_density_s_bells_have_the_area_one() -> None:
    values = np.sort(np.random.default_rng(0).standard_normal(700) ** 3)
    at, density = bells(values)
    area = density * (at[1] - at[0])
    assert area.sum() == pytest.approx(1.0, rel=1e-3)
    assert (area * at).sum() == pytest.approx(values.mean(), abs=1e-2)
    at, density = bells(np.zeros(5))
    assert (density * (at[1] - at[0])).sum() == pytest.approx(1.0, rel=1e-3)


def test_readings_are_taken_before_training_and_every_so_many_epochs() -> None:
    session = trained(epochs=5, curvature_every=2)
    columns = session.results[0]["history"]["curvature"]
    assert columns["epoch"] == [0, 2, 4]
    assert columns["step"] == [0, 66, 132]
    assert columns["rows"] == [1024] * 3
    assert columns["loss"][0] > columns["loss"][1] > columns["loss"][2]
    assert all(0 < low <= high <= 1 for low, high in zip(columns["low"], columns["high"], strict=True))
    # The last one, once more by hand.
    session = trained(epochs=4, curvature_every=2)
    problem = session.problem
    model = trained_model(session.runs()[0], problem, session.results[0])
    loss = Objective(model, problem.x["train"][:1024], problem.t["train"][:1024])
    values = np.linalg.eigvalsh(loss.hessian(loss.theta))
    tau = loss.n * np.finfo(float).eps * np.abs(values).max()
    columns = session.results[0]["history"]["curvature"]
    assert columns["loss"][-1] == pytest.approx(loss.value(loss.theta), rel=1e-6)
    assert columns["low"][-1] == pytest.approx((values > tau).mean(), abs=2 / loss.n)
    assert columns["high"][-1] == pytest.approx((values > -tau).mean(), abs=2 / loss.n)


def test_readings_leave_the_training_as_it_is() -> None:
    plain, read = trained(), trained(curvature_every=1)
    for name, value in plain.results[0]["parameters"].items():
        assert value.tobytes() == read.results[0]["parameters"][name].tobytes()
    assert plain.results[0]["metrics"] == read.results[0]["metrics"]


def test_readings_survive_a_stop(tmp_path: Path) -> None:
    settings = Settings(**SMALL, curvature_every=1)
    whole, session = trained(curvature_every=1), Session(settings)
    while not session.run(StopAfter(17), tmp_path / "c.npz"):
        session = Session.resume(tmp_path / "c.npz")
    assert session.results[0]["history"] == whole.results[0]["history"]
    assert len(session.results[0]["history"]["curvature"]["epoch"]) == 4


def test_a_model_that_is_no_longer_finite_has_no_ratio() -> None:
    settings = Settings(**SMALL)
    problem = Problem(digits(), settings)
    model = build_model(settings, problem)
    model.parameters[0][0, 0] = np.nan
    row = reading(model, settings, problem, 0.0)
    assert np.isnan(row["low"])
    assert np.isnan(row["high"])
    assert not TrainingLoss.of(model, settings, problem, 0.0, 100).finite()


def page_of(out: Path) -> tuple[str, ET.Element]:
    text = (out / "report.html").read_text("utf-8")
    return text, ET.fromstring(text.removeprefix("<!DOCTYPE html>"))


ARGS = ["--hidden", "8", "--epochs", "4", "--optimizer", "adamw,sgd"]


def test_the_analysis_is_told_everywhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "o"
    assert main(["train", *ARGS, "--curvature", "--curvature-every", "2", "--out", str(out)]) == 0
    told, progress = capfd.readouterr()
    content = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert list(content["curvature"]) == ["adamw", "sgd"]
    for label, found in content["curvature"].items():
        assert f"curvature of {label}\n{found['text']}" in told
        assert found["n"] == content["model"]["parameters"] == sum(layer["n"] for layer in found["layers"])
        assert content["optimizers"][label]["curvature_history"]["epoch"] == [0, 2, 4]
    assert "sgd: curvature: verdict" in progress
    text, root = page_of(out)
    assert "Spectral density of the Hessian" in text
    assert "Loss against minimum ratio" in text
    charts = [element for element in root.iter() if element.get("class") == "chart"]
    assert len(charts) == 6  # four of the training, the density, the ratio over the epochs
    for svg in root.iter("{http://www.w3.org/1999/xhtml}svg"):
        assert "nan" not in ET.tostring(svg, "unicode").lower()


@pytest.mark.parametrize("hidden", [(8,), (64, 32)])
def test_an_analysis_is_announced_with_about_the_time_it_takes(hidden: tuple[int, ...]) -> None:
    session = trained(hidden=hidden, epochs=1, curvature=True)
    assert re.search(r"note   --curvature .* roughly [0-9.:]+", heading(session))
    announced = expected_seconds(session)
    steps: list[tuple[str, int, int]] = []
    (found,) = analyse(session, lambda label, *step: steps.append(step))
    # A machine that others use as well is no clock: an order of magnitude is what is promised here.
    assert announced / 10 < found.seconds < 10 * announced + 1
    assert any(total and done for _, done, total in steps)
    assert all(done <= total for _, done, total in steps if total)


def test_a_finished_run_is_analysed_without_training_it_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o"
    assert main(["train", *ARGS, "--out", str(out), "--quiet"]) == 0
    before = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert "curvature" not in before
    assert "Curvature" not in page_of(out)[0]
    assert main(["train", "--resume", str(out / "checkpoint.npz"), "--curvature", "--quiet", "--json"]) == 0
    after = json.loads(capfd.readouterr().out.partition("\nmodel ")[2].partition("\n")[2])
    assert after["optimizers"] == before["optimizers"]
    assert list(after["curvature"]) == ["adamw", "sgd"]


def test_a_run_that_diverged_is_not_analysed(tmp_path: Path) -> None:
    args = ["--hidden", "4", "--epochs", "1", "--no-batch-norm", "--optimizer", "sgd:lr=1e30,adamw"]
    assert (
        main(["train", *args, "--curvature", "--curvature-every", "1", "--out", str(tmp_path), "--quiet"])
        == 1
    )
    assert list(json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))["curvature"]) == ["adamw"]
    page_of(tmp_path)
