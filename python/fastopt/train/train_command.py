"""`fastopt train`: train, compare, report; or continue what was stopped."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
from pathlib import Path

from fastopt.cli import DONE, FAILED, INTERRUPTED, UsageError, program, refuse_own_input
from fastopt.train import report
from fastopt.train.arguments import DEFAULT_OUT, add_arguments
from fastopt.train.progress import Progress, StopRequest
from fastopt.train.session import Session
from fastopt.train.settings import Settings
from fastopt.train.table import diagnosis, heading, table
from fastopt.train.trainer import StepError

__all__ = ["add_arguments", "run"]

# With --resume, the settings that may be given anew: they say where, how fast, and what else is found out.
CHANGEABLE = {"data", "test_data", "threads", "diagnose", "curvature"}


def run(args: argparse.Namespace) -> int:
    """Run the sub-command; the exit code."""
    out, checkpoint = _places(args)
    try:
        session = _session(args)
        read = {"--data": session.settings.data, "--test-data": session.settings.test_data}
        refuse_own_input("--checkpoint", checkpoint, read)
        out.mkdir(parents=True, exist_ok=True)
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
    except ValueError as error:
        field, colon, rest = str(error).partition(":")
        raise UsageError(f"{_option(field)}{colon}{rest}") from None
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from None
    if not args.quiet:
        print(heading(session), file=sys.stderr, flush=True)
    stop = StopRequest()
    progress = Progress(session.problem, stop, quiet=args.quiet)
    try:
        with stop:
            finished = session.run(progress, checkpoint)
        if not finished:
            progress.clear()
            print(_how_to_resume(session, out, checkpoint), file=sys.stderr)
            return stop.exit_code
        return _report(args, session, out, checkpoint, progress)
    except KeyboardInterrupt:
        progress.clear()
        print(_how_to_resume(session, out, checkpoint), file=sys.stderr)
        return INTERRUPTED
    except StepError as error:
        progress.clear()
        print(f"{program()} train: error: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        progress.clear()
        print(f"{program()} train: {error.filename}: {error.strerror}", file=sys.stderr)
        return FAILED
    finally:
        progress.clear()  # whatever ends the run: a terminal must not be left without its cursor


def _places(args: argparse.Namespace) -> tuple[Path, Path]:
    """The folder of the results and the checkpoint's path."""
    resumed: Path | None = getattr(args, "resume", None)
    out: Path = getattr(args, "out", resumed.parent if resumed else DEFAULT_OUT)
    return out, getattr(args, "checkpoint", resumed or out / "checkpoint.npz")


def _session(args: argparse.Namespace) -> Session:
    fields = [field.name for field in dataclasses.fields(Settings)]
    given = {name: getattr(args, name) for name in fields if hasattr(args, name)}
    given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    if not hasattr(args, "resume"):
        return Session(Settings(**given))
    for name in given:
        if name not in CHANGEABLE:
            raise UsageError(
                f"{_option(name)} cannot be given with --resume: the checkpoint's own setting holds"
            )
    return Session.resume(args.resume, lambda saved: dataclasses.replace(saved, **given))


def _option(name: str) -> str:
    """The option that sets a field of `Settings`; any other text as it is."""
    if name not in {field.name for field in dataclasses.fields(Settings)}:
        return name
    return "--" + {"optimizers": "optimizer", "options": "opt"}.get(name, name).replace("_", "-")


def _report(
    args: argparse.Namespace, session: Session, out: Path, checkpoint: Path, progress: Progress
) -> int:
    document = report.write(session, out, progress.on_analysis)
    progress.clear()
    if args.json:
        json.dump(document, sys.stdout, indent=1, allow_nan=False)
        print()
    else:
        print(table(session))
        if "diagnosis" in document:
            print(f"\n{diagnosis(document['diagnosis'])}")
        for label, found in document.get("curvature", {}).items():
            print(f"\ncurvature of {label}\n{found['text']}")
        page = report.missing() or out / report.PAGE
        print(f"\nmetrics  {out / report.METRICS}\nreport   {page}\nmodel    {checkpoint}")
    return FAILED if any(result["status"] == "diverged" for result in session.results) else DONE


def _how_to_resume(session: Session, out: Path, checkpoint: Path) -> str:
    if not checkpoint.exists():
        return "stopped before the first checkpoint: there is nothing to resume"
    done = f"{len(session.results)} of {len(session.runs())} runs done"
    if session.trainer is not None:
        done += f", {session.trainer.label} at step {session.trainer.step} of {session.trainer.total_steps}"
    command = [*program().split(), "train", "--resume", str(checkpoint)]
    if out != checkpoint.parent:
        command += ["--out", str(out)]
    return f"stopped ({done}); checkpoint: {checkpoint}\nresume with: {shlex.join(command)}"
