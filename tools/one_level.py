"""The extension module at one CPU level, of which single objects can be compiled anew and linked again.

For tools that need the library with something else inside: mutants, counters of branches. All else comes from
a build as CMake makes it, so a new module costs what is new in it.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
X86 = platform.machine() in ("x86_64", "AMD64", "amd64")


class Broken(Exception):
    """It does not compile."""


class OneLevel:
    """A build in `build/NAME`, with a copy of the Python part in `build/NAME/python` that uses it."""

    def __init__(self, name: str, level: str) -> None:
        self.folder = ROOT / "build" / name
        self.module = f"_core_{level}" if X86 else "_core"
        self._level = level if X86 else "base"
        self.package = self.folder / "python" / "fastopt"

    def configure(self) -> None:
        """Let CMake write down how everything is compiled."""
        python = sys.executable
        cmakedir = _output(python, "-m", "pybind11", "--cmakedir").strip()
        prefix = next(p for p in sys.path if p.endswith("site-packages"))
        launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        _output("cmake", "-S", ROOT, "-B", self.folder, "-G", "Ninja", f"-DPython_EXECUTABLE={python}",
                *launcher, f"-Dpybind11_DIR={cmakedir}", f"-DCMAKE_PREFIX_PATH={prefix}",
                f"-DFASTOPT_LEVELS={self._level}", "-DFASTOPT_JOIN=OFF",  # one changes, one is compiled
                "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON")  # fmt: skip

    def build(self) -> None:
        """Make the module and the copy of the Python part."""
        self.configure()
        _output("cmake", "--build", self.folder)
        shutil.rmtree(self.package, ignore_errors=True)
        shutil.copytree(
            ROOT / "python" / "fastopt", self.package, ignore=shutil.ignore_patterns("*.so", "__pycache__")
        )
        for module in self.folder.glob("*.so"):
            shutil.copy(module, self.package)

    def sources(self) -> list[dict[str, str]]:
        """What is compiled: "file" and "command" of each."""
        found: list[dict[str, str]] = json.loads(
            (self.folder / "compile_commands.json").read_text(encoding="utf-8")
        )
        return found

    def compile(self, ending: str, to: str, change: dict[str, str], *more: str) -> tuple[str, str]:
        """Compile the source of this ending into another object, with parts of the command changed.

        Returns the object in the build and the new one.
        """
        command = next(s["command"] for s in self.sources() if s["file"].endswith(ending))
        output = command.split(" -o ")[1].split()[0]
        made = str(self.folder / to)
        for before, after in change.items():
            command = command.replace(before, after, 1)
        words = [made if word == output else word for word in shlex.split(command)]
        done = subprocess.run([*words, *more], cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Broken(done.stderr[-2000:])
        return output, made

    def link(self, replaced: dict[str, str], *more: str) -> None:
        """Link with other objects and put the module into the copy of the Python part."""
        shown = _output("ninja", "-C", self.folder, "-t", "commands").splitlines()
        line = next(line for line in reversed(shown) if self.module in line and " -shared " in line)
        words = shlex.split(next(part for part in line.split(" && ") if " -shared " in part))
        # first, so that of several copies of an inline function the linker keeps the new one
        at = next(i for i, word in enumerate(words) if word.endswith(".o"))
        kept = [word for word in words[at:] if word not in replaced]
        words = [*words[:at], *replaced.values(), *kept]
        made = self.folder / "relinked.so"
        words[words.index("-o") + 1] = str(made)
        _output(*words, *more, cwd=self.folder)
        target = next(self.package.glob(f"{self.module}.*"))
        os.replace(made, target)  # whoever has the old one mapped keeps it

    def environment(self) -> dict[str, str]:
        """For a process that is to import the module."""
        return {**os.environ, "PYTHONPATH": str(self.package.parent), "PYTHONFAULTHANDLER": "1"}


def _output(*words: object, cwd: Path | None = None) -> str:
    done = subprocess.run([str(w) for w in words], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{words[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
