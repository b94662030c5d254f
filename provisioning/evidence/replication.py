"""Replication: one node's side of it, from INFO. Knows the wire's words there (``slave0``, ``role:slave``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from provisioning.evidence.info import parse_number, parse_subfields


@dataclass(frozen=True)
class ReplicaLink:
    """A replica as its master's INFO lists it. ``offset`` is in bytes of the replication stream."""

    ip: str
    port: int
    state: str
    offset: int

    @property
    def online(self) -> bool:
        return self.state == "online"


@dataclass(frozen=True)
class Replication:
    """The replication section of one node's INFO.

    ``offset`` is the master's own offset on a master and the replica's processed offset on a replica,
    in bytes; -1 where INFO does not have it. ``last_io_seconds`` and ``link_down_seconds`` are -1 where
    INFO has -1 (never) or nothing. ``link_up`` is None on a master. ``good_replicas`` are those that count
    for min-replicas-to-write, -1 where that is not set.
    """

    role: Literal["master", "replica", ""]
    offset: int = -1
    master_ip: str = ""
    master_port: int = 0
    link_up: bool | None = None
    last_io_seconds: int = -1
    link_down_seconds: int = -1
    read_only: bool = True
    replicas: tuple[ReplicaLink, ...] = ()
    good_replicas: int = -1


def parse_replication(info: Mapping[str, str]) -> Replication:
    """Read the replication section of a parsed INFO. Numbers that cannot be read count as missing (-1)."""
    role = info.get("role", "")
    if role == "slave":
        return Replication(
            "replica",
            offset=_number(info.get("slave_repl_offset")),
            master_ip=info.get("master_host", ""),
            master_port=max(_number(info.get("master_port")), 0),
            link_up=info.get("master_link_status") == "up",
            last_io_seconds=_number(info.get("master_last_io_seconds_ago")),
            link_down_seconds=_link_down(info),
            read_only=info.get("slave_read_only", "1") == "1",
        )
    if role != "master":
        return Replication("")
    listed = [
        parse_subfields(value) for name, value in info.items() if name.startswith("slave") and name[5:].isdecimal()
    ]
    return Replication(
        "master",
        offset=_number(info.get("master_repl_offset")),
        good_replicas=_number(info.get("min_slaves_good_slaves")),
        replicas=tuple(
            ReplicaLink(
                each.get("ip", ""),
                max(_number(each.get("port")), 0),
                each.get("state", ""),
                _number(each.get("offset")),
            )
            for each in listed
        ),
    )


_SINCE_1970 = 1_000_000_000


def _link_down(info: Mapping[str, str]) -> int:
    """Return for how long the link has been down; never up is -1, which servers before 6.2 count from 1970."""
    seconds = _number(info.get("master_link_down_since_seconds"))
    return -1 if seconds > _SINCE_1970 else seconds


def _number(text: str | None) -> int:
    number = parse_number(text)
    return -1 if number is None else number
