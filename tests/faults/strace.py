"""strace: counts the system calls of a run, and breaks the n-th of one kind."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.support import absent

WRITES = (
    "write",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "ftruncate",
    "fallocate",
    "unlink",
    "unlinkat",
)
SYNCS = ("fsync", "fdatasync", "sync_file_range", "msync")
SENDS = ("sendto", "sendmsg", "sendmmsg", "connect")
RECEIVES = ("recvfrom", "recvmsg")
NOTES = ("writev",)
"""Only the notes of what is claimed are written with it (victim.py)."""
POINTS = (*WRITES, *SYNCS, *SENDS, *RECEIVES, *NOTES)

_CALL = re.compile(r"^(?:\d+\s+)?(\w+)\(")


def strace() -> str:
    """Where it is. Skips the test without it, which the build server takes for a failure."""
    found = shutil.which("strace")
    if found is None:
        absent("strace is missing. Debian, Ubuntu: apt install strace")
    return found


class Attached:
    """strace holding one process. `options`: what to trace and what to inject."""

    def __init__(self, pid: int, options: Sequence[str], log: Path | str = "/dev/null"):
        self._process = subprocess.Popen(
            [strace(), "-f", "-p", str(pid), *options, "-o", str(log)],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        line = self._process.stderr.readline()
        if "attached" not in line:
            self._process.kill()
            raise RuntimeError(f"strace does not hold {pid}: {line}{self._process.stderr.read()}")
        self._drain = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._drain.start()

    def wait(self) -> None:
        """It ends with the process it holds."""
        self._process.wait(30)
        self._drain.join(5)
        assert self._process.stderr is not None
        self._process.stderr.close()


def traced(names: Sequence[str]) -> str:
    """`?`: not every machine has every one."""
    return "trace=" + ",".join(f"?{name}" for name in names)


def kill_at(name: str, number: int) -> list[str]:
    return ["-e", f"trace={name}", "-e", f"inject={name}:signal=SIGKILL:when={number}"]


def fail_at(name: str, number: int, error: str, *, for_good: bool) -> list[str]:
    when = f"{number}+" if for_good else str(number)
    return ["-e", f"trace={name}", "-e", f"inject={name}:error={error}:when={when}"]


def count(log: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        call = _CALL.match(line)
        if call:
            found[call[1]] += 1
    return found
