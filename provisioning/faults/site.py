"""Where a fault happens: the servers of an inventory, each of which can be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from provisioning.inventory import Inventory

if TYPE_CHECKING:
    from provisioning.faults.injection import Injection


class Server(Protocol):
    """One node's container, whoever runs it."""

    @property
    def state(self) -> Mapping[str, Any]:
        """The engine's State: Running, ExitCode, FinishedAt, ..."""

    def log(self, since: float = 0) -> str: ...


class Site(Protocol):
    """A simulation, or real hosts on which somebody has allowed faults. ``nodes``: by full name."""

    @property
    def inventory(self) -> Inventory: ...

    @property
    def nodes(self) -> Mapping[str, Server]: ...

    @property
    def injections(self) -> list[Injection]: ...

    @property
    def began(self) -> float:
        """Unix seconds; what nodes logged before is not of this cluster, or not of this run."""
