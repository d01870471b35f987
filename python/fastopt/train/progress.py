"""What looks on while `fastopt train` works: a live line on a terminal or a few plain ones; and Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
from time import perf_counter
from types import FrameType
from typing import Any

import fastopt
from fastopt.train.problem import Problem
from fastopt.train.report import describe
from fastopt.train.runs import Result
from fastopt.train.trainer import Trainer

# Seconds between two redrawings of the live line.
REDRAW_EVERY = 0.1
# Plain lines per run, and per phase of an analysis whose length is known.
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


class StopRequest:
    """Context in which the first SIGINT or SIGTERM is noted in `number`, and a second one interrupts at once.

    In any other thread than the main one Python allows no handlers: the context then does nothing.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._handle) for s in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            raise KeyboardInterrupt
        self.number = number

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells report it: 130 after Ctrl-C."""
        assert self.number is not None
        return 128 + self.number


class _LiveLine:
    """One line of a terminal that renews itself: a bar and text, by rich."""

    @classmethod
    def on(cls, stream: Any) -> _LiveLine | None:
        """A line on that stream, or None where it is no terminal or rich is not installed."""
        if not stream.isatty():
            return None
        try:
            return cls(stream)
        except ImportError:
            return None

    def __init__(self, stream: Any) -> None:
        from rich.console import Console
        from rich.live import Live

        # Drawn by us between steps: a thread of rich's own would compete with the training for the processor.
        console = Console(file=stream, highlight=False, soft_wrap=False)
        self.live = Live(console=console, auto_refresh=False, transient=True)
        self.drawn_at = 0.0

    def due(self) -> bool:
        return perf_counter() - self.drawn_at >= REDRAW_EVERY

    def draw(self, text: str, done: float, total: float) -> None:
        """The text behind a bar; `total` 0 draws none."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        line = Table.grid(padding=(0, 1))
        cells = [Text(text, no_wrap=True, overflow="ellipsis")]
        line.add_row(*([ProgressBar(total, done, width=16)] if total else []), *cells)
        self.live.start()
        self.live.update(line, refresh=True)
        self.drawn_at = perf_counter()

    def clear(self) -> None:
        self.live.stop()


class Progress:
    """A `Watcher` that writes to standard error; `stop` says whether training shall stop."""

    def __init__(self, problem: Problem, stop: StopRequest, quiet: bool = False) -> None:
        self.problem, self.stop, self.stream, self.quiet = problem, stop, sys.stderr, quiet
        self.live = None if quiet else _LiveLine.on(self.stream)
        self.trainer: Trainer | None = None
        self.told: tuple[str, str, int] | None = None

    def stop_requested(self) -> bool:
        return self.stop.number is not None

    def clear(self) -> None:
        """Take the live line away."""
        if self.live is not None:
            self.live.clear()

    def on_step(self, trainer: Trainer) -> None:
        if self.quiet:
            return
        if trainer is not self.trainer:
            self.trainer, self.loss = trainer, fastopt.EWMA(beta=0.98)
            self.first_step, self.began, self.told_epoch = trainer.step - 1, perf_counter(), trainer.epoch
        smooth = self.loss.update(trainer.last["loss"])
        if self.live is not None:
            if self.live.due():
                self.live.draw(self._live_text(trainer, smooth), trainer.step, trainer.total_steps)
        elif trainer.epoch != self.told_epoch:
            self.told_epoch = trainer.epoch
            every = max(1, trainer.settings.epochs // LINES)
            if trainer.epoch % every == 0 or trainer.status != "running":
                head = f"{trainer.label}: epoch {trainer.epoch}/{trainer.settings.epochs}"
                self._say(f"{head}  {self._facts(trainer, smooth)}")

    def on_result(self, result: Result) -> None:
        if self.quiet:
            return
        self.clear()
        name, measured = self.problem.score, result["metrics"]
        score = describe.score(name, measured["test"][name]) if measured else "-"
        time = duration(sum(result["seconds"].values()))
        head = f"{result['label']}: {result['status']} after {result['epochs']} epochs"
        self._say(f"{head}, {time}; test {name} {score}")

    def on_analysis(self, label: str, what: str, done: int, total: int) -> None:
        """A step of an analysis after training: the live line tells each, plain lines tenths of a phase."""
        if self.quiet:
            return
        count = f", {done} of {total}" if total else f", {done}" if done else ""
        if self.live is not None:
            if self.live.due():
                self.live.draw(f"{label}: curvature: {what}{count}", done, total)
            return
        told = (label, what, LINES * done // total if total else 0)
        if told != self.told:
            self.told = told
            self._say(f"{label}: curvature: {what}{count}")

    def _say(self, line: str) -> None:
        print(line, file=self.stream, flush=True)

    def _live_text(self, trainer: Trainer, smooth: float) -> str:
        # The time left counts everything, evaluation and this line too: what a clock on the wall will show.
        rate = (trainer.step - self.first_step) / max(perf_counter() - self.began, 1e-9)
        left = duration((trainer.total_steps - trainer.step) / rate)
        epoch = min(trainer.epoch + 1, trainer.settings.epochs)
        # Whatever a narrow terminal cuts off, the time left stays.
        head = f"{trainer.label} epoch {epoch}/{trainer.settings.epochs}, {left} left"
        return f"{head}  {self._facts(trainer, smooth)}"

    def _facts(self, trainer: Trainer, smooth: float) -> str:
        name, epochs = self.problem.score, trainer.history.epochs
        score = describe.score(name, epochs[f"validation_{name}"][-1]) if epochs else "-"
        facts = (
            f"loss {smooth:.4f}",
            f"validation {score}",
            f"lr {trainer.last['lr']:.2e}",
            f"|g| {trainer.last['grad_norm']:.2e}",
            f"{trainer.steps_per_second:.0f} training steps/s",
        )
        return "  ".join(facts)
