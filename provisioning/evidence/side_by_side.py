"""Run several things at once and wait for all, but not for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any


def side_by_side(jobs: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, Any]:
    """Return by name what each job returned, None for those that had not ended after that many seconds.

    A job that hangs is left behind in a daemon thread, which holds up nobody's exit. What a job
    raises is raised here, the first one in the order of the jobs.
    """
    results: dict[str, Any] = dict.fromkeys(jobs)
    problems: dict[str, BaseException] = {}

    def work(name: str, job: Callable[[], Any]) -> None:
        try:
            results[name] = job()
        except BaseException as problem:
            problems[name] = problem

    threads = [threading.Thread(target=work, args=each, daemon=True) for each in jobs.items()]
    until = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    for name in jobs:
        if name in problems:
            raise problems[name]
    return dict(results)
