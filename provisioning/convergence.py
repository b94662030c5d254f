"""Bring a live cluster to its inventory: blank nodes join, dead ids are forgotten, replicas find their masters.

What works is left as it is: after a failover the roles stay where they are. Slots move only where the inventory
decides them, where a shard is new, or where a node leaves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from provisioning.cluster import Cluster
from provisioning.cluster_view import ClusterView
from provisioning.errors import GauntletError, NodeUnreachable, WaitTimeout
from provisioning.evidence.collect import MEMBERSHIP
from provisioning.formation import identities, join
from provisioning.inventory import Host, Inventory, Node, WantedShard
from provisioning.live_settings import mend_settings
from provisioning.node_entry import NodeEntry
from provisioning.resp import Refused
from provisioning.slot_moves import even_moves, exact_moves, move


class ConvergenceError(GauntletError):
    """A cluster cannot be brought to its inventory without a decision that is a person's."""


@dataclass
class Convergence:
    """What is lacking, done in order; ``done`` says it in words. With ``pretend`` nothing is sent.

    ``leaving`` are hosts that the inventory has no longer, whose nodes give up their slots and are forgotten.
    """

    inventory: Inventory
    pretend: bool = False
    leaving: tuple[Host, ...] = ()
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster = Cluster(self.inventory, read_only=False)
        self.everyone = Cluster(replace(self.inventory, hosts=self.inventory.hosts + self.leaving), read_only=False)

    def run(self) -> list[str]:
        """Do what is lacking, wait until the cluster is whole, and return what was done.

        Clients' tables are not waited for: a server that has just been upgraded may need a further restart
        for them (see rolling.py).

        Raises ConvergenceError where a node does not answer or holds what it should not, WaitTimeout.
        """
        views = self._views()
        self.done += mend_settings(self.cluster, pretend=self.pretend)
        blank = [node for node in self.inventory.nodes if is_blank(views[node.full_name])]
        if len(blank) == len(self.inventory.nodes):
            self._form()
        else:
            members = [node for node in self.inventory.nodes if node not in blank]
            self._reunite(members)
            self._introduce(blank, members)
            if not (self.pretend and blank):
                leaders = self._place_replicas()
                self._move_slots(leaders)
                if self.leaving and not self.pretend:
                    self.cluster.wait_for(self._leavers_own_nothing, "slots with who stays", self.cluster.rejoin_budget)
                    self._place_replicas()
                self._dismiss()
                self._forget_the_dead()
        if not self.pretend:
            self.cluster.wait_ready(questions=MEMBERSHIP)
        return self.done

    def _views(self) -> dict[str, ClusterView]:
        def all_answer() -> dict[str, ClusterView] | None:
            views = {name: view for name, view in self.cluster.views().items() if view is not None}
            return views if len(views) == len(self.inventory.nodes) else None

        return self.cluster.wait_for(all_answer, "an answer of every node", self.cluster.rejoin_budget)

    def _form(self) -> None:
        self.done.append(f"formed a cluster of {len(self.inventory.nodes)} nodes")
        if not self.pretend:
            join(self.inventory, identities(self.inventory, self.inventory.name), self.cluster.rejoin_budget)

    def _reunite(self, members: Sequence[Node]) -> None:
        """Tell every member where those others are whose address it has wrong, or of whom it does not know.

        Who has just changed its address says so by itself, but not to one that has lost it altogether (noaddr).
        """
        ids = {node: str(self.cluster.call(node, "CLUSTER", "MYID")) for node in members}
        if not self.pretend:
            with suppress(WaitTimeout):
                self.cluster.wait_for(lambda: not self._strangers(ids), "addresses", self.inventory.node_timeout)
        astray = self._strangers(ids)
        self.done += [f"told {viewer.full_name} where {node.full_name} is" for viewer, node in astray]
        if astray and not self.pretend:

            def reunited() -> bool:
                left = self._strangers(ids)
                for viewer, node in left:  # again, as nobody says that a handshake was in vain
                    self.cluster.call(viewer, "CLUSTER", "MEET", node.lan, node.port, node.bus_port)
                return not left

            self.cluster.wait_for(reunited, "members that know each other's address", self.cluster.rejoin_budget)

    def _strangers(self, ids: Mapping[Node, str]) -> list[tuple[Node, Node]]:
        """Return who does not know whom under the address that the inventory gives it."""
        found = []
        for viewer in ids:
            view = self.cluster.view(viewer)
            for node, node_id in ids.items():
                entry = view.by_id.get(node_id)
                if node != viewer and (entry is None or entry.address != node.address or "noaddr" in entry.flags):
                    found.append((viewer, node))
        return found

    def _introduce(self, blank: Sequence[Node], members: Sequence[Node]) -> None:
        for node in blank:
            self.done.append(f"introduced {node.full_name}")
            if not self.pretend:
                known = members[0]
                self.cluster.call(node, "CLUSTER", "MEET", known.lan, known.port, known.bus_port)
        if blank and not self.pretend:
            ids = set(self.cluster.ids().values())

            def introduced() -> bool:
                views = self.cluster.views().values()
                return all(view is not None and ids <= {e.node_id for e in view.entries if e.role} for view in views)

            self.cluster.wait_for(introduced, f"{len(ids)} nodes that know each other", self.cluster.rejoin_budget)

    def _place_replicas(self) -> list[Node]:
        """Let every node follow its shard's leader; return the leaders.

        One that follows a node that leaves goes on doing so until that node owns nothing any more.
        """
        ids = self.cluster.ids()
        by_id = {node_id: name for name, node_id in ids.items()}
        view = self.cluster.view(self.inventory.nodes[0])
        leaders = []
        leaving = [view.by_address.get(node.address) for node in self._leavers if not self.pretend]
        needed = {entry.node_id for entry in leaving if entry is not None and entry.slots}
        for shard in self.inventory.shards:
            leader = self._leader(shard, view, ids)
            leaders.append(leader)
            for node in shard.nodes:
                entry = view.by_id[ids[node.full_name]]
                if node is leader or entry.master_id in (ids[leader.full_name], *needed):
                    continue
                before = by_id.get(entry.master_id, entry.master_id) or "nobody"
                self.done.append(f"made {node.full_name} a replica of {leader.full_name} (before: of {before})")
                if not self.pretend:
                    self.cluster.call(node, "CLUSTER", "REPLICATE", ids[leader.full_name])
        return leaders

    def _leader(self, shard: WantedShard, view: ClusterView, ids: Mapping[str, str]) -> Node:
        """Return who owns the shard's slots now: after a failover not whom the inventory calls its master.

        A shard of which nobody owns slots is new.
        """
        nodes = shard.nodes
        owning = [node for node in nodes if view.by_id[ids[node.full_name]].slots]
        if len(owning) < 2:
            return owning[0] if owning else shard.master
        raise ConvergenceError(
            f"the shard of {shard.master.full_name} has no one master",
            expected=f"one of {', '.join(node.full_name for node in nodes)} owns slots",
            observed=f"slots are owned by {', '.join(node.full_name for node in owning)}",
            advice="pytest --inventory says what is wrong and how it is repaired",
        )

    def _move_slots(self, leaders: Sequence[Node]) -> None:
        """Give slots to those who shall have them, with their keys."""
        nodes = {node.full_name: node for node in (*leaders, *self._leavers)}
        view = self.cluster.view(self.inventory.nodes[0])
        entries = {name: view.by_address.get(node.address) for name, node in nodes.items()}
        owned = {name: [s for each in entry.slots for s in each] for name, entry in entries.items() if entry}
        names = [node.full_name for node in leaders]
        if "slots" in self.inventory.given:
            wanted = [[s for each in shard.master.slots for s in each] for shard in self.inventory.shards]
            moves = list(exact_moves(owned, dict(zip(names, wanted, strict=True))))
        elif any(owned.get(node.full_name) for node in self._leavers) or not all(owned.get(name) for name in names):
            moves = list(even_moves(owned, names))
        else:
            moves = []
        if moves:
            sources, targets = ({each.source for each in moves}, {each.target for each in moves})
            self.done.append(f"moved {len(moves)} slots from {_listed(sources)} to {_listed(targets)}")
        if moves and not self.pretend:
            ids = {name: entry.node_id for name, entry in entries.items() if entry}
            self.cluster.wait_for(
                lambda: all(self.everyone.state(node) == "ok" for node in nodes.values()),
                "every master says ok",
                self.cluster.rejoin_budget,
            )
            move(self.everyone, nodes, ids, moves)

    @property
    def _leavers(self) -> list[Node]:
        return [node for host in self.leaving for node in host.nodes]

    def _leavers_own_nothing(self) -> bool:
        views = self.cluster.views().values()
        seen = [view.by_address.get(node.address) for view in views if view is not None for node in self._leavers]
        return None not in views and not any(entry.slots for entry in seen if entry is not None)

    def _dismiss(self) -> None:
        """Forget the nodes that leave, everywhere, and let them forget the cluster."""
        view = self.cluster.view(self.inventory.nodes[0])
        for node in self._leavers:
            entry = view.by_address.get(node.address)
            if entry is None:
                continue
            self.done.append(f"dismissed {node.full_name}")
            if self.pretend:
                continue
            for member in self.inventory.nodes:
                self.cluster.call(member, "CLUSTER", "FORGET", entry.node_id)
            with suppress(NodeUnreachable, Refused):  # one that is dead already has nothing to forget
                self.everyone.call(node, "CLUSTER", "RESET", "HARD")

    def _forget_the_dead(self) -> None:
        """Remove ids that no node of the inventory has any more; each node is told, within the 60 s of a ban."""
        present = set(self.cluster.ids().values())
        views = [view for view in self.cluster.views().values() if view is not None]
        dead = {entry.node_id: entry for view in views for entry in view.entries if entry.node_id not in present}
        addresses = {node.address for node in self.inventory.nodes}  # who is there now has another id
        for entry in _harmless(each for each in dead.values() if each.address not in addresses or not each.slots):
            self.done.append(f"forgot {entry.node_id} {entry.address}")
            for node in self.inventory.nodes if not self.pretend else ():
                if entry.node_id in self.cluster.view(node).by_id:
                    self.cluster.call(node, "CLUSTER", "FORGET", entry.node_id)


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))


def is_blank(view: ClusterView) -> bool:
    """True for a node that knows only itself and owns nothing."""
    return len(view.entries) == 1 and view.myself is not None and not view.myself.slots


def _harmless(entries: Iterable[NodeEntry]) -> Iterator[NodeEntry]:
    """Yield the entries of nodes that may be forgotten. Raises ConvergenceError for one that owns slots or lives."""
    for entry in entries:
        if entry.slots or not {"fail", "noaddr"} & entry.flags:
            raise ConvergenceError(
                f"{entry.address} is a member and not in the inventory",
                expected="members that the inventory has, or dead ones without slots",
                observed=entry.line.strip(),
                advice="add it to the inventory, or remove it: redis-cli --cluster del-node",
            )
        yield entry
