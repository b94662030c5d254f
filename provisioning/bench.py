"""``python -m provisioning.bench``: how long until a cluster is ready, ours against the usual recipe.

The recipe: six ``docker run`` with the seed's five configuration lines plus ``protected-mode no`` and
nothing else, then ``redis-cli --cluster create --cluster-replicas 1``. The floor: what no way of
building can be faster than, the start of as many containers and the 2 s for which a restarted master
refuses writes. All three wait for the same readiness, and all clocks run from no containers, networks
or volumes. Alternated, so that a noisy machine disturbs all alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from provisioning import images
from provisioning.ansible_inventory import DEFAULT_INVENTORY, read_inventory
from provisioning.cluster import RESTART_GUARD_SECONDS, Cluster
from provisioning.command import guarded
from provisioning.docker_engine import Engine, connect
from provisioning.errors import GauntletError, SimulationError
from provisioning.inventory import Inventory, Node
from provisioning.networks import build_networks
from provisioning.ownership import CLUSTER_LABEL, Run, objects, reap, remove
from provisioning.playground import PREFIX
from provisioning.progress import say
from provisioning.simulation import Images, Simulation
from provisioning.waiting import wait_until

RUNS = 5

PROMISED = 2.5
"""So many times as fast as the recipe a cluster of ours is ready: this project's promise, on a machine that does
nothing else meanwhile."""

START_SECONDS = 60.0
"""Budget for any one step of the recipe."""


def seed_options(port: int) -> list[str]:
    """Return the seed's five configuration lines, and protected-mode no, as arguments of redis-server."""
    return (
        f"--port {port} --cluster-enabled yes --cluster-config-file nodes.conf "
        "--cluster-node-timeout 5000 --appendonly yes --protected-mode no"
    ).split()


def ours(engine: Engine, run: Run, name: str, wanted: Inventory, built_with: Images) -> None:
    """Build and form a cluster as the suite does."""
    simulation = Simulation.build(engine, run, name, wanted, built_with)
    Cluster(simulation.inventory, simulation).wait_ready()


def recipe(engine: Engine, run: Run, name: str, wanted: Inventory, built_with: Images) -> None:
    """Build and form a cluster as the usual recipe does: six times ``docker run``, then redis-cli."""
    labels = [f"--label={key}={value}" for key, value in run.labels(name).items()]
    api: Any = engine.client.api
    server = built_with.server
    made: dict[str, Node] = {}
    for node in (*wanted.masters, *wanted.replicas):
        container = f"{name}-{node.host}-{node.name}"
        program = [server.reference, f"{server.server}-server", *seed_options(node.port)]
        _sure("docker", "run", "--detach", "--name", container, *labels, *program)
        address = api.inspect_container(container)["NetworkSettings"]["IPAddress"]
        made[node.full_name] = replace(
            node, container=container, announced=address, lan=address, outside=(address, node.port)
        )
    cluster = Cluster(wanted.with_nodes(made), read_only=False)
    for node in cluster.inventory.nodes:
        wait_until(lambda node=node: cluster.state(node) != "unreachable", "an answer", START_SECONDS)  # type: ignore[misc]
    first = next(iter(made.values()))
    addresses = [node.address for node in made.values()]
    create = ["--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes"]
    _sure("docker", "exec", first.container, f"{server.server}-cli", "-p", str(first.port), *create)
    cluster.wait_ready(START_SECONDS)


def floor(engine: Engine, run: Run, name: str, wanted: Inventory, built_with: Images) -> None:
    """Start as many bare containers as a cluster has, hosts first, with their networks."""
    labels = run.labels(name)
    api: Any = engine.client.api
    networks = build_networks(engine, name, labels, {host.name: host.address for host in wanted.hosts})

    def start(container: str, image: str, **options: Any) -> None:
        api.create_container(image, ["sleep", "60"], name=container, labels=labels, entrypoint="", **options)

    with ThreadPoolExecutor(len(wanted.nodes)) as pool:
        hosts = [f"{name}-{host.name}" for host in wanted.hosts]
        list(
            pool.map(
                lambda host: start(
                    f"{name}-{host}",
                    built_with.host,
                    networking_config=api.create_networking_config({networks.own[host]: api.create_endpoint_config()}),
                ),
                [host.name for host in wanted.hosts],
            )
        )
        list(pool.map(lambda host: api.connect_container_to_network(host, networks.lan), hosts))
        nodes = [(f"{name}-{node.full_name.replace('/', '-')}", f"{name}-{node.host}") for node in wanted.nodes]
        list(
            pool.map(
                lambda each: start(
                    each[0],
                    built_with.server.reference,
                    host_config=api.create_host_config(
                        network_mode=f"container:{each[1]}", pid_mode=f"container:{each[1]}"
                    ),
                ),
                nodes,
            )
        )
        list(pool.map(api.start, hosts))
        list(pool.map(lambda each: api.start(each[0]), nodes))


