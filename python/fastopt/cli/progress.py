"""What one sees while `fastopt train` works: a live line on a terminal, else a few plain lines."""

from __future__ import annotations

import os
import sys
from time import perf_counter
from typing import Any

import fastopt
from fastopt.train import Problem, Trainer
from fastopt.train.report import describe

# Seconds between two redrawings of the line.
REDRAW_EVERY = 0.1
# Plain lines per run.
LINES = 10


def duration(seconds: float) -> str:
    """Seconds as a person reads them.

    >>> duration(3.14), duration(75), duration(7265)
    ('3.1 s', '1:15', '2:01:05')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Progress:
    """A `Watcher` that writes to standard error; `stop` says whether training shall stop."""

    def __init__(self, problem: Problem, stop: Any, quiet: bool = False) -> None:
        self.problem, self.stop, self.stream = problem, stop, sys.stderr
        self.quiet = quiet
        self.live = self.stream.isatty() and not quiet
        self.trainer: Trainer | None = None
        self.drawn = False
        self.analysed_at, self.phase = 0.0, ""

    def stop_requested(self) -> bool:
        return self.stop.number is not None

    def _begin(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.loss = fastopt.EWMA(beta=0.98)
        self.first_step, self.began = trainer.step - 1, perf_counter()
        self.drawn_at, self.reported_epoch = 0.0, trainer.epoch

    def on_step(self, trainer: Trainer) -> None:
        if self.quiet:
            return
        if trainer is not self.trainer:
            self._begin(trainer)
        self.smooth = self.loss.update(trainer.last["loss"])
        if self.live:
            now = perf_counter()
            if now - self.drawn_at >= REDRAW_EVERY:
                self.drawn_at = now
                self._draw(self._live_line(trainer))
        elif trainer.epoch != self.reported_epoch:
            self.reported_epoch = trainer.epoch
            every = max(1, trainer.settings.epochs // LINES)
            if trainer.epoch % every == 0 or trainer.status != "running":
                print(self._plain_line(trainer), file=self.stream, flush=True)

    def on_result(self, result: dict[str, Any]) -> None:
        if self.quiet:
            return
        self.clear()
        name = self.problem.score
        measured = result["metrics"]
        score = describe.score(name, measured["test"][name]) if measured else "-"
        time = duration(sum(result["seconds"].values()))
        print(
            f"{result['label']}: {result['status']} after {result['epochs']} epochs, {time};",
            f"test {name} {score}",
            file=self.stream,
            flush=True,
        )

    def on_analysis(self, label: str, what: str, done: int, total: int) -> None:
        """A step of an analysis after training: the live line tells it, plain lines each of its phases."""
        if self.quiet:
            return
        if self.live:
            now = perf_counter()
            if now - self.analysed_at >= REDRAW_EVERY:
                self.analysed_at = now
                count = f", {done} of {total}" if total else f", {done}" if done else ""
                self._draw(f"{label}: {what}{count}")
        elif what != self.phase:
            self.phase = what
            print(f"{label}: curvature: {what}", file=self.stream, flush=True)

    def _speed(self, trainer: Trainer) -> float:
        return (trainer.step - self.first_step) / max(perf_counter() - self.began, 1e-9)

    def _facts(self, trainer: Trainer) -> list[str]:
        name = self.problem.score
        epochs = trainer.history.epochs
        score = describe.score(name, epochs[f"validation_{name}"][-1]) if epochs else "-"
        return [
            f"loss {self.smooth:.4f}",
            f"validation {score}",
            f"lr {trainer.last['lr']:.2e}",
            f"|g| {trainer.last['grad_norm']:.2e}",
            f"{self._speed(trainer):.0f} steps/s",
        ]

    def _live_line(self, trainer: Trainer) -> str:
        share = trainer.step / trainer.total_steps
        filled = round(16 * share)
        bar = "█" * filled + "░" * (16 - filled)
        left = duration((trainer.total_steps - trainer.step) / self._speed(trainer))
        epoch = min(trainer.epoch + 1, trainer.settings.epochs)
        # Whatever a narrow terminal cuts off, the time left stays.
        head = f"{trainer.label} {bar} epoch {epoch}/{trainer.settings.epochs}, {left} left"
        return "  ".join([head, *self._facts(trainer)])

    def _plain_line(self, trainer: Trainer) -> str:
        head = f"{trainer.label}: epoch {trainer.epoch}/{trainer.settings.epochs}"
        return "  ".join([head, *self._facts(trainer)])

    def _draw(self, line: str) -> None:
        columns = os.get_terminal_size(self.stream.fileno()).columns or 80  # some terminals say 0
        width = columns - 1
        encoding = self.stream.encoding or "ascii"
        line = line[:width].encode(encoding, "replace").decode(encoding)
        self.stream.write(f"\r{line}\x1b[K")
        self.stream.flush()
        self.drawn = True

    def clear(self) -> None:
        """Take the live line away."""
        if self.drawn:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
            self.drawn = False
