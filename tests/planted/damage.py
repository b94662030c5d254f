"""Damage to a cluster of the default layout that one failover repairs, and what is true while it lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from provisioning.cluster import Cluster
from provisioning.faults import Fault, KillHost, KillNode, PauseNode, inject
from provisioning.inventory import Node, WantedShard
from provisioning.simulation import Simulation
from tests.planted.acts import on_host
from tests.planted.truths import Truth, cut_off, dead, links_to, master_lost, replica_lost, silent, unheard

Done = Callable[[Cluster, WantedShard], AbstractContextManager[object]]


@dataclass(frozen=True)
class Damage:
    """``done`` takes the shard its master until its block ends; ``lost`` are all nodes that the others lose.

    ``true``: what is so once the shard has failed over. ``answering``: the lost ones still answer us.
    """

    id: str
    done: Done = field(repr=False)
    lost: Callable[[Cluster, WantedShard], Sequence[Node]] = field(repr=False)
    true: Callable[[Cluster, WantedShard], Truth] = field(repr=False)
    answering: bool = False

    def perhaps(self, cluster: Cluster, shard: WantedShard) -> Truth:
        """Return what is so at one moment and not at the next."""
        lost = self.lost(cluster, shard)
        return links_to(*cluster.inventory.nodes) | unheard(*lost) if self.answering else links_to(*lost)


def _only_master(cluster: Cluster, shard: WantedShard) -> Sequence[Node]:
    return [shard.master]


def _whole_host(cluster: Cluster, shard: WantedShard) -> Sequence[Node]:
    return cluster.inventory.host(shard.master.host).nodes


def _fault(fault: Callable[[WantedShard], Fault[Simulation]]) -> Done:
    return lambda cluster, shard: inject(cluster.simulated, fault(shard))


@contextmanager
def _cut(cluster: Cluster, shard: WantedShard) -> Iterator[None]:
    """Let nothing pass between the host of the shard's master and the others; both sides are reached from here."""
    host = shard.master.host
    others = [other.address for other in cluster.inventory.hosts if other.name != host]
    drop = "; ".join(f"iptables -A INPUT -s {ip} -j DROP; iptables -A OUTPUT -d {ip} -j DROP" for ip in others)
    try:
        on_host(cluster, host, drop)
        yield
    finally:
        on_host(cluster, host, "iptables -F")


def _host_dead(cluster: Cluster, shard: WantedShard) -> Truth:
    true = master_lost(shard) | dead(*_whole_host(cluster, shard))
    for other in cluster.inventory.shards:
        true |= replica_lost(other) if other.replicas[0].host == shard.master.host else set()
    return true


DAMAGES = (
    Damage(
        "master-killed",
        _fault(lambda shard: KillNode(shard.master)),
        _only_master,
        lambda _, shard: master_lost(shard) | dead(shard.master),
    ),
    Damage(
        "master-paused",
        _fault(lambda shard: PauseNode(shard.master)),
        _only_master,
        lambda _, shard: master_lost(shard) | silent(shard.master),
    ),
    Damage("host-dead", _fault(lambda shard: KillHost(shard.master.host)), _whole_host, _host_dead),
    Damage("host-cut-off", _cut, _whole_host, cut_off, answering=True),
)
