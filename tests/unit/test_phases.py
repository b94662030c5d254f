"""The phases of a failover are what was seen, each for itself: what was not seen is None."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from fixtures.history.failover import PHASES, Failover, Seen, failover_bound, read_phases
from provisioning.cluster_nodes import format_cluster_nodes, parse_cluster_nodes
from provisioning.evidence.server_log import LogLine
from provisioning.evidence.watch import Sighting
from provisioning.slots import SlotRange
from tests.unit.listing import M1, M2, M3, NAMES, R1, R2, R3, Entries, entries, node_id

pytestmark = pytest.mark.unit

KILLED = 1000.0
"""Monotonic seconds; the hand-made nodes' clocks are 500 s ahead of it."""
CLOCK = 500.0
LIVE = [name for name in NAMES if name != M2]
"""The second master dies; its replica R1 is the successor."""


def sighting(at: float, node: str, *, flag: str = "", owner: str = M2, alive: bool = True) -> Sighting:
    """Return what a node showed so many seconds after the kill: a flag of the victim, the owner of its slots."""
    if not alive:
        return Sighting(KILLED + at, node, None)
    lines: Entries = entries(node)
    if flag:
        lines[M2] = replace(lines[M2], flags=lines[M2].flags | {flag})
    if owner != M2:
        lines[M2] = replace(lines[M2], slots=())
        lines[owner] = replace(
            lines[owner],
            flags=lines[owner].flags - {"replica"} | {"master"},
            master_id="",
            slots=(SlotRange(5461, 10922),),
        )
    return Sighting(KILLED + at, node, parse_cluster_nodes(format_cluster_nodes(lines.values()), seen_by=node))


def logged(at: float, text: str) -> LogLine:
    return LogLine(KILLED + at + CLOCK, text)


def phases(
    sightings: Iterable[Sighting] = (),
    logs: dict[str, list[LogLine]] | None = None,
    live: list[str] = LIVE,
    clocks: dict[str, float] | None = None,
) -> Failover:
    """Return the failover of the second master as read from these sightings and logs."""
    failover = Failover("t", "SIGKILL", M2, M2, R1, failover_bound(5.0))
    seen = Seen(list(sightings), logs or {}, dict.fromkeys(NAMES, CLOCK) if clocks is None else clocks)
    read_phases(failover, seen, KILLED, {name: node_id(name) for name in NAMES}, (SlotRange(5461, 10922),), live)
    return failover


def rounded(failover: Failover) -> dict[str, float | None]:
    return failover.to_dict()["phases_s"]  # type: ignore[no-any-return]


def full_course() -> list[Sighting]:
    return [
        sighting(-1, R1),
        sighting(6.0, M1, flag="pfail"),
        sighting(5.9, R3, flag="pfail"),
        sighting(6.3, M1, flag="fail"),
        sighting(7.5, R1, owner=R1),
        *(sighting(7.6 + n / 10, node, owner=R1) for n, node in enumerate([M1, M3, R2, R3])),
    ]


LOGS = {
    M3: [logged(6.2, f"Marking node {node_id(M2)} () as failing (quorum reached).")],
    R1: [
        logged(7.1, "Starting a failover election for epoch 7."),
        logged(7.4, "Failover election won: I'm the new master."),
    ],
}


def test_each_phase_is_the_earliest_that_was_seen() -> None:
    """Sightings of all nodes and log lines on their own clocks are put on one clock, and the first counts."""
    assert rounded(phases(full_course(), LOGS)) == {
        "killed": 0.0,
        "first_pfail": 5.9,
        "fail": 6.2,
        "election_started": 7.1,
        "promoted": 7.4,
        "all_agree": 7.9,
        "first_write": None,
    }


def test_nothing_seen_is_nothing_reported() -> None:
    """Without sightings and logs every phase is None, the attempt too."""
    empty = phases()
    assert [getattr(empty, phase) for phase in PHASES] == [None] * len(PHASES)
    assert empty.attempt is None


@pytest.mark.parametrize(
    ("phase", "without"),
    [
        ("first_pfail", lambda each: "pfail" in _flags(each)),
        ("fail", lambda each: "fail" in _flags(each)),
        ("all_agree", lambda each: each.node == R2),
    ],
)
def test_a_phase_that_was_not_seen_is_not_copied(phase: str, without: object) -> None:
    """Where the sightings of one phase are missing, that phase is None and the others stay as they were."""
    assert callable(without)
    logs = {R1: LOGS[R1]} if phase == "fail" else LOGS
    whole = rounded(phases(full_course(), logs))
    less = rounded(phases([each for each in full_course() if not without(each)], logs))
    assert less.pop(phase) is None
    whole.pop(phase)
    assert less == whole


