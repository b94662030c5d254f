"""Every command line that shows on this machine while something runs; those on hosts in containers are among them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from provisioning.waiting import ticks

PACE_SECONDS = 0.1
"""Between two looks at the list of processes: seldom enough not to slow down what is watched."""


@contextmanager
def watched_command_lines() -> Iterator[set[str]]:
    """Collect them while the block lasts."""
    seen: set[str] = set()
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(seen, ended), daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


def _watch(seen: set[str], ended: threading.Event) -> None:
    for _ in ticks(PACE_SECONDS, ended):
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has ended since
                seen.add(file.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip())
