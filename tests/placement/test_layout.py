"""Replicas are where they can help: on another host than their master, as the inventory has it."""

from __future__ import annotations

from collections import Counter

from fixtures.reporting import Recorder
from fixtures.rules.survival import predict_host_loss
from provisioning.cluster import Cluster
from provisioning.evidence import Evidence
from tests.placement.survival import survival_row


def test_no_replica_shares_its_masters_host(evidence: Evidence) -> None:
    """In every view each replica is on another host than the master that it follows."""
    for view in evidence.views:
        for replica in view.replicas:
            master = view.entry(replica.master_id)
            assert master is not None
            assert evidence.host_of(replica) != evidence.host_of(master)


def test_each_replica_follows_the_inventorys_master(cluster: Cluster) -> None:
    """Who replicates whom is exactly what the inventory says."""
    wanted = {node.full_name: f"replica of {node.replica_of}" for node in cluster.inventory.replicas}
    assert {name: role for name, role in cluster.roles().items() if role.startswith("replica")} == wanted


def test_no_host_has_half_of_the_masters(evidence: Evidence) -> None:
    """The masters left after the loss of any host are a majority."""
    for view in evidence.views:
        per_host = Counter(evidence.host_of(master) for master in view.masters)
        assert max(per_host.values()) * 2 < len(view.masters)


def test_the_loss_of_any_host_is_predicted_to_be_survived(
    cluster: Cluster, evidence: Evidence, record: Recorder
) -> None:
    """For each host: the masters left can elect, and every shard keeps a node that may be promoted."""
    predictions = predict_host_loss(evidence)
    assert {each.host for each in predictions} == {host.name for host in cluster.inventory.hosts}
    for each in predictions:
        record("survival", survival_row(cluster, each))
    assert [each.host for each in predictions if not each.survives] == []
