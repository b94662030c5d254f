"""Write probes: what a client that sends once and never retries sees of every shard."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from provisioning.errors import NodeUnreachable
from provisioning.evidence.sampling import Sampling
from provisioning.inventory import Node, WantedShard
from provisioning.resp import Connection, Refused
from provisioning.slots import key_in_slot

Outcome = Literal["acknowledged", "refused", "unreachable"]

INTERVAL_SECONDS = 0.025
"""Pace of the writes: half of the 50 ms that phases are resolved to."""

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
    """Writes one key per shard to each of its nodes, about every 25 ms while its block lasts.

    Each attempt is sent once. Every node has a writer of its own, so that one that is silent holds up
    nobody: an outage ends with the first write that any node of the shard accepts.
    """

    def __init__(self, shards: Iterable[WantedShard]) -> None:
        self.attempts: list[Attempt] = []
        super().__init__(
            {f"probe {node.full_name}": partial(self._write, shard, node) for shard in shards for node in shard.nodes}
        )

    def acknowledged(self, shard: str) -> list[Attempt]:
        """Return the acknowledged attempts of the shard (named by its wanted master), by the time of their end."""
        found = [each for each in list(self.attempts) if each.shard == shard and each.outcome == "acknowledged"]
        return sorted(found, key=lambda each: each.ended)

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

    def _write(self, shard: WantedShard, node: Node) -> None:
        key = key_in_slot(shard.master.slots[0].first, PREFIX)
        with Connection.to(node, deadline=DEADLINE_SECONDS) as link:
            for count, _ in enumerate(self.ticks(INTERVAL_SECONDS)):
                invoked = time.monotonic()
                outcome: Outcome = "acknowledged"
                detail = ""
                try:
                    link.call("SET", key, f"{node.full_name} {count}")
                except Refused as refusal:
                    outcome, detail = "refused", str(refusal)
                except NodeUnreachable as problem:
                    outcome, detail = "unreachable", problem.observed
                self.attempts.append(
                    Attempt(shard.master.full_name, node.full_name, invoked, time.monotonic(), outcome, detail)
                )
