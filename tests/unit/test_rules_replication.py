"""Each rule on replication, configuration and ports finds its planted defect."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.rules.configuration import same_value
from fixtures.rules.finding import Severity
from fixtures.rules.judge import judge
from provisioning.evidence import Evidence
from provisioning.slots import SlotRange
from tests.unit.listing import M1, M2, NAMES, R1, R3, change, findings, node_changed, seen_by_all

pytestmark = pytest.mark.unit

DOWN = {"master_link_status": "down"}


def test_broken_replication_link_is_found() -> None:
    """A link that is down is found at the replica; it was in sync before, so it is not called never synced."""
    evidence = node_changed(seen_by_all(), R3, info={**DOWN, "master_link_down_since_seconds": "5"})
    (finding,) = findings(evidence, "replica-link-down")
    assert finding.subject == R3
    assert M1 in finding.message
    assert findings(evidence, "replica-never-synced") == ()


def test_replica_that_was_never_in_sync_is_found() -> None:
    """A link that was never up and no offset: the replica has nothing."""
    evidence = node_changed(seen_by_all(), R3, info={**DOWN, "slave_repl_offset": "0"})
    assert findings(evidence, "replica-never-synced")[0].subject == R3


def test_replica_that_its_master_does_not_list_is_found() -> None:
    """A replica that gave no INFO itself is found by its master, which does not list it as online."""
    evidence = node_changed(seen_by_all(), R3, info=None, not_collected={"info": "NOPERM"})
    assert findings(evidence, "replica-link-down") == ()
    link = "ip=192.168.171.103,port=6374,state=wait_bgsave,offset=0,lag=0"
    judgement = judge(node_changed(evidence, M1, info={"slave0": link}))
    assert judgement.of("replica-link-down")[0].subject == R3
    assert ("replica-link-down", f"{R3}: INFO: NOPERM") in judgement.not_collected


def test_replica_behind_in_two_samples_is_found() -> None:
    """A replica lags that lacks in the second sample what its master had in the first; one that caught up does not."""
    evidence = node_changed(seen_by_all(), M1, info={"master_repl_offset": "481000"})
    (finding,) = findings(evidence, "replica-lagging")
    assert finding.subject == R3
    assert "480000 bytes behind" in finding.evidence
    caught_up = node_changed(evidence, R3, second_info={"slave_repl_offset": "481000"})
    assert findings(caught_up, "replica-lagging") == ()


def test_replica_that_takes_writes_is_found() -> None:
    """A replica that is writable is found, by INFO or by CONFIG; a master that would be one is none yet."""
    for changes in ({"info": {"slave_read_only": "0"}}, {"config": {"replica-read-only": "no"}}):
        (finding,) = findings(node_changed(seen_by_all(), R3, **changes), "replica-writable")
        assert finding.subject == R3
        assert finding.repair == "redis-cli -h 192.168.171.103 -p 6374 CONFIG SET replica-read-only yes"
    assert findings(node_changed(seen_by_all(), M1, config={"replica-read-only": "no"}), "replica-writable") == ()


def test_writable_replica_with_other_keys_is_to_be_copied_anew() -> None:
    """At the master's own offset it must have the master's keys; where it has not, it is restarted as well."""
    writable = node_changed(seen_by_all(), R3, info={"slave_read_only": "0", "db0": ""})
    (finding,) = findings(writable, "replica-writable")
    assert "has other keys" in finding.message
    assert "docker restart" in finding.repair
    behind = node_changed(writable, M1, info={"master_repl_offset": "1001"})
    assert "other keys" not in findings(behind, "replica-writable")[0].message


@pytest.mark.parametrize(("silent", "found"), [("10", False), ("16", False), ("17", True), ("-1", False)])
def test_silent_master_is_found_whatever_the_link_says(silent: str, found: bool) -> None:
    """More than one and a half ping periods (10 s), and the second that INFO rounds off, without a byte are found."""
    up = node_changed(seen_by_all(), R3, info={"master_last_io_seconds_ago": silent})
    assert [each.subject for each in findings(up, "replica-stale")] == [R3] * found
    down = {**DOWN, "master_link_down_since_seconds": silent, "master_last_io_seconds_ago": "-1"}
    found_down = findings(node_changed(seen_by_all(), R3, info=down), "replica-stale")
    assert [each.subject for each in found_down] == [R3] * found


def test_ping_period_that_either_of_the_two_has_decides() -> None:
    """The shorter period counts: a master that is set to ping rarely is silent all the same."""
    silent = node_changed(seen_by_all(), R3, info={"master_last_io_seconds_ago": "5"})
    rare = node_changed(silent, M1, config={"repl-ping-replica-period": "3600"})
    assert findings(rare, "replica-stale") == ()
    often = node_changed(rare, R3, config={"repl-ping-replica-period": "2"})
    assert findings(often, "replica-stale")[0].repair == "redis-cli -h 192.168.171.103 -p 6374 CLIENT KILL TYPE master"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"config": {"cluster-replica-no-failover": "yes"}}, "configured never to take over"),
        ({"info": {**DOWN, "slave_repl_offset": "0"}}, "never been in sync"),
        ({"info": {**DOWN, "slave_repl_offset": "1000"}}, "has not been in sync with its master since it started"),
        ({"info": {**DOWN, "master_link_down_since_seconds": "1700000000"}}, "has not been in sync"),
        ({"info": {**DOWN, "master_link_down_since_seconds": "66"}}, "data 66 s old"),
        ({"info": {"master_last_io_seconds_ago": "66"}}, "heard nothing from its master for 66 s"),
        ({"info": {**DOWN, "redis_version": "7.0.15"}}, "cannot load the RDB of its master's 8.0.2"),
    ],
)
def test_replica_that_cannot_take_over_is_found(changes: dict[str, dict[str, str]], why: str) -> None:
    """Each reason for which a replica would not be promoted is found, and what dies with its master is named."""
    (finding,) = findings(node_changed(seen_by_all(), R3, **changes), "replica-cannot-take-over")
    assert finding.subject == R3
    assert why in finding.message
    assert finding.if_left == f"if {M1} dies now, nobody takes over its slots"


@pytest.mark.parametrize(
    ("info", "config"),
    [
        ({**DOWN, "master_link_down_since_seconds": "65"}, {}),
        ({**DOWN, "master_link_down_since_seconds": "9999"}, {"cluster-replica-validity-factor": "0"}),
        ({"redis_version": "7.0.15"}, {}),
        ({**DOWN, "redis_version": "7.4.1", "master_link_down_since_seconds": "1"}, {}),
    ],
)
def test_replica_that_can_take_over_is_no_finding(info: dict[str, str], config: dict[str, str]) -> None:
    """Young enough data, a factor of 0, an older server in sync, and one that loads the RDB keep nobody from it."""
    assert findings(node_changed(seen_by_all(), R3, info=info, config=config), "replica-cannot-take-over") == ()


def test_way_back_for_a_replica_is_a_command() -> None:
    """What is configured is undone by its command; a silent connection is ended so that another is opened."""
    never = node_changed(seen_by_all(), R3, config={"cluster-replica-no-failover": "yes"})
    (finding,) = findings(never, "replica-cannot-take-over")
    assert finding.repair == "redis-cli -h 192.168.171.103 -p 6374 CONFIG SET cluster-replica-no-failover no"
    silent = node_changed(seen_by_all(), R3, info={"master_last_io_seconds_ago": "66"})
    assert findings(silent, "replica-cannot-take-over")[0].repair.endswith("CLIENT KILL TYPE master")


def test_setting_that_differs_is_found_at_the_odd_node() -> None:
    """A setting unlike the others' is found with its repair; settings that only some nodes have are not compared."""
    evidence = node_changed(seen_by_all(), R1, config={"cluster-node-timeout": "15000", "repl-timeout": "5"})
    (finding,) = findings(evidence, "config-differs")
    assert finding.subject == R1
    assert finding.repair == "redis-cli -h 192.168.171.101 -p 6374 CONFIG SET cluster-node-timeout 5000"
    assert [each.subject for each in findings(evidence, "config-not-as-wanted")] == [R1]


