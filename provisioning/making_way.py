"""Make way: before a master begins without its data, a replica that has it takes over."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from provisioning.cluster import Cluster
from provisioning.cluster_view import ClusterView
from provisioning.errors import WaitTimeout
from provisioning.inventory import Node
from provisioning.live_change import ELECTION_NODE_TIMEOUTS, ConvergenceError, views_of_all
from provisioning.node_entry import NodeEntry
from provisioning.open_slots import tell_importers, wait_heir


def make_way(cluster: Cluster, newborn: Collection[str], *, patience: float = 0.0, pretend: bool = False) -> list[str]:
    """Let replicas take over from masters that are about to be started with nothing; return what was done.

    All others run: whether a newborn node owned slots, and who has its data, is known once each of them answers, which
    may take ``patience`` seconds where they load much. With ``pretend`` only those are asked that answer.

    A replica dials its master's address, whoever is there: of a blank server it would copy the emptiness within a
    second. Where a majority of masters is left the election is waited for; else the replica is told to take over.
    ``newborn`` are full names. Raises ConvergenceError where nobody alive has the data of such a master or one that
    may know does not answer, Refused, WaitTimeout where an heir does not become the owner.
    """
    done: list[str] = []
    others = [node for node in cluster.inventory.nodes if node.full_name not in newborn]
    if newborn and not pretend:
        views_of_all(cluster, others, patience)
    if newborn:
        done += tell_importers(cluster, others, pretend=pretend)
    if done and pretend:
        return done  # what follows is foreseen by what nodes show, and they do not show it yet
    for node in cluster.inventory.nodes:
        lost = _owner_at(cluster, node, newborn) if node.full_name in newborn else None
        if lost is None:
            continue
        if not pretend:

            def succeeded(node: Node = node) -> bool:
                tell_importers(cluster, others)
                return _owner_at(cluster, node, newborn) is None

            with suppress(WaitTimeout):
                seconds = ELECTION_NODE_TIMEOUTS * cluster.inventory.node_timeout
                cluster.wait_for(succeeded, "an election", seconds)
                done.append(f"waited until another node led the shard of {node.full_name}")
                continue
        heir = _heir(cluster, lost, newborn)
        if heir is None:
            raise ConvergenceError(
                f"{node.full_name} would begin without its data, and no live node has it",
                expected=f"a live replica of {lost.node_id}, which owns slots",
                observed=lost.line.strip(),
                advice="bring the host of its replica back first; or restore its volume; if the data is given up: "
                "redis-cli --cluster fix, and forget the node",
            )
        done.append(f"let {heir.full_name} take over from {node.full_name}, which begins without its data")
        if not pretend:
            cluster.call(heir, "CLUSTER", "FAILOVER", "TAKEOVER")
            wait_heir(cluster, lost.slots[0].first, heir, _living(cluster, newborn), cluster.rejoin_budget)
    return done


def _owner_at(cluster: Cluster, node: Node, newborn: Collection[str]) -> NodeEntry | None:
    """Return the entry of the node's address while some live node holds it to own slots."""
    entries = (view.by_address.get(node.address) for view in _views(cluster, newborn))
    return next((entry for entry in entries if entry is not None and entry.slots), None)


def _heir(cluster: Cluster, lost: NodeEntry, newborn: Collection[str]) -> Node | None:
    """Return the live replica of that master that has read most of its data."""
    views = {view.seen_by: view.myself for view in _views(cluster, newborn)}
    names = [name for name, own in views.items() if own is not None and own.master_id == lost.node_id]
    heirs = [cluster.inventory.node(name) for name in names]
    return max(heirs, key=cluster.offset, default=None)


def _living(cluster: Cluster, newborn: Collection[str]) -> list[Node]:
    return [cluster.inventory.node(view.seen_by) for view in _views(cluster, newborn)]


def _views(cluster: Cluster, newborn: Collection[str]) -> list[ClusterView]:
    """Return what those show who live now and have their data."""
    asked = [node for node in cluster.inventory.nodes if node.full_name not in newborn]
    return [view for view in cluster.views(asked).values() if view is not None]
