"""What may pass by itself is looked at again, for as long as it may take to pass and no longer."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial

import pytest

from fixtures.rules import settled as module
from fixtures.rules.judge import judge
from fixtures.rules.settled import LONGEST_SECONDS, POLL_SECONDS, settled
from provisioning.evidence import Evidence
from tests.unit.listing import M1, R1, R2, R3, change, node_changed, pasted, seen_by_all

pytestmark = pytest.mark.unit

CALM = pasted()
PASSING = pasted(lambda lines: change(lines, R1, flag="pfail"))
LASTING = pasted(lambda lines: change(lines, R1, flag="nofailover"))


class Clock:
    """The time of these tests, which passes in looks and between ticks alone, however loaded the machine is."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def ticks(self, interval: float, stop: threading.Event) -> Iterator[float]:
        while not stop.is_set():
            began = self.now
            yield began
            self.now = max(self.now, began + interval)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Looks are made by this clock."""
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    monkeypatch.setattr(module, "ticks", made.ticks)
    return made


class Looks:
    """Looks that see these, one after the other, the last of them for ever; so with the seconds that each takes."""

    def __init__(self, clock: Clock, *seen: Evidence, takes: Sequence[float] = (0.0,)) -> None:
        self.clock = clock
        self.seen: Sequence[Evidence] = seen
        self.takes = takes
        self.count = 0

    def __call__(self) -> Evidence:
        self.count += 1
        self.clock.now += self.takes[min(self.count, len(self.takes)) - 1]
        return self.seen[min(self.count, len(self.seen)) - 1]


@pytest.mark.parametrize("seen", [CALM, LASTING], ids=["nothing", "nothing-that-passes"])
def test_one_look_is_enough_where_nothing_may_pass(clock: Clock, seen: Evidence) -> None:
    """What cannot pass by itself is not looked at again."""
    looks = Looks(clock, seen)
    assert settled(looks, 5.0) is seen
    assert looks.count == 1


def test_what_passes_is_not_kept(clock: Clock) -> None:
    """The first look in which nothing passing is found is the one that counts."""
    looks = Looks(clock, PASSING, PASSING, CALM, PASSING)
    assert settled(looks, 5.0) is CALM
    assert looks.count == 3


def test_what_the_last_look_alone_shows_is_no_finding(clock: Clock) -> None:
    """Beside a lasting suspicion, one of another node in each look is not reported: none of them has lasted."""
    doubtful = [
        pasted(partial(change, name=R1, flag="pfail"), partial(change, name=other, flag="pfail")) for other in (R2, R3)
    ]
    kept = settled(Looks(clock, *doubtful * 50), 5.0)
    assert {found.subject for found in judge(kept).of("node-pfail")} == {"192.168.171.101:6374"}


def test_what_began_after_the_first_look_and_lasts_is_a_finding(clock: Clock) -> None:
    """What the last two looks show counts, whether or not the first showed it."""
    both = pasted(partial(change, name=R1, flag="pfail"), partial(change, name=R2, flag="pfail"))
    assert settled(Looks(clock, PASSING, both), 5.0) is both


@pytest.mark.parametrize("first_takes", [0.0, 1.0])
def test_what_lasts_two_node_timeouts_is_kept(clock: Clock, first_takes: float) -> None:
    """It is looked at again for two node timeouts after the first look; then what the last look shows counts."""
    looks = Looks(clock, PASSING, takes=(first_takes, 0.0))
    assert settled(looks, 5.0) is PASSING
    assert looks.count == 2 + 2 * 5.0 / POLL_SECONDS
    assert clock.now == first_takes + 2 * 5.0 + POLL_SECONDS


def test_what_could_not_be_collected_is_asked_for_once_more(clock: Clock) -> None:
    """An answer that did not come in time may come at the second look; one that never comes is waited for no longer."""
    whole = seen_by_all()
    lacking = node_changed(whole, M1, config=None, not_collected={"config": "no answer within the deadline"})
    looks = Looks(clock, lacking, whole)
    assert settled(looks, 5.0) is whole
    looks = Looks(clock, lacking)
    assert settled(looks, 5.0) is lacking
    assert looks.count == 2


@pytest.mark.parametrize(("each_takes", "count"), [(0.25, 31), (4.0, 3), (5.0, 3), (5.1, 2), (7.5, 2), (7.6, 1)])
def test_looks_end_in_time_however_long_one_takes(clock: Clock, each_takes: float, count: int) -> None:
    """A look that would end after the time for all of them is not begun."""
    looks = Looks(clock, PASSING, takes=(each_takes,))
    assert settled(looks, 60.0) is PASSING
    assert looks.count == count
    assert clock.now <= LONGEST_SECONDS + POLL_SECONDS


def test_the_slowest_look_says_how_long_another_may_take(clock: Clock) -> None:
    """Looks that become slower after the first end in time too."""
    looks = Looks(clock, PASSING, takes=(0.0, 7.0))
    assert settled(looks, 60.0) is PASSING
    assert looks.count == 3
