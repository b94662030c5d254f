"""Clusters that stay up until they are taken down: for playing, and those kept after a failed test."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from provisioning.ansible_inventory import read_inventory
from provisioning.cluster import Cluster
from provisioning.docker_engine import Engine
from provisioning.errors import GauntletError, NodeUnreachable, SimulationError
from provisioning.inventory import Inventory
from provisioning.ownership import CLUSTER_LABEL, OWNER_LABEL, Run, is_running, kept, objects, owner, release, remove
from provisioning.progress import say
from provisioning.reach import Reach
from provisioning.resp import Refused
from provisioning.simulation import Formation, Images, Simulation
from provisioning.state import state_dir
from provisioning.written_inventory import write_inventory

PREFIX = "redis-gauntlet-"
DEFAULT_NAME = "playground"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


def up(
    engine: Engine,
    name: str,
    wanted: Inventory,
    images: Images,
    *,
    reach: Reach = "auto",
    formation: Formation = "seeded",
    inventory_out: Path | None = None,
    report: Callable[[str], None] = say,
) -> Cluster:
    """Build a cluster that stays, write its effective inventory, and return it once it is ready.

    Raises GauntletError: a name that is no name or taken, and all that building may raise.
    """
    check_name(name)
    present = objects(engine, {CLUSTER_LABEL: PREFIX + name})
    if any(each.labels.get(OWNER_LABEL) != owner() for each in present):
        raise GauntletError(
            f"another user or machine has a cluster {name!r} on this engine",
            advice="use another --name",
        )
    if present:
        raise GauntletError(
            f"the cluster {name!r} is up already, or was not taken down completely",
            advice=f"python -m provisioning down --name {name}, or another --name",
        )
    run = Run.begin()
    wanted = replace(wanted, name=name)
    try:
        simulation = Simulation.build(
            engine, run, PREFIX + name, wanted, images, reach=reach, formation=formation, report=report
        )
        cluster = Cluster(simulation.inventory, simulation)
        report("forming    waiting until every view agrees and the replicas have caught up")
        cluster.wait_ready()
        for file in filter(None, (inventory_file(name), inventory_out)):
            write_inventory(simulation.inventory, file)
        run.keep(simulation.name)
    except OSError as problem:
        raise GauntletError("the inventory cannot be written", observed=str(problem)) from None
    finally:
        run.end(engine, report)
    return cluster


def check_name(name: str) -> None:
    """Refuse what cannot name a cluster, before it becomes part of a file's path."""
    if not NAME.fullmatch(name):
        raise GauntletError(
            f"{name!r} cannot name a cluster",
            expected="up to 31 lower-case letters, digits and hyphens",
            observed=name,
            advice="use another --name",
        )


def keep(run: Run, simulation: Simulation) -> str:
    """Keep the cluster of a run beyond its end and return the name by which it is taken down."""
    name = simulation.name.removeprefix(PREFIX)
    write_inventory(simulation.inventory, inventory_file(name))
    run.keep(simulation.name)
    return name


def names(engine: Engine) -> list[str]:
    """Return the names of our clusters that have an inventory and objects on this engine."""
    present = {each.cluster.removeprefix(PREFIX) for each in objects(engine, {OWNER_LABEL: owner()})}
    return sorted(name for name in present if inventory_file(name).exists())


def found(engine: Engine, name: str) -> Cluster:
    """Return the handle of the cluster of that name. Raises GauntletError if there is none."""
    if name not in names(engine):
        raise GauntletError(
            f"there is no cluster named {name!r}",
            observed=f"up: {', '.join(names(engine)) or 'none'}",
            advice=f"take one that is up, or raise it: python -m provisioning up --name {name}",
        )
    inventory = read_inventory(inventory_file(name))
    return Cluster(inventory, Simulation.attached(engine, inventory))


def down(engine: Engine, name: str, report: Callable[[str], None] = say) -> int:
    """Remove every object of the cluster of that name and forget it; return how many objects that was.

    Raises GauntletError if there is nothing of that name.
    """
    check_name(name)
    ours = objects(engine, {CLUSTER_LABEL: PREFIX + name, OWNER_LABEL: owner()})
    if not ours and not inventory_file(name).exists():
        raise GauntletError(
            f"there is no cluster named {name!r}",
            observed=f"up: {', '.join(names(engine)) or 'none'}",
            advice="python -m provisioning status lists the clusters that are up",
        )
    runs = {each.run for each in ours}
    for run in runs:
        if is_running(run) and PREFIX + name not in kept(run):
            raise GauntletError(
                f"the cluster {name!r} belongs to a run that is going on",
                observed=f"run {run} holds its lock",
                advice="wait for the run's end, or end it: it cleans up",
            )
    removed = remove(engine, ours, report)
    for run in runs:
        release(run, PREFIX + name)
    inventory_file(name).unlink(missing_ok=True)
    return removed


def inventories() -> list[Path]:
    """Return the inventories of all clusters that stayed, whether they still exist or not."""
    return sorted((state_dir() / "clusters").glob("*.yaml"))


def inventory_file(name: str) -> Path:
    """Return where the effective inventory of a cluster that stays is kept."""
    directory = state_dir() / "clusters"
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory / f"{name}.yaml"


def status(cluster: Cluster) -> list[dict[str, Any]]:
    """Return for every node its host, containers, addresses and ports inside and outside, role, id and shard."""
    simulation = cluster.simulation
    rows = []
    roles = cluster.roles()
    for node in cluster.inventory.nodes:
        try:
            node_id = str(cluster.call(node, "CLUSTER", "MYID"))
        except (NodeUnreachable, Refused, SimulationError):
            node_id = None
        shard = cluster.shard_of(node)
        rows.append(
            {
                "host": node.host,
                "host_container": simulation.hosts[node.host].name if simulation else None,
                "node": node.full_name,
                "container": node.container or None,
                "inside": {"address": node.announced, "port": node.port, "bus_port": node.bus_port},
                "outside": {"address": node.outside[0], "port": node.outside[1]},
                "wanted_role": node.role,
                "role": roles[node.full_name].partition(" ")[0],
                "follows": roles[node.full_name].removeprefix("replica of ")
                if "replica" in roles[node.full_name]
                else None,
                "node_id": node_id,
                "shard": shard.master.full_name,
                "slots": " ".join(map(str, shard.master.slots)),
            }
        )
    return rows
