"""The note of what was taken down on real hosts and is not up again: what a killed run leaves to the next one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from provisioning.inventory import Inventory
from provisioning.state import state_dir


class HarmNote:
    """The nodes of one cluster, by full name. Clusters are told apart by their name and their nodes' addresses."""

    def __init__(self, inventory: Inventory) -> None:
        addresses = sorted(f"{node.outside[0]} {node.outside[1]}" for node in inventory.nodes)
        digest = hashlib.sha256("\n".join(addresses).encode()).hexdigest()[:12]
        self.key = f"{inventory.name.replace('/', '_')}-{digest}"

    @property
    def names(self) -> list[str]:
        try:
            return list(json.loads(self._file.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            return []

    def add(self, names: Iterable[str]) -> None:
        self._write({*self.names, *names})

    def strike(self, name: str) -> None:
        """Strike one off, once it is up."""
        self._write(set(self.names) - {name})

    @property
    def _file(self) -> Path:
        directory = state_dir() / "harmed"
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory / f"{self.key}.json"

    def _write(self, names: Iterable[str]) -> None:
        file = self._file
        partial = file.with_name(f".{file.name}.{os.getpid()}")
        partial.write_text(json.dumps(sorted(names)), encoding="utf-8")
        partial.replace(file)
