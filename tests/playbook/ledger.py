"""A steady writer that remembers every acknowledged write, and how long each shard took none."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from secrets import token_hex

from provisioning.cluster import Cluster
from provisioning.errors import NodeUnreachable
from provisioning.evidence.redirect import parse_redirect
from provisioning.inventory import Node
from provisioning.resp import Connection, Refused
from provisioning.slots import key_in_slot
from provisioning.waiting import ticks

PACE_SECONDS = 0.02
"""Between two writes to one shard."""

LEAST_WRITES = 20
"""A fraction of what a second has of them: the tests say for themselves how long they wrote."""

STALL_SECONDS = 5.0
"""A manual failover that has not succeeded by then is given up by the server (mf_timeout)."""

ANSWER_SECONDS = 1.0
"""After that an answer is not waited for, and the write may or may not have happened."""


@dataclass
class Ledger:
    """What one shard acknowledged of numbers that are appended to one list; none is sent twice."""

    slot: int
    run: str = field(default_factory=partial(token_hex, 4))
    acknowledged: list[int] = field(default_factory=list)
    longest_gap: float = 0.0
    """Seconds without an acknowledged write, from the beginning to the end."""
    before_gap: int = 0
    """How many writes were acknowledged before that."""
    problem: BaseException | None = None
    """What ended the writer before its time."""
    _last: float = field(default_factory=time.monotonic)

    @property
    def key(self) -> str:
        return key_in_slot(self.slot, f"ledger:{self.run}:")

    @property
    def writes(self) -> int:
        return len(self.acknowledged)

    def note(self, number: int) -> None:
        """Record an acknowledged write."""
        self.close()
        self.acknowledged.append(number)

    def close(self) -> None:
        """Count the time since the last acknowledged write: a stall that lasts counts too."""
        now = time.monotonic()
        if now - self._last > self.longest_gap:
            self.longest_gap, self.before_gap = now - self._last, len(self.acknowledged)
        self._last = now


@contextmanager
def writing_steadily(cluster: Cluster) -> Iterator[list[Ledger]]:
    """Write to every shard while the block lasts, following redirections by hand.

    Raises what ended a writer before its time.
    """
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
    for ledger, thread in zip(ledgers, threads, strict=True):
        assert not thread.is_alive(), f"the writer of {ledger.key} does not end"
        if ledger.problem is not None:
            raise ledger.problem
        ledger.close()


def _write(cluster: Cluster, ledger: Ledger, ended: threading.Event) -> None:
    try:
        _append(cluster, ledger, ended)
    except BaseException as problem:
        ledger.problem = problem


def _append(cluster: Cluster, ledger: Ledger, ended: threading.Event) -> None:
    nodes = list(cluster.inventory.nodes)
    links: dict[str, Connection] = {}
    target = nodes[0]
    asked: Node | None = None  # who has the key already while its slot moves: asked this once
    for number, _ in enumerate(ticks(PACE_SECONDS, ended)):
        write = ("RPUSH", ledger.key, number)
        node, words = (asked, [("ASKING",), write]) if asked else (target, [write])
        asked = None
        link = links.setdefault(node.full_name, Connection.to(node, deadline=ANSWER_SECONDS))
        try:
            link.calls(words)
            ledger.note(number)
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


def assert_none_lost(cluster: Cluster, ledgers: Sequence[Ledger]) -> None:
    """Every shard took so many writes, has all of them, and was never without a master for longer than a failover."""
    for ledger in ledgers:
        assert ledger.writes > 100
        assert is_whole(cluster, ledger)
        assert ledger.longest_gap < STALL_SECONDS


def is_whole(cluster: Cluster, ledger: Ledger) -> bool:
    """True where the shard's master has every acknowledged write, and was written to well."""
    return not lost(cluster, ledger)


def lost(cluster: Cluster, ledger: Ledger) -> set[int]:
    """Return the acknowledged writes that the shard's master does not have; it was written to well."""
    assert ledger.writes > LEAST_WRITES, f"{ledger.writes} writes say little"
    stored = cluster.call(cluster.owner(ledger.slot), "LRANGE", ledger.key, 0, -1)
    return set(ledger.acknowledged) - set(map(int, stored))
