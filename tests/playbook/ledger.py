"""A steady writer that remembers every acknowledged write, and how long each shard took none."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from provisioning.cluster import Cluster
from provisioning.errors import NodeUnreachable
from provisioning.evidence.redirect import parse_redirect
from provisioning.inventory import Node
from provisioning.resp import Connection, Refused
from provisioning.slots import key_in_slot
from provisioning.waiting import ticks

PACE_SECONDS = 0.02
"""Between two writes to one shard."""

ANSWER_SECONDS = 1.0
"""After that an answer is not waited for, and the write may or may not have happened."""


@dataclass
class Ledger:
    """What one shard acknowledged of one counter. Each write is INCR, so that its answer tells what came before.

    ``lost`` counts answers that are no higher than one that was acknowledged earlier: the shard has gone back.
    A write without an answer may have happened; it makes the next answer higher, never lower.
    """

    slot: int
    acknowledged: int = 0
    lost: int = 0
    writes: int = 0
    longest_gap: float = 0.0
    """Seconds without an acknowledged write."""
    _last: float = field(default_factory=time.monotonic)

    @property
    def key(self) -> str:
        return key_in_slot(self.slot, "ledger:")

    def note(self, value: int) -> None:
        """Record an acknowledged write."""
        now = time.monotonic()
        self.longest_gap = max(self.longest_gap, now - self._last)
        self._last, self.writes = now, self.writes + 1
        self.lost += value <= self.acknowledged
        self.acknowledged = max(self.acknowledged, value)


@contextmanager
def writing_steadily(cluster: Cluster) -> Iterator[list[Ledger]]:
    """Write to every shard while the block lasts, following redirections by hand."""
    ledgers = [Ledger(shard.master.slots[0].first) for shard in cluster.inventory.shards]
    ended = threading.Event()
    threads = [threading.Thread(target=_write, args=(cluster, each, ended), daemon=True) for each in ledgers]
    for thread in threads:
        thread.start()
    try:
        yield ledgers
    finally:
        ended.set()
        for thread in threads:
            thread.join(10 * ANSWER_SECONDS)


def _write(cluster: Cluster, ledger: Ledger, ended: threading.Event) -> None:
    nodes = list(cluster.inventory.nodes)
    links: dict[str, Connection] = {}
    target = nodes[0]
    asked: Node | None = None  # who has the key already while its slot moves: asked this once
    for _ in ticks(PACE_SECONDS, ended):
        node, words = (asked, [("ASKING",), ("INCR", ledger.key)]) if asked else (target, [("INCR", ledger.key)])
        asked = None
        link = links.setdefault(node.full_name, Connection.to(node, deadline=ANSWER_SECONDS))
        try:
            ledger.note(int(link.calls(words)[-1]))
        except Refused as refusal:
            redirect = parse_redirect(str(refusal))
            other = cluster.inventory.at(redirect.host, redirect.port) if redirect is not None else None
            if redirect is not None and redirect.kind == "ASK":
                asked = other
            else:
                target = other or target
        except NodeUnreachable:
            target = nodes[(nodes.index(target) + 1) % len(nodes)]
    for link in links.values():
        link.close()


def is_whole(cluster: Cluster, ledger: Ledger) -> bool:
    """True where the shard's master has every acknowledged write now, and had at every one."""
    value = int(cluster.call(cluster.owner(ledger.slot), "GET", ledger.key))
    return not ledger.lost and value >= ledger.acknowledged
