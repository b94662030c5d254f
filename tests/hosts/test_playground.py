"""A playground is what `up` was asked for, is looked at without being changed, and is gone after `down`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from fixtures.session import Session
from provisioning.ansible_inventory import DEFAULT_INVENTORY, read_inventory
from provisioning.cluster import REJOIN_SECONDS, Cluster
from provisioning.inventory import Inventory
from tests.commandstats import PROBES, asked, changing
from tests.hosts.subrun import Subrun, left

pytestmark = pytest.mark.destructive

ONE_SUBNET = "10.214.77.0/24"
"""A pool in which one network has room; a simulation needs one more than it has hosts."""


@pytest.fixture
def name(gauntlet: Session) -> str:
    """The name of a cluster that nobody else has."""
    return f"p{gauntlet.run.id}-{gauntlet.worker}"


@pytest.mark.slow
def test_a_playground_from_up_to_down(gauntlet: Session, name: str, tmp_path: Path) -> None:
    """Four hosts and shards are built, shown, asked, and judged with nothing written but probe keys; nothing stays."""
    state, file = tmp_path / "state", tmp_path / "out.yaml"
    sizes = ("--hosts", "4", "--shards", "4", "--replicas", "1")
    up = ended(0, state, "up", *sizes, "--name", name, "--inventory-out", str(file))
    inventory = read_inventory(file)
    hosts = [f"redis-host-{n}" for n in (1, 2, 3, 4)]
    assert (len(inventory.masters), len(inventory.replicas)) == (4, 4)
    assert [host.name for host in inventory.hosts] == hosts
    for shown in (up, ended(0, state, "status", "--name", name)):
        assert [line.split()[0] for line in shown.splitlines() if line.startswith("  redis-host-")] == hosts

    rows = json.loads(ended(0, state, "status", "--json"))[name]
    check_status(rows, inventory)
    some = rows[0], next(row for row in rows if row["wanted_role"] == "replica")
    for row in some:
        assert ended(0, state, "cli", row["node"], "CLUSTER", "MYID").strip() == row["node_id"]
    assert ended(1, state, "cli", "--name", name, rows[0]["node"], "GET").startswith("(error) ERR wrong number")

    cluster = Cluster(inventory)
    before = asked(cluster)
    with Subrun(state, "--inventory", str(file), "-m", "not destructive", "tests/topology") as judged:
        assert judged.wait_exit() == 0, judged.output
    cluster.wait_for(
        lambda: {cluster.call(node, "DBSIZE") for node in inventory.nodes} == {0}, "no key is left", REJOIN_SECONDS
    )
    assert changing(cluster, before) == PROBES

    gauntlet.engine.client.api.kill(rows[0]["container"])
    dead = ended(1, state, "cli", rows[0]["node"], "PING")
    assert f"{rows[0]['node']} does not answer" in dead
    assert f"docker start {rows[0]['host_container']} {rows[0]['container']}" in dead

    ended(0, state, "down", "--name", name)
    assert left(gauntlet.engine, state) == 0
    assert "no cluster is up" in ended(0, state, "status")


def test_a_pool_without_room_is_one_message(gauntlet: Session, name: str, tmp_path: Path) -> None:
    """Where the subnets run out `up` names the pool and what to do, exits with 1, and leaves nothing."""
    state = tmp_path / "state"
    said = ended(1, state, "up", "--name", name, environment={"REDIS_GAUNTLET_SUBNETS": ONE_SUBNET})
    assert said.count("error: ") == 1
    assert f"a free /24 in {ONE_SUBNET}" in said
    assert "what to do: " in said
    assert "Traceback" not in said
    assert left(gauntlet.engine, state) == 0


@pytest.mark.slow
def test_servers_that_end_at_once_are_quoted(gauntlet: Session, name: str, tmp_path: Path) -> None:
    """Where servers do not take their settings `up` shows their own last words, exits with 1, and leaves nothing."""
    state, file = tmp_path / "state", tmp_path / "wanted.yaml"
    settings = "        redis_settings: {maxmemory-policy: nonsense}\n"
    kept = DEFAULT_INVENTORY.read_text(encoding="utf-8")
    file.write_text(kept.replace("      vars:\n", f"      vars:\n{settings}", 1), encoding="utf-8")
    said = ended(1, state, "up", "--name", name, "--inventory", str(file))
    assert said.count("error: ") == 1
    assert said.count("dead, ended: ") == 6
    assert said.count("'maxmemory-policy nonsense'") == 6
    assert left(gauntlet.engine, state) == 0


def ended(code: int, state: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Run ``python -m provisioning ARGUMENTS``, which must end with this code, and return what it said."""
    with Subrun(state, *arguments, module="provisioning", environment=environment) as command:
        assert command.wait_exit() == code, command.output
        return command.output


def check_status(rows: list[dict[str, object]], inventory: Inventory) -> None:
    """Assert that `status --json` has of every node what a script needs to reach it from inside and outside."""
    assert [row["node"] for row in rows] == [node.full_name for node in inventory.nodes]
    for row, node in zip(rows, inventory.nodes, strict=True):
        assert row["host"] == node.host
        assert str(row["host_container"]).endswith(node.host)
        assert row["container"] == node.container
        assert row["inside"] == {"address": node.announced, "port": node.port, "bus_port": node.bus_port}
        assert row["outside"] == {"address": node.outside[0], "port": node.outside[1]}
        assert row["wanted_role"] == node.role
        assert str(row["role"]).startswith(node.role)
        assert len(str(row["node_id"])) == 40
        assert set(str(row["node_id"])) <= set("0123456789abcdef")
        assert row["shard"] == (node.replica_of or node.full_name)
    assert len({row["node_id"] for row in rows}) == len(rows)
