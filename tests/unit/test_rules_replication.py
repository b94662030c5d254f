"""Each rule on replication, configuration and ports finds its planted defect."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.rules.configuration import same_value
from fixtures.rules.finding import Severity
from fixtures.rules.judge import judge
from provisioning.evidence import Evidence
from tests.unit.listing import M1, M2, NAMES, R1, R3, findings, node_changed, seen_by_all

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
