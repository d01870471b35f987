"""One optimizer's run: model, optimizer, batches and their place, history; stoppable after any step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter
from typing import Any

import numpy as np

import fastopt
from fastopt.train.optimizers import (
    base_lr,
    build_model,
    build_optimizer,
    gradient_norm,
    l2_in_loss,
    optimizer_options,
)
from fastopt.train.problem import PARTS, Part, Problem
from fastopt.train.runs import History, Result, Run, steps_per_second

# Training rows that the curves are measured on after each epoch; all are measured at the end.
CURVE_ROWS = 2048


class StepError(ValueError):
    """A step that the optimizer refuses: of a rate that its precision does not hold, say."""


class Trainer:
    """Trains one model with one optimizer; `run` is a generator that yields after every step."""

    def __init__(self, run: Run, problem: Problem) -> None:
        spec, settings = run.spec, run.settings
        self.planned, self.settings, self.problem = run, settings, problem
        self.label = run.label
        rows = len(problem.x["train"])
        # A short last batch would give batch normalisation poor statistics (of a single row: none at all).
        drop_last = settings.batch_norm and rows >= settings.batch_size
        self.batches = fastopt.batches(
            problem.x["train"],
            problem.t["train"],
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            seed=settings.seed,
            drop_last=drop_last,
        )
        self.steps_per_epoch = self.batches.steps_per_epoch
        self.total_steps = len(self.batches)
        self.model = build_model(settings, problem)
        self.optimizer = build_optimizer(spec, settings, self.model, self.total_steps)
        self.options = optimizer_options(spec, settings)
        self.l2 = l2_in_loss(self.optimizer)
        self.lr = base_lr(spec, settings)
        self.dropout_rng = np.random.default_rng([settings.seed, 2])
        self.history = History(self.total_steps)
        self.step = 0
        self.epoch = 0
        self.status = "running"
        self.last = {"loss": float("nan"), "lr": self.lr, "grad_norm": float("nan")}
        self.sums = {"loss": 0.0, "grad_norm": 0.0}
        self.seconds = {"batches": 0.0, "gradients": 0.0, "optimizer": 0.0, "evaluation": 0.0}
        self.best: dict[str, Any] | None = None

    def run(self) -> Iterator[None]:
        """Train to the end, yielding after every step in a state that can be saved."""
        if self.step == 0:
            self._read_curvature()
        before = perf_counter()
        for x, t in self.batches:
            if self.problem.augmenter is not None:
                # Drawn from the step's number: nothing to be saved for the rest of the run to be the same.
                x = self.problem.augmenter(x, np.random.default_rng([self.settings.seed, 4, self.step]))
            before = self._clock("batches", before)
            self._train_step(x, t)
            if self.status == "running" and self.step % self.steps_per_epoch == 0:
                self._end_epoch()
            if self.status != "running":
                break
            if self.step < self.total_steps:
                yield
            before = perf_counter()
        if self.status == "running":
            self.status = "finished"
        if self.best is not None and self.status != "diverged":
            self.model.restore(self.best["model"])
        yield

    def _clock(self, what: str, since: float) -> float:
        now = perf_counter()
        self.seconds[what] += now - since
        return now

    def _train_step(self, x: Any, t: Any) -> None:
        lr = self.optimizer.param_groups[0]["lr"]
        before = perf_counter()
        loss, _ = self.model.loss_and_gradients(x, t, self.dropout_rng)
        before = self._clock("gradients", before)
        self.last = {"loss": loss, "lr": lr(self.step) if callable(lr) else lr, "grad_norm": float("nan")}
        if not np.isfinite(loss) and self.options.get("nonfinite") != "skip":
            self.status = "diverged"
            return
        before = perf_counter()
        try:
            self.optimizer.step()
        except ValueError as error:
            if self.options.get("nonfinite") != "raise":
                raise StepError(f"{self.label}: {error}") from None
            self.status = "diverged"
            return
        self._clock("optimizer", before)
        self.last["grad_norm"] = gradient_norm(self.optimizer, self.options, self.model)
        self.sums["loss"] += loss
        self.sums["grad_norm"] += self.last["grad_norm"]
        if self.history.wants(self.step):
            self.history.add(self.history.steps, step=self.step, **self.last)
        self.step += 1

    @contextmanager
    def _as_tested(self) -> Iterator[None]:
        """The model as it is tested: averaged weights and exact statistics where they were asked for."""
        with ExitStack() as stack:
            if self.options.get("ema_decay") is not None:
                stack.enter_context(self.optimizer.ema_weights())
            elif hasattr(self.optimizer, "averaged_weights"):  # of Schedule-Free: what training is for
                stack.enter_context(self.optimizer.averaged_weights())
            if self.settings.batch_norm and self.settings.bn_test == "exact":
                stack.enter_context(self.model.exact_statistics(self.problem.x["train"]))
            yield

    def _end_epoch(self) -> None:
        before = perf_counter()
        self.epoch += 1
        row = {f"mean_{key}": value / self.steps_per_epoch for key, value in self.sums.items()}
        self.sums = dict.fromkeys(self.sums, 0.0)
        with self._as_tested():
            limits: dict[Part, int | None] = {"train": CURVE_ROWS, "validation": None}
            for part, limit in limits.items():
                measured = self.problem.measure(self.model, part, limit)
                row |= {f"{part}_{key}": value for key, value in measured.items()}
            self._keep_best(row["validation_loss"])
            self._read_curvature()
        self._report(row["validation_loss"])
        if not np.isfinite(row["train_loss"]):
            self.status = "diverged"
        columns = self.history.epochs
        self.history.add(columns, epoch=self.epoch, step=self.step, lr=self.last["lr"], **row)
        self._clock("evaluation", before)

    def _report(self, loss: float) -> None:
        """Tell the schedules; `reduce_on_plateau` listens. Groups may share one."""
        rates = {id(group["lr"]): group["lr"] for group in self.optimizer.param_groups}
        for lr in rates.values():
            if isinstance(lr, fastopt.schedules.Schedule):
                lr.report(loss)

    def _read_curvature(self) -> None:
        """A reading before the first step and after every so many epochs, if the settings want any."""
        every = self.settings.curvature_every
        if every is None or self.epoch % every or self.planned.larger:
            return
        from fastopt.train.analysis import reading

        row = reading(self.model, self.settings, self.problem, self.l2)
        self.history.add(self.history.curvature, epoch=self.epoch, step=self.step, **row)

    def _keep_best(self, loss: float) -> None:
        """Remember the model: the last one, or with early stopping the one of least validation loss."""
        patience = self.settings.early_stopping
        if patience is None:
            better = self.epoch == self.settings.epochs
        else:
            better = self.best is None or loss < self.best["loss"]
        if better:
            self.best = {"loss": loss, "epoch": self.epoch, "model": self.model.snapshot()}
        elif patience is not None and self.best is not None and self.epoch - self.best["epoch"] >= patience:
            self.status = "stopped early"

    @property
    def steps_per_second(self) -> float:
        """As `fastopt.train.runs.steps_per_second` has it, so far."""
        return steps_per_second(self.step, self.seconds)

    def result(self) -> Result:
        """Everything of a run that is over that the report and later analyses need."""
        diverged, best, run, model = self.status == "diverged", self.best, self.planned, self.model
        measured = {part: self.problem.measure(model, part) for part in PARTS} if not diverged else None
        return {
            "label": run.label,
            "spec": run.spec.text,
            "fold": run.fold,
            "larger": run.larger,
            "optimizer": run.spec.name,
            "options": {key: value for key, value in self.options.items() if key != "lr"},
            "lr": self.lr,
            "status": self.status,
            "steps": self.step,
            "epochs": self.epoch,
            "tested_epoch": best["epoch"] if best and not diverged else None,
            "metrics": measured,
            "history": self.history.columns(),
            "l2": self.l2,
            "seconds": dict(self.seconds),
            "test_values": model.values(self.problem.x["test"]),
            **model.snapshot(),
        }

    def state_dict(self) -> dict[str, Any]:
        """All that decides the rest of the run."""
        return {
            "model": self.model.snapshot(),
            "optimizer": self.optimizer.state_dict(),
            "batches": self.batches.state_dict(),
            "dropout_rng": self.dropout_rng.bit_generator.state,
            "history": self.history.columns(),
            "position": {key: getattr(self, key) for key in ("step", "epoch", "status")},
            "last": self.last,
            "sums": self.sums,
            "seconds": self.seconds,
            "best": self.best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from where `state_dict` was taken, by a trainer of the same settings."""
        self.model.restore(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.batches.load_state_dict(state["batches"])
        self.dropout_rng.bit_generator.state = state["dropout_rng"]
        self.history.load_columns(state["history"])
        for key, value in state["position"].items():
            setattr(self, key, value)
        self.last, self.sums = state["last"], state["sums"]
        self.seconds, self.best = state["seconds"], state["best"]
