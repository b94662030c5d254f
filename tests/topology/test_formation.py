"""A cluster can be born in two ways, and nobody can tell afterwards which it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provisioning.cluster import REJOIN_SECONDS, Cluster
from provisioning.evidence import Evidence, NodeEvidence

COUNTS = (
    "cluster_state",
    "cluster_slots_assigned",
    "cluster_slots_ok",
    "cluster_known_nodes",
    "cluster_size",
    "cluster_current_epoch",
    "cluster_my_epoch",
)
"""Fields of CLUSTER INFO that have nothing to do with time or traffic."""


def portrait(evidence: Evidence) -> dict[str, Any]:
    """Return what every node says, with names for ids and addresses, and without what is its own to say."""
    return {node.name: _portrait_of(node, evidence) for node in evidence.nodes}


def _portrait_of(node: NodeEvidence, evidence: Evidence) -> dict[str, Any]:
    names = {"": "", **evidence.names}
    assert node.view is not None
    assert node.cluster_info is not None
    return {
        "nodes": {
            names[entry.node_id]: (
                sorted(entry.flags),
                names[entry.master_id],
                [str(each) for each in entry.slots],
                entry.config_epoch,
                entry.bus_port,
                entry.hostname,
            )
            for entry in node.view.entries
        },
        "slots": [
            (str(row.slots), names[row.master_id], sorted(names[each] for each in row.replica_ids))
            for row in node.slots_rows or ()
        ],
        "shards": sorted(
            (
                [str(each) for each in shard.slots],
                sorted((names[each.node_id], each.role, each.health) for each in shard.nodes),
            )
            for shard in node.shard_rows or ()
        ),
        "info": {name: node.cluster_info[name] for name in COUNTS},
    }


def test_seeded_and_joined_clusters_are_equal(writable_cluster: Cluster, simulation_of: Callable[..., Cluster]) -> None:
    """Every node of a joined cluster says what its twin in a seeded one says, and both are the layout's."""
    seeded = writable_cluster
    layout = seeded.inventory
    joined = simulation_of(layout, formation="joined")
    wanted = portrait(seeded.wait_ready())

    joined.wait_for(
        lambda: portrait(joined.look()) == wanted,
        "the words of the seeded cluster",
        REJOIN_SECONDS + 2 * layout.node_timeout,
    )

    assert portrait(joined.look()) == wanted
    for cluster in (seeded, joined):
        assert cluster.roles() == cluster.wanted_roles
