"""Each rule on persistence, stray keys and clocks finds its defect on made-up evidence, and nothing without one.

Clock skew is shown here only: nodes that share a kernel share its clock, so it cannot be planted on simulated hosts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fixtures.rules.finding import Breaks, Severity
from fixtures.rules.judge import judge
from provisioning.evidence import Evidence
from provisioning.evidence.container import ContainerEvidence, aof_cut_in
from provisioning.evidence.host_script import read_look
from tests.unit.listing import M1, M2, M3, NAMES, R1, R3, change, findings, node_changed, node_id, seen_by_all, wanted

pytestmark = pytest.mark.unit

NOW = 1700000000.0


def contained(evidence: Evidence, name: str, **changes: Any) -> Evidence:
    """Return the evidence with fields of one node's container replaced."""
    hosts = []
    for host in evidence.hosts:
        containers = dict(host.containers or {})
        if name in containers:
            containers[name] = replace(containers[name], **changes)
        hosts.append(replace(host, containers=containers))
    return replace(evidence, hosts=tuple(hosts))


@pytest.mark.parametrize(
    ("field", "said", "repair"),
    [
        ("aof_last_write_status", "could not write to its AOF", "make room"),
        ("aof_last_bgrewrite_status", "could not rewrite its AOF", "redis-cli -h 192.168.171.101 -p 6373 BGREWRITEAOF"),
        ("rdb_last_bgsave_status", "could not save", "redis-cli -h 192.168.171.101 -p 6373 BGSAVE"),
    ],
)
def test_failed_write_to_disk_is_found(field: str, said: str, repair: str) -> None:
    """Each of the three statuses is a finding of its own, with what repairs it."""
    (finding,) = findings(node_changed(seen_by_all(), M1, info={field: "err"}), "persistence-failing")
    assert finding.subject == M1
    assert said in finding.message
    assert repair in finding.repair


def test_failed_save_stops_writes_only_where_it_is_to() -> None:
    """A failed background save refuses writes now, unless the server was told to go on or has no save points."""
    failed = node_changed(seen_by_all(), M1, info={"rdb_last_bgsave_status": "err"})
    assert findings(failed, "persistence-failing")[0].breaks == Breaks.NOW
    for config in ({"stop-writes-on-bgsave-error": "no"}, {"save": ""}):
        going_on = findings(node_changed(failed, M1, config=config), "persistence-failing")
        assert [each.breaks for each in going_on] == [Breaks.NEXT_FAILURE]
        assert "MISCONF" not in going_on[0].message


def test_replica_that_cannot_write_to_disk_ends() -> None:
    """A replica ends at the next write of its master, unless it is told to go on (measured on Redis 8.0.2)."""
    failed = node_changed(seen_by_all(), R3, info={"rdb_last_bgsave_status": "err"})
    ends = node_changed(failed, R3, config={"replica-ignore-disk-write-errors": "no"})
    assert "its server ends at the next write" in findings(ends, "persistence-failing")[0].message
    goes_on = node_changed(failed, R3, config={"replica-ignore-disk-write-errors": "yes"})
    assert "as a master it would answer with MISCONF" in findings(goes_on, "persistence-failing")[0].message


def test_status_of_an_aof_that_is_off_does_not_count() -> None:
    """A server that has switched its AOF off keeps the last status, which means nothing any more."""
    off = {"aof_enabled": "0", "aof_last_write_status": "err", "aof_last_bgrewrite_status": "err"}
    assert findings(node_changed(seen_by_all(), M1, info=off), "persistence-failing") == ()


def test_aof_that_lost_its_end_is_found_at_the_master() -> None:
    """What the container logged at its start is a finding of a master; a replica in sync has its master's data."""
    line = "AOF appendonly.aof.1.incr.aof loaded anyway because aof-load-truncated is enabled"
    evidence = contained(seen_by_all(), M1, aof_cut=line)
    (finding,) = findings(evidence, "persistence-failing")
    assert (finding.subject, finding.evidence) == (M1, line)
    replica = contained(seen_by_all(), R3, aof_cut=line)
    assert findings(replica, "persistence-failing") == ()
    apart = node_changed(replica, R3, info={"master_link_status": "down"})
    assert [each.subject for each in findings(apart, "persistence-failing")] == [R3]


@pytest.mark.parametrize(
    "said",
    [
        "7:M 01 Jan 2026 10:00:00.000 # AOF appendonly.aof loaded anyway because aof-load-truncated is enabled",
        "1:M 01 Jan 2020 10:00:00.000 # AOF loaded anyway because aof-load-truncated is enabled",
    ],
)
def test_cut_aof_is_read_from_a_log(said: str) -> None:
    """The line is found as Redis 7 and Redis 6 write it, without its stamps; a log without it says nothing."""
    log = f"2026-01-01T10:00:00Z Server initialized\n2026-01-01T10:00:00Z {said}\n2026-01-01T10:00:01Z DB loaded\n"
    assert aof_cut_in(log) == said[said.index("AOF") :]
    assert aof_cut_in("Server initialized\nReady to accept connections\n") == ""


