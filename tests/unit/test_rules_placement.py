"""Each placement rule finds its planted defect, by the inventory's hosts or by IP."""

from __future__ import annotations

import pytest

from fixtures.rules.finding import Severity
from provisioning.slots import SlotRange
from tests.unit.listing import M1, M2, M3, R1, R2, R3, Entries, change, findings, node_id, pasted, rules_in, seen_by_all

pytestmark = pytest.mark.unit


def beside_master(lines: Entries) -> None:
    change(lines, R1, master_id=node_id(M1))
    change(lines, R3, master_id=node_id(M2))


def failed_over(lines: Entries) -> None:
    """The replica on host 2 (of host 3's master) has taken over: host 2 has two of three masters."""
    change(lines, M3, role="replica", slots=(), master_id=node_id(R2), config_epoch=9)
    change(lines, R2, role="master", slots=(SlotRange(10923, 16383),), master_id="", config_epoch=9)


def test_replica_beside_its_master_is_found() -> None:
    """A replica on its master's host is found by IP, and by the inventory's host where there is one."""
    (by_ip,) = findings(pasted(beside_master), "replica-same-host-as-master")
    assert by_ip.subject == "192.168.171.101:6374"
    assert "CLUSTER REPLICATE" in by_ip.repair
    (by_name,) = findings(seen_by_all(beside_master), "replica-same-host-as-master")
    assert by_name.subject == R1
    assert by_name.repair == f"redis-cli -h 192.168.171.101 -p 6374 CLUSTER REPLICATE {node_id(M2)}"


def test_two_replicas_on_one_host_are_a_warning() -> None:
    """Two replicas of one master on one host are found at the master."""

    def crowd(lines: Entries) -> None:
        change(lines, R1, master_id=node_id(M2), ip="192.168.171.103", port=6375)
        change(lines, R3, master_id=node_id(M2))

    (finding,) = findings(pasted(crowd), "replicas-same-host")
    assert (finding.subject, finding.severity) == ("192.168.171.102:6373", Severity.WARNING)


@pytest.mark.parametrize("flag", ["fail", "noaddr", "handshake"])
def test_master_whose_only_replica_is_unusable_is_found(flag: str) -> None:
    """A master is bare when its replica is failed, without address or in handshake, not when only suspected."""
    (finding,) = findings(pasted(lambda lines: change(lines, R3, flag=flag)), "master-without-replica")
    assert finding.subject == "192.168.171.101:6373"
    assert finding.if_left not in finding.message
    assert findings(pasted(lambda lines: change(lines, R3, flag="pfail")), "master-without-replica") == ()


def test_dead_master_is_not_called_bare() -> None:
    """A master that is itself lost has other findings than its missing replica."""

    def both(lines: Entries) -> None:
        change(lines, M1, flag="fail")
        change(lines, R3, flag="fail")

    assert findings(pasted(both), "master-without-replica") == ()


def test_concentrated_masters_are_found_with_the_failover_that_helps() -> None:
    """Two of three masters on one host are found, and the repair is the failover that spreads them again."""
    (finding,) = findings(seen_by_all(failed_over), "masters-concentrated-on-one-host")
    assert finding.subject == "redis-host-2"
    assert "2 of 3 masters die with it" in finding.message
    assert finding.repair in {
        "redis-cli -h 192.168.171.103 -p 6373 CLUSTER FAILOVER",
        "redis-cli -h 192.168.171.101 -p 6374 CLUSTER FAILOVER",
    }


def test_single_master_is_not_concentrated() -> None:
    """A host with one master is not concentrated, however few masters there are."""

    def one(lines: Entries) -> None:
        for name in (M2, M3, R1, R2):
            del lines[name]
        change(lines, M1, slots=(SlotRange(0, 16383),))

    assert rules_in(pasted(one)) == {"too-few-masters"}


def test_host_that_may_not_die_is_found() -> None:
    """A host whose loss takes the majority, or a shard whose replica may not stand, is found with the reasons."""
    (finding,) = findings(seen_by_all(failed_over), "host-loss-not-survivable")
    assert finding.subject == "redis-host-2"
    assert "1 of 3 masters are left and 2 are needed" in finding.message
    (finding,) = findings(seen_by_all(lambda lines: change(lines, R3, flag="nofailover")), "host-loss-not-survivable")
    assert finding.subject == "redis-host-1"
    assert "configured never to take over" in finding.message
