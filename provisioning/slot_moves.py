"""Move slots between masters of a live cluster: which, so that as few as possible move, and how, with their keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import groupby

from provisioning.cluster import Cluster
from provisioning.errors import NodeUnreachable
from provisioning.inventory import Node
from provisioning.live_change import ConvergenceError
from provisioning.resp import DEADLINE_SECONDS, Connection, Refused
from provisioning.slots import SLOTS

KEYS_AT_ONCE = 10
"""Keys of one MIGRATE, as redis-cli has it: the source serves nobody else meanwhile."""

SLOTS_AT_ONCE = 64
"""Slots that are open at the same time: as many as an interruption leaves open."""

MIGRATE_MS = 5000
"""How long one MIGRATE may be without progress, at most: see ``migrate_patience``."""


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


def batches(moves: Iterable[SlotMove], owned: Mapping[str, Collection[int]]) -> Iterator[list[SlotMove]]:
    """Yield the moves as they are made: some at a time, each between two masters.

    A master that has given its last slot away becomes a replica of who got it, and no slot can be moved to a replica
    (cluster-allow-replica-migration). So who gets slots too gives its last one after that; in a ring of masters,
    each of which waits for another, one keeps a single slot back. (In a ring with one slot each nothing helps.)
    """
    ordered = sorted(moves, key=lambda each: (each.source, each.target, each.slot))
    left: list[list[SlotMove]] = []
    for _, group in groupby(ordered, key=lambda each: (each.source, each.target)):
        these = list(group)
        left += [these[first : first + SLOTS_AT_ONCE] for first in range(0, len(these), SLOTS_AT_ONCE)]
    sizes = {name: len(slots) for name, slots in owned.items()}
    while left:
        getting = {each[0].target for each in left}
        last = [each for each in left if each[0].source in getting and sizes[each[0].source] == len(each)]
        batch = next((each for each in left if each not in last), max(left, key=len))
        left.remove(batch)
        if batch in last and len(batch) > 1:
            left.append([batch.pop()])
        sizes[batch[0].source] -= len(batch)
        sizes[batch[0].target] = sizes.get(batch[0].target, 0) + len(batch)
        yield batch


def move(
    cluster: Cluster,
    nodes: Mapping[str, Node],
    ids: Mapping[str, str],
    ordered: Sequence[Sequence[SlotMove]],
    prepare: Callable[[str], None],
) -> None:
    """Move these slots with their keys, batch by batch; clients are redirected meanwhile.

    A command with several keys of a slot that is open, of which one is not there, is refused for so long (TRYAGAIN),
    as wherever slots move; and its target takes no new owner of it from others (see open_slots.py). So none is open
    for longer than its batch takes. ``prepare`` is called with the target of each batch before.
    Raises ConvergenceError where keys cannot be moved, or somebody else owns a slot by then, Refused, NodeUnreachable.
    """
    node_timeout_ms = cluster.inventory.node_timeout_ms
    with ExitStack() as opened:
        links = {name: opened.enter_context(cluster.connection(node)) for name, node in nodes.items()}
        for source, target in {(batch[0].source, batch[0].target) for batch in ordered}:
            _end_restores(links[target], nodes[source])  # those of a run that ended in the middle of one
        for batch in ordered:
            source, target = batch[0].source, batch[0].target
            some = [each.slot for each in batch]
            prepare(target)
            _open(links, ids, batch)
            _move_keys(links[source], links[target], nodes[source], nodes[target], some, node_timeout_ms)
            _require_owner(cluster, nodes, source, ids[source], some)
            for name in (target, source, *(links.keys() - {target, source})):
                _settle(links[name], [("CLUSTER", "SETSLOT", slot, "NODE", ids[target]) for slot in some])


def _open(links: Mapping[str, Connection], ids: Mapping[str, str], moves: Sequence[SlotMove]) -> None:
    """Open slots that move from one node to one other: first where their keys shall go."""
    source, target = moves[0].source, moves[0].target
    for name, state, other in ((target, "IMPORTING", source), (source, "MIGRATING", target)):
        commands = [("CLUSTER", "SETSLOT", each.slot, state, ids[other]) for each in moves]
        links[name].calls(commands, deadline=_deadline(commands))


def _deadline(commands: Sequence[object]) -> float:
    """Return seconds for these SETSLOTs: Valkey answers each when its replicas have it, or after 2 s; and 2 s more."""
    return DEADLINE_SECONDS * (len(commands) + 1)


def _settle(link: Connection, commands: Sequence[Sequence[str | int]]) -> None:
    """Tell a node who owns the slots now. One that has heard of its last slot's move already is no master any more.

    Valkey says UNBLOCKED where it hears of that while it waits for its own replicas, and closes the connection: what
    has been told may be told again.
    """
    try:
        answers = link.calls(commands, deadline=_deadline(commands), raise_refusals=False)
    except NodeUnreachable:
        answers = link.calls(commands, deadline=_deadline(commands), raise_refusals=False)
    for answer in answers:
        if isinstance(answer, Refused) and "only with masters" not in str(answer) and answer.code != "UNBLOCKED":
            raise answer


def _require_owner(
    cluster: Cluster, nodes: Mapping[str, Node], source: str, node_id: str, slots: Sequence[int]
) -> None:
    """Raise ConvergenceError where one of these nodes holds somebody else than the source to own one of the slots.

    Whoever has taken over from a source that was silent too long serves writes, of which the target has none.
    """
    for name, view in cluster.views(nodes.values()).items():
        owners = {entry.node_id for slot in slots if view is not None and (entry := view.owner_of(slot))}
        if owners - {node_id}:
            raise ConvergenceError(
                f"{source} does not own slots {slots[0]} to {slots[-1]} any more, which were being moved",
                expected="no failover while slots are moved",
                observed=f"{name} holds {', '.join(owners - {node_id})} to be an owner of them",
                advice="run this again: it finishes what was begun, from whoever owns them now",
            )


def _move_keys(
    link: Connection, other: Connection, source: Node, target: Node, slots: Sequence[int], node_timeout_ms: int
) -> None:
    questions = [("CLUSTER", "GETKEYSINSLOT", slot, KEYS_AT_ONCE) for slot in slots]
    while held := [keys for keys in link.calls(questions) if keys]:
        for keys in held:
            try:
                _migrate(link, other, source, target, keys, node_timeout_ms)
            except Refused as refusal:
                raise ConvergenceError(
                    f"keys cannot be moved from {source.full_name} to {target.full_name}",
                    expected=f"room for them there, and {migrate_patience(1, node_timeout_ms)} ms for each to move",
                    observed=f"{refusal} (slots {slots[0]} to {slots[-1]})",
                    advice="see to that (maxmemory, the network between the hosts; very large keys take a longer "
                    "redis_node_timeout), and run this again: it finishes what was begun; no key is lost",
                ) from None


def _migrate(
    link: Connection, other: Connection, source: Node, target: Node, keys: Sequence[bytes | str], node_timeout_ms: int
) -> None:
    """Move keys together, and one by one where they take long for that. Raises Refused."""
    login = ("AUTH2", target.user, target.password) if target.user else ("AUTH", target.password)
    # REPLACE: a MIGRATE that was cut short may have left a copy there. Until a key has moved the source serves it.
    options = ("REPLACE", *(login if target.password else ()), "KEYS")
    patience = migrate_patience(len(keys), node_timeout_ms)
    deadline = DEADLINE_SECONDS + (len(keys) + 4) * patience / 1000
    try:
        link.call("MIGRATE", target.lan, target.port, "", 0, patience, *options, *keys, deadline=deadline)
    except Refused as refusal:
        if refusal.code != "IOERR":
            raise
        _end_restores(other, source)
        if len(keys) == 1:
            raise
        for key in keys:
            _migrate(link, other, source, target, [key], node_timeout_ms)


def _end_restores(target: Connection, source: Node) -> None:
    """Close the connections by which a source moves keys to this node; it opens another one for the next keys.

    One that has given up has not called back what is under way: carried out after the key has been moved by another
    MIGRATE it would put an old value over a new one. A connection over which no key has come yet is known by its host.
    """
    for line in str(target.call("CLIENT", "LIST")).splitlines():
        client = dict(word.partition("=")[::2] for word in line.split(" "))
        command, address = client.get("cmd", "").lower(), client.get("addr", "").rpartition(":")[0]
        beginning = command in ("null", "auth", "select") and address in (source.lan, source.announced)
        if command == "restore-asking" or beginning:
            with suppress(Refused):  # it has gone by itself
                target.call("CLIENT", "KILL", "ID", client["id"])


def migrate_patience(keys: int, node_timeout_ms: int) -> int:
    """Return the milliseconds of each wait of a MIGRATE: until the target takes so many keys, and for each answer.

    The source is silent meanwhile; for longer than the node timeout, and it is failed over. (Its waits for the
    connection and the login are short, or the node is unreachable.)
    """
    return max(1, min(MIGRATE_MS, node_timeout_ms // (keys + 1)))
