"""Programs that take a torch optimizer are given ours: `make hosts` installs them, pinned, and runs this."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What hosts warn about is their affair; a warning of ours is an error here too."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("default"), append=False)
            item.add_marker(pytest.mark.filterwarnings("error:::fastopt"))
