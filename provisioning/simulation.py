"""Build, rebuild and remove the simulated hosts of an inventory, with a cluster on them."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import docker.errors
import requests.exceptions

from provisioning.docker_engine import Engine
from provisioning.errors import SimulationError
from provisioning.formation import Identity, identities, join, seeded_nodes_conf
from provisioning.hosts.simulated import Container, File, SimulatedHost, foreign_object
from provisioning.images import ServerImage
from provisioning.inventory import CONFIG_DIR, DATA_DIR, GIVEN, Inventory, Node
from provisioning.networks import HostNetworks, build_networks
from provisioning.ownership import CLUSTER_LABEL, DockerObject, Run, is_ours, objects, remove
from provisioning.reach import Reach, chosen_reach, published_ports, publishing_addresses
from provisioning.redis_conf import render_redis_conf
from provisioning.waiting import wait_until

if TYPE_CHECKING:
    from provisioning.faults.injection import Injection

Formation = Literal["seeded", "joined"]

DEATH_SECONDS = 30.0
"""Until the engine has noticed that a host's processes are dead; a moment on an idle machine."""


@dataclass(frozen=True)
class Images:
    """The user's server image and our host image."""

    server: ServerImage
    host: str


@dataclass
class Simulation:
    """Simulated hosts and the nodes on them. ``inventory`` is the effective one."""

    name: str
    engine: Engine = field(repr=False)
    built_with: Images | None = field(repr=False)
    inventory: Inventory = field(repr=False)
    hosts: dict[str, SimulatedHost] = field(repr=False)
    nodes: dict[str, Container] = field(repr=False)
    known: dict[str, Identity] = field(repr=False, default_factory=dict)
    injections: list[Injection] = field(repr=False, default_factory=list)
    """What faults.inject did since it was built or rebuilt, in order: the fault record of a failure report."""
    began: float = field(repr=False, default_factory=time.time)
    """When it was built or rebuilt, in Unix seconds: what its nodes logged before is another cluster's."""

    @classmethod
    def build(
        cls,
        engine: Engine,
        run: Run,
        name: str,
        wanted: Inventory,
        images: Images,
        *,
        reach: Reach = "auto",
        formation: Formation = "seeded",
        report: Callable[[str], None] = lambda _: None,
    ) -> Simulation:
        """Build networks, hosts and nodes for the wanted inventory and start them.

        The cluster is formed but not awaited (see Cluster.wait_ready). On failure, and on Ctrl-C,
        what was built is removed. Raises SimulationError or OwnershipError.
        """
        labels = run.labels(name)
        try:
            report(f"networks   the LAN and one network for each of {len(wanted.hosts)} hosts")
            networks = build_networks(engine, name, labels, {host.name: host.address for host in wanted.hosts})
            how = chosen_reach(engine, reach)
            inventory = _effective(wanted, name, networks)
            if how == "published":
                inventory = _published(inventory, engine)
            simulation = cls(
                name,
                engine,
                images,
                inventory,
                {host.name: SimulatedHost(engine, f"{name}-{host.name}") for host in inventory.hosts},
                {node.full_name: Container(engine, node.container) for node in inventory.nodes},
            )
            report(f"containers {len(simulation.hosts)} hosts, {len(simulation.nodes)} nodes ({formation})")
            simulation._create(labels, networks, how)
            simulation._seed(formation)
            simulation._start_hosts()
            simulation._start_nodes()
            if formation == "joined":
                join(simulation.inventory, simulation.known, budget=10 + 4 * inventory.node_timeout)
        except BaseException as problem:
            remove(engine, [each for each in objects(engine, {CLUSTER_LABEL: name}) if each.run == run.id])
            if isinstance(problem, (docker.errors.APIError, requests.exceptions.RequestException)):
                raise SimulationError(f"the cluster {name} could not be built", observed=str(problem)) from None
            raise
        return simulation

    @classmethod
    def attached(cls, engine: Engine, inventory: Inventory) -> Simulation:
        """Return a simulation that is running already, from its effective inventory.

        Raises SimulationError where the engine has no such containers of ours: an inventory that
        merely says that it is simulated is not believed.
        """
        ours = {
            each.name for each in objects(engine, {CLUSTER_LABEL: inventory.simulation}) if each.kind == "container"
        }
        missing = sorted(
            (
                {host.ansible_host for host in inventory.hosts}
                | {node.container or node.full_name for node in inventory.nodes}
            )
            - ours
        )
        if missing:
            raise SimulationError(
                f"the simulated cluster {inventory.simulation!r} is not on this engine",
                expected="a container of ours for every host and node of the inventory",
                observed=f"missing: {', '.join(missing)}",
                advice="python -m provisioning status lists the clusters that are up",
            )
        for host in inventory.hosts:
            networks = cast(Any, engine.client.api).inspect_container(host.ansible_host)["NetworkSettings"]["Networks"]
            addresses = {
                config.get(key)
                for network in networks.values()
                for config in (network, network["IPAMConfig"] or {})
                for key in ("IPAddress", "IPv4Address")
            }
            if host.address not in addresses:
                raise SimulationError(
                    f"{host.name} of this inventory is not the simulated host of that name",
                    expected=f"the container {host.ansible_host} at {host.address}",
                    observed=f"it is at {', '.join(sorted(filter(None, addresses)))}",
                    advice="take the inventory that `provisioning up` wrote",
                )
        return cls(
            inventory.simulation,
            engine,
            None,
            inventory,
            {host.name: SimulatedHost(engine, host.ansible_host) for host in inventory.hosts},
            {node.full_name: Container(engine, node.container) for node in inventory.nodes},
        )

    def rebuild(self) -> None:
        """Begin again with the same hosts, addresses and password: blank disks, new ids, the wanted roles.

        Every host dies and starts with new network and PID namespaces, so that no process, firewall
        rule or connection of before is left.
        """
        for host in self.hosts.values():  # one after another: see ownership.remove
            if host.running:
                host.signal("KILL")
            _wait_dead(host)
        _wait_dead(*self.nodes.values())
        self.injections.clear()
        self.began = time.time()
        self._start_hosts()
        _in_parallel(lambda host: host.sure("find", DATA_DIR, "-mindepth", "2", "-delete"), self.hosts.values())
        self._seed("seeded")
        self._start_nodes()

    def remove(self) -> None:
        """Remove containers, networks and volumes of this cluster."""
        remove(self.engine, self.objects)

    @property
    def images(self) -> Images:
        """What it was built with. Raises SimulationError for a cluster that was found running."""
        if self.built_with is None:
            raise SimulationError(f"{self.name} was found running and is not to be rebuilt")
        return self.built_with

    @property
    def objects(self) -> list[DockerObject]:
        """Every Docker object of this cluster."""
        return objects(self.engine, {CLUSTER_LABEL: self.name})

    def last_words(self) -> dict[str, str]:
        """Return by full name what the servers that have ended wrote last."""
        ended = {name: each for name, each in self.nodes.items() if not each.running}
        return {name: " / ".join(_said(line) for line in each.log().splitlines()[-3:]) for name, each in ended.items()}

    def host_of(self, node: Node) -> SimulatedHost:
        """Return the host that carries the node."""
        return self.hosts[node.host]

    def _create(self, labels: Mapping[str, str], networks: HostNetworks, reach: str) -> None:
        _in_parallel(lambda host: self._create_host(host, labels, networks, reach), list(self.hosts))
        _in_parallel(lambda node: self._create_node(node, labels), self.inventory.nodes)

    def _create_host(self, name: str, labels: Mapping[str, str], networks: HostNetworks, reach: str) -> None:
        api: Any = self.engine.client.api
        host = self.inventory.host(name)
        container = self.hosts[name].name
        binds = {f"{container}-config": {"bind": CONFIG_DIR, "mode": "rw"}}
        binds |= {f"{node.container}-data": {"bind": node.data_dir, "mode": "rw"} for node in host.nodes}
        for volume in binds:
            if not is_ours(api.create_volume(volume, labels=dict(labels))["Labels"]):
                raise foreign_object("volume", volume)  # the engine returns an existing one without a word
        ports = {node.port: node.outside[1] for node in host.nodes} if reach == "published" else {}
        address, _ = publishing_addresses(self.engine)
        _create_container(
            api,
            container,
            image=self.images.host,
            command=["sleep", "infinity"],
            hostname=name,
            labels=dict(labels),
            ports=list(ports),
            host_config=api.create_host_config(
                binds=binds,
                cap_add=["NET_ADMIN"],
                init=True,
                port_bindings={port: (address, outside) for port, outside in ports.items()},
            ),
            networking_config=api.create_networking_config(
                {networks.own[name]: api.create_endpoint_config(ipv4_address=networks.own_address[name])}
            ),
        )
        api.connect_container_to_network(container, networks.lan, ipv4_address=networks.lan_address[name])

    def _create_node(self, node: Node, labels: Mapping[str, str]) -> None:
        api: Any = self.engine.client.api
        host = self.hosts[node.host].name
        _create_container(
            api,
            node.container,
            image=self.images.server.reference,
            command=[f"{self.images.server.server}-server", node.config_file],
            labels=dict(labels),
            host_config=api.create_host_config(
                network_mode=f"container:{host}",
                pid_mode=f"container:{host}",
                binds={
                    f"{host}-config": {"bind": CONFIG_DIR, "mode": "rw"},
                    f"{node.container}-data": {"bind": "/data", "mode": "rw"},
                },
            ),
        )

    def _seed(self, formation: Formation) -> None:
        """Write every node's configuration and, for a seeded cluster, its nodes.conf."""
        server = self.images.server
        self.known = identities(self.inventory, secrets.token_hex(8))

        def write(name: str) -> None:
            files = []
            for node in self.inventory.host(name).nodes:
                text = render_redis_conf(self.inventory, node, server.version)
                files.append(File(node.config_file, text, gid=server.gid, mode=0o640))
                if formation == "seeded":
                    text = seeded_nodes_conf(self.inventory, self.known, node)
                    files.append(File(f"{node.data_dir}/nodes.conf", text, server.uid, server.gid))
            self.hosts[name].put(files)

        _in_parallel(write, list(self.hosts))

    def _start_hosts(self) -> None:
        for host in self.hosts.values():  # one after another: see ownership.remove
            host.start()

    def _start_nodes(self) -> None:
        _in_parallel(lambda node: node.start(), self.nodes.values())


