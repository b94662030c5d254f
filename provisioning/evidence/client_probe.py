"""Client probes: one write and its read-back for every shard, sent through every node, each command once."""

from __future__ import annotations

import errno
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from provisioning.errors import NodeUnreachable
from provisioning.evidence.capture import Evidence
from provisioning.evidence.collect import REST_SECONDS
from provisioning.evidence.node import NodeEvidence
from provisioning.evidence.probe_result import ProbeResult
from provisioning.evidence.redirect import parse_redirect
from provisioning.evidence.side_by_side import side_by_side
from provisioning.inventory import Inventory, Node
from provisioning.resp import Connection, Refused
from provisioning.slots import key_in_slot

PREFIX = "redis-gauntlet:probe:"

TTL_SECONDS = 60
"""A probe key that cannot be removed goes by itself after this time."""

MOST_HOPS = 5
"""Redirects followed for one command: a stable cluster needs one, a migration two."""

COMMAND_SECONDS = 3.0
"""How long one probe command may take; a healthy node answers within milliseconds, one on a starved machine later."""

SILENT_SECONDS = 1.0
"""The same where the node was silent already when it was looked at."""

_NEVER_SENT = re.compile(rf"\[Errno ({errno.ECONNREFUSED}|{errno.EHOSTUNREACH}|{errno.ENETUNREACH})\]")
"""There was no connection; after any other trouble the command may have been carried out."""

_Address = tuple[str, int]


def probed(inventory: Inventory, evidence: Evidence, run: str) -> Evidence:
    """Return the evidence with what became of a write and its read-back through every node that answered.

    Keys begin with ``redis-gauntlet:probe:`` and the run's id, live 60 s, and are removed at the end,
    which is checked. Redirects are followed as a client follows them, to the address that they name.
    """
    slots = [shard.master.slots[0].first for shard in inventory.shards if shard.master.slots]
    nodes = {node.full_name: node for node in inventory.nodes}
    outside = _ways_in(nodes, evidence)
    silent = frozenset(nodes[seen.name].outside for seen in evidence.nodes if seen.unreachable and seen.name in nodes)

    def probe(seen: NodeEvidence) -> NodeEvidence:
        if seen.unreachable or seen.name not in nodes:
            return seen
        return replace(seen, probes=_Probe(nodes[seen.name], outside, silent, run).of(slots))

    done = side_by_side({seen.name: partial(probe, seen) for seen in evidence.nodes}, REST_SECONDS)
    return replace(evidence, nodes=tuple(done[seen.name] or _late(seen) for seen in evidence.nodes))


def _ways_in(nodes: Mapping[str, Node], evidence: Evidence) -> dict[_Address, _Address]:
    """Return where this process dials what a redirect may name: a node's address, or the hostname that it announces."""
    named = {
        (own.hostname, own.port): nodes[seen.name].outside
        for seen in evidence.nodes
        if seen.name in nodes and (own := seen.view.myself if seen.view else None) and own.hostname
    }
    return named | {(node.announced, node.port): node.outside for node in nodes.values()}


def with_probes(evidence: Evidence, probes: Evidence) -> Evidence:
    """Return the evidence with the probes, or the reason why there are none, of the other one."""
    taken = {node.name: node for node in probes.nodes}
    return replace(evidence, nodes=tuple(_with_probes(node, taken[node.name]) for node in evidence.nodes))


def _with_probes(node: NodeEvidence, taken: NodeEvidence) -> NodeEvidence:
    why = {"probes": taken.not_collected["probes"]} if "probes" in taken.not_collected else {}
    return replace(node, probes=taken.probes, not_collected={**node.not_collected, **why})


def _late(seen: NodeEvidence) -> NodeEvidence:
    why = f"the probes through it did not end within {REST_SECONDS:.0f} s"
    return replace(seen, not_collected={**seen.not_collected, "probes": why})


@dataclass(frozen=True)
class _Sent:
    """What became of one command: its answer, or the trouble that there was; and where it was redirected to."""

    answer: Any = None
    trouble: str = ""
    hops: tuple[str, ...] = ()
    loop: bool = False
    unsure: bool = False
    """No answer came: it may yet be carried out."""


class _Probe:
    """All probes through one entry node, on connections of their own."""

    def __init__(
        self, entry: Node, outside: Mapping[_Address, _Address], silent: Collection[_Address], run: str
    ) -> None:
        self._entry = entry
        self._outside = outside
        self._doubtful = silent
        self._run = run
        self._look = secrets.token_hex(4)
        """In every key: who else looks at the same time, under whatever id, has others."""
        self._links: dict[_Address, Connection] = {}
        self._silent: dict[_Address, str] = {}

    def of(self, slots: Iterable[int]) -> dict[int, ProbeResult]:
        """Return the result by slot."""
        try:
            return {slot: self._probe(slot) for slot in slots}
        finally:
            for link in self._links.values():
                link.close()

    def _probe(self, slot: int) -> ProbeResult:
        key = f"{PREFIX}{self._run}:{self._entry.announced}:{self._entry.port}:{key_in_slot(slot)}:{self._look}"
        wrote = self._sent("SET", key, "1", "EX", TTL_SECONDS)
        if wrote.trouble:
            return ProbeResult(wrote.trouble, "", wrote.hops, wrote.loop, left=wrote.unsure)
        read = self._sent("GET", key)
        wrong = "" if read.trouble or read.answer == "1" else "the value that was just written is not there"
        gone = self._sent("DEL", key)
        left = bool(gone.trouble) or self._sent("EXISTS", key).answer != 0
        return ProbeResult("", read.trouble or wrong, read.hops if read.trouble else wrote.hops, read.loop, left)

    def _sent(self, *words: str | int) -> _Sent:
        """Send the command once to the entry node, and once more wherever it is redirected to."""
        address: _Address = self._entry.outside
        asking = False
        hops: list[str] = []
        while len(hops) <= MOST_HOPS:
            try:
                answer = self._answer(address, [("ASKING",), words] if asking else [words])
            except NodeUnreachable as problem:
                unsure = not _NEVER_SENT.match(problem.observed)
                return _Sent(trouble=f"{address[0]}:{address[1]}: {problem.observed}", hops=tuple(hops), unsure=unsure)
            redirect = parse_redirect(str(answer)) if isinstance(answer, Refused) else None
            if redirect is None:
                refused = str(answer) if isinstance(answer, Refused) else ""
                return _Sent(None if refused else answer, refused, tuple(hops))
            named = (redirect.host if redirect.names_host else address[0], redirect.port)
            circle = redirect.kind == "MOVED" and f"{named[0]}:{named[1]}" in hops
            hops.append(f"{named[0]}:{named[1]}")
            if circle:
                break
            asking = redirect.kind == "ASK"
            address = self._outside.get(named, named)
        return _Sent(trouble=f"redirected without end: {' -> '.join(hops)}", hops=tuple(hops), loop=True)

    def _answer(self, address: _Address, commands: list[tuple[str | int, ...]]) -> Any:
        """Return the last command's answer, a Refused for an error. Whoever was silent once is not asked again."""
        if address in self._silent:
            raise NodeUnreachable("not asked again", observed=self._silent[address])
        entry = self._entry
        patience = SILENT_SECONDS if address in self._doubtful else COMMAND_SECONDS
        link = self._links.setdefault(
            address, Connection(address, user=entry.user, password=entry.password, tls=entry.tls, deadline=patience)
        )
        try:
            return link.calls(commands, raise_refusals=False)[-1]
        except Refused as refusal:  # the login
            return refusal
        except NodeUnreachable as problem:
            self._silent[address] = problem.observed
            raise
