"""A change of a live cluster: the nodes that it is about, what they show, and what has been done so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from provisioning.cluster import Cluster
from provisioning.cluster_view import ClusterView
from provisioning.errors import GauntletError, NodeUnreachable, WaitTimeout
from provisioning.evidence.info import keys_by_database, parse_info
from provisioning.inventory import Host, Inventory, Node
from provisioning.resp import Refused

ELECTION_NODE_TIMEOUTS = 4
"""For detection and an election without our help; with a majority of masters it takes under 2 and 3 s."""


class ConvergenceError(GauntletError):
    """A cluster cannot be brought to its inventory without a decision that is a person's."""


def views_of_living(cluster: Cluster, nodes: Sequence[Node]) -> dict[str, ClusterView | None]:
    """Return the views of those nodes that answer, by full name; None for one that still loads its data.

    Raises Refused for anything else that a node refuses.
    """
    found: dict[str, ClusterView | None] = {}
    for node in nodes:
        try:
            found[node.full_name] = cluster.view(node)
        except NodeUnreachable:
            continue
        except Refused as refusal:
            if refusal.code != "LOADING":
                raise
            found[node.full_name] = None
    return found


def views_of_loaded(cluster: Cluster, nodes: Sequence[Node]) -> dict[str, ClusterView]:
    """Return the views of those nodes that answer and have loaded their data, by full name. Raises Refused."""
    return {name: view for name, view in views_of_living(cluster, nodes).items() if view is not None}


def views_of_all(cluster: Cluster, nodes: Sequence[Node], patience: float) -> dict[str, ClusterView]:
    """Return the views of all these nodes; who loads its data is waited for ``patience`` seconds.

    A server answers before it loads: one that is silent for longer than a restart takes does not run.
    Raises Refused, ConvergenceError that names who is silent, WaitTimeout.
    """

    def silent() -> list[str]:
        return [node.full_name for node in nodes if node.full_name not in views_of_living(cluster, nodes)]

    def loaded() -> dict[str, ClusterView] | None:
        views = views_of_loaded(cluster, nodes)
        return views if len(views) == len(nodes) else None

    try:
        cluster.wait_for(lambda: not silent(), "an answer of every node", cluster.rejoin_budget)
    except WaitTimeout:
        raise ConvergenceError(
            f"no answer from {', '.join(silent())}",
            expected=f"a server there within {cluster.rejoin_budget:.0f} s",
            observed="none",
            advice="see why on its host (docker ps, docker logs), correct it, and run this again; nodes listen at "
            "redis_address only, and this machine must reach them",
        ) from None
    return cluster.wait_for(loaded, "nodes that have loaded their data", max(patience, cluster.rejoin_budget))


@dataclass
class LiveChange:
    """What the steps of a convergence share; ``done`` says in words what was done. With ``pretend`` nothing is sent.

    ``leaving`` are hosts that the inventory has no longer, whose nodes give up their slots and are forgotten.
    ``patience``: seconds for what a node has to load or to copy, where that is more than the usual budget.
    ``unfinished``: slots were being moved when a change of before ended.
    ``due``: full names of nodes that are restarted next, which need no working link to their master until then.
    ``holds``: it ends before slots are moved; ``held`` says that there are some, so that this can be noted before.
    """

    inventory: Inventory
    pretend: bool = False
    leaving: tuple[Host, ...] = ()
    patience: float = 0.0
    unfinished: bool = False
    due: tuple[str, ...] = ()
    holds: bool = False
    held: bool = False
    done: list[str] = field(default_factory=list)

    @cached_property
    def cluster(self) -> Cluster:
        """The inventory's nodes."""
        return Cluster(self.inventory, read_only=False)

    @cached_property
    def everyone(self) -> Cluster:
        """The same and those that leave."""
        return Cluster(replace(self.inventory, hosts=self.inventory.hosts + self.leaving), read_only=False)

    @property
    def leavers(self) -> list[Node]:
        return [node for host in self.leaving for node in host.nodes]

    @property
    def budget(self) -> float:
        """Seconds for anything that is waited for."""
        return max(self.patience, self.cluster.rejoin_budget)

    def known_leavers(self) -> list[Node]:
        """Return those that leave of which a node of the inventory still knows.

        What is on a host that has left already is somebody else's, and so is its password.
        """
        views = self.cluster.views().values() if self.leaving else ()
        known = {address for view in views if view is not None for address in view.by_address}
        return [node for node in self.leavers if node.address in known]

    def members(self) -> list[Node]:
        """Return the inventory's nodes and the known leavers."""
        return [*self.inventory.nodes, *self.known_leavers()]

    def ids(self) -> dict[str, str]:
        """Return the id of every node of the inventory by full name, as each says itself."""
        return self.cluster.ids()

    def keys_by_database(self, node: Node) -> dict[int, int]:
        """Return how many keys the node has, by database: Valkey 9 has more than one in a cluster."""
        return keys_by_database(parse_info(str(self.everyone.call(node, "INFO", "keyspace"))))

    def whole_view(self) -> ClusterView:
        """Return a view that has all nodes of the inventory, with their roles, and an owner of every slot.

        A node that has just been introduced learns of the others' slots with their next pings.
        Raises ConvergenceError where no node has such a view.
        """
        ids = set(self.ids().values())

        def whole() -> ClusterView | None:
            views = [view for view in self.cluster.views().values() if view is not None]
            known = (view for view in views if ids <= {entry.node_id for entry in view.entries if entry.role})
            return next((view for view in known if not view.uncovered), None)

        try:
            return self.cluster.wait_for(whole, "a view with all nodes and slots", self.cluster.rejoin_budget)
        except WaitTimeout as problem:
            raise ConvergenceError(
                "no node knows all nodes and an owner of every slot",
                expected="a cluster without gaps; who shall own slots that nobody owns is not for a program to say",
                observed=problem.observed,
                advice="pytest --inventory says what is wrong and how it is repaired",
            ) from None