def _published(inventory: Inventory, engine: Engine) -> Inventory:
    """Return the inventory with the nodes dialled at ports that the engine publishes.

    They are chosen beforehand: ports that the engine chooses change each time that a host starts.
    """
    _, dialled = publishing_addresses(engine)
    ports = published_ports(inventory.hosts[0].address, len(inventory.nodes), local=engine.local)
    return inventory.with_nodes(
        {
            node.full_name: replace(node, outside=(dialled, port))
            for node, port in zip(inventory.nodes, ports, strict=True)
        }
    )


def _effective(wanted: Inventory, name: str, networks: HostNetworks) -> Inventory:
    """Return the inventory with the simulation's real addresses, containers and a generated password."""
    password = secrets.token_urlsafe(24)
    hosts = []
    for host in wanted.hosts:
        lan, own = networks.lan_address[host.name], networks.own_address[host.name]
        nodes = tuple(
            replace(
                node,
                bound=(lan, own),
                announced=lan,
                lan=lan,
                outside=(own, node.port),
                container=f"{name}-{host.name}-{node.name}",
                user="",
                password=password,
                tls=None,
            )
            for node in host.nodes
        )
        container = f"{name}-{host.name}"
        hosts.append(
            replace(host, address=lan, nodes=nodes, ansible_host=container, connection="community.docker.docker")
        )
    return replace(wanted, hosts=tuple(hosts), simulation=name, source="", image="", given=GIVEN)


def _create_container(api: Any, name: str, **options: Any) -> None:
    try:
        api.create_container(name=name, **options)
    except docker.errors.APIError as problem:
        if problem.status_code == 409 and not is_ours(api.inspect_container(name)["Config"]["Labels"]):
            raise foreign_object("container", name) from None
        if problem.status_code == 409:
            raise SimulationError(
                f"the container {name} exists already",
                observed="another command is building, or has built, a cluster of this name",
                advice="wait for it, or use another --name",
            ) from None
        raise SimulationError(f"the container {name} cannot be created", observed=str(problem.explanation)) from None


def _said(line: str) -> str:
    """Return a line of a log without the engine's time, and without the server's own process and time."""
    return re.sub(r"^\S+ (\d+:[A-Z] .{24} [.\-*#] )?", "", line).strip()


def _wait_dead(*doomed: Container) -> None:
    wait_until(
        lambda: not any(each.running for each in doomed),
        f"the death of {', '.join(each.name for each in doomed)}",
        DEATH_SECONDS,
        poll=0.02,
    )


def _in_parallel(act: Callable[[Any], object], each: Iterable[Any]) -> None:
    todo = list(each)
    with ThreadPoolExecutor(max(1, len(todo))) as pool:
        list(pool.map(act, todo))
