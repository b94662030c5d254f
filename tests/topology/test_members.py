"""Every node is who the others think it is, and all agree on what is newest."""

from __future__ import annotations

from fixtures.rules.slots import find_epoch_collision
from provisioning.cluster import Cluster
from provisioning.evidence import Evidence


def test_every_node_has_an_id_of_its_own(cluster: Cluster) -> None:
    """No two nodes call themselves the same, and every view knows each node under the id that it calls itself."""
    ids = cluster.ids()
    views = cluster.views()

    assert len(set(ids.values())) == len(ids)
    for view in views.values():
        assert view is not None
        assert {entry.node_id for entry in view.entries} == set(ids.values())
        for node in cluster.inventory.nodes:
            assert view.by_address[node.address].node_id == ids[node.full_name]


def test_no_config_epoch_is_ahead_of_the_current_epoch(evidence: Evidence) -> None:
    """The config epochs of the masters differ, and no node's current epoch is behind any that it knows."""
    assert find_epoch_collision(evidence) == ()
    for node in evidence.nodes:
        assert node.view is not None
        assert node.cluster_info is not None
        assert int(node.cluster_info["cluster_current_epoch"]) >= max(each.config_epoch for each in node.view.entries)
