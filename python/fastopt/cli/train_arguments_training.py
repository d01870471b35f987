"""The arguments of `fastopt train` that say how it trains, and what it shall find out."""

from __future__ import annotations

import argparse

from fastopt.cli.argument_types import AppendTuple, at_least, number, optimizers
from fastopt.train import Settings


def training(parser: argparse.ArgumentParser) -> None:
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


def findings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("findings")
    group.add_argument(
        "--diagnose",
        action="store_true",
        help="train a larger model beside, and tell from the losses what ails the model: its size, the "
        "optimisation, overfitting or a mismatch of distributions, with the cure",
    )
    group.add_argument(
        "--curvature",
        action="store_true",
        help="end with an analysis of the trained model's loss: what kind of point it is, extreme "
        "eigenvalues and spectral density of the Hessian, its trace in each layer",
    )
    group.add_argument(
        "--curvature-every",
        type=at_least(1),
        metavar="N",
        help="record loss and minimum ratio (share of positive eigenvalues) before training and after every "
        "N epochs",
    )
