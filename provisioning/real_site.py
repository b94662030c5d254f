"""Real hosts on which somebody has allowed faults: claimed, harmed only with permission, and started again."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager

from provisioning.errors import FaultError, GauntletError, WaitTimeout
from provisioning.faults.injection import EFFECT_SECONDS, Injection
from provisioning.harm_note import HarmNote
from provisioning.hosts.harm_claim import claimed
from provisioning.hosts.remote import RemoteHost
from provisioning.hosts.remote_container import RemoteContainer
from provisioning.hosts.remote_servers import RemoteServers
from provisioning.inventory import Inventory
from provisioning.state import held
from provisioning.waiting import wait_until

Objection = Callable[[str], FaultError | None]
"""Says of a host, from what the cluster shows at this moment, why nothing there may be harmed; None: it may."""

START_SECONDS = 10.0
"""What a start may take on a loaded machine, beside two node timeouts."""

LONGEST_HARM = 10
"""Node timeouts for each server of a host until it starts them by itself: each may need a second election."""

RETRY_SECONDS = 0.5


class RealSite:
    """The nodes of a real inventory, as faults.inject wants them. Its node timeout must be the cluster's own.

    A host is harmed right after ``permit`` has said that it may be, and not twice for one permission. Its nodes
    are noted before, and each is struck off once it runs again: what a run that was killed left down, the
    host starts after a while, and the next run before anything else (``mend``).
    """

    def __init__(self, inventory: Inventory, objection: Objection) -> None:
        self.inventory = inventory
        self.injections: list[Injection] = []
        self.began = time.time()
        self._objection = objection
        self._permitted = ("", 0.0)
        self._note = HarmNote(inventory)
        self._hosts = {host.name: RemoteHost(host) for host in inventory.hosts}
        containers = {node.full_name: node.container or node.name for node in inventory.nodes}
        self.nodes = {
            node.full_name: RemoteContainer(self._hosts[node.host], containers[node.full_name])
            for node in inventory.nodes
        }
        self._servers = {
            host.name: RemoteServers(
                self._hosts[host.name], {node.full_name: containers[node.full_name] for node in host.nodes}
            )
            for host in inventory.hosts
        }

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep all other runs from harming these hosts while the block lasts. Raises FaultError, HostUnreachable."""
        with held(f"harm-{self._note.key}", self._refuse_to_wait), ExitStack() as claims:
            for host in self._hosts.values():
                claims.enter_context(claimed(host))
            yield

    def mend(self) -> list[str]:
        """Start what an earlier run has left down, and return the full names. Raises FaultError."""
        left = [name for name in self._note.names if name in self.nodes]
        problems = []
        for host in self.inventory.hosts:
            names = [node.full_name for node in host.nodes if node.full_name in left]
            try:
                if names:
                    self.start(host.name, names)
            except FaultError as problem:
                problems.append(problem)
        if problems:
            raise problems[0]
        return left

    def permit(self, host: str) -> None:
        """Let that host be harmed now, where its containers are the nodes' and the cluster would survive it.

        Raises FaultError, NodeUnreachable, HostUnreachable.
        """
        for node in self.inventory.host(host).nodes:
            self.nodes[node.full_name].make_sure_of(node)
        if objection := self._objection(host):
            raise objection
        self._permitted = (host, time.monotonic())

    def kill(self, host: str) -> float:
        """Kill all servers of the host that was permitted last, and return the monotonic second right before.

        Raises FaultError, HostUnreachable.
        """
        permitted, at = self._permitted
        self._permitted = ("", 0.0)
        age = time.monotonic() - at
        if permitted != host or age > self.inventory.node_timeout:
            raise FaultError(
                f"nothing on {host} may be taken down without permission",
                expected="permission for that host, no older than the node timeout",
                observed=f"permission for {permitted}, {age:.1f} s old" if permitted else "none",
                advice="ask permit() right before",
            )
        servers = self._servers[host]
        self._note.add(servers.containers)
        longest = LONGEST_HARM * self.inventory.node_timeout * len(servers.containers)
        return servers.kill(EFFECT_SECONDS + longest)

    def start(self, host: str, nodes: Collection[str] = ()) -> None:
        """Start these nodes of the host (default: all), each whatever becomes of the others, until all run.

        Raises FaultError that names what is still down.
        """
        servers = self._servers[host]
        names = nodes or servers.containers
        down = dict.fromkeys(names, "it was not tried")

        def all_up() -> bool:
            try:
                found = servers.start(names)
            except GauntletError as problem:
                found = dict.fromkeys(down, problem.observed)
            for name in down.keys() - found.keys():
                self._note.strike(name)
            down.clear()
            down.update(found)
            return not down

        try:
            wait_until(all_up, "they run", START_SECONDS + 2 * self.inventory.node_timeout, poll=RETRY_SECONDS)
        except WaitTimeout:
            raise FaultError(
                f"{' and '.join(down)} cannot be started and stays down",
                expected="every server that was killed runs again",
                observed=next(iter(down.values())),
                advice=servers.by_hand(down),
            ) from None

    def _refuse_to_wait(self) -> None:
        raise FaultError(
            f"another run on this machine has faults allowed on {self.inventory.name}",
            expected="one run at a time harms these hosts",
            advice="wait for its end",
        )
