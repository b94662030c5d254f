"""Each rule on memory, replicas in time and backlog finds its defect on made-up evidence, and nothing beside it."""

from __future__ import annotations

import pytest

from fixtures.rules.finding import Breaks, Severity
from provisioning.evidence import Evidence
from tests.unit.listing import M1, NAMES, R3, findings, node_changed, seen_by_all

pytestmark = pytest.mark.unit

MIB = 1024 * 1024


def everywhere(evidence: Evidence, **changes: object) -> Evidence:
    """Return the evidence with the same fields changed on every node."""
    for name in NAMES:
        evidence = node_changed(evidence, name, **changes)
    return evidence


def filled(used: int, policy: str = "noeviction", expires: int = 0) -> Evidence:
    """Return a cluster whose nodes may all use 4 MiB, one of which uses that much."""
    limit = str(4 * MIB)
    limited = everywhere(
        seen_by_all(), info={"maxmemory": limit, "maxmemory_policy": policy}, config={"maxmemory": limit}
    )
    keys = f"keys=600,expires={expires},avg_ttl=0"
    return node_changed(limited, M1, info={"used_memory": str(used), "mem_not_counted_for_evict": "0", "db0": keys})


def test_full_memory_is_found() -> None:
    """A node that uses all it may and evicts nothing is found; raising the limit on all leaves them equal."""
    (finding,) = findings(filled(4 * MIB), "memory-full")
    assert (finding.subject, finding.breaks) == (M1, Breaks.NOW)
    assert finding.repair == f"redis-cli --cluster call 192.168.171.101:6373 CONFIG SET maxmemory {6 * MIB}"


def test_memory_that_does_not_count_is_not_full() -> None:
    """Buffers of replicas and AOF are no reason to refuse a write, so they are none for a finding."""
    buffers = node_changed(filled(4 * MIB + 1000), M1, info={"mem_not_counted_for_evict": "1001"})
    assert findings(buffers, "memory-full") == ()
    assert findings(filled(4 * MIB - 1), "memory-full") == ()


@pytest.mark.parametrize(
    ("policy", "expires", "found"),
    [("allkeys-lru", 0, False), ("volatile-lru", 1, False), ("volatile-lru", 0, True), ("noeviction", 600, True)],
)
def test_full_cache_is_no_finding(policy: str, expires: int, found: bool) -> None:
    """A cache lives at its limit; one that may evict only keys with an expiry, and has none, does not."""
    assert len(findings(filled(4 * MIB, policy, expires), "memory-full")) == found


def test_limit_of_one_node_is_made_that_of_the_others() -> None:
    """Where one node alone has the limit it gets the others'."""
    alone = {"maxmemory": "1000000", "used_memory": "2000000"}
    evidence = node_changed(seen_by_all(), M1, info=alone, config={"maxmemory": "1000000"})
    (finding,) = findings(evidence, "memory-full")
    assert finding.repair == "redis-cli -h 192.168.171.101 -p 6373 CONFIG SET maxmemory 0"


def test_memory_that_the_machine_does_not_have_is_not_promised() -> None:
    """No limit is named that does not fit into the machine."""
    evidence = node_changed(filled(4 * MIB), M1, info={"total_system_memory": str(8 * MIB)})
    assert "CONFIG SET maxmemory <more>" in findings(evidence, "memory-full")[0].repair


def test_full_replica_breaks_at_the_next_failure() -> None:
    """A replica ignores its limit until it takes over."""
    limited = {"maxmemory": "1000000", "used_memory": "2000000"}
    (finding,) = findings(node_changed(seen_by_all(), R3, info=limited), "memory-full")
    assert (finding.subject, finding.breaks) == (R3, Breaks.NEXT_FAILURE)


def test_writes_without_enough_replicas_are_found() -> None:
    """A master with fewer replicas in time than it asks for is found; with as many it is not."""
    asks = {"config": {"min-replicas-to-write": "2"}, "info": {"min_slaves_good_slaves": "1"}}
    (finding,) = findings(node_changed(seen_by_all(), M1, **asks), "writes-refused")
    assert finding.subject == M1
    assert finding.repair == "redis-cli -h 192.168.171.101 -p 6373 CONFIG SET min-replicas-to-write 0"
    enough = node_changed(seen_by_all(), M1, **{**asks, "info": {"min_slaves_good_slaves": "2"}})
    assert findings(enough, "writes-refused") == ()


def test_more_replicas_than_any_master_has_are_asked_of_all() -> None:
    """Where all masters ask for two of one replica, all are found and get one."""
    evidence = everywhere(seen_by_all(), config={"min-replicas-to-write": "2"})
    for name in NAMES[::2]:
        evidence = node_changed(evidence, name, info={"min_slaves_good_slaves": "1"})
    found = findings(evidence, "writes-refused")
    assert [each.subject for each in found] == list(NAMES[::2])
    assert found[0].repair == "redis-cli --cluster call 192.168.171.101:6373 CONFIG SET min-replicas-to-write 1"


def test_replica_that_is_late_is_to_be_brought_back() -> None:
    """Where there are enough replicas but not in time, no setting is the repair."""
    evidence = everywhere(seen_by_all(), config={"min-replicas-to-write": "1"})
    (finding,) = findings(node_changed(evidence, M1, info={"min_slaves_good_slaves": "0"}), "writes-refused")
    assert "bring its replicas back" in finding.repair


def test_backlog_of_less_than_a_second_is_a_notice() -> None:
    """A master that writes more in a second than its backlog holds is told; size is a minute of it."""
    busy = {"instantaneous_input_kbps": "4096.00"}
    evidence = node_changed(seen_by_all(), M1, info=busy, second_info={"master_repl_offset": str(1000 + 200_000)})
    (finding,) = findings(evidence, "backlog-too-small")
    assert (finding.subject, finding.severity) == (M1, Severity.NOTICE)
    assert f"repl-backlog-size {115 * MIB}" in finding.repair


@pytest.mark.parametrize(
    ("offset", "received"), [(1000 + 90_000, "4096.00"), (1000 + 200_000, "512.00"), (1000 + 200_000, "")]
)
def test_burst_or_slow_writer_is_no_small_backlog(offset: int, received: str) -> None:
    """Both the difference of two samples and the server's own average must exceed the backlog."""
    evidence = node_changed(
        seen_by_all(),
        M1,
        info={"instantaneous_input_kbps": received},
        second_info={"master_repl_offset": str(offset)},
    )
    assert findings(evidence, "backlog-too-small") == ()


def test_cache_without_a_limit_is_a_notice() -> None:
    """A policy that evicts and no maxmemory is told for every node, with one limit that fits every machine."""
    changes = {"info": {"maxmemory_policy": "allkeys-lru"}, "config": {"maxmemory-policy": "allkeys-lru"}}
    found = findings(everywhere(seen_by_all(), **changes), "eviction-unset")
    assert [(each.subject, each.severity) for each in found] == [(name, Severity.NOTICE) for name in NAMES]
    assert all(each.repair.endswith(f"CONFIG SET maxmemory {2457 * MIB}") for each in found)
    assert len({each.repair for each in found}) == len(NAMES)
