"""Every command line that shows on this machine while something runs; those on hosts in containers are among them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from provisioning.waiting import ticks

PACE_SECONDS = 0.1
"""Between two looks at the list of processes: seldom enough not to slow down what is watched."""


@contextmanager
def watched_command_lines() -> Iterator[set[str]]:
    """Collect them while the block lasts. Raises what has ended the watch before."""
    seen: set[str] = set()
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(_watch, seen, ended)
        try:
            yield seen
        finally:
            ended.set()
        watching.result()


def _watch(seen: set[str], ended: threading.Event) -> None:
    for _ in ticks(PACE_SECONDS, ended):
        for process in [each for each in os.listdir("/proc") if each.isdecimal()]:
            with suppress(OSError):  # it has ended since
                seen.add(
                    Path("/proc", process, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                )
