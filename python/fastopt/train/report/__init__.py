"""The results as `metrics.json` and as `report.html`, one file without any outside reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastopt.train.analysis import Report, analyse
from fastopt.train.diagnosis import diagnose
from fastopt.train.report.document import document
from fastopt.train.report.page import page
from fastopt.train.session import Session

METRICS = "metrics.json"
PAGE = "report.html"


def write(session: Session, out: Path, progress: Report = lambda *_: None) -> dict[str, Any]:
    """Write both files of a finished session into the folder `out`; returns what `metrics.json` holds.

    What is found out only now is computed first: diagnosis and analysis, of which `progress` hears.
    """
    diagnosis, analyses = diagnose(session), analyse(session, progress)
    content = document(session, diagnosis, analyses)
    (out / METRICS).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    (out / PAGE).write_text(page(session, content, diagnosis, analyses), encoding="utf-8")
    return content
