"""Plan which host carries which master and which replica, so that no host loss is fatal. Pure."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass

from provisioning.errors import LayoutError
from provisioning.slots import SLOTS, SlotRange


@dataclass(frozen=True)
class PlannedNode:
    """One node of a plan: on which host (0-based), for which shard (0-based), and its role."""

    host: int
    shard: int
    role: str


def equal_ranges(shards: int) -> tuple[SlotRange, ...]:
    """Return the 16384 slots in ``shards`` ranges as redis-cli cuts them (0-5460, 5461-10922, 10923-16383)."""
    per_shard = SLOTS / shards
    bounds = [round(per_shard * n) for n in range(shards + 1)]
    return tuple(SlotRange(first, last - 1) for first, last in itertools.pairwise(bounds))


def plan(hosts: int, shards: int, replicas: int) -> tuple[PlannedNode, ...]:
    """Place ``shards`` masters with ``replicas`` replicas each over ``hosts`` hosts.

    Masters go round the hosts; the replicas of the master on host h go to the hosts before h
    (as in the seed: host 1's master is replicated on host 3), one host each, those with the fewest
    nodes first. Returns the masters, then each shard's first replica, then the second ones.

    Raises LayoutError where no layout can survive the loss of a host: fewer than three masters,
    one host, more replicas than other hosts, or a host that must hold half of the masters; and for
    more shards than slots or more hosts than nodes.
    """
    if shards < 3:
        raise LayoutError(
            f"{shards} shards cannot form a Redis Cluster that fails over",
            expected="at least 3 shards: the majority of masters elects, and one of two is no majority",
            advice="use --shards 3 or more",
        )
    if shards > SLOTS:
        raise LayoutError(
            f"{shards} shards are more than there are slots",
            expected=f"at most {SLOTS} shards",
            advice="use fewer --shards",
        )
    if replicas < 0 or hosts < 1:
        raise LayoutError(
            f"{hosts} hosts with {replicas} replicas is no layout",
            expected="1 host or more, 0 replicas or more",
            advice="use --hosts 3 --replicas 1",
        )
    if hosts < 2 and replicas:
        raise LayoutError(
            "one host cannot hold a master and its replica safely",
            expected="every replica on another host than its master",
            observed="1 host",
            advice="use --hosts 3",
        )
    if replicas > hosts - 1:
        raise LayoutError(
            f"{replicas} replicas per master do not fit on {hosts} hosts",
            expected=f"at most {hosts - 1} replicas: one on each host other than the master's",
            observed=f"{replicas} replicas",
            advice=f"use --hosts {replicas + 1} or more, or fewer replicas",
        )
    fullest = -(-shards // hosts)
    if fullest * 2 >= shards:
        raise LayoutError(
            f"{shards} masters on {hosts} hosts do not survive the loss of a host",
            expected="every host holds less than half of the masters, so that the rest is a majority",
            observed=f"some host would hold {fullest} of {shards}",
            advice=f"use --hosts {-(-shards // ((shards - 1) // 2))} or more",
        )
    if hosts > shards * (1 + replicas):
        raise LayoutError(
            f"{hosts} hosts are too many for {shards} x {1 + replicas} nodes",
            expected="a node on every host",
            observed=f"{shards * (1 + replicas)} nodes",
            advice=f"use --hosts {shards * (1 + replicas)} or fewer",
        )
    planned = [PlannedNode(shard % hosts, shard, "master") for shard in range(shards)]
    carried = Counter(node.host for node in planned)
    used = {shard: {shard % hosts} for shard in range(shards)}
    for _ in range(replicas):  # each shard's first replica before any second: hosts then fill evenly
        for shard in range(shards):
            before = [host for n in range(1, hosts) if (host := (shard - n) % hosts) not in used[shard]]
            host = min(before, key=lambda each: carried[each])
            planned.append(PlannedNode(host, shard, "replica"))
            used[shard].add(host)
            carried[host] += 1
    return tuple(planned)