def test_ok_right_after_the_kill_is_no_promotion() -> None:
    """Views that still show the dead master with its slots, however healthy they look, promote nobody."""
    found = phases([sighting(0.01 + n / 10, node) for n, node in enumerate(LIVE * 3)])
    assert (found.promoted, found.all_agree, found.fail) == (None, None, None)


def test_what_was_before_the_kill_does_not_count() -> None:
    """An earlier failover of the same shard, in the logs or in the views, is not this one."""
    early = [replace(each, at=each.at - 20) for each in full_course()]
    logs = {node: [replace(each, at=each.at - 20) for each in lines] for node, lines in LOGS.items()}
    found = phases(early, logs)
    assert [getattr(found, phase) for phase in PHASES] == [None] * len(PHASES)
    assert found.attempt is None


def test_the_victims_own_view_does_not_count() -> None:
    """A victim that lives on (a pause, a cut) and sees itself as it was does not keep the others from agreeing."""
    own = [sighting(0.1, M2, flag="pfail"), sighting(30, M2, owner=R1)]
    found = phases([*full_course(), *own], LOGS, live=list(NAMES))
    assert rounded(found) == rounded(phases(full_course(), LOGS))


def test_dead_nodes_show_nothing() -> None:
    """A sighting without an answer is no phase."""
    found = phases([sighting(1.0 + n, node, alive=False) for n, node in enumerate(LIVE)])
    assert (found.first_pfail, found.fail, found.promoted, found.all_agree) == (None, None, None, None)


def test_promotion_without_logs_is_seen_in_the_successors_view() -> None:
    """The successor's own view counts; that of another node alone does not."""
    assert phases(full_course()).promoted == pytest.approx(7.5)
    assert phases([each for each in full_course() if each.node != R1]).promoted is None


def test_another_successor_is_not_the_named_one() -> None:
    """Slots that went to somebody else are no promotion of the named replica."""
    found = phases([sighting(7.0 + n, node, owner=R3) for n, node in enumerate(LIVE)])
    assert (found.promoted, found.all_agree) == (None, None)


@pytest.mark.parametrize(("starts", "attempt"), [((7.1,), 1), ((7.1, 27.2), 2), ((7.1, 27.2, 47.3), 3)])
def test_attempts_are_counted(starts: tuple[float, ...], attempt: int) -> None:
    """Every election that began before the promotion is one attempt; the phase is the first."""
    logs = {R1: [logged(at, "Starting a failover election for epoch 7.") for at in starts]}
    logs[R1].append(logged(starts[-1] + 0.2, "Failover election won: I'm the new master."))
    logs[R1].append(logged(starts[-1] + 30, "Starting a failover election for epoch 9."))
    found = phases([], logs)
    assert found.attempt == attempt
    assert found.election_started == pytest.approx(7.1)


def test_an_election_that_is_not_won_is_an_attempt() -> None:
    """Without promotion the attempts are still told."""
    found = phases([], {R1: [logged(7.1, "Starting a failover election for epoch 7.")]})
    assert (found.attempt, found.promoted) == (1, None)


def test_elections_of_others_are_not_counted() -> None:
    """Only the successor's elections are attempts."""
    assert phases([], {R3: LOGS[R1]}).attempt is None


def test_a_log_without_a_known_clock_is_left_out() -> None:
    """Where a node's clock could not be compared with ours its log gives no times, rather than wrong ones."""
    found = phases([], LOGS, clocks={})
    assert (found.fail, found.election_started, found.promoted, found.attempt) == (None, None, None, None)


def test_nobody_alive_does_not_agree() -> None:
    """Agreement of nobody is no agreement."""
    assert phases(full_course(), LOGS, live=[M2]).all_agree is None


def test_the_bound_is_two_node_timeouts_and_three_seconds() -> None:
    """As measured and documented; a second attempt, four node timeouts later, does not fit into it."""
    assert failover_bound(5.0) == 13.0
    assert failover_bound(5.0) < 5.0 + 4 * 5.0


def _flags(each: Sighting) -> frozenset[str]:
    return (
        next((e.flags for e in each.view.entries if e.node_id == node_id(M2)), frozenset())
        if each.view
        else frozenset()
    )
