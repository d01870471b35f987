"""The command line: `fastopt train | predict | bench | info | selftest`, also as `python -m fastopt`.

Each sub-command is a module with `add_arguments(parser)` and `run(args) -> int`, imported
only when it is the one that was asked for. Exit codes: 0 done, 1 the work failed, 2 wrong arguments or
unusable input (one line on standard error), 130 interrupted, 141 nobody reads its output any more.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

#: name -> (module, what it does)
COMMANDS = {
    "train": (
        "fastopt.train.train_command",
        "train a neural network on the handwritten digits, or on your own data",
    ),
    "predict": ("fastopt.train.predict_command", "what a trained network says about new data"),
    "bench": ("fastopt.cli.bench", "time the fused kernels on this machine"),
    "info": ("fastopt.cli.info", "versions, CPU level, threads, and all that belongs in a bug report"),
    "selftest": ("fastopt.cli.selftest", "check this installation"),
}

DONE, FAILED, USAGE, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141


class UsageError(Exception):
    """What the user asked for cannot be done as asked: reported in one line, exit code 2."""


def refuse_own_input(option: str, path: Path, read: Mapping[str, str | Path | None]) -> None:
    """Raise if what would be written is a file that is read: by the option that names it."""
    for other, source in read.items():
        if source is not None and path.exists() and Path(source).exists() and path.samefile(source):
            raise UsageError(f"{option}: {path} is the file of {other}, which would be lost")


class Parser(argparse.ArgumentParser):
    """argparse, with errors of one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def program() -> str:
    """How this program was called, for messages that show a command to type."""
    return "python -m fastopt" if Path(sys.argv[0]).name == "__main__.py" else "fastopt"


def make_parser(argv: Sequence[str]) -> Parser:
    """The parser, with the arguments of the sub-command that `argv` names; the other ones are only listed."""
    import fastopt

    parser = Parser(
        prog=program(),
        description="The CPU optimizer engine for NumPy training loops.",
        epilog=f"{program()} COMMAND --help tells more about each.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fastopt {fastopt.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((a for a in argv if not a.startswith("-")), None)
    for name, (module_name, summary) in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if name == chosen:
            module = importlib.import_module(module_name)
            module.add_arguments(sub)
            sub.set_defaults(run=module.run, parser=sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the program's name; by default those of this process.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        args, unknown = make_parser(argv).parse_known_args(argv)
        if unknown:
            args.parser.error(f"unknown arguments: {' '.join(unknown)}")
        code = int(args.run(args))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # who reads what is printed, `head` say, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's end complains
        return UNREAD
    except SystemExit as exit_:  # argparse's way to end after --help or an error
        return exit_.code if isinstance(exit_.code, int) else DONE
    except UsageError as error:
        print(f"{program()} {args.command}: error: {error}", file=sys.stderr)
        return USAGE
    except MemoryError as error:
        print(f"{program()} {args.command}: error: not enough memory: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
