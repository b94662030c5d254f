"""Hosts with engines of their own for the playbook, one set for each module, and what it has made of them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from fixtures.rules.judge import judge
from fixtures.rules.settled import settled
from fixtures.session import Session
from provisioning.ansible_inventory import DEFAULT_INVENTORY, read_inventory
from provisioning.cluster import Cluster
from provisioning.engine_hosts import EngineHosts
from provisioning.engine_rights import why_not
from provisioning.evidence.hosts_look import look_everywhere
from provisioning.hosts.remote import RemoteHost
from provisioning.hosts.simulated import File
from provisioning.inventory import Inventory, Node
from provisioning.login import PASSWORD_VARIABLE
from provisioning.waiting import wait_until
from tests.launched import Launched, launched
from tests.playbook.ansible import COMMAND, Disturbance, Played, play

NEWCOMER = "redis-host-3"
"""The host that begins without Docker."""


@dataclass
class Site:
    """Hosts, a password, and the inventory that the playbook is given. ``variables`` stand for all hosts.

    ``of_hosts`` are variables by host, of those that are in the inventory; None: of all, as they were built.
    """

    hosts: EngineHosts
    password: str
    variables: dict[str, Any] = field(default_factory=dict)
    of_hosts: Mapping[str, Mapping[str, Any]] | None = None

    @property
    def file(self) -> Path:
        """The inventory as it is now."""
        return self.hosts.write_inventory(of_hosts=self.of_hosts, **self.variables)

    def play(self, *arguments: str, at: Mapping[str, Disturbance] = MappingProxyType({}), **changes: Any) -> Played:
        """Run the playbook, with these variables changed for good; ``at``: see ansible.py."""
        self.variables.update(changes)
        return play(self.file, self.password, *arguments, at=at)

    @property
    def inventory(self) -> Inventory:
        """What the suite reads in that file."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(PASSWORD_VARIABLE, self.password)
            return read_inventory(self.file)

    @property
    def cluster(self) -> Cluster:
        """A handle that may write: these hosts are ours."""
        return Cluster(self.inventory, read_only=False)

    def wait_quiet(self) -> None:
        """Wait until nothing that a killed run has begun goes on on a host: it would be in the next one's way."""
        for name, host in self.hosts.hosts.items():
            wait_until(lambda h=host: h.run("pgrep", "-f", "BECOME-SUCCES[S]").code == 1, f"quiet on {name}", 60.0)  # type: ignore[misc]

    def docker(self, host: str, *words: str) -> str:
        """Return what the host's own docker command says."""
        return self.hosts.hosts[host].sure("docker", *words)

    def admit(self, user: str) -> None:
        """Let a user beside root enter every host with the same key, and use sudo there."""
        for host in self.hosts.hosts.values():
            keys = ".ssh/authorized_keys"
            host.sure("useradd", "--create-home", "--shell", "/bin/bash", "--password", "*", user)
            host.sure("install", "-D", "-o", user, "-m", "600", f"/root/{keys}", f"/home/{user}/{keys}")
            host.put([File(f"/etc/sudoers.d/{user}", f"{user} ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)])

    def found(self) -> set[str]:
        """Return what the rules find, with every host entered; all of them were decided."""
        inventory = self.inventory
        accesses = {host.name: RemoteHost(host) for host in inventory.hosts}
        seen = judge(settled(lambda: look_everywhere(inventory, accesses=accesses), inventory.node_timeout))
        assert seen.not_collected == ()
        return {each.rule for each in seen.findings}

    def judged(self, folder: Path, **variables: Any) -> Launched:
        """Return what the gate says, by its launcher, when the inventory has these variables too."""
        file = self.hosts.write_inventory("other.yaml", of_hosts=self.of_hosts, **{**self.variables, **variables})
        login = {PASSWORD_VARIABLE: self.password} if self.password else {}
        return launched(folder, "--inventory", file, "-m", "not destructive", environment=login)

    def run_ids(self) -> dict[str, str]:
        """Return the run id of every server, once all are well: another one after each start."""
        cluster = self.cluster
        cluster.wait_for(
            lambda: all(cluster.state(node) == "ok" for node in cluster.inventory.nodes),
            "all nodes",
            cluster.rejoin_budget,
        )
        return run_ids(cluster)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of that inventory."""
        return self.inventory.nodes

    def node(self, name: str) -> Node:
        """Return the node of that full name."""
        return self.inventory.node(name)


def run_ids(cluster: Cluster, but: Node | None = None) -> dict[str, str]:
    """Return the run id of every server, ``but`` one: another one after each start."""
    return {node.full_name: cluster.info(node)["run_id"] for node in cluster.inventory.nodes if node != but}


def assert_listens_to_the_lan(entered: RemoteHost) -> None:
    """The nodes' client and bus ports listen at the host's LAN address, and nothing but SSH to the world."""
    ports = {
        f"tcp://{entered.host.address}:{port}" for node in entered.host.nodes for port in (node.port, node.bus_port)
    }
    sockets = set(entered.testinfra.socket.get_listening_sockets())
    assert ports <= sockets
    world = {each for each in sockets if each.startswith(("tcp://0.0.0.0:", "tcp://:::"))}
    assert world <= {"tcp://0.0.0.0:22", "tcp://:::22"}


Building = Callable[..., Site]


@pytest.fixture(scope="session")
def engines_possible(gauntlet: Session, pytestconfig: pytest.Config) -> None:
    """Skip, or under CI fail, where hosts with engines cannot be built; the probe says why."""
    why = "" if COMMAND.exists() else "there is no ansible-playbook: make ansible"
    why = why or why_not(gauntlet.engine, gauntlet.run)
    if why and os.environ.get("CI") == "true" and not pytestconfig.getoption("without_engines"):
        pytest.fail(f"hosts with engines cannot be built: {why} (--without-engines accepts that)", pytrace=False)
    if why:
        pytest.skip(f"hosts with engines cannot be built: {why}")


@pytest.fixture(scope="module")
def building(
    gauntlet: Session, engines_possible: None, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Building]:
    """Builds hosts, those of the seed's inventory or of ``wanted``; they are removed at the module's end."""
    made: list[EngineHosts] = []

    def build(
        *images: str, without_engine: tuple[str, ...] = (), wanted: Inventory | None = None, **variables: Any
    ) -> Site:
        server = gauntlet.images.server.reference
        stem = Path(request.node.path).stem.removeprefix("test_").replace("_", "-")
        name = f"redis-gauntlet-{gauntlet.run.id}-{gauntlet.worker}-{stem}-{len(made)}"
        hosts = EngineHosts.build(
            gauntlet.engine,
            gauntlet.run,
            name,
            wanted or read_inventory(DEFAULT_INVENTORY),
            tmp_path_factory.mktemp("hosts"),
            server_images=images or (server,),
            without_engine=without_engine,
        )
        made.append(hosts)
        return Site(hosts, secrets.token_urlsafe(12), {"redis_image": (images or (server,))[0], **variables})

    yield build
    for hosts in made:
        hosts.remove()
