"""Things that run side by side are waited for together, and nobody waits for one that hangs."""

from __future__ import annotations

import threading
import time

import pytest

from provisioning.evidence.side_by_side import side_by_side

pytestmark = pytest.mark.unit


def test_what_hangs_holds_up_nobody() -> None:
    """After the time for all, what has ended is there, and what has not is None; its thread ends no later than it."""
    released = threading.Event()
    before = set(threading.enumerate())
    began = time.monotonic()
    done = side_by_side({"quick": lambda: 1, "hanging": released.wait, "other": lambda: "2"}, 0.3)
    took = time.monotonic() - began
    (left,) = set(threading.enumerate()) - before
    released.set()
    left.join(5)

    assert done == {"quick": 1, "hanging": None, "other": "2"}
    assert 0.3 <= took < 5
    assert left.daemon, "it would hold up the exit of the program"
    assert not left.is_alive()


def test_all_run_at_once() -> None:
    """Each of them meets the others while it runs."""
    meeting = threading.Barrier(3, timeout=5)
    done = side_by_side(dict.fromkeys("abc", meeting.wait), 10)
    assert set(done.values()) == {0, 1, 2}


def test_what_goes_wrong_is_raised() -> None:
    """The first of them, in the order in which they were given, once all have ended."""

    def fail(word: str) -> None:
        raise ValueError(word)

    with pytest.raises(ValueError, match="first"):
        side_by_side({"ok": lambda: 1, "one": lambda: fail("first"), "two": lambda: fail("second")}, 5)
