"""The arguments of `fastopt train`: each sets the field of `fastopt.mlp.Settings` of its `dest`, if given."""

from __future__ import annotations

import argparse
from pathlib import Path

import fastopt
from fastopt.cli.argument_types import AppendTuple, at_least, fractions, number, optimizers, share, sizes
from fastopt.mlp import Settings, augment
from fastopt.mlp.activations import ACTIVATIONS
from fastopt.mlp.datasets import TASKS
from fastopt.mlp.initialise import INITIALISERS
from fastopt.mlp.outputs import OUTPUTS
from fastopt.mlp.settings import BN_TESTS

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
    _data(parser)
    _model(parser)
    _training(parser)
    _files(parser)


def _wrap(names: object) -> str:
    lines = [""]
    for name in list(names):  # type: ignore[call-overload]
        if len(lines[-1]) + len(name) > 90:
            lines.append("")
        lines[-1] += f"{name} "
    return ("\n" + 12 * " ").join(line.rstrip() for line in lines)


def _data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        metavar="FILE",
        help="an .npz with arrays X (rows, features) or (rows, height, width) and y (rows,) or (rows, "
        "targets), or a .csv of numbers with the target in its last column, header line optional; default: "
        "1797 handwritten digits",
    )
    group.add_argument(
        "--task", choices=TASKS, help="default: classes if the targets are integers or text, else regression"
    )
    group.add_argument("--target", metavar="COLUMN", help="target column of a .csv, by name or number from 0")
    group.add_argument(
        "--split",
        type=fractions,
        metavar="A,B,C",
        help=f"shares of training, validation and test rows; default {_show(Settings.split)}",
    )
    group.add_argument(
        "--folds",
        type=at_least(2),
        metavar="K",
        help="K-fold cross-validation: train K times, each row being a test row once, and tell mean and "
        "deviation of every metric; the other rows are split by A and B",
    )
    group.add_argument(
        "--subset",
        type=share,
        metavar="SHARE",
        help="train on this share of the training rows only, every class in proportion, such as 0.1 for a "
        "first look",
    )
    group.add_argument(
        "--augment",
        nargs="?",
        const=augment.DEFAULT,
        metavar="shift=X,rotate=X,noise=X",
        help="vary the training images anew in every epoch: shift by up to X pixels, rotate by up to X "
        f"degrees, add noise of X standard deviations; without a value {augment.DEFAULT}",
    )


def _model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "--hidden",
        type=sizes,
        metavar="N,N,...",
        help=f"sizes of the hidden layers, or none; default {_show(Settings.hidden)}",
    )
    group.add_argument("--activation", choices=ACTIVATIONS, help=f"default {Settings.activation}")
    group.add_argument(
        "--batch-norm",
        action=argparse.BooleanOptionalAction,
        help=f"batch normalisation before each activation; default {'on' if Settings.batch_norm else 'off'}",
    )
    group.add_argument(
        "--bn-test",
        choices=BN_TESTS,
        help=f"statistics for testing: moving averages or all training rows'; default {Settings.bn_test}",
    )
    group.add_argument(
        "--dropout",
        type=number(0, 1),
        metavar="P",
        help=f"probability to drop a hidden value; default {Settings.dropout}",
    )
    group.add_argument(
        "--init",
        metavar="NAME",
        help=f"initial weights: {', '.join(INITIALISERS)}; with options as in randn:std=0.02, scaled:s=0.1, "
        "uniform:bound=0.05; default: he for relu, else xavier",
    )
    group.add_argument(
        "--residual",
        action=argparse.BooleanOptionalAction,
        help="connections around the hidden layers that are as wide as what comes before them; "
        f"default {'on' if Settings.residual else 'off'}",
    )
    group.add_argument(
        "--output", choices=OUTPUTS, help="output and loss; default: softmax for classes, else linear"
    )


def _training(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training")
    group.add_argument(
        "--optimizer",
        type=optimizers,
        dest="optimizers",
        metavar="NAME,...",
        help="optimizers to train and compare, with own options as in sgd:lr=0.1,momentum=0.9; "
        f"default {','.join(Settings.optimizers)}",
    )
    group.add_argument(
        "--opt",
        action=AppendTuple,
        dest="options",
        metavar="KEY=VALUE",
        help="an option for every optimizer, such as betas=[0.9,0.99] or nonfinite=skip; may be repeated",
    )
    group.add_argument(
        "--lr", type=number(0), metavar="X", help="learning rate; default: a good one for each optimizer"
    )
    group.add_argument(
        "--schedule",
        metavar="NAME",
        help=f"of the rate, with options as in step:every=100,gamma=0.5; default {Settings.schedule}",
    )
    group.add_argument("--epochs", type=at_least(1), metavar="N", help=f"default {Settings.epochs}")
    group.add_argument("--batch-size", type=at_least(1), metavar="N", help=f"default {Settings.batch_size}")
    group.add_argument(
        "--clip-norm",
        type=number(0, open_low=True),
        metavar="X",
        help="limit of the norm of the whole gradient",
    )
    group.add_argument(
        "--clip-value", type=number(0, open_low=True), metavar="X", help="limit of each entry of the gradient"
    )
    group.add_argument(
        "--weight-decay",
        "--l2",
        type=number(0),
        metavar="X",
        help="of the weights, not of biases and scales: L2 or decoupled, and by default as much, as the "
        "optimizer has it",
    )
    group.add_argument("--l1", type=number(0), metavar="X", help="L1 penalty of the weights; default 0")
    group.add_argument(
        "--early-stopping",
        type=at_least(1),
        metavar="N",
        help="stop after N epochs without a lower validation loss, test the best epoch's model; default: off",
    )
    group.add_argument(
        "--diagnose",
        action="store_true",
        help="train a larger model beside, and tell from the losses what ails the model: its size, the "
        "optimisation, overfitting or a mismatch of distributions, with the cure",
    )
    group.add_argument(
        "--seed", type=at_least(0), metavar="N", help=f"of everything that is drawn; default {Settings.seed}"
    )
    group.add_argument(
        "--threads",
        type=at_least(1),
        metavar="N",
        help="threads of the fused kernels; default: the CPUs this process may use",
    )
    group.add_argument(
        "--blas-threads",
        type=at_least(1),
        metavar="N",
        help="threads of NumPy's matrix products; default: 1 while they are small",
    )


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


def _show(values: object) -> str:
    return ",".join(str(value) for value in values)  # type: ignore[attr-defined]
