"""The size of the wheel that this clone builds, all levels: `python bench/bench_wheel.py [--out DIR]`.

Builds it as `pip wheel .` does (minutes), and writes wheel.json; the front page states the size from there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from common import QUICK, commit, machine

HERE = Path(__file__).parent


def build(folder: str) -> Path:
    """The wheel, without its dependencies; a quick run builds only the level of this machine."""
    options = ["-C", "cmake.define.FASTOPT_LEVELS=native"] if QUICK else []
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        folder,
        *options,
        str(HERE.parent),
    ]
    environment = {k: v for k, v in os.environ.items() if k != "FASTOPT_LEVEL"}
    subprocess.run(command, check=True, env=environment)
    return next(Path(folder).glob("*.whl"))


def contents(wheel: Path) -> dict[str, int]:
    """Bytes of the wheel, and of the compiled modules inside, packed."""
    with zipfile.ZipFile(wheel) as file:
        modules = [i for i in file.infolist() if i.filename.endswith((".so", ".pyd"))]
    sizes = {i.filename.split("/")[-1].split(".")[0]: i.compress_size for i in modules}
    return {"wheel": wheel.stat().st_size, **sizes}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--wheel", type=Path, help="take this wheel instead of building one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = args.wheel or build(folder)
        found = {"tags": wheel.stem.split("-", 2)[2], "bytes": contents(wheel)}
    where = machine()
    result = {"date": where["date"], "commit": commit(), "compiler": where["compiler"], **found}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "wheel.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{wheel.name}: {result['bytes']['wheel'] / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
