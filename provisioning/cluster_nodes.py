"""CLUSTER NODES text <-> ClusterView. The only place that knows the wire's words for roles and flags.

Source: Redis documentation, "CLUSTER NODES", serialization format; and for the forms that it does not
mention, published listings: no bus port (before 4.0), no IP on the own line, nodes.conf with its
auxiliary fields, log prefixes, quotes, comments, and output that a server bug has cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from provisioning.cluster_view import ClusterView
from provisioning.node_entry import NodeEntry, UnreadableLine
from provisioning.slots import SLOTS, SlotRange

__all__ = [
    "ClusterView",
    "NodeEntry",
    "UnreadableLine",
    "format_cluster_nodes",
    "format_entry",
    "may_have_entries",
    "parse_cluster_nodes",
]

ID_LENGTH = 40
"""Hexadecimal digits of a node id."""

LINK_STATES = ("connected", "disconnected")

OF_WIRE = {"slave": "replica", "fail?": "pfail"}
TO_WIRE = {"replica": "slave", "pfail": "fail?"}
KNOWN_FLAGS = ("myself", "master", "replica", "pfail", "fail", "handshake", "noaddr", "nofailover", "noflags")
"""In the order in which Redis writes them."""

ESCAPED_BREAK = re.compile(r"(?:\\r)?\\n")
"""A line break as JSON and log files write it: two or four characters."""

_CLOSING = re.compile(r"[\"'\\].*", re.DOTALL)
_LONGEST_CHATTER = 2000
_NODE_ID = re.compile(r"[0-9a-f]{40}")
_ADDRESS = r"(?=\S{0,512}:\d)\S{2,1024}+"  # possessive: a garbage line costs what its length costs
_ENTRY = re.compile(
    rf"[0-9a-f]{{40}} +{_ADDRESS} +[a-z_?,-]+ +\S{{1,64}} +\d+ +\d+ +\d+ +\S"  # wherever in the line
)
_LOOSE_ENTRY = re.compile(
    rf"(?:^|[\s\"'>#/])(?P<id>[^\s\"'>#/]{{8,64}}) +{_ADDRESS} +"
    r"(?:(?:myself|master|slave|fail\??|handshake|noaddr|nofailover|noflags),?)+ "
)
_NUMBER = re.compile(r"[0-9]{1,20}")
_PORT = re.compile(r"[0-9]{1,5}")
_OPEN_SLOT = re.compile(r"\[(\d{1,5})-([<>])-([^\]\s]+)\]?")
_CHATTER = re.compile(
    r"""
    vars\s.*                                      # the last line of nodes.conf
    | [\s\"'`\[\](){},;:=*~_+-]*                  # nothing but punctuation: fences, braces, rulers
    | [$*]\d+                                     # a RESP length
    | (?:\#|//|--|;).*                            # a comment
    | (?:\S*[>$\#%]\s*)?(?:redis-cli\b.*|cluster\s+nodes\W*|OK|exit|quit)  # a prompt and what was typed
    | \(\d+\.\d+s\)                               # redis-cli's timing
    | Warning:\s.*                                # redis-cli about -a; ssh about a host key
    | Connection\sto\s\S+\sclosed\.?            # ssh
    | Defaulted\scontainer\s.*                    # kubectl exec
    | .*\b\d\d:\d\d:\d\d\b.*                      # a line of a log
    | (?:```|~~~)\w*
    """,
    re.VERBOSE | re.IGNORECASE,
)


def parse_cluster_nodes(text: str, seen_by: str = "", at: float = 0.0) -> ClusterView:
    r"""Read CLUSTER NODES output, a nodes.conf, or either as somebody pasted it.

    Never raises for what the text says: a line that cannot be read is kept in ``unreadable``. Numbers
    are those of the text's lines, also where one line holds a whole listing with literal \n. Linear in
    lines; blank lines in front cost nothing.
    """
    listing = text.lstrip("\n")
    entries: list[NodeEntry] = []
    unreadable: list[UnreadableLine] = []
    for number, line in _numbered(listing, len(text) - len(listing) + 1):
        read = _read_exact(line, number)
        if read is not None:
            entries.append(read)
        elif not line.isspace() and line:
            for each in _read_wrapped(line, number):
                if isinstance(each, NodeEntry):
                    entries.append(each)
                else:
                    unreadable.append(each)
    return ClusterView(tuple(entries), tuple(unreadable), seen_by, at)


def may_have_entries(text: str) -> bool:
    """Return False, at once, for a text that cannot hold an entry: none of the flags occurs in it."""
    return any(TO_WIRE.get(flag, flag) in text for flag in KNOWN_FLAGS)


def _numbered(text: str, first: int) -> Iterable[tuple[int, str]]:
    r"""Return the lines with their numbers; those that a literal \n divides share the number of their line."""
    lines = enumerate(text.split("\n"), first)
    if "\\n" not in text:
        return lines
    return ((number, each) for number, line in lines for each in ESCAPED_BREAK.split(line))


def format_cluster_nodes(entries: Iterable[NodeEntry] | ClusterView) -> str:
    """Return the entries as CLUSTER NODES writes them, one line each, each with its line feed."""
    each_entry = entries.entries if isinstance(entries, ClusterView) else entries
    return "".join(f"{format_entry(entry)}\n" for entry in each_entry)


def format_entry(entry: NodeEntry) -> str:
    """Return one entry as its line, without the line feed."""
    address = entry.address
    if entry.bus_port is not None:
        address += f"@{entry.bus_port}"
    if entry.hostname or entry.aux:
        address += f",{entry.hostname}"
    address += "".join(f",{key}={value}" for key, value in entry.aux.items())
    ordered = [flag for flag in KNOWN_FLAGS if flag in entry.flags]
    ordered += sorted(entry.flags.difference(KNOWN_FLAGS))
    fields = [
        entry.node_id,
        address,
        ",".join(TO_WIRE.get(flag, flag) for flag in ordered) or "noflags",
        entry.master_id or "-",
        str(entry.ping_sent),
        str(entry.pong_received),
        str(entry.config_epoch),
        entry.link_state,
        *map(str, entry.slots),
        *(f"[{slot}->-{node_id}]" for slot, node_id in entry.migrating),
        *(f"[{slot}-<-{node_id}]" for slot, node_id in entry.importing),
    ]
    return " ".join(fields)


def _read_exact(line: str, number: int) -> NodeEntry | None:
    """Read a line as the server writes it, or return None."""
    fields = line.split()
    if len(fields) < 8 or not _NODE_ID.fullmatch(fields[0]) or _CLOSING.search(line):
        return None
    if any(len(text) >= ID_LENGTH and text[0] != "[" for text in fields[7:]):
        return None
    return _entry(fields, line, number)


def _read_wrapped(line: str, number: int) -> Iterator[NodeEntry | UnreadableLine]:
    """Read a line that is wrapped in something, is damaged, or holds several entries run together."""
    starts = [match.start() for match in _ENTRY.finditer(line)]
    if not starts:
        loose = _LOOSE_ENTRY.search(line)
        if loose:
            starts = [loose.start("id")]
    for start, end in zip(starts, [*starts, len(line)][1:], strict=True):
        part = _CLOSING.sub("", line[start:end]).rstrip(", \t\r")
        entry = _entry(part.split(), part, number)
        yield entry if entry is not None else UnreadableLine(number, part, "not the eight fields of a node")
    if not starts and not _is_chatter(line.strip()):
        yield UnreadableLine(number, line.strip(), "no node id, address and flags in it")


def _is_chatter(line: str) -> bool:
    """True for what surrounds a listing that was pasted, or the lines between its own."""
    return len(line) < _LONGEST_CHATTER and not _NODE_ID.search(line) and bool(_CHATTER.fullmatch(line))


def _entry(fields: list[str], line: str, number: int) -> NodeEntry | None:
    """Make an entry of the eight fields and the slots after them, or return None."""
    if len(fields) < 8:
        return None
    node_id, endpoint, flag_text, master_id, ping, pong, epoch, link_state = fields[:8]
    address = _address(endpoint)
    flags = _flags(flag_text)
    if address is None or flags is None or not all(map(_NUMBER.fullmatch, (ping, pong, epoch))):
        return None
    ip, port, bus_port, hostname, aux = address
    oddities = []
    if not _NODE_ID.fullmatch(node_id):
        oddities.append(f"node id of {len(node_id)} characters instead of {ID_LENGTH} hexadecimal digits: {node_id}")
    if master_id != "-" and not _NODE_ID.fullmatch(master_id):
        oddities.append(
            f"master id of {len(master_id)} characters instead of {ID_LENGTH} hexadecimal digits: {master_id}"
        )
    if link_state not in LINK_STATES:
        oddities.append(f"unknown link-state {link_state!r}")
    slots, migrating, importing = _slots(fields[8:], oddities) if len(fields) > 8 else ((), (), ())
    return NodeEntry(
        node_id,
        ip,
        port,
        bus_port,
        hostname,
        dict(aux),
        flags,
        "" if master_id == "-" else master_id,
        int(ping),
        int(pong),
        int(epoch),
        link_state,
        slots,
        migrating,
        importing,
        tuple(oddities),
        line,
        number,
    )


_Open = tuple[tuple[int, str], ...]


def _slots(fields: list[str], oddities: list[str]) -> tuple[tuple[SlotRange, ...], _Open, _Open]:
    """Read slot ranges and open slots up to the first thing that is neither: a remark of whoever pasted it."""
    ranges: list[SlotRange] = []
    migrating: list[tuple[int, str]] = []
    importing: list[tuple[int, str]] = []
    for text in fields:
        if text[0] == "[":
            opened = _OPEN_SLOT.fullmatch(text)
            if opened and int(opened[1]) < SLOTS:
                (migrating if opened[2] == ">" else importing).append((int(opened[1]), opened[3]))
            elif len(text) > 1:
                oddities.append(f"open slot {text!r} cannot be read")
        elif text[0].isdigit():
            try:
                ranges.append(_slot_range(text))
            except ValueError:
                oddities.append(f"slot range {text!r} cannot be read")
        else:
            break
    return tuple(ranges), tuple(migrating), tuple(importing)


@lru_cache(maxsize=4096)
def _slot_range(text: str) -> SlotRange:
    return SlotRange.parse(text)


@lru_cache(maxsize=256)
def _flags(text: str) -> frozenset[str] | None:
    """Return the flags in this project's words, or None where not one of them is known."""
    flags = frozenset(OF_WIRE.get(word, word) for word in text.split(",") if word)
    return flags if not flags.isdisjoint(KNOWN_FLAGS) else None


@lru_cache(maxsize=4096)
def _address(text: str) -> tuple[str, int, int | None, str, tuple[tuple[str, str], ...]] | None:
    """Read ``ip:port[@bus-port][,hostname][,key=value]...``; the last colon divides, for bare IPv6."""
    endpoint, *more = text.split(",")
    hostname = more[0] if more and "=" not in more[0] else ""
    aux = tuple((key, value) for key, divided, value in (each.partition("=") for each in more) if divided)
    place, _, bus_text = endpoint.partition("@")
    ip, colon, port_text = place.rpartition(":")
    if not colon or not _PORT.fullmatch(port_text) or (bus_text and not _PORT.fullmatch(bus_text)):
        return None
    ip = ip[1:-1] if ip.startswith("[") and ip.endswith("]") else ip
    return ip, int(port_text), int(bus_text) if bus_text else None, hostname, aux
