"""Doors that stand open, and logins that would fail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from provisioning.cluster import Cluster
from provisioning.inventory import Inventory, Node
from tests.planted.acts import configure
from tests.planted.plant import Bed, plant

APPLICATION = "app"

# An open node takes any command, and refuses the password that its replica sends it (which it did not ask for).
OPEN = {"no-authentication", "dangerous-commands-open", "replication-password-differs"}

# A link that broke cannot come back, and what the replica lacks since then would be lost.
CUT_OFF = {
    *("replica-link-down", "replica-never-synced", "replica-stale", "replica-lagging", "replica-cannot-take-over"),
    *("host-loss-not-survivable", "writes-refused"),
}

# A node that refuses other hosts answers nobody's questions, nor any client's.
REFUSING = {"node-unreachable", "slot-not-writable", "slot-not-readable"}


def open_up(cluster: Cluster, nodes: Iterable[Node]) -> tuple[str, ...]:
    """Let these nodes take commands without a login, and return their names."""
    asked = tuple(nodes)
    for node in asked:
        assert cluster.call(node, "ACL", "SETUSER", "default", "nopass") == "OK"
    return configure(cluster, asked, "protected-mode", "no")


def with_application(inventory: Inventory) -> Inventory:
    """Return the inventory of a cluster whose application has a user of its own."""
    return replace(inventory, application_user=APPLICATION)


@plant("no-authentication", "one master's default user needs no password", also=OPEN, rebuild=True)
def default_user_without_password(cluster: Cluster) -> tuple[str, ...]:
    return open_up(cluster, cluster.inventory.masters[:1])


@plant("no-authentication", "one replica's default user needs no password", also=OPEN, rebuild=True)
def default_user_without_password_on_replica(cluster: Cluster) -> tuple[str, ...]:
    return open_up(cluster, cluster.inventory.replicas[:1])


@plant("dangerous-commands-open", "no node asks for a password: anybody may send FLUSHALL", also=OPEN, rebuild=True)
def dangerous_commands_for_strangers(cluster: Cluster) -> tuple[str, ...]:
    return open_up(cluster, cluster.inventory.nodes)


@plant("dangerous-commands-open", "the application's user may send FLUSHALL", bed=Bed(change=with_application))
def dangerous_commands_for_application(cluster: Cluster) -> tuple[str, ...]:
    for node in cluster.inventory.nodes:
        cluster.call(node, "ACL", "SETUSER", APPLICATION, "on", f">{node.password}", "~*", "+@all", "-@admin")
    return tuple(node.full_name for node in cluster.inventory.nodes)


@plant("replication-password-differs", "a replica has another masterauth; its link is still up")
def masterauth_wrong(cluster: Cluster) -> tuple[str, ...]:
    return configure(cluster, cluster.inventory.replicas[:1], "masterauth", "wrong")


@plant("replication-password-differs", "a replica has another masterauth and has lost its link", also=CUT_OFF)
def masterauth_wrong_at_reconnect(cluster: Cluster) -> tuple[str, ...]:
    replica = cluster.inventory.replicas[0]
    named = configure(cluster, (replica,), "masterauth", "wrong")
    cluster.call(cluster.inventory.node(replica.replica_of), "CLIENT", "KILL", "TYPE", "replica")
    return named


@plant("replication-password-differs", "a master has no masterauth for the day when it is a replica")
def masterauth_missing_on_master(cluster: Cluster) -> tuple[str, ...]:
    return configure(cluster, cluster.inventory.masters[:1], "masterauth", "")


@plant("protected-mode-blocks", "a master in protected mode has lost its password", also=REFUSING)
def protected_mode_on_master(cluster: Cluster) -> tuple[str, ...]:
    return configure(cluster, cluster.inventory.masters[:1], "requirepass", "")


@plant("protected-mode-blocks", "a replica in protected mode has lost its password", also=REFUSING)
def protected_mode_on_replica(cluster: Cluster) -> tuple[str, ...]:
    return configure(cluster, cluster.inventory.replicas[:1], "requirepass", "")
