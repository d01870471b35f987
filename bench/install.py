"""Install requirements.txt into this environment: `python bench/install.py [options of pip]`.

All at once; where that fails, one by one, so that a peer for which this machine has no wheel is left out
and named instead of stopping everything.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LIST = Path(__file__).with_name("requirements.txt")


def pip(*arguments: str, quiet: bool = False) -> bool:
    command = [sys.executable, "-m", "pip", "install", "--quiet", *arguments]
    return subprocess.run(command, check=False, capture_output=quiet).returncode == 0


def main() -> int:
    options = sys.argv[1:]
    if pip(*options, "-r", str(LIST), quiet=True):
        return 0
    print("not everything can be installed together; one by one:")
    lines = [line.split("#")[0].strip() for line in LIST.read_text(encoding="utf-8").splitlines()]
    for line in filter(None, lines):
        if not pip(*options, line):
            print(f"{line}: not installed")
            if line.startswith("numpy"):
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
