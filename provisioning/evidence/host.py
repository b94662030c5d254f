"""HostEvidence: all that was seen of, and from, one host at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from provisioning.evidence.container import ContainerEvidence


@dataclass(frozen=True)
class HostEvidence:
    """What a host shows of itself and what it can reach; None where it was not asked or did not answer.

    ``reachable_ports`` maps ``ip:port`` to whether a TCP connect from this host succeeded (a port is
    left out where the connect could not be tried). ``not_collected`` maps the name of a field to the
    reason why it is None; None without a reason: never part of this target. ``facts`` is for what
    no field holds; its values must be JSON.

    ``containers``: what the engine says of each of its nodes, by full name (see ContainerEvidence).
    ``engine``: of an engine of the host's own, ``running`` and ``enabled`` (``yes``, ``no``, or empty
    where nobody says) and the ``version``. ``directives``: the configuration file on the host by full
    name of its node, directive -> value, passwords compared and not kept; a node whose file is not
    there is left out. ``kernel``: ``overcommit_memory`` and ``transparent_hugepage`` of a host with a
    kernel of its own. ``open_files``: by full name the soft limit of the server's process.
    """

    name: str
    reachable_ports: Mapping[str, bool] | None = None
    listening: tuple[str, ...] | None = None
    processes: tuple[str, ...] | None = None
    containers: Mapping[str, ContainerEvidence] | None = None
    engine: Mapping[str, str] | None = None
    directives: Mapping[str, Mapping[str, str]] | None = None
    kernel: Mapping[str, str] | None = None
    open_files: Mapping[str, int] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    not_collected: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, fields that are None left out."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        if self.containers is not None:
            values["containers"] = {name: each.to_dict() for name, each in self.containers.items()}
        return {
            key: dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value
            for key, value in values.items()
            if value is not None
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what ``to_dict`` was called on; unknown keys are ignored."""
        known = {each.name for each in fields(cls)}
        taken: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key in known
        }
        if taken.get("containers") is not None:
            taken["containers"] = {
                name: ContainerEvidence.from_dict(each) for name, each in taken["containers"].items()
            }
        return cls(**taken)
