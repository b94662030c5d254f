"""Nothing is taken down that the cluster would not survive, or while another host is ill."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.rules.harm import objection_to_harm
from provisioning.evidence import Evidence
from provisioning.slots import SlotRange
from tests.unit.listing import M2, M3, R1, R2, Entries, change, node_changed, node_id, seen_by_all

pytestmark = pytest.mark.unit

HOSTS = ("redis-host-1", "redis-host-2", "redis-host-3")


def failed_over(lines: Entries) -> None:
    change(lines, M3, role="replica", slots=(), master_id=node_id(R2), config_epoch=9)
    change(lines, R2, role="master", slots=(SlotRange(10923, 16383),), master_id="", config_epoch=9)


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


def test_a_silent_node_spares_all_other_hosts() -> None:
    """What is lost already is lost beside what would be harmed; the rest of the same host may follow it."""
    evidence = node_changed(seen_by_all(), R1, cluster_nodes="", unreachable="Connection refused")
    assert observed(evidence, "redis-host-2") == f"{R1} does not answer"
    assert observed(evidence, "redis-host-1") == ""


def test_a_node_that_others_hold_to_be_dead_spares_all_other_hosts() -> None:
    """Although it answers us."""
    evidence = seen_by_all(lambda lines: change(lines, M2, flag="fail"))
    assert M2 in observed(evidence, "redis-host-1")


def test_without_a_view_nothing_is_harmed() -> None:
    """Nobody can say what would be left."""
    evidence = replace(seen_by_all(), nodes=())
    assert observed(evidence, "redis-host-1") == "no node shows a view to predict from"
