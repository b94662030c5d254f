"""The only place where time passes: one wait, and the pace of a sampling loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from provisioning.errors import WaitTimeout

T = TypeVar("T")

PATIENCE_SECONDS = 600.0
"""For a node of a real cluster that loads or copies gigabytes; one that has little is there as soon as it is."""

POLL_SECONDS = 0.02
"""Seconds between two looks: well under the 50 ms that phases of a failover are resolved to."""


def wait_until(
    look: Callable[[], T | None],
    expected: str,
    seconds: float,
    *,
    shown: Callable[[], str] | None = None,
    poll: float = POLL_SECONDS,
) -> T:
    """Call ``look`` until it returns something that is neither None nor False, and return that.

    ``seconds`` is the budget on the monotonic clock, derived by the caller from the node timeout.
    At least one look is made, and one more after the deadline, so that a machine that stalled in
    between does not turn a success into a failure.

    Raises WaitTimeout saying what was expected, what ``shown`` describes instead, and for how long.
    """
    began = time.monotonic()
    late = False
    while True:
        value = look()
        if value is not None and value is not False:
            return value
        if late:
            break
        late = time.monotonic() - began >= seconds
        if not late:
            time.sleep(poll)
    raise WaitTimeout(
        f"gave up after {time.monotonic() - began:.1f} s (budget {seconds:.1f} s)",
        expected=expected,
        observed=shown() if shown else "it never came true",
    )


def ticks(interval: float, stop: threading.Event) -> Iterator[float]:
    """Yield the monotonic time about every ``interval`` seconds until ``stop`` is set."""
    while not stop.is_set():
        began = time.monotonic()
        yield began
        stop.wait(max(0.0, interval - (time.monotonic() - began)))
