"""Faults on real hosts are allowed by naming exactly those hosts, or refused with one message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures.target import read_target
from provisioning.ansible_inventory import DEFAULT_INVENTORY

pytestmark = pytest.mark.unit

NAME = "redis-gauntlet"
"""Of the seed's inventory, whose hosts are real ones."""


@pytest.fixture
def simulated(tmp_path: Path) -> Path:
    """The inventory of a simulation."""
    file = tmp_path / "simulated.yaml"
    text = DEFAULT_INVENTORY.read_text(encoding="utf-8")
    variable = "redis_gauntlet_simulation: redis-gauntlet-x\n        redis_cluster_name:"
    file.write_text(text.replace("redis_cluster_name:", variable, 1), encoding="utf-8")
    return file


def test_the_inventorys_own_name_allows_faults() -> None:
    """Nothing else does."""
    assert read_target(inventory=DEFAULT_INVENTORY, allow_faults=NAME).faults
    assert not read_target(inventory=DEFAULT_INVENTORY).faults


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "needs the inventory of the real hosts"),
        ({"seed": "192.168.171.101:6373"}, "needs the inventory of the real hosts"),
        ({"recordings": [Path("nodes.txt")]}, "needs the inventory of the real hosts"),
        ({"inventory": DEFAULT_INVENTORY, "allow_faults": "redis"}, f"(redis_cluster_name): {NAME}"),
        ({"inventory": DEFAULT_INVENTORY, "allow_faults": ""}, f"(redis_cluster_name): {NAME}"),
        ({"inventory": DEFAULT_INVENTORY, "host_access": False}, "contradict each other"),
    ],
)
def test_faults_on_anything_else_are_refused(options: dict[str, Any], says: str) -> None:
    """Without an inventory, with another name, and where hosts are not entered."""
    with pytest.raises(pytest.UsageError) as refused:
        read_target(**{"allow_faults": NAME, **options})
    assert says in str(refused.value)
    assert "what to do:" in str(refused.value)


def test_the_name_of_a_file_is_no_permission(tmp_path: Path) -> None:
    """Every copy of an example has it; only a name in the inventory is the hosts' own."""
    file = tmp_path / "hosts.yaml"
    lines = DEFAULT_INVENTORY.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(line for line in lines if "redis_cluster_name" not in line), encoding="utf-8")
    with pytest.raises(pytest.UsageError, match="set redis_cluster_name for all hosts"):
        read_target(inventory=file, allow_faults="hosts")


def test_a_simulation_needs_no_permission(simulated: Path) -> None:
    """What breaks something builds a simulation of its own."""
    with pytest.raises(pytest.UsageError, match="is simulated"):
        read_target(inventory=simulated, allow_faults=NAME)
