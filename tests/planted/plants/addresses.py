"""Addresses and hostnames that lead nowhere, to a stranger, or are missing."""

from __future__ import annotations

from provisioning.cluster import Cluster
from tests.planted.acts import configure, on_host
from tests.planted.plant import plant

NOWHERE = "172.17.0.251"
"""On Docker's default bridge: what a container announces that nobody told better. It leaves no machine."""

# Nobody gets to an address that leads nowhere, except over links that there were before.
UNREACHABLE = {"link-disconnected"}

# The same of a master: its clients and its replica are sent there as well.
NO_MASTER = UNREACHABLE | {
    *("moved-to-unreachable-address", "slot-not-writable", "slot-not-readable"),
    *("replica-link-down", "replica-stale"),
}


@plant("unroutable-announced-address", "a replica announces an address of Docker's default bridge", also=UNREACHABLE)
def replica_announces_wrong_ip(cluster: Cluster) -> tuple[str, ...]:
    return configure(cluster, cluster.inventory.replicas[:1], "cluster-announce-ip", NOWHERE)


@plant("unroutable-announced-address", "a master announces an address of Docker's default bridge", also=NO_MASTER)
def master_announces_wrong_ip(cluster: Cluster) -> tuple[str, ...]:
    return configure(cluster, cluster.inventory.masters[:1], "cluster-announce-ip", NOWHERE)


@plant(
    "duplicate-address",
    "a replica announces the address of another replica",
    # The others find a stranger there, so that the replica has no address and no link for them.
    also={
        *("unroutable-announced-address", "node-noaddr", "link-disconnected"),
        *("master-without-replica", "host-loss-not-survivable"),
    },
)
def replica_announces_anothers_ip(cluster: Cluster) -> str:
    one, other = cluster.inventory.replicas[:2]
    configure(cluster, (one,), "cluster-announce-ip", other.announced)
    return other.address


@plant("nonstandard-bus-port", "a replica announces a bus port on which nobody listens", also=UNREACHABLE)
def replica_announces_wrong_bus_port(cluster: Cluster) -> tuple[str, ...]:
    return configure(cluster, cluster.inventory.replicas[:1], "cluster-announce-bus-port", "17000")


@plant("hostname-missing-mixed", "five of six nodes announce a hostname", rebuild=True)
def hostname_missing_on_one_node(cluster: Cluster) -> str:
    *some, last = cluster.inventory.nodes
    for node in some:
        configure(cluster, (node,), "cluster-announce-hostname", f"{node.host}.example.org")
    return last.full_name


@plant(
    "hostname-in-ip-field",
    "a node announces its name where its IP belongs",
    also={"unroutable-announced-address"},  # it is not the inventory's
)
def hostname_announced_as_ip(cluster: Cluster) -> tuple[str, ...]:
    node = cluster.inventory.replicas[0]
    for host in cluster.inventory.hosts:  # every host knows the name, so that nobody asks further away
        on_host(cluster, host.name, f"echo {node.lan} {node.host}.example.org >> /etc/hosts")
    return configure(cluster, (node,), "cluster-announce-ip", f"{node.host}.example.org")


@plant(
    "moved-without-host",
    "nodes are to redirect to hostnames, and have none",
    also={"redirect-loop"},  # a client takes the answer for the node that gave it, and asks that again
)
def redirects_without_host(cluster: Cluster) -> tuple[str, ...]:
    return configure(cluster, cluster.inventory.nodes, "cluster-preferred-endpoint-type", "hostname")


@plant(
    "moved-to-unreachable-address",
    "a master redirects its clients to where nobody answers",
    also=NO_MASTER | {"unroutable-announced-address"},
)
def clients_sent_nowhere(cluster: Cluster) -> tuple[str, ...]:
    configure(cluster, cluster.inventory.masters[:1], "cluster-announce-ip", NOWHERE)
    return tuple(node.full_name for node in cluster.inventory.nodes if node != cluster.inventory.masters[0])
