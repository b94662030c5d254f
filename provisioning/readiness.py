"""When is a cluster ready to be used or judged: what is still missing, from one look."""

from __future__ import annotations

from collections.abc import Collection

from provisioning.evidence import Evidence, NodeEvidence
from provisioning.inventory import Inventory
from provisioning.slots import SLOTS
from provisioning.topology import disagreements

IN_BETWEEN = frozenset({"fail", "pfail", "handshake", "noaddr"})


def find_unready(evidence: Evidence, unlinked: Collection[str] = ()) -> list[str]:
    """Return what keeps the cluster from being ready, one sentence each; empty when it is.

    Of ``unlinked``, full names, nobody needs a link to its master.

    Evidence without an inventory can only show which nodes did not answer.

    Ready: every node of the inventory answers and says ``ok``; every view names exactly its nodes,
    without doubt about any, and they agree; CLUSTER SLOTS and CLUSTER SHARDS say the same as NODES;
    every replication link is up and every replica has its master's offset, in a second sample if there is one.
    """
    missing = [f"{node.name} does not answer: {node.unreachable}" for node in evidence.nodes if node.unreachable]
    missing += [
        f"{node.name} refuses: {why}"
        for node in evidence.nodes
        for why in node.not_collected.values()
        if "unknown" not in why.lower()
    ]
    if evidence.wanted is not None:
        asked = {node.name for node in evidence.nodes}
        missing += [f"{each.full_name} was not asked" for each in evidence.wanted.nodes if each.full_name not in asked]
    if missing or evidence.wanted is None:
        return missing
    reasons = [reason for node in evidence.nodes for reason in _of_node(node, evidence.wanted)]
    reasons += [str(each) for each in disagreements(evidence.views)]
    return reasons + ([] if reasons else _of_replicas(evidence, unlinked))


def _of_node(node: NodeEvidence, wanted: Inventory) -> list[str]:
    view, state = node.view, node.cluster_info or {}
    if view is None:
        return [f"{node.name} has no view"]
    reasons = []
    if state.get("cluster_state") != "ok" or state.get("cluster_slots_ok") != str(SLOTS):
        reasons.append(f"{node.name} says state {state.get('cluster_state')}, {state.get('cluster_slots_ok')} slots ok")
    addresses = {each.address for each in wanted.nodes}
    seen = {entry.address for entry in view.entries}
    if seen != addresses or len(view.entries) != len(addresses):
        reasons.append(f"{node.name} lacks {sorted(addresses - seen)} and has {sorted(seen - addresses)} too many")
    reasons += [
        f"{node.name} shows {entry.address} as {','.join(sorted(entry.flags))} {entry.link_state}"
        for entry in view.entries
        if IN_BETWEEN & entry.flags or not (entry.link_connected or entry.is_myself)
    ]
    return reasons + ([] if reasons else contradictions_of(node))


def contradictions_of(node: NodeEvidence) -> list[str]:
    """Return where CLUSTER SLOTS and CLUSTER SHARDS of a node, if it was asked, differ from its CLUSTER NODES."""
    view = node.view
    assert view is not None
    members = {shard.master.node_id: {each.node_id for each in shard.replicas} for shard in view.shards}
    ranges = {shard.master.node_id: shard.slots for shard in view.shards}
    reasons = []
    if node.slots_rows is not None:
        for row in node.slots_rows:
            if set(row.replica_ids) < members.get(row.master_id, set()):
                reasons.append(f"{node.name}: CLUSTER SLOTS leaves out a replica with offset 0")
            elif set(row.replica_ids) != members.get(row.master_id):
                reasons.append(f"{node.name}: CLUSTER SLOTS differs from NODES for {row.slots}")
        listed = {master: tuple(r.slots for r in node.slots_rows if r.master_id == master) for master in members}
        if listed != ranges:
            reasons.append(f"{node.name}: CLUSTER SLOTS gives other ranges than NODES")
    if node.shard_rows is not None:
        for shard in node.shard_rows:
            masters = [each.node_id for each in shard.nodes if each.role == "master"]
            replicas = {each.node_id for each in shard.nodes if each.role == "replica"}
            if len(masters) != 1 or members.get(masters[0]) != replicas or ranges.get(masters[0]) != shard.slots:
                reasons.append(f"{node.name}: CLUSTER SHARDS differs from NODES")
            reasons += [
                f"{node.name}: CLUSTER SHARDS says {each.health} of {each.node_id[:8]} (offset {each.offset})"
                for each in shard.nodes
                if each.health != "online"
            ]
        if len(node.shard_rows) != len(members):
            reasons.append(f"{node.name}: CLUSTER SHARDS has {len(node.shard_rows)} shards, NODES {len(members)}")
    return reasons


def _of_replicas(evidence: Evidence, unlinked: Collection[str]) -> list[str]:
    reasons = []
    for node in evidence.nodes:
        own, replication = (node.view.myself if node.view else None), node.replication
        if own is None or replication is None or not own.is_replica:
            continue
        master = evidence.of_entry(own.master_id)
        written = master.replication.offset if master is not None and master.replication is not None else None
        if not replication.link_up:
            if node.name not in unlinked:
                reasons.append(f"{node.name}: the link to its master is down")
            continue
        offset = (node.second_replication or replication).offset
        if written is None or offset < written:
            reasons.append(f"{node.name}: offset {offset}, its master's {written}")
    return reasons
