"""Slots that nobody owns, or that stand open."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

from provisioning.cluster import Cluster
from provisioning.inventory import Node
from provisioning.resp import Refused
from tests.planted.acts import edit_nodes_conf, kill, start
from tests.planted.plant import Bed, plant
from tests.redirection.migration import open_slot

# Where a slot has no owner every node that requires full coverage says fail, a write through it is
# refused, and the shard does not own what the inventory gave it.
UNCOVERED = {"cluster-state-fail", "slots-differ", "slot-not-writable", "slot-not-readable"}


def give_up(cluster: Cluster, slot: int, owner: Node) -> None:
    """Let nobody own the slot, in any view."""
    nodes = [owner, *(node for node in cluster.inventory.nodes if node != owner)]

    def given_up() -> bool:
        for node in nodes:  # the owner first; a packet that it sent just before may tell another node again
            with suppress(Refused):
                cluster.call(node, "CLUSTER", "DELSLOTS", slot)
        return all(view is not None and view.owner_of(slot) is None for view in cluster.views().values())

    cluster.wait_for(given_up, f"nobody owns slot {slot}", 2 * cluster.inventory.node_timeout)


@plant("slots-uncovered", "slot 0 has no owner, full coverage is required", also=UNCOVERED)
def slot_uncovered(cluster: Cluster) -> str:
    give_up(cluster, 0, cluster.inventory.masters[0])
    return "slots 0"


@plant(
    "slots-uncovered",
    "slot 0 has no owner, full coverage is not required",
    also=UNCOVERED - {"cluster-state-fail"},
    bed=Bed(settings=(("cluster-require-full-coverage", "no"),)),
)
def slot_uncovered_without_full_coverage(cluster: Cluster) -> str:
    give_up(cluster, 0, cluster.inventory.masters[0])
    return "slots 0"


# Where both sides are open, either side's finding is true, and each has its own repair.
BOTH_SIDES = ("open-slot-migrating", "open-slot-importing")


@plant("open-slot-migrating", "a slot is open on both sides of a migration", also=BOTH_SIDES, then=BOTH_SIDES[1:])
def slot_open_on_both_sides(cluster: Cluster) -> str:
    source, target = cluster.inventory.masters[:2]
    open_slot(cluster, 0, source, target)
    return source.full_name


@plant(
    "open-slot-migrating",
    "a slot is open on the side of its owner",
    also={"redirect-loop"},  # who asks for a new key there is sent to the target, which sends it back
)
def slot_open_at_its_owner(cluster: Cluster) -> str:
    source, target = cluster.inventory.masters[:2]
    cluster.call(source, "CLUSTER", "SETSLOT", 0, "MIGRATING", cluster.ids()[target.full_name])
    return source.full_name


@plant("open-slot-importing", "a slot is open on the side that does not own it")
def slot_open_at_its_target(cluster: Cluster) -> str:
    source, target = cluster.inventory.masters[:2]
    cluster.call(target, "CLUSTER", "SETSLOT", 0, "IMPORTING", cluster.ids()[source.full_name])
    return target.full_name


# A shard that owns less than planned leaves the others with more.
MOVED_AWAY = {"slots-differ", "uneven-slots", "host-loss-not-survivable"}

# One that owns nothing has no vote and no shard; the server's two listings do not agree on what it is.
EMPTIED = MOVED_AWAY | {"empty-master", "too-few-masters", "masters-concentrated-on-one-host"}

NO_MIGRATION = Bed(settings=(("cluster-allow-replica-migration", "no"),))
"""Else a master that loses its last slot becomes a replica."""


def hand_over(cluster: Cluster, giver: Node, taker: Node, slots: Sequence[int]) -> None:
    """Let the taker claim these empty slots with a newer config epoch, and wait until all nodes agree."""
    taker_id = cluster.ids()[taker.full_name]
    cluster.call(taker, "CLUSTER", "BUMPEPOCH")
    with cluster.connection(taker) as link:
        link.calls([("CLUSTER", "SETSLOT", slot, "NODE", taker_id) for slot in slots])
    cluster.wait_agreement(cluster.inventory.nodes, cluster.rejoin_budget)
    cluster.wait_owner(slots[-1], taker, cluster.inventory.nodes, cluster.rejoin_budget)


@plant("slots-differ", "a slot belongs to another shard than planned")
def slot_in_other_shard(cluster: Cluster) -> tuple[str, ...]:
    giver, taker = cluster.inventory.masters[:2]
    hand_over(cluster, giver, taker, [0])
    return giver.full_name, taker.full_name


@plant("uneven-slots", "a master has 600 slots of another", also=MOVED_AWAY)
def slots_uneven(cluster: Cluster) -> str:
    giver, taker = cluster.inventory.masters[:2]
    hand_over(cluster, giver, taker, range(600))
    return taker.full_name


@plant("empty-master", "a master has lost all its slots to another", also=EMPTIED, bed=NO_MIGRATION, slow=True)
def master_emptied(cluster: Cluster) -> str:
    giver, taker = cluster.inventory.masters[:2]
    hand_over(cluster, giver, taker, list(giver.slots[0]))
    return giver.full_name


@plant("too-few-masters", "two masters have all the slots", also=EMPTIED, bed=NO_MIGRATION, slow=True)
def two_masters_left(cluster: Cluster) -> str:
    giver, taker = cluster.inventory.masters[:2]
    hand_over(cluster, giver, taker, list(giver.slots[0]))
    return "cluster"


@plant(
    "open-slot-on-replica",
    "a replica holds a slot open whose migration ended without it",
    also={"open-slot-importing", "master-without-replica", "host-loss-not-survivable", "shards-disagree"},
    then=("empty-master",),
)
def slot_open_on_replica(cluster: Cluster) -> str:
    replica = cluster.inventory.replicas[0]
    other = cluster.ids()[cluster.inventory.masters[-1].full_name]
    kill(cluster, replica)
    edit_nodes_conf(cluster, replica, lambda text: re.sub(r"(myself,.*)", rf"\1 [10923-<-{other}]", text))
    start(cluster, replica)
    return replica.full_name
