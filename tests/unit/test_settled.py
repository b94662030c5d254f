"""What may pass by itself is looked at again, for as long as it may take to pass and no longer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from fixtures.rules.judge import judge
from fixtures.rules.settled import POLL_SECONDS, settled
from provisioning.evidence import Evidence
from tests.unit.listing import M1, R1, R2, R3, change, node_changed, pasted, seen_by_all

pytestmark = pytest.mark.unit

CALM = pasted()
PASSING = pasted(lambda lines: change(lines, R1, flag="pfail"))
LASTING = pasted(lambda lines: change(lines, R1, flag="nofailover"))


class Looks:
    """Looks that see these, one after the other, the last of them for ever."""

    def __init__(self, *seen: Evidence) -> None:
        self.seen: Sequence[Evidence] = seen
        self.count = 0

    def __call__(self) -> Evidence:
        self.count += 1
        return self.seen[min(self.count, len(self.seen)) - 1]


def settling(looks: Callable[[], Evidence], node_timeout: float) -> tuple[Evidence, float]:
    """Return what settled returns and how long it took."""
    began = time.monotonic()
    return settled(looks, node_timeout), time.monotonic() - began


@pytest.mark.parametrize("seen", [CALM, LASTING], ids=["nothing", "nothing-that-passes"])
def test_one_look_is_enough_where_nothing_may_pass(seen: Evidence) -> None:
    """What cannot pass by itself is not looked at again."""
    looks = Looks(seen)
    assert settling(looks, 5.0)[0] is seen
    assert looks.count == 1


def test_what_passes_is_not_kept() -> None:
    """The first look in which nothing passing is found is the one that counts."""
    looks = Looks(PASSING, PASSING, CALM, PASSING)
    assert settling(looks, 5.0)[0] is CALM
    assert looks.count == 3


def test_what_the_last_look_alone_shows_is_no_finding() -> None:
    """Beside a lasting suspicion, one of another node in each look is not reported: none of them has lasted."""
    doubtful = [
        pasted(partial(change, name=R1, flag="pfail"), partial(change, name=other, flag="pfail")) for other in (R2, R3)
    ]
    looks = Looks(*doubtful * 50)
    kept, _ = settling(looks, 0.6)
    assert {found.subject for found in judge(kept).of("node-pfail")} == {"192.168.171.101:6374"}


def test_what_lasts_two_node_timeouts_is_kept() -> None:
    """It is looked at again for two node timeouts; then what the last look shows counts."""
    looks = Looks(PASSING)
    kept, took = settling(looks, 0.5)
    assert kept is PASSING
    assert took >= 2 * 0.5
    assert 2 <= looks.count <= 2 + 2 * 0.5 / POLL_SECONDS


def test_what_could_not_be_collected_is_asked_for_once_more() -> None:
    """An answer that did not come in time may come at the second look; one that never comes is waited for no longer."""
    whole = seen_by_all()
    lacking = node_changed(whole, M1, config=None, not_collected={"config": "no answer within the deadline"})
    looks = Looks(lacking, whole)
    assert settling(looks, 5.0)[0] is whole
    looks = Looks(lacking)
    assert settling(looks, 5.0)[0] is lacking
    assert looks.count == 2


def test_looks_end_in_time_however_long_one_takes() -> None:
    """A look that would end after the time for all of them is not begun."""
    looks = Looks(PASSING)

    def slow() -> Evidence:
        until = time.monotonic() + 0.4
        while time.monotonic() < until:
            pass
        return looks()

    settled(slow, 60.0, in_all=1.0)
    assert looks.count == 2
