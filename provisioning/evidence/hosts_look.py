"""Look at every host at once: its processes, sockets, files and addresses, and what it can reach."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import docker.errors
import requests

from provisioning.errors import GauntletError, SimulationError
from provisioning.evidence.capture import Evidence
from provisioning.evidence.client_probe import probed, with_probes
from provisioning.evidence.collect import LOOK_SECONDS, REST_SECONDS, ask_more, first_look
from provisioning.evidence.container import ContainerEvidence, aof_cut_in
from provisioning.evidence.host import HostEvidence
from provisioning.evidence.host_script import CONNECT_SECONDS, look_script, read_look
from provisioning.evidence.redirect import parse_redirect
from provisioning.evidence.side_by_side import side_by_side
from provisioning.hosts.simulated import Exit
from provisioning.inventory import Host, Inventory
from provisioning.simulation import Simulation

WAY_SECONDS = 1.0
"""What is kept of the time for a host: for the engine's words, and again for the way to the host and back."""

START_SECONDS = 60
"""How much of a container's log is read for what the server said when it started."""

NO_ANSWER = "no answer from the host within"
"""How it begins, why something is missing, where a host took too long; the seconds follow."""

TIMED_OUT = 124
"""How timeout(1) ends where it ended the command."""

OF_SCRIPT = ("reachable_ports", "listening", "processes", "directives", "open_files")
"""Fields that are missing where the script could not be run."""

OF_HOST = (*OF_SCRIPT, "containers")
"""Fields that are missing where the host, or the engine that it runs on, gave no answer."""

DIALLED = re.compile(r"[0-9A-Za-z._:-]+")
"""An IP address or a host's name. Whatever else a node redirects to is handed to nothing and nobody."""


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
    # What nodes did not need hosts may have: on an overloaded machine a command on a host is what takes long.
    left = max(REST_SECONDS, round(LOOK_SECONDS + REST_SECONDS - (time.monotonic() - began), 1))
    dialled = _dialled(inventory, evidence)
    jobs: dict[str, Any] = {"more": lambda: ask_more(inventory, evidence)}
    if probe_run:
        jobs["probes"] = lambda: probed(inventory, evidence, probe_run)
    if simulation is not None or accesses:
        jobs["hosts"] = lambda: look_at_hosts(inventory, dialled, simulation, accesses or {}, left)
    if from_here:
        jobs["here"] = lambda: _reached(dialled)
    done = side_by_side(jobs, left + 1)  # each of them ends, with whatever it has, by itself
    seen = done["more"] or evidence
    if done.get("probes"):
        seen = with_probes(seen, done["probes"])
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
    seconds: float = REST_SECONDS,
) -> tuple[HostEvidence, ...]:
    """Return what each host shows and reaches, by one command on each, all at once.

    ``reachable_ports`` has every address that was to be dialled, but the host's own where there are others
    to dial these; ``processes`` one ``pid ppid uid gid command line`` each (those of the look itself left
    out). Beside the facts of ``read_look`` a simulated host has ``networks``: network -> its address
    there, by the engine. A host that gives no answer within ``seconds`` is evidence too.
    """
    targets = list(dialled)
    alone = len(inventory.hosts) == 1
    jobs = {
        host.name: (
            partial(_look, simulation, host, targets if alone else _others(host, targets), seconds)
            if simulation is not None
            else partial(_look_remote, host, accesses[host.name], targets if alone else _others(host, targets), seconds)
        )
        for host in inventory.hosts
        if simulation is not None or host.name in accesses
    }
    done = side_by_side(jobs, seconds)
    silent = dict.fromkeys(OF_HOST, f"{NO_ANSWER} {seconds:.0f} s")
    return tuple(done[name] or HostEvidence(name, not_collected=silent) for name in jobs)


def _dialled(inventory: Inventory, evidence: Evidence) -> list[tuple[str, int]]:
    """Return the client and bus port of every node, and whereto nodes redirect their clients.

    What is no address is left out: that nobody dialled it is for the rules to say.
    """
    found = dict.fromkeys((n.lan or n.announced, port) for n in inventory.nodes for port in (n.port, n.bus_port))
    for node in evidence.nodes:
        for raw in (node.moved or {}).values():
            redirect = parse_redirect(raw)
            if redirect is not None and redirect.names_host:
                found[redirect.host, redirect.port] = None
    return [(ip, port) for ip, port in found if DIALLED.fullmatch(ip)]


