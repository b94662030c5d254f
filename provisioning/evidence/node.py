"""NodeEvidence: all that was seen of one node at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Self

from provisioning.cluster_nodes import parse_cluster_nodes
from provisioning.cluster_view import ClusterView
from provisioning.evidence.replication import Replication, parse_replication
from provisioning.evidence.rows import ShardRow, SlotsRow, parse_cluster_shards, parse_cluster_slots


@dataclass(frozen=True)
class NodeEvidence:
    """What one node answered, as raw as it can be kept in JSON; None where it was not asked or did not answer.

    ``name`` is the inventory's full name, or the address where there is no inventory; ``host`` the
    inventory's host name, or empty. ``second_info`` is INFO replication asked again some time later,
    for what only two samples can show. ``time`` is the node's TIME in Unix seconds and ``asked_at``
    the asker's clock, in Unix seconds, at the middle of that call. ``moved`` holds the raw redirect
    by slot, and ``loading`` is true where it answered only LOADING.

    ``unreachable`` says why it did not answer at all (empty where it did). ``not_collected`` maps the
    name of a field to the reason why it is None. A field that is None without a reason was never part
    of this target, as all but ``cluster_nodes`` in a pasted listing.
    ``facts`` is for what later rules need and no field holds; its values must be JSON.
    """

    name: str
    address: str = ""
    host: str = ""
    cluster_nodes: str | None = None
    cluster_slots: list[Any] | None = None
    cluster_shards: list[Any] | None = None
    info: Mapping[str, str] | None = None
    second_info: Mapping[str, str] | None = None
    cluster_info: Mapping[str, str] | None = None
    config: Mapping[str, str] | None = None
    moved: Mapping[int, str] | None = None
    time: float | None = None
    asked_at: float | None = None
    loading: bool = False
    unreachable: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    not_collected: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def view(self) -> ClusterView | None:
        """Its CLUSTER NODES, parsed once; None where there is none."""
        if self.cluster_nodes is None:
            return None
        return parse_cluster_nodes(self.cluster_nodes, seen_by=self.name, at=self.asked_at or 0.0)

    @cached_property
    def slots_rows(self) -> tuple[SlotsRow, ...] | None:
        """Its CLUSTER SLOTS, parsed once; None where there is none."""
        return None if self.cluster_slots is None else parse_cluster_slots(self.cluster_slots)

    @cached_property
    def shard_rows(self) -> tuple[ShardRow, ...] | None:
        """Its CLUSTER SHARDS, parsed once; None where there is none (servers before 7.0)."""
        return None if self.cluster_shards is None else parse_cluster_shards(self.cluster_shards)

    @cached_property
    def replication(self) -> Replication | None:
        """Its side of replication, from INFO; None where there is no INFO."""
        return None if self.info is None else parse_replication(self.info)

    @cached_property
    def second_replication(self) -> Replication | None:
        """The same from the second sample."""
        return None if self.second_info is None else parse_replication(self.second_info)

    @property
    def version(self) -> str:
        """The server's version (Valkey's own where it is one), or empty."""
        info = self.info or {}
        return info.get("valkey_version") or info.get("redis_version", "")

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, fields that are empty left out."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        result = {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
        if self.moved is not None:
            result["moved"] = {str(slot): answer for slot, answer in self.moved.items()}
        empty: tuple[object, ...] = (None, "", {}, False)
        kept = ("info", "config", "moved", "cluster_info", "second_info", "cluster_nodes")
        return {
            key: value for key, value in result.items() if value not in empty or (key in kept and value is not None)
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what ``to_dict`` was called on; unknown keys are ignored, so newer captures can be read."""
        known = {each.name for each in fields(cls)}
        taken = {key: value for key, value in values.items() if key in known}
        if taken.get("moved") is not None:
            taken["moved"] = {int(slot): answer for slot, answer in taken["moved"].items()}
        return cls(**taken)
