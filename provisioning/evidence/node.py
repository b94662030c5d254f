"""NodeEvidence: all that was seen of one node at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Self

from provisioning.cluster_nodes import parse_cluster_nodes
from provisioning.cluster_view import ClusterView
from provisioning.evidence.info import server_version
from provisioning.evidence.probe_result import ProbeResult
from provisioning.evidence.replication import Replication, parse_replication
from provisioning.evidence.rows import ShardRow, SlotsRow, parse_cluster_shards, parse_cluster_slots


@dataclass(frozen=True)
class NodeEvidence:
    """What one node answered, as raw as it can be kept in JSON; None where it was not asked or did not answer.

    ``name`` is the inventory's full name, or the address where there is no inventory; ``host`` the
    inventory's host name, or empty. ``second_info`` is INFO replication asked again some time later,
    for what only two samples can show. ``time`` is the node's TIME in Unix seconds and ``asked_at``
    the asker's clock, in Unix seconds, at the middle of that call, which took ``answered_in`` seconds;
    ``second_time`` is its TIME at the second sample. ``moved`` holds the raw redirect by slot, and
    ``loading`` is true where it answered only LOADING.

    ``acl`` is ACL LIST, password hashes left out; ``commands`` says of each of the dangerous ones whether
    the server knows it under its own name; ``stray_keys`` has the number of keys by slot, of slots that
    neither the node nor its master owns, and ``occupied_slots`` how many of a master's own slots hold
    a key (both are counted together); ``anonymous`` what is answered to whoever does not log in,
    by command; ``probes`` by slot what became of a write and a read-back through this node.

    ``unreachable`` says why it did not answer at all (empty where it did). ``not_collected`` maps the
    name of a field to the reason why it is None. A field that is None without a reason was never part
    of this target, as all but ``cluster_nodes`` in a pasted listing.
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
    acl: tuple[str, ...] | None = None
    commands: Mapping[str, bool] | None = None
    stray_keys: Mapping[int, int] | None = None
    occupied_slots: int | None = None
    anonymous: Mapping[str, str] | None = None
    probes: Mapping[int, ProbeResult] | None = None
    time: float | None = None
    asked_at: float | None = None
    answered_in: float = 0.0
    second_time: float | None = None
    loading: bool = False
    unreachable: str = ""
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
        return server_version(self.info or {})

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, fields that were never part of the target left out."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        result = {key: _plain(value) for key, value in values.items()}
        empty: tuple[object, ...] = (None, "", {}, False)
        return {
            key: value for key, value in result.items() if value not in empty or (key in _KEPT and value is not None)
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what ``to_dict`` was called on; unknown keys are ignored, so newer captures can be read."""
        known = {each.name for each in fields(cls)}
        taken = {key: value for key, value in values.items() if key in known}
        for name in ("moved", "stray_keys", "probes"):
            if taken.get(name) is not None:
                taken[name] = {int(slot): value for slot, value in taken[name].items()}
        if taken.get("probes") is not None:
            taken["probes"] = {slot: ProbeResult.from_dict(value) for slot, value in taken["probes"].items()}
        if taken.get("acl") is not None:
            taken["acl"] = tuple(taken["acl"])
        return cls(**taken)


_KEPT = (
    *("cluster_nodes", "cluster_info", "info", "second_info", "config"),
    *("moved", "acl", "commands", "stray_keys", "occupied_slots", "anonymous", "probes"),
)
"""Fields that are no less an answer when they are empty."""


def _plain(value: Any) -> Any:
    """Return a field's value as JSON has it."""
    if isinstance(value, ProbeResult):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return list(value) if isinstance(value, tuple) else value
