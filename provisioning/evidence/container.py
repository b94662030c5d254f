"""ContainerEvidence: what an engine says of the container that a node runs in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

AOF_CUT = "loaded anyway because"
"""In the line that a server logs when it starts with an AOF whose end it had to drop (aof.c, Redis 3 to 8, Valkey)."""


@dataclass(frozen=True)
class ContainerEvidence:
    """``state`` is the engine's word (``running``, ``exited``, ``paused``, ...) or ``absent``.

    ``image`` is the reference that it was made from, ``image_id`` what that was then.
    ``restart`` is the restart policy's name, empty for the engine's default, which is never.
    ``mounts`` are pairs of the path inside the container and the named volume there (``bind:PATH`` for
    a directory of the host's, ``tmpfs`` for memory). ``aof_cut`` is what the server logged where it dropped
    the end of its AOF when it started last; nothing else shows that. ``host_has_engine`` is false where a
    simulated host's container runs on this machine's engine: what the host itself would have to
    guarantee is then nobody's.
    """

    name: str
    state: str = ""
    image: str = ""
    image_id: str = ""
    restart: str = ""
    mounts: tuple[tuple[str, str], ...] = ()
    aof_cut: str = ""
    host_has_engine: bool = True

    @classmethod
    def of_inspect(
        cls, name: str, found: Mapping[str, Any], *, aof_cut: str = "", host_has_engine: bool = True
    ) -> Self:
        """Read what ``docker inspect`` (or the engine's API) says of one container."""
        config, host_config = found.get("Config") or {}, found.get("HostConfig") or {}
        policy = str((host_config.get("RestartPolicy") or {}).get("Name") or "")
        return cls(
            name,
            str((found.get("State") or {}).get("Status") or ""),
            str(config.get("Image") or ""),
            str(found.get("Image") or ""),
            "" if policy == "no" else policy,
            tuple(sorted((str(each.get("Destination")), _source(each)) for each in found.get("Mounts") or ())),
            aof_cut,
            host_has_engine,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**values, "mounts": [list(pair) for pair in self.mounts]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what ``to_dict`` was called on; unknown keys are ignored."""
        known = {each.name for each in fields(cls)}
        taken = {key: value for key, value in values.items() if key in known}
        taken["mounts"] = tuple((str(path), str(source)) for path, source in taken.get("mounts", ()))
        return cls(**taken)


def aof_cut_in(log: str) -> str:
    """Return what a server's log says of an AOF whose end was dropped, without stamps; empty where it says nothing."""
    said = re.search(rf"AOF .*{AOF_CUT}.*", log)
    return said[0].strip() if said else ""


def _source(mount: Mapping[str, Any]) -> str:
    kind = mount.get("Type")
    if kind == "tmpfs":
        return "tmpfs"
    return str(mount.get("Name") or "") if kind == "volume" else f"bind:{mount.get('Source')}"