def _reached(targets: Sequence[tuple[str, int]]) -> dict[str, bool]:
    """Return which addresses this process reaches."""
    done = side_by_side({f"{ip}:{port}": partial(_connects, (ip, port)) for ip, port in targets}, REST_SECONDS)
    return {address: bool(reached) for address, reached in done.items()}


def _connects(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    except (OSError, UnicodeError):  # UnicodeError: the name can be no host's
        return False
    return True


def _others(host: Host, targets: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return all but the host's own, in an order of its own: what one has no time for another has dialled."""
    own = {(node.lan or node.announced, port) for node in host.nodes for port in (node.port, node.bus_port)}
    first = next((n for n, each in enumerate(targets) if each in own), 0)
    return [each for each in (*targets[first:], *targets[:first]) if each not in own]


def _look(simulation: Simulation, host: Host, targets: Iterable[tuple[str, int]], seconds: float) -> HostEvidence:
    engine = _Engine(simulation)
    container = simulation.hosts[host.name].name
    try:
        of_engine = {node.full_name: engine.container(node.container) for node in host.nodes}
        networks = engine.networks(container)
    except (docker.errors.DockerException, requests.RequestException) as problem:
        why = f"the engine: {problem}"
        return HostEvidence(host.name, not_collected=dict.fromkeys(OF_HOST, why))
    try:
        said = _run_inside(container, look_script(host, targets, remote=False), seconds - WAY_SECONDS)
        seen = read_look(host, said, remote=False)
    except (SimulationError, ValueError, LookupError) as problem:
        why = problem.observed if isinstance(problem, SimulationError) else _not_read(problem)
        missing = dict.fromkeys(OF_SCRIPT, why)
        return HostEvidence(host.name, containers=of_engine, facts={"networks": networks}, not_collected=missing)
    return replace(seen, containers=of_engine, facts={**seen.facts, "networks": networks})


def _run_inside(container: str, script: str, seconds: float) -> str:
    """Return what the script prints in that container, the way there included. Raises SimulationError.

    Not by testinfra, whose ``docker exec`` has no end where the container is paused in the middle.
    """
    command = ["docker", "exec", container, "timeout", f"{seconds - WAY_SECONDS:.1f}", "bash", "-c", script]
    late = SimulationError("a host gives no answer", observed=f"{NO_ANSWER} {seconds:.0f} s")
    try:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise late from None
    if ended.returncode == TIMED_OUT:
        raise late
    if ended.returncode:
        said = ended.stderr.decode("utf-8", "replace").strip() or "no message"
        raise SimulationError(
            "a host cannot be looked at", observed=f"the command on the host ended with {ended.returncode}: {said}"
        )
    return ended.stdout.decode("utf-8", "replace")


def _look_remote(host: Host, access: HostAccess, targets: Iterable[tuple[str, int]], seconds: float) -> HostEvidence:
    try:
        ended = access.run(look_script(host, targets, remote=True), seconds - 2 * WAY_SECONDS)
        if ended.code == 0:
            return read_look(host, ended.output, remote=True)
        why = f"the command on the host ended with {ended.code}: {ended.output.strip()[-200:] or 'no message'}"
    except GauntletError as problem:
        why = problem.observed or problem.summary
    except (ValueError, LookupError) as problem:
        why = _not_read(problem)
    return HostEvidence(host.name, not_collected=dict.fromkeys((*OF_SCRIPT, "containers", "engine", "kernel"), why))


def _not_read(problem: Exception) -> str:
    return f"what the host shows cannot be read: {problem}"


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
        cut = aof_cut_in(self._start_log(name, str(found["State"]["StartedAt"])))
        return ContainerEvidence.of_inspect(name, found, aof_cut=cut, host_has_engine=False)

    def _start_log(self, name: str, started: str) -> str:
        """Return what the container logged when it was started last (that moment as the engine gives it, in UTC)."""
        began = int(datetime.fromisoformat(f"{started[:19]}+00:00").timestamp())
        try:
            log: bytes = self._api.logs(name, since=began, until=began + START_SECONDS)
        except docker.errors.APIError:  # a log driver that cannot be read
            return ""
        return log.decode("utf-8", "replace")

    def networks(self, name: str) -> dict[str, str]:
        """Return the container's address on each of its networks, empty where it does not run."""
        try:
            networks: Mapping[str, Any] = self._api.inspect_container(name)["NetworkSettings"]["Networks"]
        except docker.errors.NotFound:
            return {}
        return {network: str(settings["IPAddress"]) for network, settings in networks.items()}
