"""The results as `metrics.json`, and with the extra `report` as `report.html`, one file by itself."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastopt.train.analysis import Report, analyse
from fastopt.train.diagnosis import diagnose
from fastopt.train.report.document import document
from fastopt.train.session import Session

METRICS = "metrics.json"
PAGE = "report.html"


def missing() -> str | None:
    """What keeps `write` from making the page and how to mend it, in one line; None where nothing does."""
    lacking = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    if not lacking:
        return None
    return f'not written, for want of {" and ".join(lacking)}: pip install "fastopt[report]"'


def write(session: Session, out: Path, progress: Report = lambda *_: None) -> dict[str, Any]:
    """Write both files of a finished session into the folder `out`; returns what `metrics.json` holds.

    What is found out only now is computed first: diagnosis and analysis, of which `progress` hears.
    Where `missing` says that the page cannot be made, `metrics.json` alone is written.
    """
    diagnosis, analyses = diagnose(session), analyse(session, progress)
    content = document(session, diagnosis, analyses)
    (out / METRICS).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if missing() is None:
        from fastopt.train.report.page import page  # not before: Jinja2 and matplotlib are the extra's

        (out / PAGE).write_text(page(session, content, diagnosis, analyses), encoding="utf-8")
    return content
