"""Look at every host at once: its processes, sockets, files and addresses, and what it can reach."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker.errors

from provisioning.evidence.capture import Evidence
from provisioning.evidence.collect import collect
from provisioning.evidence.host import HostEvidence
from provisioning.evidence.info import SECRET_SETTINGS
from provisioning.inventory import Host, Inventory, Node
from provisioning.simulation import Simulation

CONNECT_SECONDS = 2
"""How long one TCP connect may take; on a LAN it takes under a millisecond."""

SCRIPT_SECONDS = 10
"""How long everything on one host may take: the connects run side by side."""

AS_WANTED = "(the inventory's)"
NOT_AS_WANTED = "(another than the inventory's)"
"""What stands for a password in the facts, which never hold one."""


def look_at_hosts(simulation: Simulation) -> tuple[HostEvidence, ...]:
    """Return what each host shows and reaches: asked in parallel, by one command on each.

    ``reachable_ports`` has the client and bus port of every node on the other hosts, ``listening``
    its own ``ip:port``, ``processes`` one ``pid ppid uid gid command line`` each (those of the look
    itself left out), ``containers`` the engine's word for the state of the host and its nodes.
    ``facts``, those of the host only where it answers:

    - ``addresses``: its IPv4 addresses, loopback left out
    - ``files``: path of configuration and data -> ``uid:gid mode``, the mode in octal
    - ``mounts``: the mount points
    - ``configuration``: path of a node's configuration -> directive -> value; passwords are compared, not kept
    - ``volumes``, by the engine's account: full name of a node -> the named volume that its data is on
    - ``networks``, by the engine's account: name of a network -> the host's address on it
    """
    hosts = simulation.inventory.hosts
    with ThreadPoolExecutor(len(hosts)) as pool:
        return tuple(pool.map(lambda host: _look(simulation, host), hosts))


def look_everywhere(inventory: Inventory, simulation: Simulation | None) -> Evidence:
    """Return what all nodes say and, where there is access to them, what all hosts show."""
    return collect(inventory, hosts=look_at_hosts(simulation) if simulation is not None else ())


def _look(simulation: Simulation, host: Host) -> HostEvidence:
    engine = _Engine(simulation)
    names = [simulation.hosts[host.name].name, *(node.container for node in host.nodes)]
    containers = {name: engine.state(name) for name in names}
    by_engine = {
        "volumes": {node.full_name: engine.volume(node.container) for node in host.nodes},
        "networks": engine.networks(names[0]),
    }
    others = [node for node in simulation.inventory.nodes if node.host != host.name]
    script = shlex.quote(_script(host, [(node.lan, port) for node in others for port in (node.port, node.bus_port)]))
    ended = simulation.hosts[host.name].testinfra.run(f"timeout {SCRIPT_SECONDS} sh -c {script}")
    if ended.rc != 0:
        why = f"the command on the host ended with {ended.rc}: {ended.stderr.strip() or 'no message'}"
        missing = dict.fromkeys(("reachable_ports", "listening", "processes"), why)
        return HostEvidence(host.name, containers=containers, facts=by_engine, not_collected=missing)
    said: dict[str, list[str]] = {}
    for line in ended.stdout.splitlines():
        subject, _, rest = line.partition(" ")
        said.setdefault(subject, []).append(rest)
    return HostEvidence(
        host.name,
        reachable_ports={address: word == "open" for address, word in map(str.split, sorted(said.get("connect", [])))},
        listening=tuple(sorted(line.split()[3] for line in said.get("socket", []))),
        processes=_processes(said),
        containers=containers,
        facts={
            "addresses": sorted(line.split()[3].partition("/")[0] for line in said.get("address", [])),
            "files": {path: access for access, path in (line.split("\t") for line in said.get("file", []))},
            "mounts": sorted(line.split()[4] for line in said.get("mount", [])),
            "configuration": {node.config_file: _directives(node, said) for node in host.nodes},
            **by_engine,
        },
    )


def _script(host: Host, targets: Sequence[tuple[str, int]]) -> str:
    """Return a script each line of whose output begins with its subject."""
    connects = [
        f"(nc -z -w {CONNECT_SECONDS} {ip} {port} </dev/null >/dev/null 2>&1 && word=open || word=closed;"
        f' echo "connect {ip}:{port} $word") &'
        for ip, port in targets
    ]
    paths = [
        path
        for node in host.nodes
        for path in (shlex.quote(node.config_file), shlex.quote(node.data_dir), f"{shlex.quote(node.data_dir)}/*")
    ]
    configurations = [
        f"sed 's|^|{node.config_file} |' {shlex.quote(node.config_file)} 2>/dev/null" for node in host.nodes
    ]
    return "\n".join(
        [
            *connects,
            "wait",  # before the rest: output in blocks must not be cut by lines of the connects
            "ps -o sid= $$ | sed 's/^/session /'",
            "ps -ww -eo sid=,pid=,ppid=,uid=,gid=,args= | sed 's/^/process /'",
            "ss -tlnH | sed 's/^/socket /'",
            "ip -o -4 address show scope global | sed 's/^/address /'",
            f"stat --printf 'file %u:%g %a\\t%n\\n' {' '.join(paths)} 2>/dev/null",
            "sed 's/^/mount /' /proc/self/mountinfo",
            *configurations,
        ]
    )


def _processes(said: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    own = {line.strip() for line in said.get("session", [])}
    rows = (line.split(maxsplit=5) for line in said.get("process", []))
    return tuple(" ".join(rest) for session, *rest in rows if session not in own)


def _directives(node: Node, said: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the directives of a node's configuration file, of a repeated one the last, without passwords."""
    found = {}
    for line in said.get(node.config_file, []):
        words = shlex.split(line, comments=True)
        if words:
            value = " ".join(words[1:])
            if words[0] in SECRET_SETTINGS:
                value = AS_WANTED if value == node.password else NOT_AS_WANTED
            found[words[0]] = value
    return found


class _Engine:
    """What the engine says of containers."""

    def __init__(self, simulation: Simulation) -> None:
        self._api: Any = simulation.engine.client.api

    def _inspected(self, name: str) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = self._api.inspect_container(name)
        except docker.errors.NotFound:
            return {"State": {"Status": "absent"}, "Mounts": [], "NetworkSettings": {"Networks": {}}}
        return found

    def state(self, name: str) -> str:
        """Return ``running``, ``exited``, ``paused``, ... or ``absent``."""
        return str(self._inspected(name)["State"]["Status"])

    def volume(self, name: str) -> str:
        """Return the named volume under the server's data directory, empty where it is on none."""
        mounts = self._inspected(name)["Mounts"]
        return next(
            (str(each["Name"]) for each in mounts if each["Type"] == "volume" and each["Destination"] == "/data"), ""
        )

    def networks(self, name: str) -> dict[str, str]:
        """Return the container's address on each of its networks, empty where it does not run."""
        networks: Mapping[str, Any] = self._inspected(name)["NetworkSettings"]["Networks"]
        return {network: str(settings["IPAddress"]) for network, settings in networks.items()}
