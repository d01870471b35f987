"""The arguments of `fastopt train`: each sets the field of `fastopt.train.Settings` of its `dest`."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fastopt
from fastopt.train import augment
from fastopt.train.argument_types import optimizers, several
from fastopt.train.initialise import INITIALISERS
from fastopt.train.settings import CHOICES, LOWEST, Settings

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
schedules:  {_wrap(fastopt.schedules.names())}

exit codes: 0 done; 1 a run diverged or the results could not be written; 2 wrong arguments or unusable data;
130 stopped by Ctrl-C (143 by SIGTERM), with a checkpoint to resume from"""
    for declare in (_data, _model, _training, _findings, _files):
        declare(parser)


def _wrap(names: Iterable[str]) -> str:
    text = " ".join(names)
    return textwrap.fill(text, 102, subsequent_indent=12 * " ", initial_indent=12 * " ").strip()


class _Group:
    """A titled group; `add` takes from `Settings` which options are integers, choices, and the defaults."""

    def __init__(self, parser: argparse.ArgumentParser, title: str) -> None:
        self.group = parser.add_argument_group(title)

    def add(self, option: str, *more: str, help: str = "", **how: Any) -> None:
        name = how.get("dest", option.removeprefix("--").replace("-", "_"))
        if name in CHOICES:
            how["choices"] = CHOICES[name]
        elif name in LOWEST:
            how = {"type": int, "metavar": "N"} | how
        default = getattr(Settings, name, None)
        if default not in (None, ()) and how.get("action") != "store_true":
            help = f"{help}{'; ' if help else ''}default {_shown(default)}"
        self.group.add_argument(option, *more, help=help, **how)


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _data(parser: argparse.ArgumentParser) -> None:
    group = _Group(parser, "data")
    group.add(
        "--data",
        metavar="FILE",
        help="an .npz with arrays X (rows, features) or (rows, height, width) and y (rows,) or (rows, "
        "targets), or a .csv of numbers with the target in its last column, header line optional; default: "
        "1797 handwritten digits",
    )
    group.add("--task", help="default: classes if the targets are integers or text, else regression")
    group.add("--target", metavar="COLUMN", help="target column of a .csv, by name or number from 0")
    group.add(
        "--test-data", metavar="FILE", help="test rows from a file of their own, of the same form as --data"
    )
    group.add(
        "--split",
        type=several(float, "three fractions such as 0.6,0.2,0.2"),
        metavar="A,B,C",
        help="shares of training, validation and test rows",
    )
    group.add(
        "--folds",
        metavar="K",
        help="K-fold cross-validation: train K times, each row being a test row once, and tell mean and "
        "deviation of every metric; the other rows are split by A and B",
    )
    group.add(
        "--subset",
        type=float,
        metavar="SHARE",
        help="train on this share of the training rows only, every class in proportion, such as 0.1 for a "
        "first look",
    )
    group.add(
        "--augment",
        nargs="?",
        const=augment.DEFAULT,
        metavar="shift=X,rotate=X,noise=X",
        help="vary the training images anew in every epoch: shift by up to X pixels, rotate by up to X "
        f"degrees, add noise of X standard deviations; without a value {augment.DEFAULT}",
    )


def _model(parser: argparse.ArgumentParser) -> None:
    group = _Group(parser, "model")
    group.add(
        "--hidden",
        type=several(int, "layer sizes such as 256,128 or none"),
        metavar="N,N,...",
        help="sizes of the hidden layers, or none",
    )
    group.add("--activation")
    group.add(
        "--batch-norm",
        action=argparse.BooleanOptionalAction,
        help="batch normalisation before each activation",
    )
    group.add("--bn-test", help="statistics for testing: moving averages or all training rows'")
    group.add("--dropout", type=float, metavar="P", help="probability to drop a hidden value")
    group.add(
        "--init",
        metavar="NAME",
        help=f"initial weights: {', '.join(INITIALISERS)}; with options as in randn:std=0.02, scaled:s=0.1, "
        "uniform:bound=0.05; default: he for relu, else xavier",
    )
    group.add(
        "--residual",
        action=argparse.BooleanOptionalAction,
        help="connections around the hidden layers that are as wide as what comes before them",
    )
    group.add("--output", help="output and loss; default: softmax for classes, else linear")


def _training(parser: argparse.ArgumentParser) -> None:
    group = _Group(parser, "training")
    group.add(
        "--optimizer",
        type=optimizers,
        dest="optimizers",
        metavar="NAME,...",
        help="optimizers to train and compare, with own options as in sgd:lr=0.1,momentum=0.9",
    )
    group.add(
        "--opt",
        action="append",
        dest="options",
        metavar="KEY=VALUE",
        help="an option for every optimizer, such as betas=[0.9,0.99] or nonfinite=skip; may be repeated",
    )
    group.add("--lr", type=float, metavar="X", help="learning rate; default: a good one for each optimizer")
    group.add("--schedule", metavar="NAME", help="of the rate, with options as in step:every=100,gamma=0.5")
    group.add("--epochs")
    group.add("--batch-size")
    group.add("--clip-norm", type=float, metavar="X", help="limit of the norm of the whole gradient")
    group.add("--clip-norm-type", help="which norm: 2, or inf, the largest entry; default 2")
    group.add("--clip-norm-per", help="one norm of all, or one of every tensor; default all")
    group.add("--clip-value", type=float, metavar="X", help="limit of each entry of the gradient")
    group.add(
        "--weight-decay",
        "--l2",
        type=float,
        metavar="X",
        help="of the weights, not of biases and scales: L2 or decoupled, and by default as much, as the "
        "optimizer has it",
    )
    group.add("--l1", type=float, metavar="X", help="L1 penalty of the weights; default 0")
    group.add(
        "--early-stopping",
        help="stop after N epochs without a lower validation loss, test the best epoch's model; default: off",
    )
    group.add("--seed", help="of everything that is drawn")
    group.add("--threads", help="threads of the fused kernels; default: the CPUs this process may use")
    group.add("--blas-threads", help="threads of NumPy's matrix products; default: 1 while they are small")


def _findings(parser: argparse.ArgumentParser) -> None:
    group = _Group(parser, "findings")
    group.add(
        "--diagnose",
        action="store_true",
        help="train a larger model beside, and tell from the losses what ails the model: its size, the "
        "optimisation, overfitting or a mismatch of distributions, with the cure",
    )
    group.add(
        "--curvature",
        action="store_true",
        help="end with an analysis of the trained model's loss: what kind of point it is, extreme "
        "eigenvalues and spectral density of the Hessian, its trace in each layer",
    )
    group.add(
        "--curvature-every",
        help="record loss and minimum ratio (share of positive eigenvalues) before training and after every "
        "N epochs",
    )


def _files(parser: argparse.ArgumentParser) -> None:
    group = _Group(parser, "files and output")
    group.add(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"folder of metrics.json and report.html; default {DEFAULT_OUT}, with --resume the checkpoint's",
    )
    group.add(
        "--checkpoint",
        type=Path,
        metavar="FILE.npz",
        help="written while training, when stopped and at the end; default checkpoint.npz in --out",
    )
    group.add(
        "--resume",
        type=Path,
        metavar="FILE.npz",
        help="continue from a checkpoint, with the settings that are in it and to the same bits",
    )
    group.add("--json", action="store_true", default=False, help="print metrics.json instead of the table")
    group.add("--quiet", action="store_true", default=False, help="no progress")
