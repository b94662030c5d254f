"""CLUSTER SLOTS and CLUSTER SHARDS: what the wire gave, as JSON values, and as rows that can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioning.slots import SlotRange


@dataclass(frozen=True)
class SlotsRow:
    """One row of CLUSTER SLOTS: a range, its master's node id, and the replicas' that it lists."""

    slots: SlotRange
    master_id: str
    replica_ids: tuple[str, ...]


@dataclass(frozen=True)
class ShardNode:
    """A node as CLUSTER SHARDS lists it. ``offset`` is in bytes; ``health`` is online, failed or loading."""

    node_id: str
    role: str
    offset: int
    health: str


@dataclass(frozen=True)
class ShardRow:
    """One shard of CLUSTER SHARDS."""

    slots: tuple[SlotRange, ...]
    nodes: tuple[ShardNode, ...]


def plain(answer: Any) -> Any:
    """Return a Redis answer as JSON values: bytes decoded (never failing), tuples and sets as lists."""
    if isinstance(answer, bytes):
        return answer.decode("utf-8", "backslashreplace")
    if isinstance(answer, Mapping):
        return {str(plain(key)): plain(value) for key, value in answer.items()}
    if isinstance(answer, (list, tuple, set, frozenset)):
        return [plain(each) for each in answer]
    return answer


def pairs(answer: Any) -> dict[str, Any]:
    """Return a map that RESP2 sent as a flat list, or RESP3 as a map, as a dict."""
    if isinstance(answer, Mapping):
        return {str(key): value for key, value in answer.items()}
    return {str(key): value for key, value in zip(answer[::2], answer[1::2], strict=False)}


def parse_cluster_slots(answer: Sequence[Any]) -> tuple[SlotsRow, ...]:
    """Read CLUSTER SLOTS (as ``plain`` gives it), sorted by slot. Raises ValueError for anything else."""
    try:
        rows = [
            SlotsRow(SlotRange(int(row[0]), int(row[1])), str(row[2][2]), tuple(str(each[2]) for each in row[3:]))
            for row in answer
        ]
    except (IndexError, TypeError, KeyError) as problem:
        raise ValueError(f"not an answer of CLUSTER SLOTS: {problem!r}") from problem
    return tuple(sorted(rows, key=lambda row: row.slots))


def parse_cluster_shards(answer: Sequence[Any]) -> tuple[ShardRow, ...]:
    """Read CLUSTER SHARDS (as ``plain`` gives it), in its order. Raises ValueError for anything else."""
    try:
        return tuple(_shard(pairs(row)) for row in answer)
    except (IndexError, TypeError, KeyError) as problem:
        raise ValueError(f"not an answer of CLUSTER SHARDS: {problem!r}") from problem


def _shard(row: Mapping[str, Any]) -> ShardRow:
    bounds = [int(bound) for bound in row["slots"]]
    nodes = (pairs(each) for each in row["nodes"])
    return ShardRow(
        tuple(sorted(SlotRange(first, last) for first, last in zip(bounds[::2], bounds[1::2], strict=True))),
        tuple(
            ShardNode(
                str(node["id"]),
                "master" if node.get("role") == "master" else "replica",
                int(node.get("replication-offset", -1)),
                str(node.get("health", "")),
            )
            for node in nodes
        ),
    )