@pytest.mark.parametrize(
    ("one", "other"), [("100mb", "104857600"), ("Yes", "yes"), ('"3600 1"', "3600 1"), ("1k", "1000")]
)
def test_values_that_mean_the_same_are_equal(one: str, other: str) -> None:
    """Units, case and quotes make no difference."""
    assert same_value(one, other)
    assert not same_value(one, "0")


def test_inventory_settings_are_compared() -> None:
    """A setting of the inventory that a node has otherwise is found; one that the server does not know is not."""
    evidence = seen_by_all()
    assert evidence.wanted is not None
    wanted = replace(evidence.wanted, settings={"maxmemory": "100mb", "no-such-setting": "1"})
    found = findings(replace(evidence, wanted=wanted), "config-not-as-wanted")
    assert {each.subject for each in found} == set(NAMES)


def test_what_the_inventory_leaves_out_is_not_wanted() -> None:
    """Node timeout, persistence and slots of a cluster are as wanted where the inventory says nothing of them."""
    own = seen_by_all(
        lambda lines: change(lines, M1, slots=(SlotRange(0, 5459),)),
        lambda lines: change(lines, M2, slots=(SlotRange(5460, 10922),)),
    )
    for name in NAMES:
        own = node_changed(own, name, config={"cluster-node-timeout": "15000", "appendonly": "no"})
    assert own.wanted is not None
    rules = ("config-not-as-wanted", "slots-differ", "config-file-differs")
    assert all(findings(own, rule) for rule in rules[:2])
    files = {name: {"cluster-node-timeout": "15000", "appendonly": "no"} for name in NAMES}
    hosts = tuple(
        replace(host, directives={name: {**each, **files[name]} for name, each in (host.directives or {}).items()})
        for host in own.hosts
    )
    silent = replace(own, hosts=hosts, wanted=replace(own.wanted, given=frozenset()))
    assert {rule: findings(silent, rule) for rule in rules} == dict.fromkeys(rules, ())