def test_cut_aof_is_read_on_a_real_host() -> None:
    """The script's line goes to the container that it is of."""
    line = "AOF appendonly.aof.1.incr.aof loaded anyway because aof-load-truncated is enabled"
    output = "\n".join(
        [
            "engine version 28.3.3",
            'container redis_master {"State": {"Status": "running"}}',
            f"aofcut redis_master 7:M 01 Jan 2026 10:00:00.000 # {line}",
            'container redis_slave {"State": {"Status": "running"}}',
        ]
    )
    seen = read_look(wanted().hosts[0], output, remote=True)
    assert {name: each.aof_cut for name, each in (seen.containers or {}).items()} == {M1: line, R1: ""}


def test_node_that_keeps_nothing_on_disk_is_found() -> None:
    """No AOF and no save points is an error; either of the two is enough to keep data."""
    off = {"appendonly": "no", "save": ""}
    (finding,) = findings(node_changed(seen_by_all(), M1, config=off), "persistence-off")
    assert finding.subject == M1
    assert finding.repair == "redis-cli -h 192.168.171.101 -p 6373 CONFIG SET appendonly yes"
    assert finding.if_left.startswith(f"if {M1} restarts")
    (finding,) = findings(node_changed(seen_by_all(), R1, config=off), "persistence-off")
    assert "takes over and restarts" in finding.if_left
    for one in ({"appendonly": "no"}, {"save": ""}):
        assert findings(node_changed(seen_by_all(), M1, config=one), "persistence-off") == ()


def test_node_among_others_with_save_points_gets_theirs() -> None:
    """Where all others keep an RDB file and no AOF, so does the node, and all are equal again."""
    evidence = seen_by_all()
    for name in NAMES:
        evidence = node_changed(evidence, name, config={"appendonly": "no"})
    (finding,) = findings(node_changed(evidence, M1, config={"save": ""}), "persistence-off")
    assert finding.repair == "redis-cli -h 192.168.171.101 -p 6373 CONFIG SET save '3600 1 300 100 60 10000'"


def test_setting_that_all_have_is_repaired_on_all() -> None:
    """Where no node keeps anything, one command for all leaves them equal."""
    evidence = seen_by_all()
    for name in NAMES:
        evidence = node_changed(evidence, name, config={"appendonly": "no", "save": ""})
    found = findings(evidence, "persistence-off")
    assert {each.subject for each in found} == set(NAMES)
    assert found[0].repair == "redis-cli --cluster call 192.168.171.101:6373 CONFIG SET appendonly yes"


@pytest.mark.parametrize(
    ("path", "mounts", "found"),
    [
        ("/data", (("/data", "volume"),), False),
        ("/data/redis/", (("/data", "bind:/srv/redis"),), False),
        ("/", (("/", "volume"),), False),
        ("/data", (("/", "volume"), ("/data", "tmpfs")), True),
        ("/database", (("/data", "volume"),), True),
        ("/var/lib/redis", (("/data", "volume"), ("/opt/redis", "bind:/opt/redis")), True),
        ("/data", (), True),
    ],
)
def test_data_must_lie_on_a_mount(path: str, mounts: tuple[tuple[str, str], ...], found: bool) -> None:
    """The innermost mount above the data decides; a name that merely begins alike is none, memory is no volume."""
    evidence = contained(node_changed(seen_by_all(), M1, config={"dir": path}), M1, mounts=mounts)
    assert [each.subject for each in findings(evidence, "data-not-on-a-volume")] == [M1] * found


def test_data_is_moved_onto_the_volume_that_there_is() -> None:
    """The repair says every step, where the container runs; without a volume beside the file's it cannot."""
    evidence = node_changed(
        seen_by_all(), M1, config={"dir": "/tmp/redis"}, info={"config_file": "/opt/redis/redis-node-master.conf"}
    )
    (finding,) = findings(evidence, "data-not-on-a-volume")
    lines = finding.repair.splitlines()
    steps = ("sed -i", "docker stop", "docker cp", "docker start")
    assert all(step in line for step, line in zip(steps, lines, strict=True))
    assert all(line.startswith("ssh ") for line in lines)
    (finding,) = findings(contained(evidence, M1, mounts=()), "data-not-on-a-volume")
    assert "docker cp" not in finding.repair


def test_data_of_a_node_without_a_container_is_not_asked_for() -> None:
    """Where no engine was seen the rule does not apply; a node that runs beside Docker is nobody's container."""
    evidence = node_changed(seen_by_all(), M1, config={"dir": "/var/lib/redis"})
    assert findings(contained(evidence, M1, state="absent", mounts=()), "data-not-on-a-volume") == ()
    judgement = judge(replace(evidence, hosts=()))
    assert "data-not-on-a-volume" in dict(judgement.not_applicable)


