"""Data that is not kept, not where it belongs, or gone."""

from __future__ import annotations

from provisioning.cluster import Cluster
from provisioning.inventory import Node
from provisioning.resp import Refused
from provisioning.slots import key_in_slot
from provisioning.waiting import wait_until
from tests.dataset import fill
from tests.planted.acts import ENGINE_SECONDS, configure, kill, on_host, start
from tests.planted.plant import Bed, plant
from tests.planted.repairing import inside

IN_ITS_LAYER = "/var/lib/lost"

# What a file or a setting is now is not what the inventory has.
OTHER_FILE = {"config-file-differs", "volume-missing"}

# A replica whose password is wrong never gets its link back, and then may not take over. Once it was made
# to, two masters are on one host.
LOCKED_OUT = {
    *("replica-link-down", "replica-stale", "replica-cannot-take-over"),
    *("host-loss-not-survivable", "masters-concentrated-on-one-host"),
}


@plant("persistence-off", "no node writes an AOF or an RDB file", also={"config-not-as-wanted"}, rebuild=True)
def persistence_off(cluster: Cluster) -> tuple[str, ...]:
    configure(cluster, cluster.inventory.nodes, "save", "")
    return configure(cluster, cluster.inventory.nodes, "appendonly", "no")


# A master that could not save refuses writes, unless it is told not to.
@plant("persistence-failing", "the disk took no file for a while, and the last save failed", also={"slot-not-writable"})
def save_failed(cluster: Cluster) -> str:
    node = cluster.inventory.masters[0]
    on_host(cluster, node.host, f"chmod a-w {node.data_dir}")
    cluster.call(node, "BGSAVE")
    wait_until(lambda: cluster.info(node)["rdb_last_bgsave_status"] == "err", "a save that failed", ENGINE_SECONDS)
    on_host(cluster, node.host, f"chmod u+w {node.data_dir}")
    return node.full_name


@plant(
    "data-not-on-a-volume",
    "a replica's file names a directory in its container's own layer",
    also=OTHER_FILE,
    bed=Bed(alone=True),
)
def data_in_the_container(cluster: Cluster) -> str:
    node = cluster.inventory.replicas[0]
    copied = inside(cluster, node, f"cp -a /data {IN_ITS_LAYER}")
    assert copied.code == 0, copied.output
    kill(cluster, node)
    on_host(cluster, node.host, f"sed -i 's|^dir .*|dir {IN_ITS_LAYER}|' {node.config_file}")
    start(cluster, node)
    return node.full_name


@plant("stray-keys", "a master has a key in a slot of another")
def key_in_a_foreign_slot(cluster: Cluster) -> str:
    node, owner = cluster.inventory.masters[:2]
    slot = owner.slots[0].first
    cluster.call(node, "CLUSTER", "SETSLOT", slot, "IMPORTING", cluster.ids()[owner.full_name])
    with cluster.connection(node) as link:
        asking, stored = link.calls([("ASKING",), ("SET", key_in_slot(slot, "stray:"), "left behind")])
    assert (asking, stored) == ("OK", "OK")
    cluster.call(node, "CLUSTER", "SETSLOT", slot, "STABLE")
    return node.full_name


@plant(
    "restarted-empty",
    "a master lost its data but not its nodes.conf, and its replica still has it",
    also=LOCKED_OUT,
    then=("replication-password-differs", "role-differs"),
    bed=Bed(alone=True),
)
def data_lost_but_for_the_replica(cluster: Cluster) -> str:
    fill(cluster)
    master = cluster.inventory.masters[0]
    replica = next(node for node in cluster.inventory.replicas if node.replica_of == master.full_name)
    configure(cluster, [replica], "masterauth", "not the password")
    cluster.call(replica, "CLIENT", "KILL", "TYPE", "master")
    lose_data(cluster, master)
    return master.full_name


def lose_data(cluster: Cluster, node: Node) -> None:
    """Kill a server and start it again within the node timeout without its data, but as the member that it was."""
    kill(cluster, node)
    on_host(cluster, node.host, f"find {node.data_dir} -mindepth 1 ! -name nodes.conf -delete")
    start(cluster, node)
    cluster.wait_for(lambda: _serves(cluster, node), f"{node.full_name} serves its slots again", cluster.rejoin_budget)


def _serves(cluster: Cluster, node: Node) -> bool:
    try:
        return bool(cluster.call(node, "GET", cluster.key_in(node.slots[0].first)) is None)
    except Refused:
        return False
