"""Bring a live cluster to its inventory: blank nodes join, dead ids are forgotten, replicas find their masters.

What works is left as it is: after a failover the roles stay where they are. Slots move only where the inventory
decides them, where a shard is new, or where a node leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from provisioning.cluster_view import ClusterView
from provisioning.evidence.collect import MEMBERSHIP
from provisioning.formation import identities, join
from provisioning.inventory import Node
from provisioning.live_change import ConvergenceError, LiveChange, views_of_all, views_of_loaded
from provisioning.live_settings import mend_settings
from provisioning.membership import (
    dismiss,
    forget_the_dead,
    introduce,
    is_alone,
    is_blank,
    require_bus_ports,
    require_one_cluster,
    reunite,
)
from provisioning.open_slots import require_no_key_stranded, tell_importers
from provisioning.shard_places import (
    place_replicas,
    replace_lost_masters,
    require_known_owners,
    take_back,
    wait_succeeded,
)
from provisioning.slot_shares import move_slots, own_all, require_copies


class Convergence(LiveChange):
    """What is lacking, done in order."""

    def run(self) -> list[str]:
        """Do what is lacking, wait until the cluster is whole, and return what was done.

        Clients' tables are not waited for: a server that has just been upgraded may need a further restart
        for them (see rolling.py). With ``pretend`` a node that does not answer is taken for one that is to be
        started first, and nothing behind its introduction is foreseen.

        Raises ConvergenceError where a node does not answer or holds what it should not, Refused, WaitTimeout.
        """
        asked = self.inventory.nodes
        views = (
            views_of_loaded(self.cluster, asked) if self.pretend else views_of_all(self.cluster, asked, self.patience)
        )
        absent = [node for node in self.inventory.nodes if node.full_name not in views]
        blank = [node for node in self.inventory.nodes if node not in absent and is_blank(views[node.full_name])]
        members = [node for node in self.inventory.nodes if node not in (*blank, *absent)]
        require_bus_ports(self, views)
        self.done += mend_settings(self.cluster, [*blank, *members], pretend=self.pretend)
        if self._is_unformed(views):
            if not absent:
                self._require_nothing_elsewhere()
            self._form(views)
        else:
            require_one_cluster(self, {node.full_name: views[node.full_name] for node in members})
            reunite(self, members)
            introduce(self, [*blank, *absent], members)
            if not (self.pretend and (blank or absent)):
                self._place()
        if not self.pretend and not self.held:
            self.cluster.wait_ready(self.budget, questions=MEMBERSHIP, unlinked=self.due)
        return self.done

    def _place(self) -> None:
        told = tell_importers(self.everyone, self.members(), pretend=self.pretend)
        self.done += told
        if told and self.pretend:
            return  # what follows is foreseen by what nodes show, and they do not show it yet
        require_known_owners(self)
        replace_lost_masters(self)
        wait_succeeded(self)
        if take_back(self) and self.pretend:
            return  # as above
        require_no_key_stranded(self)
        leaders = place_replicas(self)
        move_slots(self, leaders)
        if self.held:
            return
        if not self.pretend:
            self.cluster.wait_for(lambda: own_all(self, leaders), "slots with the shards' masters", self.budget)
            place_replicas(self, sparing=False)
            self._require_copies(leaders)
        dismiss(self)
        forget_the_dead(self)

    def _require_copies(self, leaders: Sequence[Node]) -> None:
        """Before what leaves drops what it has: see ``require_copies``. Raises ConvergenceError."""
        if self.known_leavers():
            for leader in leaders:
                require_copies(self, leader)

    def _is_unformed(self, views: Mapping[str, ClusterView]) -> bool:
        """True where nobody knows anybody or has a key: no cluster yet, or one whose formation was cut short."""
        nodes = [self.inventory.node(name) for name in views]
        return all(map(is_alone, views.values())) and not any(map(self.keys_by_database, nodes))

    def _require_nothing_elsewhere(self) -> None:
        """Raise ConvergenceError where all that stays is blank, and what leaves may have a cluster's data.

        Formed without it, its slots would be given to blank nodes, and its data removed with it.
        """
        for name, view in self.everyone.views(self.leavers).items():
            if view is None or not is_blank(view):
                raise ConvergenceError(
                    f"{name} leaves, and nodes that stay have nothing",
                    expected="nodes that have joined the cluster before others leave it",
                    observed="no answer from it" if view is None else "it has slots, or knows other nodes",
                    advice="run this with its host present first, then with redis_state: absent; if there is nothing "
                    "to be kept: delete that host from the inventory",
                )

    def _form(self, views: Mapping[str, ClusterView]) -> None:
        """Make one cluster of all nodes; what an earlier formation has given to them is taken back."""
        self.done.append(f"formed a cluster of {len(self.inventory.nodes)} nodes")
        if self.pretend:
            return
        for name, view in views.items():
            if view.myself is not None and (view.myself.config_epoch or view.myself.slots):
                self.cluster.call(self.inventory.node(name), "CLUSTER", "RESET", "HARD")
        join(self.inventory, identities(self.inventory, self.inventory.name), self.budget)
