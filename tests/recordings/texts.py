"""Listings of made-up clusters, valid or mutilated, for Hypothesis to draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from fixtures.rules.large_cluster import members
from provisioning.cluster_nodes import format_cluster_nodes
from provisioning.node_entry import NodeEntry
from provisioning.slots import SLOTS, SlotRange

ID = "0123456789abcdef0123456789abcdef01234567"

ids = st.integers(0, 16**40 - 1).map(lambda number: f"{number:040x}")
slot_ranges = st.lists(st.integers(0, SLOTS - 1), unique=True, max_size=12).map(
    lambda bounds: tuple(SlotRange(a, b) for a, b in zip(sorted(bounds)[::2], sorted(bounds)[1::2], strict=False))
)
open_slots = st.lists(st.tuples(st.integers(0, SLOTS - 1), ids), max_size=2).map(tuple)
addresses = st.one_of(st.ip_addresses().map(str), st.just(""))
hostnames = st.sampled_from(["", "node-1", "redis-0.redis.default.svc"])
aux_fields = st.dictionaries(st.sampled_from(["tls-port", "shard-id", "nodename"]), st.sampled_from(["0", "6380", ID]))
flag_sets = st.one_of(
    st.just(frozenset({"noflags"})),
    st.sets(
        st.sampled_from(["myself", "master", "replica", "fail", "pfail", "handshake", "noaddr", "nofailover"]),
        min_size=1,
    ).map(frozenset),
)
link_states = st.sampled_from(["connected", "disconnected"])
numbers = st.integers(0, 2**63)

valid_entries = st.builds(
    NodeEntry,
    node_id=ids,
    ip=addresses,
    port=st.integers(0, 65535),
    bus_port=st.one_of(st.none(), st.integers(0, 65535)),
    hostname=hostnames,
    aux=aux_fields,
    flags=flag_sets,
    master_id=st.one_of(st.just(""), ids),
    ping_sent=numbers,
    pong_received=numbers,
    config_epoch=numbers,
    link_state=link_states,
    slots=slot_ranges,
    migrating=open_slots,
    importing=open_slots,
)
"""Any line that Redis might write, and many that it would not."""

DRESSES: tuple[Callable[[NodeEntry], dict[str, Any]], ...] = (
    lambda entry: {},
    lambda entry: {"bus_port": None},
    lambda entry: {"hostname": f"node-{entry.config_epoch}.example"},
    lambda entry: {"aux": {"tls-port": "0", "shard-id": f"{entry.config_epoch:040x}"}},
    lambda entry: {"ip": f"2001:db8::{entry.ip.rpartition('.')[2]}"},
    lambda entry: {"ip": f"redis-{entry.config_epoch}"},
    lambda entry: {
        "ip": "127.0.0.1",
        "port": 7000 + int(entry.node_id, 16),
        "bus_port": 17000 + int(entry.node_id, 16),
    },
)
"""What all lines of a cluster have in common: its age, its network, its naming."""

changes = st.one_of(
    st.fixed_dictionaries({"flags": flag_sets}),
    st.fixed_dictionaries({"slots": slot_ranges}),
    st.fixed_dictionaries({"migrating": open_slots, "importing": open_slots}),
    st.fixed_dictionaries({"link_state": link_states, "ping_sent": numbers, "pong_received": numbers}),
    st.fixed_dictionaries({"config_epoch": st.integers(0, 4)}),
    st.fixed_dictionaries({"ip": addresses, "hostname": hostnames}),
    st.fixed_dictionaries({"master_id": st.integers(0, 12).map(lambda number: f"{number:040x}")}),
)


@st.composite
def clusters(draw: st.DrawFn, most: int = 12) -> list[NodeEntry]:
    """Draw a cluster without a viewer: plausible, and wrong in a few points."""
    dress = draw(st.sampled_from(DRESSES))
    entries = [replace(each, **dress(each)) for each in members(draw(st.integers(1, most)))]
    for place, change in draw(st.lists(st.tuples(st.integers(0, most), changes), max_size=3)):
        entries[place % len(entries)] = replace(entries[place % len(entries)], **change)
    return entries


@st.composite
def views(draw: st.DrawFn) -> list[str]:
    """Draw what up to three nodes say of one cluster, some of them not quite like the others."""
    entries = draw(clusters())
    found = []
    for viewer in draw(st.lists(st.integers(0, len(entries) - 1), min_size=1, max_size=3, unique=True)):
        seen = list(entries)
        seen[viewer] = replace(seen[viewer], flags=seen[viewer].flags | {"myself"})
        if draw(st.booleans()):
            place = draw(st.integers(0, len(entries) - 1))
            seen[place] = replace(seen[place], **draw(changes))
        found.append(format_cluster_nodes(seen))
    return found


JUNK = (
    "x" * 20_000,
    "[" * 20_000 + "]" * 20_000,
    '{"a":' * 3_000,
    f"{ID} " * 1_000,
    f"{ID} " + "1:" * 5_000,
    f"{ID} {'1:' * 200}@{'1' * 200} " * 20,
    "abcdefgh 1:1 " + "master," * 2_000,
    "0-5460 " * 3_000,
    "9" * 5_000,
    "\0" * 1_000,
    "\\n" * 1_000,
    "\n" * 5_000,
    "\r\u2028\u0085\x0b\x0c",
    "٣²½",
    '"cluster_nodes": "',
    "vars currentEpoch 6 lastVoteEpoch 0\n",
    "127.0.0.1:6379> cluster nodes\n",
)
junk = st.one_of(
    st.text(max_size=30), st.binary(max_size=30).map(lambda raw: raw.decode("latin-1")), st.sampled_from(JUNK)
)
joints = st.sampled_from(["", "\n", "== node ==\n", "10.0.0.1:6379:\n", "vars currentEpoch 6 lastVoteEpoch 0\n"])

Damage = tuple[str, int, int, str]
damages = st.lists(
    st.tuples(
        st.sampled_from(["cut", "insert", "drop", "double", "swap", "sort", "end"]),
        st.integers(0, 5_000),
        st.integers(0, 60),
        junk,
    ),
    max_size=4,
)


def damaged(text: str, damage: Sequence[Damage]) -> str:
    """Cut, repeat, reorder and fill with junk."""
    for kind, place, size, filling in damage:
        at = place % (len(text) + 1)
        lines = text.split("\n")
        number = place % len(lines)
        if kind == "cut":
            text = text[:at] + text[at + size :]
        elif kind == "insert":
            text = text[:at] + filling + text[at:]
        elif kind == "end":
            text = text[:at]
        else:
            if kind == "drop":
                del lines[number]
            elif kind == "double":
                lines[number:number] = lines[number : number + 1 + size % 3]
            elif kind == "swap":
                lines[number], lines[size % len(lines)] = lines[size % len(lines)], lines[number]
            else:
                lines.sort(key=lambda line: line[size : size + 1])
            text = "\n".join(lines)
    return text


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Draw one or several listings in one text, damaged here and there."""
    return damaged(draw(joints).join(draw(views())), draw(damages))
