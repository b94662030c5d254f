"""What the loss of a host does is predicted, with the reasons and the way out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.rules.survival import Survival, predict_host_loss
from provisioning.evidence import Evidence
from provisioning.slots import SlotRange
from tests.unit.listing import M1, M2, M3, R1, R2, R3, Entries, change, node_changed, node_id, pasted, seen_by_all

pytestmark = pytest.mark.unit


def of(evidence: Evidence, host: str) -> Survival:
    return next(each for each in predict_host_loss(evidence) if each.host == host)


def test_healthy_layout_survives_every_host() -> None:
    """In the seed's layout each host takes one master with it, two of three are left, and every shard lives on."""
    found = predict_host_loss(seen_by_all())
    assert [each.host for each in found] == ["redis-host-1", "redis-host-2", "redis-host-3"]
    assert [each.masters_lost for each in found] == [(M1,), (M2,), (M3,)]
    assert all(each.survives and each.quorum_kept and each.shards_left_alive for each in found)
    assert all((each.masters_left, each.masters_needed, each.repair) == (2, 2, "") for each in found)


def test_hosts_are_addresses_without_inventory() -> None:
    """A pasted listing is judged by IP."""
    assert [each.host for each in predict_host_loss(pasted())] == [
        "192.168.171.101",
        "192.168.171.102",
        "192.168.171.103",
    ]


def test_shard_with_both_nodes_on_one_host_is_lost_with_it() -> None:
    """Master and replica on one host: its loss takes the shard, though the majority is kept."""
    survival = of(
        seen_by_all(lambda lines: change(lines, R1, master_id=node_id(M1)), lambda lines: lines.pop(R3)), "redis-host-1"
    )
    assert (survival.quorum_kept, survival.shards_lost) == (True, (M1,))
    assert "on the same host" in " ".join(survival.reasons)


def failed_over(lines: Entries) -> None:
    change(lines, M3, role="replica", slots=(), master_id=node_id(R2), config_epoch=9)
    change(lines, R2, role="master", slots=(SlotRange(10923, 16383),), master_id="", config_epoch=9)


def test_failover_that_restores_survival_is_named() -> None:
    """After a failover one host has two masters: not survivable, and one manual failover repairs it."""
    evidence = seen_by_all(failed_over)
    survival = of(evidence, "redis-host-2")
    assert set(survival.masters_lost) == {M2, R2}
    assert (survival.quorum_kept, survival.shards_left_alive, survival.survives) == (False, True, False)
    assert survival.repair.endswith("CLUSTER FAILOVER")
    assert of(evidence, "redis-host-1").survives


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"info": {"master_link_status": "down", "slave_repl_offset": "0"}}, "never been in sync"),
        ({"info": {"master_link_status": "down", "master_link_down_since_seconds": "66"}}, "data 66 s old"),
        ({"config": {"cluster-replica-no-failover": "yes"}}, "configured never to take over"),
    ],
)
def test_replica_that_may_not_stand_does_not_save_its_shard(changes: dict[str, dict[str, str]], reason: str) -> None:
    """A replica that was never synced, is too old (65 s at NT 5000, factor 10) or is configured not to is no heir."""
    survival = of(node_changed(seen_by_all(), R3, **changes), "redis-host-1")
    assert not survival.shards_left_alive
    assert reason in " ".join(survival.reasons)


def test_replica_with_data_young_enough_stands() -> None:
    """A link that is down for less than the limit does not keep a replica from standing; factor 0 means any age."""
    down = {"master_link_status": "down", "master_link_down_since_seconds": "65"}
    assert of(node_changed(seen_by_all(), R3, info=down), "redis-host-1").survives
    old = {**down, "master_link_down_since_seconds": "9999"}
    ever = node_changed(seen_by_all(), R3, info=old, config={"cluster-replica-validity-factor": "0"})
    assert of(ever, "redis-host-1").survives


def test_lost_majority_is_not_survivable_anywhere() -> None:
    """With one master already dead, the next host's loss leaves one of three."""
    evidence = seen_by_all(lambda lines: change(lines, M1, flag="fail"))
    assert not of(evidence, "redis-host-2").quorum_kept
    assert of(evidence, "redis-host-1").quorum_kept


def test_prediction_follows_the_majority_of_views() -> None:
    """One node with a view of its own does not decide; without any view nothing is predicted."""
    evidence = seen_by_all(failed_over, only=[R1])
    assert all(each.survives for each in predict_host_loss(evidence))
    assert predict_host_loss(replace(evidence, nodes=())) == ()


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"master_last_io_seconds_ago": "66"}, "heard nothing from its master for 66 s"),
        ({"master_link_status": "down", "redis_version": "7.0.15"}, "cannot load the RDB"),
        ({"master_link_status": "down", "slave_repl_offset": "1000"}, "since it started"),
    ],
)
def test_prediction_has_the_excuses_of_the_rule(info: dict[str, str], reason: str) -> None:
    """A replica that replica-cannot-take-over names saves no shard, for the same reason."""
    survival = of(node_changed(seen_by_all(), R3, info=info), "redis-host-1")
    assert not survival.shards_left_alive
    assert reason in " ".join(survival.reasons)
