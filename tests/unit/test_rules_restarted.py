"""A master that came back without its data is found by what others know; one that merely has few keys is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.rules.chance import IMPOSSIBLE, of_so_few_keys, of_so_few_slots
from fixtures.rules.finding import Severity
from provisioning.evidence import Evidence
from tests.unit.listing import M1, M2, M3, NAMES, R3, change, findings, node_changed, seen_by_all

pytestmark = pytest.mark.unit

RULE = "restarted-empty"
ANOTHER_RUN = "f" * 40


def calls(number: int) -> str:
    return f"calls={number},usec=1,usec_per_call=1.00,rejected_calls=0,failed_calls=0"


BLANK = {
    "uptime_in_seconds": "5",
    "run_id": ANOTHER_RUN,
    "db0": "",
    "total_commands_processed": "40",
    "cmdstat_set": "",
}
COPIED = {"db0": ""}


def restarted(*, keys: int = 0, slots: int = 0, **info: str) -> Evidence:
    """Return a healthy cluster but for a master that came back 5 s ago with so many keys, copied by its replica."""
    has = {"db0": f"keys={keys},expires=0,avg_ttl=0"} if keys else {}
    evidence = node_changed(seen_by_all(), M1, info={**BLANK, **has, **info}, occupied_slots=slots)
    return node_changed(evidence, R3, info={**COPIED, **has})


def thinned(evidence: Evidence, keys: int, slots: int) -> Evidence:
    """Return the evidence with so few keys, in so few slots, on each of the other masters."""
    for name in (M2, M3):
        evidence = node_changed(
            evidence, name, info={"db0": f"keys={keys},expires=0" if keys else ""}, occupied_slots=slots
        )
    return evidence


def without_history(evidence: Evidence) -> Evidence:
    """Return the evidence with a replica that has seen no write."""
    return node_changed(evidence, R3, info={"cmdstat_set": ""})


def test_blank_master_whose_replica_was_sent_writes_is_an_error() -> None:
    """Its replica copied the emptiness, but runs for longer and counts the writes that it was sent before."""
    (finding,) = findings(restarted(), RULE)
    assert (finding.subject, finding.severity) == (M1, Severity.ERROR)
    assert f"its replica {R3} was sent 600 writes of keys before" in finding.message
    assert f"{R3} has copied that" in finding.if_left


def test_blank_master_is_a_warning_where_only_peers_have_keys() -> None:
    """With no history but the peers' keys, which are older than its start, it is a warning."""
    (finding,) = findings(without_history(restarted()), RULE)
    assert (finding.subject, finding.severity) == (M1, Severity.WARNING)


def test_master_that_was_written_to_since_is_still_found() -> None:
    """A few keys written since do not hide it; as many as chance allows do."""
    (finding,) = findings(restarted(keys=20, slots=20), RULE)
    assert finding.severity == Severity.ERROR
    assert findings(restarted(keys=500, slots=480), RULE) == ()


def test_master_that_came_back_with_its_data_is_healthy() -> None:
    """A restart alone is no finding: of a full master, after an RDB, of one with more keys than commands."""
    assert findings(restarted(keys=600, slots=570), RULE) == ()
    assert findings(restarted(keys=5, slots=5, rdb_last_load_keys_loaded="5"), RULE) == ()
    assert findings(restarted(keys=41, slots=3), RULE) == ()


def test_empty_cluster_that_restarts_is_healthy() -> None:
    """No keys anywhere, restarted one by one: nothing is missing, whatever its replica was sent before."""
    assert findings(thinned(restarted(), 0, 0), RULE) == ()


@pytest.mark.parametrize(("slots", "found"), [(17, False), (18, True)])
def test_few_keys_prove_nothing(slots: int, found: bool) -> None:
    """34 slots with keys, none of them on a third of all slots, is luck of one in 970,000; 36 one in 2.2 million."""
    assert bool(findings(thinned(restarted(), 1000, slots), RULE)) is found


def test_many_keys_of_few_tags_prove_nothing() -> None:
    """A million keys under ten hash tags are ten draws, and may all be on two of three masters."""
    assert findings(thinned(restarted(), 1_000_000, 5), RULE) == ()


