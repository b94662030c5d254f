"""Real hosts on which somebody has allowed faults: what is taken down there is noted until it is up again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from provisioning.errors import FaultError
from provisioning.faults.injection import Injection
from provisioning.hosts.remote import RemoteHost
from provisioning.hosts.remote_container import RemoteContainer
from provisioning.inventory import Inventory, Node
from provisioning.state import state_dir

Objection = Callable[[str], FaultError | None]
"""Says of a host, from what the cluster shows at this moment, why nothing there may be harmed; None: it may."""


class RealSite:
    """The nodes of a real inventory, as faults.inject wants them.

    Before every harm ``objection`` is asked. A node that is to be harmed is noted in a file before, and struck
    off once it was started: what a run that was killed left down, the next one starts (``mend``).
    """

    def __init__(self, inventory: Inventory, objection: Objection) -> None:
        self.inventory = inventory
        self.injections: list[Injection] = []
        self.began = time.time()
        self._objection = objection
        self._hosts = {host.name: RemoteHost(host) for host in inventory.hosts}
        self.nodes = {node.full_name: self._container(node) for node in inventory.nodes}

    def mend(self) -> list[str]:
        """Start what an earlier run has left down, and return the full names. Raises FaultError, HostUnreachable."""
        left = [name for name in self._noted() if name in self.nodes]
        for name in left:
            self.nodes[name].start()
        self._note(())
        return left

    def _container(self, node: Node) -> _Noted:
        name = node.container or node.name
        return _Noted(self._hosts[node.host], name, partial(self._harm, node), partial(self._spare, node))

    def _harm(self, node: Node) -> None:
        """Raise where the node may not be harmed, else note that it is."""
        if objection := self._objection(node.host):
            raise objection
        self._note({*self._noted(), node.full_name})

    def _spare(self, node: Node) -> None:
        self._note(set(self._noted()) - {node.full_name})

    @property
    def _file(self) -> Path:
        directory = state_dir() / "harmed"
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory / f"{self.inventory.name.replace('/', '_')}.json"

    def _noted(self) -> list[str]:
        try:
            return list(json.loads(self._file.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            return []

    def _note(self, names: Iterable[str]) -> None:
        self._file.write_text(json.dumps(sorted(names)), encoding="utf-8")


class _Noted(RemoteContainer):
    """A container that says when it was started."""

    def __init__(self, host: RemoteHost, name: str, may: Callable[[], None], started: Callable[[], None]) -> None:
        super().__init__(host, name, may)
        self._started = started

    def start(self) -> None:
        super().start()
        self._started()
