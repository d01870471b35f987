"""Print the packages of one of the extras in pyproject.toml, one a line: `python tools/requirements.py test`.

They are installed beside the package without building it again.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

text = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
# Python 3.10 has no TOML reader; the lists of extras hold only strings
found = re.search(
    rf'^{re.escape(sys.argv[1])} = \[((?:\s*"[^"]*",?)*)\s*\]',  # a requirement may hold brackets of its own
    text.split("[project.optional-dependencies]")[1],
    re.M,
)
if found is None:
    sys.exit(f"no extra {sys.argv[1]!r} in pyproject.toml")
print("\n".join(re.findall(r'"([^"]+)"', found[1])))