def test_what_the_node_removed_itself_is_not_missing() -> None:
    """Keys that were flushed, deleted, evicted or have expired since the start are no loss."""
    assert findings(restarted(cmdstat_flushall=calls(1)), RULE) == ()
    assert findings(restarted(cmdstat_unlink=calls(400)), RULE) == ()
    assert findings(restarted(expired_keys="400"), RULE) == ()


def test_flush_or_removals_before_the_start_leave_a_warning() -> None:
    """A replica that was sent as many removals as writes, or a flush, proves nothing; the spread still speaks."""
    for told in ({"cmdstat_del": calls(600)}, {"cmdstat_flushall": calls(1)}):
        (finding,) = findings(node_changed(restarted(), R3, info=told), RULE)
        assert finding.severity == Severity.WARNING


def test_new_cluster_that_is_filled_shard_by_shard_is_healthy() -> None:
    """Where all started together, a shard that has no keys yet is no finding; where the others loaded theirs it is."""
    evidence = restarted()
    for name in NAMES:
        evidence = node_changed(evidence, name, info={"uptime_in_seconds": "6", "cmdstat_set": ""})
    assert findings(evidence, RULE) == ()
    loaded = node_changed(evidence, M2, info={"rdb_last_load_keys_loaded": "600"})
    assert [each.subject for each in findings(loaded, RULE)] == [M1]


def test_replica_out_of_touch_can_give_the_keys_back() -> None:
    """A replica that has the keys still, because its link is down, is promoted before it copies the emptiness."""
    apart = {"db0": "keys=600,expires=0", "master_link_status": "down", "master_link_down_since_seconds": "3"}
    (finding,) = findings(node_changed(restarted(), R3, info=apart), RULE)
    assert finding.severity == Severity.ERROR
    assert finding.repair == "redis-cli -h 192.168.171.103 -p 6374 CLUSTER FAILOVER FORCE"


def test_earlier_look_shows_what_is_gone() -> None:
    """Against an earlier look a blank master is an error, though every master has lost its keys and no peer has any."""
    blank = thinned(without_history(restarted()), 0, 0)
    for name in (M2, M3):
        blank = node_changed(blank, name, info={"run_id": ANOTHER_RUN})
    assert findings(blank, RULE) == ()
    found = findings(replace(blank, earlier=seen_by_all()), RULE)
    assert [(each.subject, each.severity) for each in found] == [(name, Severity.ERROR) for name in (M1, M2, M3)]
    assert "had 600 without an expiry earlier" in found[0].message


def test_earlier_look_at_keys_that_were_to_go_shows_nothing() -> None:
    """Keys with an expiry, a process that runs on, other slots, and peers that lost theirs alike are no comparison."""
    blank = thinned(without_history(restarted()), 0, 0)
    expiring = node_changed(seen_by_all(), M1, info={"db0": "keys=600,expires=595"})
    same_run = node_changed(seen_by_all(), M1, info={"run_id": ANOTHER_RUN})
    moved = seen_by_all(lambda lines: change(lines, M1, slots=lines[M2].slots))
    for earlier in (expiring, same_run, moved, seen_by_all()):
        assert findings(replace(blank, earlier=earlier), RULE) == ()


def test_chances_are_those_of_lots() -> None:
    """The chance that none of d occupied slots is among a third of all is about (2/3) to the d; bounds stay bounds."""
    assert of_so_few_slots(0, 5461, 10, 10923) == pytest.approx((2 / 3) ** 10, rel=0.01)
    assert of_so_few_slots(5, 5461, 10, 10923) > 0.1
    assert of_so_few_slots(5461, 5461, 10923, 10923) == 1.0
    assert of_so_few_keys(0, 14) < IMPOSSIBLE < of_so_few_keys(0, 13)
    assert of_so_few_keys(14, 14) == 1.0
    assert 0 < of_so_few_keys(100_000, 1_000_000) < IMPOSSIBLE or of_so_few_keys(100_000, 1_000_000) == 0.0
