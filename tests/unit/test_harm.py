"""Nothing is taken down that the cluster would not survive, or while another host is ill."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.rules.harm import node_timeout_ms, objection_to_harm
from provisioning.errors import FaultError
from provisioning.evidence import Evidence, NodeEvidence
from provisioning.slots import SlotRange
from tests.unit.listing import M1, M2, M3, NAMES, R1, R2, R3, Entries, change, node_changed, node_id, seen_by_all

pytestmark = pytest.mark.unit

HOSTS = ("redis-host-1", "redis-host-2", "redis-host-3")


def failed_over(lines: Entries) -> None:
    change(lines, M3, role="replica", slots=(), master_id=node_id(R2), config_epoch=9)
    change(lines, R2, role="master", slots=(SlotRange(10923, 16383),), master_id="", config_epoch=9)


def promoted(lines: Entries) -> None:
    change(lines, R3, role="master", slots=(SlotRange(0, 5460),), master_id="", config_epoch=9)
    change(lines, M1, flag="fail", slots=())


def observed(evidence: Evidence, host: str) -> str:
    objection = objection_to_harm(evidence, host)
    return "" if objection is None else objection.observed


def test_any_host_of_a_healthy_cluster_may_be_harmed() -> None:
    """One at a time."""
    assert [observed(seen_by_all(), host) for host in HOSTS] == ["", "", ""]


def test_a_loss_that_is_predicted_to_be_fatal_is_refused_with_its_repair() -> None:
    """Two masters on one host: not that one, but the others."""
    evidence = seen_by_all(failed_over)
    objection = objection_to_harm(evidence, "redis-host-2")
    assert objection is not None
    assert "1 of 3 masters are left and 2 are needed" in objection.observed
    assert objection.advice.endswith("CLUSTER FAILOVER")
    assert observed(evidence, "redis-host-1") == ""


def silent(evidence: Evidence, name: str) -> Evidence:
    """Return the evidence with one node dead."""
    nodes = [
        NodeEvidence(name, each.address, each.host, unreachable="Connection refused") if each.name == name else each
        for each in evidence.nodes
    ]
    return replace(evidence, nodes=tuple(nodes))


def test_a_silent_node_spares_all_other_hosts() -> None:
    """What is lost already is lost beside what would be harmed; the rest of the same host may follow it."""
    evidence = silent(seen_by_all(), R1)
    assert observed(evidence, "redis-host-2") == f"{R1} does not answer"
    assert observed(evidence, "redis-host-1") == ""


def test_a_node_that_others_hold_to_be_dead_spares_all_other_hosts() -> None:
    """Although it answers us."""
    evidence = seen_by_all(lambda lines: change(lines, M2, flag="fail"))
    assert M2 in observed(evidence, "redis-host-1")


@pytest.mark.parametrize("flag", ["fail", "pfail"])
def test_a_dead_node_on_the_host_excuses_no_other_host(flag: str) -> None:
    """Another host's dead node is one more, whatever is dead here."""
    evidence = silent(seen_by_all(lambda lines: change(lines, M2, flag=flag)), R1)
    assert observed(evidence, "redis-host-1").startswith(M2)


def test_a_dead_node_on_the_host_excuses_what_comes_of_it() -> None:
    """That others are not yet of one mind on it, and say cluster_state:fail."""
    differing = silent(seen_by_all(promoted, only=(M2, R3)), M1)
    failing = node_changed(silent(seen_by_all(), M1), M2, cluster_info={"cluster_state": "fail"})
    for evidence in (differing, failing):
        assert "views differ" not in observed(evidence, "redis-host-1")
        assert "cluster_state" not in observed(evidence, "redis-host-1")
    mixed = seen_by_all(promoted, only=(M2, R3))
    assert "views differ" in observed(mixed, "redis-host-1")
    whole = node_changed(seen_by_all(), M2, cluster_info={"cluster_state": "fail"})
    assert "cluster_state:fail" in observed(whole, "redis-host-1")


def test_without_a_view_nothing_is_harmed() -> None:
    """Nobody can say what would be left."""
    evidence = replace(seen_by_all(), nodes=())
    assert observed(evidence, "redis-host-1") == "no node shows a view to predict from"