def test_tmpfs_is_told_from_a_bind_mount() -> None:
    """What the engine says of a mount in memory is no directory of the host's."""
    inspected = {"Mounts": [{"Type": "tmpfs", "Source": "", "Destination": "/data"}]}
    assert ContainerEvidence.of_inspect("redis_master", inspected).mounts == (("/data", "tmpfs"),)


def test_keys_in_a_foreign_slot_are_found_and_moved() -> None:
    """Keys that a master has in another's slot are moved to their owner, which is asked for the password it needs."""
    (finding,) = findings(node_changed(seen_by_all(), M1, stray_keys={6000: 3, 6001: 1}), "stray-keys")
    assert finding.subject == M1
    assert "4 keys in slots that it does not own: 6000-6001" in finding.message
    first, move, last, *_ = finding.repair.splitlines()
    assert first == f"redis-cli -h 192.168.171.101 -p 6373 CLUSTER SETSLOT 6000 IMPORTING {node_id(M2)}"
    assert 'MIGRATE 192.168.171.102 6373 "" 0 5000 AUTH "${REDISCLI_AUTH:?}" KEYS $(redis-cli' in move
    assert last.endswith("CLUSTER SETSLOT 6000 STABLE")


def test_keys_of_a_slot_without_owner_are_kept_where_they_are() -> None:
    """A slot that nobody owns is given to the node that has its keys."""
    evidence = seen_by_all(lambda lines: change(lines, M2, slots=()))
    (finding,) = findings(node_changed(evidence, M1, stray_keys={6000: 3}), "stray-keys")
    assert finding.repair == "redis-cli -h 192.168.171.101 -p 6373 CLUSTER ADDSLOTS 6000"


def test_replica_of_a_node_with_stray_keys_is_not_blamed() -> None:
    """A replica has what its master has, imported slots included; what only the replica has is its own."""
    both = node_changed(node_changed(seen_by_all(), M1, stray_keys={6000: 3}), R3, stray_keys={6000: 3})
    assert [each.subject for each in findings(both, "stray-keys")] == [M1]
    opened = seen_by_all(lambda lines: change(lines, M1, importing=((6000, node_id(M2)),)), only=[M1])
    assert findings(node_changed(opened, R3, stray_keys={6000: 3}), "stray-keys") == ()
    alone = node_changed(seen_by_all(), R3, stray_keys={6000: 3})
    assert [each.subject for each in findings(alone, "stray-keys")] == [R3]


def test_keys_that_could_not_be_counted_are_unknown() -> None:
    """Where the count was refused the rest is judged, and the verdict is unknown."""
    evidence = node_changed(seen_by_all(), M1, stray_keys=None, not_collected={"stray_keys": "NOPERM"})
    judgement = judge(evidence)
    assert ("stray-keys", f"{M1}: CLUSTER COUNTKEYSINSLOT: NOPERM") in judgement.not_collected
    assert judgement.verdict == "unknown"


@pytest.mark.parametrize(("ahead", "how"), [(5.0, "5.0 s ahead of"), (-3.0, "3.0 s behind")])
def test_clock_that_is_off_is_found(ahead: float, how: str) -> None:
    """A node whose clock is off by more than a second is found; the others, which agree, are not."""
    evidence = node_changed(seen_by_all(), M2, time=NOW + ahead)
    (finding,) = findings(evidence, "clock-skew")
    assert (finding.subject, finding.severity) == (M2, Severity.ERROR)
    assert how in finding.message


def test_slow_answer_is_no_skew() -> None:
    """What a question took is taken off: a node that answered late, or in the middle of it, may have the right time."""
    late = node_changed(seen_by_all(), M2, time=NOW + 1.9, answered_in=4.0)
    assert findings(late, "clock-skew") == ()
    sure = node_changed(seen_by_all(), M2, time=NOW + 60, answered_in=4.0)
    assert [each.subject for each in findings(sure, "clock-skew")] == [M2]
    slightly = node_changed(seen_by_all(), M2, time=NOW + 0.9)
    assert findings(slightly, "clock-skew") == ()


def test_askers_own_clock_does_not_matter() -> None:
    """All nodes an hour off the asker's clock agree with each other."""
    evidence = seen_by_all()
    for name in NAMES:
        evidence = node_changed(evidence, name, time=NOW + 3600)
    assert findings(evidence, "clock-skew") == ()
    assert findings(replace(evidence, nodes=evidence.nodes[:1]), "clock-skew") == ()


def test_clock_of_a_host_is_off_for_both_its_nodes() -> None:
    """Both nodes of a host with a wrong clock are found, and no other."""
    evidence = node_changed(node_changed(seen_by_all(), M3, time=NOW - 30), NAMES[5], time=NOW - 30)
    assert [each.subject for each in findings(evidence, "clock-skew")] == [M3, NAMES[5]]
