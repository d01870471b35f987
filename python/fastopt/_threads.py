"""How many threads a step may use, and why."""

from __future__ import annotations

import os
import sys

from fastopt._checks import integer
from fastopt._dispatch import core

__all__ = ["get_num_threads", "register_with_threadpoolctl", "set_num_threads", "thread_reason"]

_reason = ""


def _text(path: str) -> str:
    """A small file of the kernel's, or nothing. (Without pathlib: it takes as long as the whole import.)"""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""


def _quota(root: str = "/sys/fs/cgroup", own: str = "/proc/self/cgroup") -> int | None:
    """CPUs that the cgroups of this process grant it, rounded up; None without a limit."""
    limits = []
    # version 2: every group from the process's own ("0::/a/b"; "/" in a container) to the root may limit
    path = next((line[3:] for line in _text(own).splitlines() if line.startswith("0::")), "/").strip("/")
    parts = path.split("/") if path else []
    for depth in range(len(parts) + 1):
        limit, _, period = _text("/".join([root, *parts[:depth], "cpu.max"])).partition(" ")
        if limit.isdecimal() and period.isdecimal():
            limits.append(-(-int(limit) // int(period)))
    # version 1
    limit, period = _text(f"{root}/cpu/cpu.cfs_quota_us"), _text(f"{root}/cpu/cpu.cfs_period_us")
    if limit.isdecimal() and period.isdecimal():
        limits.append(-(-int(limit) // int(period)))
    return max(1, min(limits)) if limits else None


def _numbers(text: str) -> set[int]:
    """The CPUs of a list like "0,64" or "0-1,8-9"."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first.isdecimal():
            found.update(range(int(first), int(last if last.isdecimal() else first) + 1))
    return found


def _cores(cpus: set[int], root: str = "/sys/devices/system/cpu") -> int:
    """How many physical cores these CPUs are: hardware threads of one core share what bounds a step."""
    if _text(f"{root}/smt/active") == "0":
        return len(cpus)
    left, cores = set(cpus), 0
    while left:
        cpu = min(left)
        left -= _numbers(_text(f"{root}/cpu{cpu}/topology/thread_siblings_list")) | {cpu}
        cores += 1
    return cores


def _usable() -> tuple[int, str]:
    """CPUs that this process may use, and what says so."""
    if sys.platform.startswith("linux"):
        cpus = os.sched_getaffinity(0)
        cores = _cores(cpus)
        quota = _quota()
        if quota is not None and quota < cores:
            return quota, "the CPU quota of this process's cgroup"
        if cores < len(cpus):
            return cores, "physical cores in this process's affinity mask"
        return cores, "CPUs in this process's affinity mask"
    return os.cpu_count() or 1, "CPUs of this machine"


def _initial() -> tuple[int, str]:
    for variable in ("FASTOPT_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(variable, "").split(",")[0].strip()
        if text.isdecimal() and int(text) > 0:
            return int(text), f"the environment variable {variable}"
        if text and variable == "FASTOPT_NUM_THREADS":
            raise ImportError(f"{variable}: expected a positive integer, got {text!r}")
    return _usable()


def set_num_threads(threads: int) -> None:
    """Set how many threads a step, or an eigensolver, may use: the calling one and ``threads - 1`` workers.

    The result of a step has the same bits for every number. Small steps stay on one thread whatever this
    says.

    Parameters
    ----------
    threads : int
        At least 1.

    Examples
    --------
    >>> import fastopt
    >>> before = fastopt.get_num_threads()
    >>> fastopt.set_num_threads(1)
    >>> fastopt.get_num_threads()
    1
    >>> fastopt.set_num_threads(before)
    """
    global _reason
    core.set_num_threads(integer("threads", threads, minimum=1, maximum=256))
    _reason = "set_num_threads()"


def get_num_threads() -> int:
    """How many threads a step, or an eigensolver, may use.

    What `set_num_threads` said, else the environment variable ``FASTOPT_NUM_THREADS``, else
    ``OMP_NUM_THREADS``, else the physical cores that this process may use (affinity mask and cgroup quota).

    Returns
    -------
    int
        The calling thread is one of them.

    Examples
    --------
    >>> import fastopt
    >>> fastopt.get_num_threads() >= 1
    True
    """
    return int(core.get_num_threads())


def thread_reason() -> str:
    """What decided the number of threads."""
    return _reason


def register_with_threadpoolctl() -> None:
    """Let threadpoolctl see and limit the pool: as user API "fastopt", by the two functions each level
    exports.

    Happens at import where threadpoolctl has been imported before; it is never imported for its own sake.
    """
    import threadpoolctl

    class FastoptController(threadpoolctl.LibController):  # type: ignore[misc]  # it has no types
        user_api = "fastopt"
        internal_api = "fastopt"
        filename_prefixes = ("_core_v", "_core.")
        check_symbols = ("fastopt_get_num_threads", "fastopt_set_num_threads")

        def get_num_threads(self) -> int:
            return int(self.dynlib.fastopt_get_num_threads())

        def set_num_threads(self, num_threads: int) -> None:
            self.dynlib.fastopt_set_num_threads(num_threads)

        def get_version(self) -> str:
            from fastopt import __version__

            return __version__

        def set_additional_attributes(self) -> None:
            self.level = (
                os.path.basename(self.filepath).partition(".")[0].removeprefix("_core").lstrip("_") or "base"
            )

    threadpoolctl.register(FastoptController)


def _start() -> None:
    global _reason
    threads, _reason = _initial()
    core.set_num_threads(min(threads, 256))
    if "threadpoolctl" in sys.modules:
        register_with_threadpoolctl()


_start()