@pytest.mark.parametrize("name", [M2, R2])
def test_a_node_without_a_view_is_not_well(name: str) -> None:
    """It answers, and may not be asked for CLUSTER NODES."""
    evidence = node_changed(seen_by_all(), name, cluster_nodes=None, not_collected={"cluster_nodes": "NOPERM"})
    assert observed(evidence, "redis-host-1") == f"{name} shows no view of the cluster"


def test_a_member_that_nobody_asked_is_not_well() -> None:
    """The cluster has a node that the inventory has not."""
    evidence = seen_by_all()
    evidence = replace(evidence, nodes=tuple(node for node in evidence.nodes if node.name != R2))
    assert observed(evidence, "redis-host-1") == f"{R2} is a member that was not asked"


@pytest.mark.parametrize("field", ["info", "config", "second_info", "cluster_info"])
@pytest.mark.parametrize("name", [R2, M3])
def test_what_could_not_be_asked_is_no_permission(field: str, name: str) -> None:
    """Neither of an heir nor of anybody else: whether it is well is unknown."""
    evidence = node_changed(seen_by_all(), name, **{field: None}, not_collected={field: "NOPERM"})
    assert name in observed(evidence, "redis-host-3")
    assert "NOPERM" in observed(evidence, "redis-host-3")


def test_what_nobody_was_asked_is_no_permission() -> None:
    """Pasted listings name members, and say nothing else of them."""
    evidence = seen_by_all()
    listings = tuple(NodeEvidence(each.name, each.address, each.host, each.cluster_nodes) for each in evidence.nodes)
    assert observed(replace(evidence, nodes=listings), "redis-host-1")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"second_info": {"slave_repl_offset": "900"}}, "lacks data"),
        ({"info": {"master_link_status": "down", "master_link_down_since_seconds": "1"}}, "link to"),
        ({"info": {"master_last_io_seconds_ago": "20"}}, "has heard nothing"),
        ({"config": {"cluster-replica-no-failover": "yes"}}, "never to take over"),
    ],
)
def test_the_heir_has_what_its_master_has(changes: dict[str, dict[str, str]], says: str) -> None:
    """Only whoever would take over counts: the replica on host 2 follows the master on host 3."""
    evidence = node_changed(seen_by_all(), R2, **changes)
    assert observed(evidence, "redis-host-3").startswith(R2)
    assert says in observed(evidence, "redis-host-3")
    assert observed(evidence, "redis-host-1") == ""


def test_what_would_come_back_empty_is_not_taken_down() -> None:
    """Its replica would copy that; elsewhere it does no harm now."""
    evidence = node_changed(seen_by_all(), M2, config={"appendonly": "no", "save": ""})
    assert observed(evidence, "redis-host-2") == f"{M2}: keeps nothing on disk"
    assert observed(evidence, "redis-host-1") == ""


def test_a_master_that_keeps_snapshots_only_is_not_taken_down() -> None:
    """What was written since the last one would be lost where nobody is elected; a replica copies its master's."""
    only_snapshots = {"appendonly": "no", "save": "3600 1"}
    evidence = node_changed(seen_by_all(), M2, config=only_snapshots)
    assert observed(evidence, "redis-host-2").startswith(f"{M2}: appendonly no")
    assert observed(evidence, "redis-host-1") == ""
    assert observed(node_changed(seen_by_all(), R2, config=only_snapshots), "redis-host-2") == ""


def test_budgets_derive_from_the_node_timeout_that_the_cluster_has() -> None:
    """The nodes' own, of whoever answers; where they differ there is none."""
    evidence = seen_by_all()
    for name in NAMES:
        evidence = node_changed(evidence, name, config={"cluster-node-timeout": "700"})
    assert node_timeout_ms(silent(evidence, M1)) == 700
    differing = node_changed(evidence, R3, config={"cluster-node-timeout": "5000"})
    with pytest.raises(FaultError, match=f"{R3}: 5000"):
        node_timeout_ms(differing)
    with pytest.raises(FaultError, match="no node let itself be asked"):
        node_timeout_ms(replace(evidence, nodes=()))
