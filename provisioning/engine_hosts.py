"""Hosts with engines of their own, in containers: what a playbook is run on, and entered as users enter theirs."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import docker.errors
import yaml

from provisioning.debian_images import BARE, WITH_ENGINE
from provisioning.docker_engine import Engine, Report
from provisioning.engine_data import COPY_SECONDS, copy_volume, prepare_volume
from provisioning.errors import SimulationError
from provisioning.hosts.engine import BOOT_SECONDS, EngineHost
from provisioning.hosts.simulated import File, SimulatedHost
from provisioning.images import host_image, server_image
from provisioning.inventory import Host, Inventory
from provisioning.networks import HostNetworks, build_networks
from provisioning.ownership import CLUSTER_LABEL, Run, objects, remove

DOCKERS_SUBNET = "172.17.0.0/16"
"""Of an engine's default bridge, where nothing else is said and nobody else has it."""


@dataclass
class EngineHosts:
    """Such hosts, one for each of an inventory's. ``folder`` has the key and the known hosts of whoever enters them."""

    name: str
    engine: Engine = field(repr=False)
    wanted: Inventory = field(repr=False)
    folder: Path
    labels: Mapping[str, str] = field(repr=False)
    networks: HostNetworks = field(repr=False)
    hosts: dict[str, EngineHost] = field(repr=False)
    images: Mapping[str, str] = field(repr=False)
    _joining: Lock = field(repr=False, default_factory=Lock)
    """Held while a host joins the LAN: one after another, see ``ownership.remove``."""

    @classmethod
    def build(
        cls,
        engine: Engine,
        run: Run,
        name: str,
        wanted: Inventory,
        folder: Path,
        *,
        server_images: Sequence[str],
        without_engine: Collection[str] = (),
        report: Report = lambda _: None,
    ) -> EngineHosts:
        """Build and start the hosts; their engines have the server images already.

        ``without_engine`` names hosts on which no Docker is installed. On failure, and on Ctrl-C, what was
        built is removed. Raises SimulationError, ImageError or WaitTimeout.
        """
        labels = run.labels(name)
        kinds = {host.name: BARE if host.name in without_engine else WITH_ENGINE for host in wanted.hosts}
        for each in server_images:
            server_image(engine, each, report)
        images = {host: host_image(engine, report, kind) for host, kind in kinds.items()}
        seed_image = host_image(engine, report, WITH_ENGINE)
        try:
            addresses = {host.name: host.address for host in wanted.hosts}
            networks = build_networks(engine, name, labels, addresses, lan_only=True)
            made = cls(name, engine, wanted, folder, labels, networks, {}, images)
            made._make_key()
            prepare_volume(made._seed_volume, engine, labels, seed_image, server_images)
            with ThreadPoolExecutor(len(images)) as pool:
                list(pool.map(made.install, images))
            made._write_known_hosts()
        except BaseException as problem:
            remove(engine, [each for each in objects(engine, {CLUSTER_LABEL: name}) if each.run == run.id])
            if isinstance(problem, docker.errors.APIError):
                raise SimulationError(f"the hosts {name} could not be built", observed=str(problem)) from None
            raise
        return made

    def address(self, host: str) -> str:
        """Return the host's address on the LAN."""
        return self.networks.lan_address[host]

    def install(self, name: str) -> None:
        """Make a host from nothing and wait until it is up: blank but for the server images in its engine."""
        api: Any = self.engine.client.api
        host = EngineHost(self.engine, f"{self.name}-{name}")
        volume = f"{host.name}-docker"
        with suppress(docker.errors.NotFound):
            api.remove_container(host.name, force=True, v=True)
        with suppress(docker.errors.NotFound):
            api.remove_volume(volume)
        api.create_volume(volume, labels=dict(self.labels))
        copy_volume(self._seed_volume, volume, self.engine, self.labels, self.images[name])
        lan = api.create_endpoint_config(ipv4_address=self.address(name))
        api.create_container(
            name=host.name,
            image=self.images[name],
            hostname=name,
            labels=dict(self.labels),
            networking_config=api.create_networking_config({self.networks.lan: lan}),
            **host.options(api, docker_volume=volume, network=self.networks.lan),
        )
        host.put([File("/root/.ssh/authorized_keys", (self.folder / "key.pub").read_text(), mode=0o600)])
        self.hosts[name] = host
        with self._joining:
            host.start()
        self.wait_up(name)

    def reinstall(self, name: str) -> None:
        """Make the host anew; it has another SSH key afterwards, which becomes the known one."""
        self.install(name)
        self._write_known_hosts()

    def reboot(self, name: str) -> None:
        """Shut the host down as `reboot` does, start it again, and wait until it is up."""
        api: Any = self.engine.client.api
        api.restart(self.hosts[name].name, timeout=int(BOOT_SECONDS))
        self.wait_up(name)

    def shut_out(self, name: str) -> None:
        """Let nobody enter the host over SSH, whoever is in included, until ``let_in``."""
        self.hosts[name].sure("systemctl", "stop", "ssh")
        self.hosts[name].run("pkill", "-KILL", "sshd")

    def let_in(self, name: str) -> None:
        """End what ``shut_out`` did, and wait until the host can be entered."""
        self.hosts[name].sure("systemctl", "start", "ssh")
        self.wait_up(name)

    def wait_up(self, name: str) -> None:
        """Wait until systemd has started everything and sshd answers."""
        host = self.hosts[name]

        def up() -> bool:
            state = host.run("systemctl", "is-system-running").output.strip()
            return state in ("running", "degraded") and _greets(self.address(name))

        host.wait_booted(up, f"{name} is up")

    def client(self, server_image: str) -> SimulatedHost:
        """Return a machine on the LAN that is no host of the cluster, with the redis-cli of that image.

        Docker's default subnet leads nowhere from there, as on a machine without Docker; from a host it would
        lead into that host's own engine, and from this machine into the engine below.
        """
        api: Any = self.engine.client.api
        way, client = f"{self.name}-client-network", SimulatedHost(self.engine, f"{self.name}-client")
        config = api.create_host_config(network_mode=self.networks.lan, cap_add=["NET_ADMIN"])
        command = ["sh", "-c", f"ip route add unreachable {DOCKERS_SUBNET} && exec sleep infinity"]
        image = next(iter(self.images.values()))
        api.create_container(image, command, name=way, labels=dict(self.labels), host_config=config)
        api.start(way)
        config = api.create_host_config(network_mode=f"container:{way}")
        api.create_container(
            server_image, ["sleep", "infinity"], name=client.name, labels=dict(self.labels), host_config=config
        )
        client.start()
        return client

    def write_inventory(
        self, file: str = "inventory.yaml", of_hosts: Mapping[str, Mapping[str, Any]] | None = None, **variables: Any
    ) -> Path:
        """Write an inventory of these hosts, with further variables for all of them, and return its path.

        ``of_hosts`` names the hosts that are in it, each with variables of its own; without it all are, and their
        replicas follow whom they were to follow when the hosts were built.
        """
        if of_hosts is None:
            of_hosts = {host.name: _following(host) for host in self.wanted.hosts}
        hosts = {name: {"ansible_host": self.address(name), **own} for name, own in of_hosts.items()}
        shared = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.folder / "key"),
            "ansible_ssh_common_args": f"-F none -o UserKnownHostsFile={self.folder / 'known_hosts'} "
            "-o GlobalKnownHostsFile=none -o StrictHostKeyChecking=yes -o IdentityAgent=none",
            "redis_cluster_name": self.wanted.name,
            **variables,
        }
        document = {"all": {"children": {"redis_cluster": {"vars": shared, "hosts": hosts}}}}
        path = self.folder / file
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return path

    def remove(self) -> None:
        """Remove containers, network and volumes of these hosts."""
        remove(self.engine, objects(self.engine, {CLUSTER_LABEL: self.name}))

    # -- making ---------------------------------------------------------------------------------

    @property
    def _seed_volume(self) -> str:
        return f"{self.name}-images"

    def _make_key(self) -> None:
        key = self.folder / "key"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
        subprocess.run(command, check=True, timeout=COPY_SECONDS)

    def _write_known_hosts(self) -> None:
        lines = [f"{self.address(name)} {host.host_key}\n" for name, host in self.hosts.items()]
        (self.folder / "known_hosts").write_text("".join(lines), encoding="ascii")


def _following(host: Host) -> dict[str, str]:
    """Return the variable that says whom the host's replica follows; none for a host without a replica."""
    followed = [node.replica_of.partition("/")[0] for node in host.nodes if node.role == "replica"]
    return {"redis_slave_of": followed[0]} if followed else {}


def _greets(address: str) -> bool:
    """True where an SSH server says its version there."""
    with suppress(OSError), socket.create_connection((address, 22), timeout=1) as link:
        link.settimeout(2)
        return link.recv(4) == b"SSH-"
    return False
