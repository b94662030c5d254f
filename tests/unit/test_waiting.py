"""The one wait returns what it waited for, is fair to slow machines, and says what it saw instead."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from provisioning.errors import WaitTimeout
from provisioning.waiting import ticks, wait_until

pytestmark = pytest.mark.unit


def looks(*values: object) -> Callable[[], object]:
    """Return a look that shows these values one after the other."""
    rest: Iterator[object] = iter(values)
    return lambda: next(rest)


@pytest.mark.parametrize("value", [0, "", [], 0.0, "x", True])
def test_whatever_is_awaited_is_returned(value: object) -> None:
    """Anything but None and False is what was awaited, zero and empty text included."""
    found = wait_until(looks(None, False, value), "x", 5, poll=0.001)
    assert found == value
    assert type(found) is type(value)


def test_a_wait_without_budget_looks() -> None:
    """With no time at all there is still a look, so what is true already is never missed."""
    assert wait_until(lambda: "there", "x", 0) == "there"


def test_one_more_look_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stood still until after the deadline gets a last look before the wait gives up."""
    now = itertools.chain([0.0], itertools.repeat(100.0))
    monkeypatch.setattr("provisioning.waiting.time.monotonic", lambda: next(now))
    assert wait_until(looks(None, "at last"), "x", 5) == "at last"


def test_a_wait_gives_up_and_says_why() -> None:
    """The error has what was expected, what was seen instead at the end, for how long, and the budget."""
    began = time.monotonic()
    with pytest.raises(WaitTimeout) as caught:
        wait_until(lambda: None, "the moon", 0.15, shown=lambda: "clouds", poll=0.01)
    assert 0.15 <= time.monotonic() - began < 60
    assert (caught.value.expected, caught.value.observed) == ("the moon", "clouds")
    assert "budget 0.1 s" in str(caught.value) or "budget 0.2 s" in str(caught.value)


def test_without_a_description_the_error_still_reads() -> None:
    """Nothing shown is said in words."""
    with pytest.raises(WaitTimeout, match="never came true"):
        wait_until(lambda: False, "x", 0, poll=0)


def test_what_the_look_raises_is_not_swallowed() -> None:
    """An error while looking ends the wait at once."""
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 // 0, "x", 5)


def test_ticks_keep_their_pace_and_stop() -> None:
    """Work within a tick does not lengthen it, and no tick comes after the stop."""
    stop = threading.Event()
    times = []
    for at in ticks(0.03, stop):
        times.append(at)
        stop_after_work = threading.Event()
        stop_after_work.wait(0.02)
        if len(times) == 6:
            stop.set()
    assert len(times) == 6
    assert times[-1] - times[0] + 0.001 >= 0.15
    assert times[-1] - times[0] < 0.03 * 5 + 1
    assert list(ticks(0.01, stop)) == []
