"""What plants do to nodes and hosts beyond sending commands. A rebuild of the cluster undoes all of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Any

import docker.errors

from provisioning.cluster import Cluster
from provisioning.faults import KillNode
from provisioning.hosts.simulated import File
from provisioning.inventory import Node
from provisioning.resp import Refused
from provisioning.waiting import wait_until
from tests.planted.repairing import inside

ENGINE_SECONDS = 15.0
"""What the engine may take to notice an end, or to start a container, on a loaded machine."""

BAN_SECONDS = 61.0
"""A forgotten id is not taken in again for 60 s (Redis documentation, CLUSTER FORGET)."""

STRANGERS_PORT = 7001
STRANGERS_DIR = "/tmp/stranger"


def configure(cluster: Cluster, nodes: Iterable[Node], name: str, value: str) -> tuple[str, ...]:
    """Send CONFIG SET to these nodes and return their names."""
    asked = tuple(nodes)
    for node in asked:
        assert cluster.call(node, "CONFIG", "SET", name, value) == "OK"
    return tuple(node.full_name for node in asked)


def follow(cluster: Cluster, replica: Node, master: Node) -> None:
    """Let the replica follow that master."""
    assert cluster.call(replica, "CLUSTER", "REPLICATE", cluster.ids()[master.full_name]) == "OK"


def kill(cluster: Cluster, *nodes: Node) -> None:
    """Kill these servers, and see them dead."""
    for node in nodes:
        cluster.simulated.nodes[node.full_name].signal("KILL")
    wait_until(
        lambda: all(KillNode(node).effect(cluster.simulated) for node in nodes),
        f"the death of {', '.join(node.full_name for node in nodes)}",
        ENGINE_SECONDS,
    )


def start(cluster: Cluster, *nodes: Node) -> None:
    """Start these servers, and hear them answer."""
    for node in nodes:
        cluster.simulated.nodes[node.full_name].start()
    wait_until(
        lambda: all(cluster.state(node) != "unreachable" for node in nodes),
        f"an answer of {', '.join(node.full_name for node in nodes)}",
        ENGINE_SECONDS,
    )


def pause(cluster: Cluster, container: str) -> None:
    """Let the engine pause this container, and ask it again while a process there waits for the disk.

    Such a process cannot be frozen with version 1 of control groups. The engine gives up in milliseconds,
    lets the container run on and says so; asking again is its caller's part (opencontainers/runc#4388).
    """
    api: Any = cluster.simulated.engine.client.api
    answers: list[str] = []

    def paused() -> bool:
        try:
            api.pause(container)
        except docker.errors.APIError as problem:
            answers.append(str(problem))
            if "unable to freeze" not in answers[-1]:
                raise
            return False
        return True

    wait_until(paused, f"{container} is paused", ENGINE_SECONDS, shown=lambda: answers[-1])


def on_host(cluster: Cluster, host: str, command: str) -> str:
    """Run a shell command on the simulated host and return its output."""
    return cluster.simulated.hosts[host].sure("sh", "-c", command)


def edit_nodes_conf(cluster: Cluster, node: Node, edit: Callable[[str], str]) -> None:
    """Change the nodes.conf of a node that is down."""
    path = f"{node.data_dir}/nodes.conf"
    text = on_host(cluster, node.host, f"cat {path}")
    server = cluster.simulated.images.server
    cluster.simulated.host_of(node).put([File(path, edit(text), server.uid, server.gid)])


def forget_in_nodes_conf(cluster: Cluster, node: Node, node_ids: Collection[str]) -> None:
    """Take these nodes' lines out of the nodes.conf of a node that is down."""
    edit_nodes_conf(
        cluster,
        node,
        lambda text: "".join(line for line in text.splitlines(keepends=True) if line.split()[0] not in node_ids),
    )


