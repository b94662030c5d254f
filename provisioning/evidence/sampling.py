"""Threads that look, or write, again and again while a block lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Self

from provisioning.waiting import ticks


class Sampling:
    """One thread per piece of work, from the beginning of the block to its end.

    What a piece of work raises is raised at the end of the block: samples that stopped early must not
    pass for samples.
    """

    def __init__(self, works: Mapping[str, Callable[[], None]]) -> None:
        self._stop = threading.Event()
        self._problems: list[BaseException] = []
        self._threads = [
            threading.Thread(target=partial(self._run, work), name=name, daemon=True) for name, work in works.items()
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._problems and error is None:
            raise self._problems[0]

    def ticks(self, interval: float) -> Iterator[float]:
        """Yield the monotonic time about every ``interval`` seconds until the block ends."""
        return ticks(interval, self._stop)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as problem:
            self._problems.append(problem)
