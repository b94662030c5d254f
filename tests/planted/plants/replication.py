"""Replicas that do not follow, although their link says so, or that would not take over."""

from __future__ import annotations

from provisioning.cluster import Cluster
from provisioning.inventory import Node
from provisioning.slots import key_in_slot
from tests.planted.acts import configure, on_host
from tests.planted.plant import plant

# A replica that hears nothing lacks what its master went on with, were it only its pings.
SILENCED = {"replica-lagging", "replica-stale"}


@plant("replica-writable", "a replica takes writes of its own")
def replica_writable(cluster: Cluster) -> str:
    (name,) = configure(cluster, cluster.inventory.replicas[:1], "replica-read-only", "no")
    return name


@plant(
    "replica-writable", "a replica took a FLUSHALL of its own: empty, linked and at its master's offset", rebuild=True
)
def replica_flushed(cluster: Cluster) -> str:
    replica = cluster.inventory.replicas[0]
    master = cluster.inventory.node(replica.replica_of)
    cluster.call(master, "SET", key_in_slot(master.slots[0].first, "kept:"), "value")
    cluster.wait_for(
        lambda: cluster.caught_up(replica, master), "the key on the replica", cluster.inventory.node_timeout
    )
    configure(cluster, [replica], "replica-read-only", "no")
    assert cluster.call(replica, "FLUSHALL") == "OK"
    return replica.full_name


@plant(
    "replica-lagging", "nothing gets through an open replication link, while it is written", also=SILENCED, rebuild=True
)
def replica_lagging(cluster: Cluster) -> str:
    replica, master = _silenced(cluster)
    key = key_in_slot(master.slots[0].first, "written:")
    with cluster.connection(master) as link:
        link.calls([("SET", key, f"value {n}") for n in range(1000)])
    return replica.full_name


@plant("replica-stale", "nothing gets through an open replication link", also=SILENCED, rebuild=True)
def replica_silent(cluster: Cluster) -> str:
    configure(cluster, cluster.inventory.nodes, "repl-ping-replica-period", "1")
    return _silenced(cluster)[0].full_name


# A shard whose only replica would not stand is lost with its master.
@plant(
    "replica-cannot-take-over",
    "a replica's data is older than validity factor and node timeout allow",
    also=SILENCED | {"host-loss-not-survivable"},
    rebuild=True,
)
def replica_data_too_old(cluster: Cluster) -> str:
    configure(cluster, cluster.inventory.nodes, "repl-ping-replica-period", "1")
    configure(cluster, cluster.inventory.nodes, "cluster-replica-validity-factor", "1")
    return _silenced(cluster)[0].full_name


def _silenced(cluster: Cluster) -> tuple[Node, Node]:
    """Let the replica's host drop what comes over the connection to its master that it has now; return the two.

    So does a firewall that has forgotten a connection: both ends hold it for open, and a new one works.
    """
    replica = cluster.inventory.replicas[0]
    master = cluster.inventory.node(replica.replica_of)
    sockets = on_host(cluster, replica.host, f"ss -tnH state established dst {master.lan}:{master.port}")
    ports = [line.split()[2].rpartition(":")[2] for line in sockets.splitlines()]
    assert ports, f"{replica.full_name} has no connection to {master.full_name}"
    for port in ports:
        drop = f"-p tcp -s {master.lan} --sport {master.port} --dport {port} -j DROP"
        on_host(cluster, replica.host, f"iptables -A INPUT {drop}")
    return replica, master
