"""Second opinion: a pytest plugin that asks ``redis-cli --cluster check`` about every plant while it is there."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

import pytest

from provisioning.cluster import Cluster
from provisioning.faults.process import SIGKILL_EXIT
from provisioning.inventory import Inventory, Node
from tests.planted.plant import Plant
from tests.planted.repairing import inside
from tests.planted.results import write
from tests.planted.witness import WITNESSES

CAP_SECONDS = 10
"""It has no timeout of its own: a black-holed address holds it for 133 s, a paused node for ever."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_COMPLAINT = re.compile(r"\[ERR\]|WARNING|^(?:\(error\) )?[A-Z]{3,} |Could not connect|Error|error:")


@dataclass(frozen=True)
class Opinion:
    """How the check ended: its exit code, None where it was cut off, and its first complaint, or empty."""

    code: int | None
    complaint: str = ""

    @property
    def passes(self) -> bool:
        return self.code == 0

    def __str__(self) -> str:
        if self.code is None:
            return f"hung ({CAP_SECONDS} s)"
        said = f": {self.complaint}" if self.complaint else ""
        return f"OK{said}" if self.passes else f"exit {self.code}{said}"


def pytest_configure(config: pytest.Config) -> None:
    def witness(plant: Plant, cluster: Cluster) -> None:
        node = good_node(plant, cluster)
        ended = inside(cluster, node, f"redis-cli --cluster check {node.lan}:{node.port}", CAP_SECONDS)
        opinion = (
            Opinion(None)
            if ended.code == SIGKILL_EXIT
            else Opinion(ended.code, complaint(cluster.inventory, ended.output))
        )
        write(config, f"{plant.id}.check.json", asdict(opinion))

    config.stash.setdefault(WITNESSES, []).append(witness)


def good_node(plant: Plant, cluster: Cluster) -> Node:
    """Return a node that runs and knows the others, the last one that says so: plants begin with the first."""
    running = [node for node in reversed(cluster.inventory.nodes) if cluster.simulated.nodes[node.full_name].running]
    views = cluster.views(running)
    known = {node.full_name: len(view.entries) if (view := views[node.full_name]) else 0 for node in running}
    return max(running, key=lambda node: (cluster.state(node) == "ok", known[node.full_name]))


def complaint(inventory: Inventory, output: str) -> str:
    """Return the first line that complains, with names for addresses and without ids, which differ from run to run."""
    lines = (_COLOURS.sub("", line).strip() for line in output.splitlines())
    found = next((line for line in lines if _COMPLAINT.search(line)), "")
    for node in inventory.nodes:
        found = found.replace(f"{node.lan}:{node.port}", node.full_name)
    return re.sub(r"\b[0-9a-f]{40}\b", "<id>", found)
