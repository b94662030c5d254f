"""Write probes: what a client that sends once and never retries sees of every shard."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from functools import partial
from typing import Literal

from provisioning.errors import NodeUnreachable
from provisioning.evidence.sampling import Sampling
from provisioning.inventory import Inventory, Node, WantedShard
from provisioning.resp import Connection, Refused
from provisioning.slots import key_in_slot

Outcome = Literal["acknowledged", "refused", "unreachable"]

INTERVAL_SECONDS = 0.02
DEADLINE_SECONDS = 0.5
PREFIX = "redis-gauntlet:probe:"


@dataclass(frozen=True)
class Attempt:
    """One SET sent to one node: when (monotonic seconds) and how it ended."""

    shard: str
    node: str
    invoked: float
    ended: float
    outcome: Outcome
    detail: str = ""


class WriteProbe(Sampling):
    """Writes one key per shard about every 20 ms while its block lasts, wherever the shard accepts it.

    Each attempt is sent once. A refused or unanswered one is followed by an attempt at another node
    of the same shard, so an outage ends with the first write that any of its nodes accepts.
    """

    def __init__(self, inventory: Inventory) -> None:
        self.attempts: list[Attempt] = []
        super().__init__({f"probe {shard.master.full_name}": partial(self._write, shard) for shard in inventory.shards})

    def acknowledged(self, shard: str) -> list[Attempt]:
        """Return the acknowledged attempts of the shard (named by its wanted master), in order."""
        return [each for each in list(self.attempts) if each.shard == shard and each.outcome == "acknowledged"]

    def first_write(self, shard: str, after: float, *, not_by: str = "") -> Attempt | None:
        """Return the shard's first write invoked after that time and accepted by another node than ``not_by``."""
        return next((each for each in self.acknowledged(shard) if each.invoked > after and each.node != not_by), None)

    def longest_stall(self, shard: str, since: float) -> float:
        """Return the longest time in seconds between acknowledged writes of the shard, inf if there is none.

        Counted from the last write before ``since`` (monotonic) until now: a stall that lasts counts too.
        """
        times = [each.ended for each in self.acknowledged(shard)]
        if not times:
            return float("inf")
        last_before = max((at for at in times if at <= since), default=since)
        times = [last_before, *(at for at in times if at > last_before), time.monotonic()]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    def _write(self, shard: WantedShard) -> None:
        key = key_in_slot(shard.master.slots[0].first, PREFIX)
        nodes: list[Node] = [shard.master, *shard.replicas]
        links = {node.full_name: Connection.to(node, deadline=DEADLINE_SECONDS) for node in nodes}
        turn = 0
        for count, _ in enumerate(self.ticks(INTERVAL_SECONDS)):
            node = nodes[turn % len(nodes)]
            invoked = time.monotonic()
            outcome: Outcome = "acknowledged"
            detail = ""
            try:
                links[node.full_name].call("SET", key, count)
            except Refused as refusal:
                outcome, detail = "refused", str(refusal)
            except NodeUnreachable as problem:
                outcome, detail = "unreachable", problem.observed
            if outcome != "acknowledged":
                turn += 1
            self.attempts.append(
                Attempt(shard.master.full_name, node.full_name, invoked, time.monotonic(), outcome, detail)
            )
        for link in links.values():
            link.close()