def blank(cluster: Cluster, node: Node, *names: str) -> None:
    """Remove these files, or all, from the data of a node that is down."""
    paths = " ".join(f"{node.data_dir}/{name}" for name in names) or f"{node.data_dir}/*"
    on_host(cluster, node.host, f"rm -rf {paths}")


def change_server(cluster: Cluster, node: Node, reference: str) -> None:
    """Put a container of another image in the place of the node's, and start it."""
    api: Any = cluster.simulated.engine.client.api
    name = cluster.simulated.nodes[node.full_name].name
    before = api.inspect_container(name)
    host = before["HostConfig"]
    api.remove_container(name, force=True)
    api.create_container(
        reference,
        name=name,
        command=before["Config"]["Cmd"],
        labels=before["Config"]["Labels"],
        host_config=api.create_host_config(
            binds=host["Binds"], network_mode=host["NetworkMode"], pid_mode=host["PidMode"]
        ),
    )
    start(cluster, node)


def forget(cluster: Cluster, member: Node) -> None:
    """Let all others forget a working member, and wait until they could take it in again."""
    node_id = cluster.ids()[member.full_name]
    for node in cluster.inventory.nodes:
        if node != member:
            with suppress(Refused):  # since Redis 7.2 they tell each other; a replica cannot forget its master
                cluster.call(node, "CLUSTER", "FORGET", node_id)
    over = time.monotonic() + BAN_SECONDS
    cluster.wait_for(lambda: time.monotonic() > over, "the end of the ban", BAN_SECONDS + 1)


def start_stranger(cluster: Cluster) -> str:
    """Start one more server beside the first node and make it a member; return its address."""
    beside = cluster.inventory.nodes[0]
    settings = {
        "port": str(STRANGERS_PORT),
        "bind": f"{beside.lan} 127.0.0.1",
        "dir": STRANGERS_DIR,
        "cluster-enabled": "yes",
        "cluster-node-timeout": str(cluster.inventory.node_timeout_ms),
        "cluster-announce-ip": beside.lan,
        "requirepass": beside.password,
        "masterauth": beside.password,
        "save": '""',
    }
    server = cluster.simulated.images.server.server
    api: Any = cluster.simulated.engine.client.api
    job = api.exec_create(
        cluster.simulated.nodes[beside.full_name].name,
        ["sh", "-c", f'rm -rf {STRANGERS_DIR}; mkdir {STRANGERS_DIR}; printf "%s" "$CONF" | exec {server}-server -'],
        environment={"CONF": "".join(f"{name} {value}\n" for name, value in settings.items())},
    )
    api.exec_start(job["Id"], detach=True)
    here = f"redis-cli -p {STRANGERS_PORT}"
    wait_until(lambda: inside(cluster, beside, f"{here} PING").output.strip() == "PONG", "the stranger", ENGINE_SECONDS)
    inside(cluster, beside, f"{here} CLUSTER MEET {beside.lan} {beside.port} {beside.bus_port}")
    address = f"{beside.lan}:{STRANGERS_PORT}"
    cluster.wait_for(
        lambda: all(
            view is not None and address in view.by_address and "handshake" not in view.by_address[address].flags
            for view in cluster.views().values()
        ),
        "the stranger is a member everywhere",
        ENGINE_SECONDS,
    )
    return address


def stop_stranger(cluster: Cluster) -> None:
    """End it for good."""
    inside(cluster, cluster.inventory.nodes[0], f"redis-cli -p {STRANGERS_PORT} SHUTDOWN NOSAVE")


def close_port(cluster: Cluster, node: Node, port: int, *, to: Iterable[str] = (), only_new: bool = False) -> None:
    """Let the node's host drop what these hosts (default: all others) send to that port."""
    others = tuple(to) or tuple(host.name for host in cluster.inventory.hosts if host.name != node.host)
    state = " --syn" if only_new else ""
    for host in others:
        sender = cluster.inventory.host(host).nodes[0].lan
        on_host(cluster, node.host, f"iptables -A INPUT -p tcp -s {sender} --dport {port}{state} -j DROP")