def test_low_node_timeout_is_a_warning() -> None:
    """A node timeout under a second is found on every node that has it."""
    evidence = node_changed(seen_by_all(inventory=False), M1, config={"cluster-node-timeout": "999"})
    (finding,) = findings(evidence, "node-timeout-too-low")
    assert (finding.subject, finding.severity) == (M1, Severity.WARNING)


def test_mixed_versions_are_a_warning_and_an_older_replica_an_error() -> None:
    """Versions that differ are a warning; a replica older than its master is an error."""
    older_master = findings(node_changed(seen_by_all(), M1, info={"redis_version": "7.0.15"}), "version-mix")
    assert [each.severity for each in older_master] == [Severity.WARNING]
    older_replica = findings(node_changed(seen_by_all(), R3, info={"redis_version": "7.0.15"}), "version-mix")
    assert [(each.subject, each.severity) for each in older_replica] == [
        (R3, Severity.ERROR),
        ("cluster", Severity.WARNING),
    ]


def dialled(evidence: Evidence, address: str, reached: bool | None) -> Evidence:
    """Return the evidence in which host 1 reached the address, did not, or (None) no host tried."""
    hosts = []
    for host in evidence.hosts:
        ports = dict(host.reachable_ports or {})
        if reached is None:
            del ports[address]
        elif host.name == "redis-host-1":
            ports[address] = reached
        hosts.append(replace(host, reachable_ports=ports))
    return replace(evidence, hosts=tuple(hosts))


@pytest.mark.parametrize(("rule", "port"), [("client-port-closed", 6373), ("bus-port-closed", 16373)])
@pytest.mark.parametrize("inventory", [True, False])
def test_closed_port_is_found_from_one_host(rule: str, port: int, inventory: bool) -> None:
    """A port that one host cannot reach is found at the node, with the host that failed."""
    evidence = dialled(seen_by_all(inventory=inventory), f"192.168.171.102:{port}", False)
    (finding,) = findings(evidence, rule)
    assert finding.subject == (M2 if inventory else "192.168.171.102:6373")
    assert finding.seen_by == ("redis-host-1",)


def test_port_that_nobody_dialled_is_unknown() -> None:
    """A bus port that no host dialled makes the verdict unknown; so does a host that could not be asked."""
    judgement = judge(dialled(seen_by_all(), "192.168.171.102:16373", None))
    assert judgement.verdict == "unknown"
    evidence = seen_by_all()
    silent = replace(evidence.hosts[0], reachable_ports=None, not_collected={"reachable_ports": "no ssh"})
    judgement = judge(replace(evidence, hosts=(silent, *evidence.hosts[1:])))
    assert ("bus-port-closed", "redis-host-1: TCP connects: no ssh") in judgement.not_collected
    assert judgement.verdict == "unknown"
