"""Look at every host at once: its processes, sockets, files and addresses, and what it can reach."""

from __future__ import annotations

import shlex
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import docker.errors

from provisioning.errors import GauntletError
from provisioning.evidence.capture import Evidence
from provisioning.evidence.client_probe import probed
from provisioning.evidence.collect import ask_more, first_look
from provisioning.evidence.container import ContainerEvidence
from provisioning.evidence.host import HostEvidence
from provisioning.evidence.host_script import CONNECT_SECONDS, look_script, read_look
from provisioning.evidence.redirect import parse_redirect
from provisioning.evidence.side_by_side import side_by_side
from provisioning.hosts.simulated import Exit
from provisioning.inventory import Host, Inventory
from provisioning.simulation import Simulation

SCRIPT_SECONDS = 6
"""How long everything on one host may take: the connects run side by side."""

HOST_SECONDS = 8.0
"""The same with the way to the host: after that it counts as one that gave no answer."""

OF_SCRIPT = ("reachable_ports", "listening", "processes", "directives", "open_files")
"""Fields that are missing where the script could not be run."""


class HostAccess(Protocol):
    """A way onto a host."""

    def run(self, script: str, seconds: float) -> Exit:
        """Run the script and return how it ended. Raises GauntletError where the host cannot be entered."""


def look_everywhere(
    inventory: Inventory,
    simulation: Simulation | None = None,
    *,
    accesses: Mapping[str, HostAccess] | None = None,
    probe_run: str = "",
    from_here: bool = False,
) -> Evidence:
    """Return what all nodes say and, where there is access to them, what all hosts show; within 15 s.

    ``accesses`` are the ways onto real hosts, by name. With ``probe_run``, a run's id, a key is
    written and read back through every node. ``from_here`` declares this process a vantage point:
    it dials what hosts would dial.
    """
    began = time.monotonic()
    evidence = first_look(inventory)
    jobs: dict[str, Any] = {"more": lambda: ask_more(inventory, evidence)}
    if probe_run:
        jobs["probes"] = lambda: probed(inventory, evidence, probe_run)
    if simulation is not None or accesses:
        jobs["hosts"] = lambda: look_at_hosts(inventory, _dialled(inventory, evidence), simulation, accesses or {})
    if from_here:
        jobs["here"] = lambda: _reached(_dialled(inventory, evidence))
    done = side_by_side(jobs, HOST_SECONDS + 1)
    seen = done["more"] or evidence
    if done.get("probes"):
        by_name = {node.name: node.probes for node in done["probes"].nodes}
        seen = replace(seen, nodes=tuple(replace(node, probes=by_name[node.name]) for node in seen.nodes))
    return replace(
        seen,
        hosts=done.get("hosts") or (),
        reachable_ports=done.get("here"),
        duration=round(time.monotonic() - began, 3),
    )


def look_at_hosts(
    inventory: Inventory,
    dialled: Iterable[tuple[str, int]],
    simulation: Simulation | None,
    accesses: Mapping[str, HostAccess],
) -> tuple[HostEvidence, ...]:
    """Return what each host shows and reaches, by one command on each, all at once.

    ``reachable_ports`` has every address that was to be dialled but the host's own; ``processes`` one
    ``pid ppid uid gid command line`` each (those of the look itself left out). Beside the facts of
    ``read_look`` a simulated host has ``networks``: network -> its address there, by the engine.
    A host that gives no answer in time is evidence too.
    """
    targets = list(dialled)
    jobs = {
        host.name: (
            partial(_look, simulation, host, targets)
            if simulation is not None
            else partial(_look_remote, host, accesses[host.name], targets)
        )
        for host in inventory.hosts
        if simulation is not None or host.name in accesses
    }
    done = side_by_side(jobs, HOST_SECONDS)
    silent = dict.fromkeys((*OF_SCRIPT, "containers"), f"no answer from the host within {HOST_SECONDS:.0f} s")
    return tuple(done[name] or HostEvidence(name, not_collected=silent) for name in jobs)


def _dialled(inventory: Inventory, evidence: Evidence) -> list[tuple[str, int]]:
    """Return the client and bus port of every node, and whereto nodes redirect their clients."""
    found = dict.fromkeys((n.lan or n.announced, port) for n in inventory.nodes for port in (n.port, n.bus_port))
    for node in evidence.nodes:
        for raw in (node.moved or {}).values():
            redirect = parse_redirect(raw)
            if redirect is not None and redirect.names_host:
                found[redirect.host, redirect.port] = None
    return [(ip, port) for ip, port in found if ip]


def _reached(targets: Sequence[tuple[str, int]]) -> dict[str, bool]:
    """Return which addresses this process reaches."""
    with ThreadPoolExecutor(max(1, len(targets))) as pool:
        return {f"{ip}:{port}": open_ for (ip, port), open_ in zip(targets, pool.map(_connects, targets), strict=True)}


def _connects(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _others(host: Host, targets: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    own = {(node.lan or node.announced, port) for node in host.nodes for port in (node.port, node.bus_port)}
    return [each for each in targets if each not in own]


def _look(simulation: Simulation, host: Host, targets: Iterable[tuple[str, int]]) -> HostEvidence:
    engine = _Engine(simulation)
    container = simulation.hosts[host.name].name
    of_engine = {node.full_name: engine.container(node.container) for node in host.nodes}
    networks = engine.networks(container)
    script = shlex.quote(look_script(host, _others(host, targets), remote=False))
    ended = simulation.hosts[host.name].testinfra.run(f"timeout {SCRIPT_SECONDS} bash -c {script}")
    if ended.rc != 0:
        why = f"the command on the host ended with {ended.rc}: {ended.stderr.strip() or 'no message'}"
        return HostEvidence(
            host.name, containers=of_engine, facts={"networks": networks}, not_collected=dict.fromkeys(OF_SCRIPT, why)
        )
    seen = read_look(host, ended.stdout, remote=False)
    return replace(seen, containers=of_engine, facts={**seen.facts, "networks": networks})


def _look_remote(host: Host, access: HostAccess, targets: Iterable[tuple[str, int]]) -> HostEvidence:
    try:
        ended = access.run(look_script(host, _others(host, targets), remote=True), SCRIPT_SECONDS)
    except GauntletError as problem:
        why = problem.observed or problem.summary
    else:
        if ended.code == 0:
            return read_look(host, ended.output, remote=True)
        why = f"the command on the host ended with {ended.code}: {ended.output.strip()[-200:] or 'no message'}"
    return HostEvidence(host.name, not_collected=dict.fromkeys((*OF_SCRIPT, "containers", "engine", "kernel"), why))


class _Engine:
    """What the engine says of containers."""

    def __init__(self, simulation: Simulation) -> None:
        self._api: Any = simulation.engine.client.api

    def container(self, name: str) -> ContainerEvidence:
        """Return what it says of that container."""
        try:
            found = self._api.inspect_container(name)
        except docker.errors.NotFound:
            return ContainerEvidence(name, "absent", host_has_engine=False)
        return ContainerEvidence.of_inspect(name, found, host_has_engine=False)

    def networks(self, name: str) -> dict[str, str]:
        """Return the container's address on each of its networks, empty where it does not run."""
        try:
            networks: Mapping[str, Any] = self._api.inspect_container(name)["NetworkSettings"]["Networks"]
        except docker.errors.NotFound:
            return {}
        return {network: str(settings["IPAddress"]) for network, settings in networks.items()}
