"""`fastopt predict`: what a trained model says about new data."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from fastopt.cli import DONE, UsageError, refuse_own_input
from fastopt.train.predictor import Predictor, load

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this sub-command."""
    parser.epilog = """\
The model is the file that `fastopt train` calls "model", fastopt-train/checkpoint.npz by default. New data
need no target: columns of a .csv are found by the names of the training data's header line, or, without one,
are the features in their order; an .npz has an array X. Predictions are in the units of the training data."""
    parser.add_argument("--model", type=Path, required=True, metavar="FILE.npz", help="what was trained")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="FILE", help=".csv or .npz to predict for"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="a .csv with a line per row, or an .npz with an array `prediction` (and `probabilities` of "
        "classes); default: a .csv on standard output",
    )
    parser.add_argument(
        "--run", dest="label", help="which of several runs; default: of least validation loss"
    )


def run(args: argparse.Namespace) -> int:
    """Predict and write; the exit code."""
    output: Path | None = args.output
    if output is not None and output.suffix.lower() not in (".csv", ".npz"):
        raise UsageError(f"--output: expected a file ending in .csv or .npz, got {output}")
    try:
        if output is not None:
            refuse_own_input("--output", output, {"--data": args.data, "--model": args.model})
        model = load(args.model, args.label)
        x = model.read(args.data)
        answers = _answers(model, x, args.data)
        if output is None:
            _write_csv(sys.stdout, answers["prediction"], model.target)
        elif output.suffix.lower() == ".csv":
            with output.open("w", encoding="utf-8", newline="") as file:
                _write_csv(file, answers["prediction"], model.target)
        else:
            np.savez(output, **answers)
    except BrokenPipeError:  # the reader of our output has had enough, as `| head` does
        sys.stderr.close()
        return DONE
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{'--' if str(error).startswith('run:') else ''}{error}") from None
    if output is not None:
        print(f"{len(x)} predictions of {model.run} in {output}", file=sys.stderr)
    return DONE


def _answers(model: Predictor, x: Any, path: Path) -> dict[str, Any]:
    try:
        answers = {"prediction": model.predict(x)}
        return answers | ({"probabilities": model.probabilities(x)} if model.labels else {})
    except ValueError as error:
        raise ValueError(f"{path}: {str(error).removeprefix('data: ')}") from None


def _write_csv(file: TextIO, predictions: Any, target: str | None) -> None:
    """A header and a line per row; a number has the digits that give it back exactly."""
    name, columns = target or "prediction", predictions.reshape(len(predictions), -1)
    writer = csv.writer(file, lineterminator="\n")
    many = columns.shape[1] > 1
    writer.writerow([f"{name} {i + 1}" for i in range(columns.shape[1])] if many else [name])
    writer.writerows(columns.tolist())
