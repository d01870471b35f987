"""The arguments of `fastopt train`: each sets the field of `fastopt.train.Settings` of its `dest`."""

from __future__ import annotations

import argparse
from pathlib import Path

import fastopt
from fastopt.cli import train_arguments_model, train_arguments_training

DEFAULT_OUT = Path("fastopt-train")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare all arguments; those not given stay out of the namespace: the defaults are `Settings`' own."""
    parser.argument_default = argparse.SUPPRESS
    parser.usage = "%(prog)s [options]"
    parser.epilog = f"""\
examples:
  {parser.prog}
  {parser.prog} --optimizer adamw,sgd:momentum=0.9,nesterov=true,rmsprop
  {parser.prog} --data mine.csv --target price --hidden 64,64 --epochs 200 --early-stopping 20
  {parser.prog} --folds 5 --augment --hidden 64,64 --residual
  {parser.prog} --subset 0.1 --diagnose
  {parser.prog} --resume {DEFAULT_OUT}/checkpoint.npz

optimizers: {_wrap(sorted(fastopt.optimizers()))}
schedules:  {_wrap(fastopt.schedules.NAMES)}

exit codes: 0 done; 1 a run diverged or the results could not be written; 2 wrong arguments or unusable data;
130 stopped by Ctrl-C (143 by SIGTERM), with a checkpoint to resume from"""
    train_arguments_model.data(parser)
    train_arguments_model.model(parser)
    train_arguments_training.training(parser)
    train_arguments_training.findings(parser)
    _files(parser)


def _wrap(names: object) -> str:
    lines = [""]
    for name in list(names):  # type: ignore[call-overload]
        if len(lines[-1]) + len(name) > 90:
            lines.append("")
        lines[-1] += f"{name} "
    return ("\n" + 12 * " ").join(line.rstrip() for line in lines)


def _files(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("files and output")
    group.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"folder of metrics.json and report.html; default {DEFAULT_OUT}, with --resume the checkpoint's",
    )
    group.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE.npz",
        help="written while training, when stopped and at the end; default checkpoint.npz in --out",
    )
    group.add_argument(
        "--resume",
        type=Path,
        metavar="FILE.npz",
        help="continue from a checkpoint, with the settings that are in it and to the same bits",
    )
    group.add_argument(
        "--json", action="store_true", default=False, help="print metrics.json instead of the table"
    )
    group.add_argument("--quiet", action="store_true", default=False, help="no progress")
