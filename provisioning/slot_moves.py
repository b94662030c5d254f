"""Move slots between masters of a live cluster: which, so that as few as possible move, and how, with their keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby

from provisioning.cluster import Cluster
from provisioning.inventory import Node
from provisioning.resp import Connection, Refused
from provisioning.slots import SLOTS

KEYS_AT_ONCE = 10
"""Keys of one MIGRATE, as redis-cli has it: the source serves nobody else meanwhile."""

SLOTS_AT_ONCE = 64
"""Slots that are open at the same time: as many as an interruption leaves open."""

MIGRATE_MS = 5000
"""How long one MIGRATE may be without progress."""


@dataclass(frozen=True)
class SlotMove:
    """One slot, from who owns it to who shall; both by full name."""

    slot: int
    source: str
    target: str


def exact_moves(owned: Mapping[str, Collection[int]], wanted: Mapping[str, Collection[int]]) -> Iterator[SlotMove]:
    """Yield the moves after which everybody owns what is wanted, slot by slot."""
    owner = {slot: name for name, slots in owned.items() for slot in slots}
    for target, slots in wanted.items():
        for slot in sorted(slots):
            if slot in owner and owner[slot] != target:
                yield SlotMove(slot, owner[slot], target)


def even_moves(owned: Mapping[str, Collection[int]], keeping: Sequence[str]) -> Iterator[SlotMove]:
    """Yield the moves after which those who are ``keeping`` slots own equal shares, and nobody else any.

    Who has too many gives its highest slots; nothing moves between two that have no more than their share.
    """
    share, more = divmod(SLOTS, len(keeping))
    by_size = sorted(keeping, key=lambda name: -len(owned.get(name, ())))
    shares = {name: share + (place < more) for place, name in enumerate(by_size)}
    given = [(slot, name) for name, slots in owned.items() for slot in sorted(slots)[shares.get(name, 0) :]]
    free = iter(given)
    for name in keeping:
        for _ in range(shares[name] - len(owned.get(name, ()))):
            slot, source = next(free)
            yield SlotMove(slot, source, name)


def move(cluster: Cluster, nodes: Mapping[str, Node], ids: Mapping[str, str], moves: Iterable[SlotMove]) -> None:
    """Move these slots with their keys, some at a time; clients are redirected meanwhile, none is refused.

    The last slot is open from the beginning to the end, so that moves that were interrupted at any point have left
    an open slot, by which the next run knows of them. Raises Refused or NodeUnreachable.
    """
    with ExitStack() as opened:
        links = {name: opened.enter_context(cluster.connection(node)) for name, node in nodes.items()}
        ordered = sorted(moves, key=lambda each: (each.source, each.target, each.slot))
        if ordered:
            _open(links, ids, ordered[-1:])
        for (source, target), group in groupby(ordered, key=lambda each: (each.source, each.target)):
            these = list(group)
            for first in range(0, len(these), SLOTS_AT_ONCE):
                batch = these[first : first + SLOTS_AT_ONCE]
                some = [each.slot for each in batch]
                _open(links, ids, batch)
                _move_keys(links[source], nodes[target], some)
                for name in (target, source, *(links.keys() - {target, source})):
                    _settle(links[name], [("CLUSTER", "SETSLOT", slot, "NODE", ids[target]) for slot in some])


def _open(links: Mapping[str, Connection], ids: Mapping[str, str], moves: Sequence[SlotMove]) -> None:
    """Open slots that move from one node to one other: first where their keys shall go."""
    source, target = moves[0].source, moves[0].target
    links[target].calls([("CLUSTER", "SETSLOT", each.slot, "IMPORTING", ids[source]) for each in moves])
    links[source].calls([("CLUSTER", "SETSLOT", each.slot, "MIGRATING", ids[target]) for each in moves])


def _settle(link: Connection, commands: Sequence[Sequence[str | int]]) -> None:
    """Tell a node who owns the slots now. One that has heard of its last slot's move already is no master any more.

    Valkey says UNBLOCKED where it hears of that while it waits for its own replicas.
    """
    for answer in link.calls(commands, raise_refusals=False):
        if isinstance(answer, Refused) and "only with masters" not in str(answer) and answer.code != "UNBLOCKED":
            raise answer


def _move_keys(source: Connection, target: Node, slots: Sequence[int]) -> None:
    login = ("AUTH2", target.user, target.password) if target.user else ("AUTH", target.password)
    # REPLACE: a MIGRATE that was cut short may have left a copy there. Until a key has moved the source serves it.
    options = ("REPLACE", *(login if target.password else ()), "KEYS")
    place = ("MIGRATE", target.lan, target.port, "", 0, MIGRATE_MS, *options)
    questions = [("CLUSTER", "GETKEYSINSLOT", slot, KEYS_AT_ONCE) for slot in slots]
    while held := [keys for keys in source.calls(questions) if keys]:
        for keys in held:
            source.call(*place, *keys, deadline=2 * MIGRATE_MS / 1000)
