"""`fastopt train` without its command line: each optimizer in turn, stoppable, resumable bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Protocol

import numpy as np

import fastopt
from fastopt import CheckpointError
from fastopt.train import blas, checkpoint_file, runs
from fastopt.train.checks import path_of
from fastopt.train.problem import Problem
from fastopt.train.runs import Result, Run
from fastopt.train.settings import Settings
from fastopt.train.trainer import Trainer

# Seconds between checkpoints while training runs; each is written after the epoch during which it fell due.
CHECKPOINT_EVERY = 10.0


class Watcher(Protocol):
    """What looks on while a session runs: any object with these three methods, called between steps."""

    def on_step(self, trainer: Trainer) -> None:
        """After every step."""

    def on_result(self, result: Result) -> None:
        """After every run that has ended, of which it is one of `Session.results`."""

    def stop_requested(self) -> bool:
        """Whether `Session.run` should save and return False, to be resumed later."""
        ...


class Session:
    """All runs that the settings ask for.

    Parameters
    ----------
    settings : Settings
    problem : Problem, optional
        The data made ready; by default what `settings.data` names. With folds, the first of them.

    Attributes
    ----------
    results : list of dict
        One per finished run: label, options, status, metrics on each part, history, seconds, test predictions
        and the trained model's arrays (`fastopt.train.trainer.Trainer.result`).

    Examples
    --------
    >>> import fastopt.train
    >>> session = fastopt.train.Session(fastopt.train.Settings(epochs=5, hidden=(32,)))
    >>> session.run()
    True
    >>> session.results[0]["metrics"]["test"]["accuracy"] > 0.8
    True
    """

    def __init__(self, settings: Settings, problem: Problem | None = None) -> None:
        self.settings = settings
        self.problem = Problem.of(settings) if problem is None else problem
        self.fingerprint = self.problem.dataset.fingerprint()
        self.results: list[Result] = []
        self.trainer: Trainer | None = None
        self._latest: tuple[int, Problem] | None = None
        if settings.threads is not None:
            fastopt.set_num_threads(settings.threads)
        self.blas_threads = settings.blas_threads or blas.suitable(settings.batch_size, self._widths())
        with blas.limited(self.blas_threads):
            pass  # raises now if that is impossible
        # Built once each before anything is trained: a wrong option of the third optimizer is an error now.
        for run in self.runs():
            if not run.fold:
                Trainer(run, self.problem)

    def run(self, watcher: Watcher | None = None, checkpoint: str | Path | None = None) -> bool:
        """Train until all runs are done (True) or the watcher asks to stop (False).

        With `checkpoint` the state is saved there every few seconds, when stopped and at the end.
        """
        checkpoint = None if checkpoint is None else path_of("checkpoint", checkpoint)
        # Overflow is what diverging looks like; it is found in the losses and reported as such.
        with blas.limited(self.blas_threads), np.errstate(over="ignore", invalid="ignore"):
            self._run(watcher, checkpoint)
        if checkpoint is not None:
            self.save(checkpoint)
        return self.finished

    def _run(self, watcher: Watcher | None, checkpoint: Path | None) -> None:
        saved_at = monotonic()
        stopped = False
        while not stopped and not self.finished:
            if self.trainer is None:
                self.trainer = self._next_trainer()
            trainer = self.trainer
            for _ in trainer.run():
                if watcher is not None and trainer.step:
                    watcher.on_step(trainer)
                if trainer.status != "running":
                    self._finish(trainer, watcher)
                    break
                due = (
                    trainer.step % trainer.steps_per_epoch == 0 and monotonic() - saved_at > CHECKPOINT_EVERY
                )
                if due and checkpoint is not None:
                    self.save(checkpoint)
                    saved_at = monotonic()
                stopped = watcher is not None and watcher.stop_requested()
                if stopped:
                    break

    def _next_trainer(self) -> Trainer:
        run = self.runs()[len(self.results)]
        return Trainer(run, self.problem_of(run.fold))

    def problem_of(self, fold: int | None) -> Problem:
        """The data as that fold splits it; the latest one is kept: they are asked for in their order."""
        if not fold:
            return self.problem
        if self._latest is None or self._latest[0] != fold:
            self._latest = fold, Problem(self.problem.dataset, self.settings, fold)
        return self._latest[1]

    def blas_advice(self) -> str | None:
        """What would spare matrix products from waiting for each other, if they may; else None."""
        return blas.advice(self.settings.batch_size, self._widths())

    def _widths(self) -> tuple[int, ...]:
        """Of the largest model that will be trained."""
        inputs, outputs = self.problem.sizes
        settings = runs.larger(self.settings) if self.settings.diagnose else self.settings
        return inputs, *settings.hidden, outputs

    def runs(self) -> list[Run]:
        """All runs, as far as the results so far decide them."""
        return runs.runs(self.settings, self.results)

    @property
    def finished(self) -> bool:
        return len(self.results) == len(self.runs())

    def _finish(self, trainer: Trainer, watcher: Watcher | None) -> None:
        self.results.append(trainer.result())
        self.trainer = None
        if watcher is not None:
            watcher.on_result(self.results[-1])

    def save(self, path: Path) -> None:
        """Write the whole state to `path`, whole or not at all."""
        data, encoding = self.problem.dataset, self.problem.encoding
        trainer = None if self.trainer is None else self.trainer.state_dict()
        checkpoint_file.save(
            path,
            {
                "settings": self.settings.as_dict(),
                "data": {
                    "name": data.name,
                    "fingerprint": self.fingerprint,
                    "features": data.features,
                    "target": data.target,
                    "image_shape": data.image_shape,
                },
                **encoding.as_dict(),
                "results": self.results,
                "trainer": trainer,
            },
        )

    @classmethod
    def resume(
        cls, path: Path, change: Callable[[Settings], Settings] = lambda settings: settings
    ) -> Session:
        """The session saved at `path`; `change` may replace settings that do not touch the outcome."""
        state = checkpoint_file.load(path)
        session = cls(change(Settings.from_dict(state["settings"])))
        dataset = session.problem.dataset
        if session.fingerprint != state["data"]["fingerprint"]:
            raise CheckpointError(f"{path}: {dataset.name} does not hold the data of this checkpoint")
        session.results = state["results"]
        if state["trainer"] is not None:
            session.trainer = session._next_trainer()
            session.trainer.load_state_dict(state["trainer"])
        return session
