"""Files that were edited on a host, and containers that do not run.

A simulated host has no engine and no kernel of its own, and a container keeps its volumes, image and limits
for life: restart-policy, image-unpinned, volume-missing, engine-down, service-not-enabled, overcommit-memory,
transparent-huge-pages and open-files-limit are shown on hand-made evidence, in tests/unit/test_rules_machine.py.
"""

from __future__ import annotations

from typing import Any

from provisioning.cluster import Cluster
from provisioning.inventory import Node
from tests.planted.acts import on_host, pause
from tests.planted.plant import plant
from tests.planted.plants.members import DEAD_REPLICA

# A paused process keeps its sockets: the kernel still accepts what nobody will read.
PAUSED = DEAD_REPLICA | {"failed-but-connected"}

# The promoted replica is on another host than was planned; the dead node is a master still, without slots.
TAKEN_OVER = {"role-differs", "masters-concentrated-on-one-host", "failed-master-without-slots"}


def edit(cluster: Cluster, node: Node, command: str) -> str:
    """Run a command of sed on the node's configuration file and return the node's name."""
    on_host(cluster, node.host, f"sed -i '{command}' {node.config_file}")
    return node.full_name


@plant("config-file-differs", "the node timeout in a master's file was edited on its host")
def file_edited(cluster: Cluster) -> str:
    return edit(cluster, cluster.inventory.masters[0], "s/^cluster-node-timeout .*/cluster-node-timeout 15000/")


@plant("config-file-differs", "a replica's file no longer switches its AOF on")
def file_lost_a_line(cluster: Cluster) -> str:
    return edit(cluster, cluster.inventory.replicas[0], "/^appendonly /d")


@plant("config-file-differs", "the masterauth in a master's file is not the one in force")
def file_has_another_password(cluster: Cluster) -> str:
    return edit(cluster, cluster.inventory.masters[0], 's/^masterauth .*/masterauth "another"/')


@plant("container-not-running", "the container of a replica was stopped", also=DEAD_REPLICA)
def container_stopped(cluster: Cluster) -> str:
    return _stopped(cluster, cluster.inventory.replicas[0])


@plant("container-not-running", "the container of a replica is paused", also=PAUSED)
def container_paused(cluster: Cluster) -> str:
    node = cluster.inventory.replicas[0]
    pause(cluster, cluster.simulated.nodes[node.full_name].name)
    return node.full_name


@plant(
    "container-not-running",
    "the container of a master was stopped, and its replica has taken over",
    also=DEAD_REPLICA | TAKEN_OVER,
    then=("role-differs",),
)
def container_of_master_stopped(cluster: Cluster) -> str:
    return _stopped(cluster, cluster.inventory.masters[0])


def _stopped(cluster: Cluster, node: Node) -> str:
    api: Any = cluster.simulated.engine.client.api
    api.stop(cluster.simulated.nodes[node.full_name].name)
    return node.full_name
