"""Keys of every type in every shard, and all that a node stores, read back in a form that can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provisioning.cluster import Cluster
from provisioning.resp import Connection
from provisioning.slots import key_slot

KEYS_OF_EACH_TYPE = 60
MEMBERS = 5
MANY_MEMBERS = 600
"""Beyond what a server keeps in its compact encodings (512 by default)."""

LASTING_SECONDS = 3600

READS: dict[str, tuple[str, ...]] = {
    "string": ("GET", "{key}"),
    "list": ("LRANGE", "{key}", "0", "-1"),
    "hash": ("HGETALL", "{key}"),
    "set": ("SMEMBERS", "{key}"),
    "zset": ("ZRANGE", "{key}", "0", "-1", "WITHSCORES"),
    "stream": ("XRANGE", "{key}", "-", "+"),
}

Stored = tuple[str, Any, bool]
"""Type, value, and whether it expires."""


def write_everything(cluster: Cluster) -> frozenset[str]:
    """Write keys of every type, every third of them with an expiry, and return their names."""
    owners = {slot: node for node in cluster.inventory.masters for each in node.slots for slot in each}
    commands: dict[str, list[tuple[str | int, ...]]] = {node.full_name: [] for node in cluster.inventory.masters}
    written = []
    for kind in READS:
        for n in range(KEYS_OF_EACH_TYPE):
            key = f"content:{kind}:{n}"
            written.append(key)
            to_owner = commands[owners[key_slot(key)].full_name]
            to_owner.extend(_filling(kind, key, MANY_MEMBERS if n == 0 else MEMBERS))
            if n % 3 == 0:
                to_owner.append(("EXPIRE", key, LASTING_SECONDS))
    for node in cluster.inventory.masters:
        with cluster.connection(node) as connection:
            connection.calls(commands[node.full_name])
    return frozenset(written)


def stored(connection: Connection) -> dict[str, Stored]:
    """Return all that the node has by key: type, value (in an order of its own where the type has none) and expiry."""
    keys = connection.call("KEYS", "*")
    kinds = connection.calls([("TYPE", key) for key in keys]) if keys else []
    reads = [tuple(word.format(key=key) for word in READS[kind]) for key, kind in zip(keys, kinds, strict=True)]
    values = connection.calls(reads) if reads else []
    expiries = connection.calls([("PTTL", key) for key in keys]) if keys else []
    return {
        key: (kind, _comparable(kind, value), expiry > 0)
        for key, kind, value, expiry in zip(keys, kinds, values, expiries, strict=True)
    }


def _filling(kind: str, key: str, size: int) -> list[tuple[str | int, ...]]:
    members = [f"{key}:{n}" for n in range(size)]
    match kind:
        case "string":
            return [("SET", key, " ".join(members))]
        case "list":
            return [("RPUSH", key, *members)]
        case "hash":
            return [("HSET", key, *(word for n, member in enumerate(members) for word in (member, n)))]
        case "set":
            return [("SADD", key, *members)]
        case "zset":
            return [("ZADD", key, *(word for n, member in enumerate(members) for word in (f"{n / 8}", member)))]
        case _:
            return [("XADD", key, f"{n + 1}-1", "member", member) for n, member in enumerate(members)]


def _comparable(kind: str, value: Any) -> Any:
    if kind == "set":
        return sorted(value)
    if kind == "hash":
        return dict(_pairs(value))
    return value


def _pairs(flat: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(flat[::2], flat[1::2], strict=True))