def _sure(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_SECONDS)
    if ended.returncode:
        raise SimulationError(f"{' '.join(command[:3])} failed", observed=(ended.stderr or ended.stdout).strip()[-500:])


def measured(
    build: Callable[[Engine, Run, str, Inventory, Images], None],
    engine: Engine,
    run: Run,
    wanted: Inventory,
    built_with: Images,
) -> float:
    """Return the seconds that one build takes, from nothing; its objects are removed afterwards."""
    name = f"{PREFIX}{run.id}-bench-{build.__name__}"
    began = time.monotonic()
    try:
        build(engine, run, name, wanted, built_with)
        return time.monotonic() - began + (RESTART_GUARD_SECONDS if build is floor else 0.0)
    finally:
        remove(engine, objects(engine, {CLUSTER_LABEL: name}))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the report; return the exit code: 1 where the promise is not kept."""
    parser = argparse.ArgumentParser(prog="python -m provisioning.bench", description=__doc__)
    parser.add_argument("--report", type=Path, default=Path("report"), metavar="DIR")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"alternating runs (default {RUNS})")
    options = parser.parse_args(arguments)
    return guarded(lambda: _measure(options.runs, options.report))


def _measure(runs: int, directory: Path) -> int:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        formation = _formation(runs)
        text = json.dumps({"formation": formation}, indent=2) + "\n"
        (directory / "bench.json").write_text(text, encoding="utf-8")
    except OSError as problem:
        raise GauntletError(f"the figures cannot be written to {directory}", observed=str(problem)) from None
    say(f"written    {directory / 'bench.json'}")
    check_promise(formation)
    return 0


def check_promise(formation: Mapping[str, Any]) -> None:
    """Raise GauntletError where a cluster of ours was not ready as fast as was promised."""
    if formation["recipe_s"] < PROMISED * formation["ours_s"]:
        raise GauntletError(
            "a cluster is not ready as fast as promised",
            expected=f"at least {PROMISED} times as fast as the recipe",
            observed=f"{formation['ours_s']:.2f} s, the recipe {formation['recipe_s']:.2f} s: "
            f"{formation['recipe_over_ours']} times",
            advice="measure again on an idle machine, with more --runs; then see what `up` waits for",
        )


def _formation(runs: int) -> dict[str, Any]:
    engine = connect()
    reap(engine, say)
    built_with = Images(images.server_image(engine, None, say), images.host_image(engine, say))
    wanted = read_inventory(DEFAULT_INVENTORY)
    times: dict[str, list[float]] = {"ours": [], "recipe": [], "floor": []}
    run = Run.begin()
    try:
        for number in range(runs):
            for build in (ours, recipe, floor):
                seconds = measured(build, engine, run, wanted, built_with)
                times[build.__name__].append(seconds)
                print(f"run {number + 1}  {build.__name__:<7} {seconds:6.2f} s", flush=True)
    finally:
        run.end(engine, say)
    medians = {name: statistics.median(values) for name, values in times.items()}
    figures: dict[str, Any] = {f"{name}_s": round(value, 3) for name, value in medians.items()}
    figures["recipe_over_ours"] = round(medians["recipe"] / medians["ours"], 2)
    figures["ours_over_floor"] = round(medians["ours"] / medians["floor"], 2)
    figures["runs"] = {name: [round(value, 3) for value in values] for name, values in times.items()}
    figures["server"] = f"{built_with.server.server} {built_with.server.version}"
    print(
        f"medians    ours {medians['ours']:.2f} s, recipe {medians['recipe']:.2f} s "
        f"({figures['recipe_over_ours']} x), floor {medians['floor']:.2f} s (ours {figures['ours_over_floor']} x)"
    )
    return figures


if __name__ == "__main__":
    sys.exit(main())
