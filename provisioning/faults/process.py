"""Faults of processes: a node or a host killed, terminated or paused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from provisioning.faults.site import Site
from provisioning.hosts.simulated import Container
from provisioning.inventory import Node
from provisioning.resp import Connection, Refused
from provisioning.simulation import Simulation

if TYPE_CHECKING:
    from provisioning.real_site import RealSite

SIGKILL_EXIT = 137
"""Exit code of a container whose main process was killed: 128 + 9."""


@dataclass(frozen=True)
class _NodeSignalled:
    """A signal to the redis-server of one node. Ends with its start."""

    node: Node
    sent: ClassVar[str]

    def begin(self, simulation: Simulation) -> None:
        self._server(simulation).signal(self.sent)

    def end(self, simulation: Simulation) -> None:
        self._server(simulation).start()

    def healed(self, simulation: Simulation) -> str:
        return _answers(self.node)

    def _server(self, simulation: Simulation) -> Container:
        return simulation.nodes[self.node.full_name]

    def __str__(self) -> str:
        return f"SIG{self.sent} to {self.node.full_name}"


@dataclass(frozen=True)
class KillNode(_NodeSignalled):
    """SIGKILL to the redis-server: it can neither save nor say good-bye. Ends with its start."""

    sent = "KILL"

    def effect(self, simulation: Simulation) -> str:
        return _killed(simulation, self.node)


@dataclass(frozen=True)
class TerminateNode(_NodeSignalled):
    """SIGTERM to the redis-server: an orderly shutdown. Ends with its start."""

    sent = "TERM"

    def effect(self, simulation: Simulation) -> str:
        state = self._server(simulation).state
        return "" if state["Running"] else f"{self.node.full_name} exited with {state['ExitCode']}"


@dataclass(frozen=True)
class PauseNode(_NodeSignalled):
    """SIGSTOP to the redis-server: alive for the kernel, silent for everybody. Ends with SIGCONT."""

    sent = "STOP"

    def effect(self, simulation: Simulation) -> str:
        stopped = _process_state(simulation, self.node).startswith("T")
        return f"the process of {self.node.full_name} is in state T (stopped)" if stopped else ""

    def end(self, simulation: Simulation) -> None:
        self._server(simulation).signal("CONT")


@dataclass(frozen=True)
class KillServers:
    """SIGKILL to every redis-server of a real host at once; the host stays. Ends with their start.

    The site has to permit it right before: see RealSite.permit.
    """

    host: str

    def begin(self, site: RealSite) -> float:
        return site.kill(self.host)

    def effect(self, site: RealSite) -> str:
        proofs = [_killed(site, node) for node in self._nodes(site)]
        return "; ".join(proofs) if all(proofs) else ""

    def end(self, site: RealSite) -> None:
        site.start(self.host)

    def healed(self, site: RealSite) -> str:
        return "; ".join(map(_answers, self._nodes(site)))

    def _nodes(self, site: RealSite) -> tuple[Node, ...]:
        return site.inventory.host(self.host).nodes

    def __str__(self) -> str:
        return f"SIGKILL to all servers of {self.host}"


@dataclass(frozen=True)
class KillHost:
    """The abrupt death of a host: the kernel takes every process in it, atomically.

    It is not a power loss: the page cache survives. Ends with the start of the host and its nodes.
    """

    host: str

    def begin(self, simulation: Simulation) -> None:
        simulation.hosts[self.host].signal("KILL")

    def effect(self, simulation: Simulation) -> str:
        containers = [simulation.hosts[self.host], *self._nodes(simulation)]
        if any(each.running for each in containers):
            return ""
        return f"{self.host} and its {len(containers) - 1} nodes are dead"

    def end(self, simulation: Simulation) -> None:
        simulation.hosts[self.host].start()
        for node in self._nodes(simulation):
            node.start()

    def healed(self, simulation: Simulation) -> str:
        return "; ".join(map(_answers, simulation.inventory.host(self.host).nodes))

    def _nodes(self, simulation: Simulation) -> list[Container]:
        return [simulation.nodes[node.full_name] for node in simulation.inventory.host(self.host).nodes]

    def __str__(self) -> str:
        return f"death of {self.host}"


def _killed(site: Site, node: Node) -> str:
    """Return the proof that the node's server was killed, empty while it was not."""
    state = site.nodes[node.full_name].state
    dead = not state["Running"] and state["ExitCode"] == SIGKILL_EXIT
    return f"{node.full_name} exited with 137 at {state['FinishedAt']}" if dead else ""


def _answers(node: Node) -> str:
    """Return that the node answers PING, LOADING included (it is alive). Raises NodeUnreachable."""
    with Connection.to(node, deadline=1.0) as link:
        try:
            answer = str(link.call("PING"))
        except Refused as refusal:
            answer = refusal.code
    return f"{node.full_name} answers {answer}"


def _process_state(simulation: Simulation, node: Node) -> str:
    """Return the state letters that ``ps`` shows for the redis-server on that node's port."""
    listing = simulation.host_of(node).sure("ps", "-eo", "stat,args")
    return next(
        (
            line.split()[0]
            for line in listing.splitlines()
            if line.rstrip().endswith("[cluster]") and f":{node.port} " in line
        ),
        "",
    )
