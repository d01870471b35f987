"""A function in two processes that talk by gloo: started here, and what each of them runs first.

The processes meet in a file, so that no port has to be free, and on the loopback interface only.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

RANKS = 2
SECONDS = 120


def run_in_processes(worker: Callable[[Path], Any], folder: Path, ranks: int = RANKS) -> None:
    """Call ``worker(folder)`` in each process, with the default process group made; fail if one fails."""
    where = f"{worker.__module__.rpartition('.')[2]}:{worker.__name__}"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "WORLD_SIZE": str(ranks),
    }
    running = [
        subprocess.Popen(
            [sys.executable, __file__, where, str(folder)],
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(ranks)
    ]
    try:
        said = [process.communicate(timeout=SECONDS)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    codes = [process.returncode for process in running]
    assert codes == [0] * ranks, "\n".join(f"--- rank {r}\n{text}" for r, text in enumerate(said))


def main() -> None:
    """In a process: the arguments are MODULE:FUNCTION and the folder."""
    import torch.distributed as dist

    module, name = sys.argv[1].split(":")
    folder = Path(sys.argv[2])
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder / f'meeting-{name}'}",
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
        timeout=timedelta(seconds=SECONDS),
    )
    getattr(import_module(f"hosts.{module}"), name)(folder)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
