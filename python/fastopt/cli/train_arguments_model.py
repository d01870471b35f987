"""The arguments of `fastopt train` that say what is trained, and on what."""

from __future__ import annotations

import argparse

from fastopt.cli.argument_types import at_least, fractions, number, share, sizes
from fastopt.train import Settings, augment
from fastopt.train.activations import ACTIVATIONS
from fastopt.train.datasets import TASKS
from fastopt.train.initialise import INITIALISERS
from fastopt.train.outputs import OUTPUTS
from fastopt.train.settings import BN_TESTS


def data(parser: argparse.ArgumentParser) -> None:
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
        "--test-data",
        metavar="FILE",
        help="test rows from a file of their own, of the same form as --data",
    )
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


def model(parser: argparse.ArgumentParser) -> None:
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


def _show(values: object) -> str:
    return ",".join(str(value) for value in values)  # type: ignore[attr-defined]
