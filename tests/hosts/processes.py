"""Functions in two processes that talk by gloo: started here, and what each of them runs first.

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


def run_in_processes(folder: Path, *workers: Callable[[Path], Any], ranks: int = RANKS) -> None:
    """Call each ``worker(folder)`` in each process of a group; fail if one fails."""
    where = [f"{worker.__module__.rpartition('.')[2]}:{worker.__name__}" for worker in workers]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "WORLD_SIZE": str(ranks),
    }
    running = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder), *where],
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
    """In a process: the arguments are the folder and MODULE:FUNCTION, once or more."""
    import torch.distributed as dist

    folder, ranks = Path(sys.argv[1]), int(os.environ["WORLD_SIZE"])
    workers = [place.split(":") for place in sys.argv[2:]]
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting-{workers[0][1]}-{ranks}",
        rank=int(os.environ["RANK"]),
        world_size=ranks,
        timeout=timedelta(seconds=SECONDS),
    )
    for module, name in workers:
        getattr(import_module(f"hosts.{module}"), name)(folder)
        dist.barrier()
    dist.destroy_process_group()
    sys.stdout.flush()
    os._exit(0)  # all was checked; now and then a process aborted on its way out, with no Python frame left


if __name__ == "__main__":
    main()
