"""A cluster's password changes without an outage: running nodes take the new one beside the one that they have."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from provisioning.cluster import Cluster
from provisioning.errors import GauntletError, NodeUnreachable
from provisioning.evidence.rows import pairs, plain
from provisioning.inventory import Inventory, Node
from provisioning.resp import Connection, Refused

WRONG = ("WRONGPASS", "NOAUTH", "ERR invalid password")
"""What a server says to a password that is not its own (Redis 6 and later; to none; before)."""


class PasswordRefused(GauntletError):
    """Running nodes take none of the inventory's passwords."""


def accepted(inventory: Inventory) -> Inventory:
    """Return the inventory with the password that each node takes: the wanted one, or else the previous one.

    A node that does not answer keeps the wanted one. Nothing is changed. Raises PasswordRefused.
    """
    with ThreadPoolExecutor(len(inventory.nodes)) as pool:
        taken = dict(zip(inventory.nodes, pool.map(_logged_in, inventory.nodes), strict=True))
    refusing = [node.full_name for node, known in taken.items() if known is None]
    if refusing:
        has_previous = any(node.previous_password for node in inventory.nodes)
        raise PasswordRefused(
            "running nodes do not take the inventory's password",
            expected=f"redis_password{' or redis_previous_password' * has_previous} logs in to every node that runs",
            observed=f"refused by {', '.join(refusing)}",
            advice="correct it; if the password is to change, give the one that the nodes have as "
            "redis_previous_password (from ansible-vault)",
        )
    return inventory.with_nodes({node.full_name: known for node, known in taken.items() if known is not None})


def _logged_in(node: Node) -> Node | None:
    """Return the node with a password that it takes, None if it takes none."""
    for password in dict.fromkeys((node.password, node.previous_password or node.password)):
        known = replace(node, password=password)
        try:
            with Connection.to(known, read_only=True) as link:
                link.call("PING")
        except Refused as refusal:
            if str(refusal).startswith(WRONG):
                continue
        except NodeUnreachable:
            return node
        return known
    return None


def adopt_password(inventory: Inventory, *, masterauth: bool = True, pretend: bool = False) -> list[str]:
    """Let nodes that have the previous password take the wanted one too; return what was done, or would be.

    With ``masterauth`` they give it to their masters: then no node asks its master for less than that takes, whichever
    of them is restarted first with the new configuration, which takes the previous one no longer. Without, one that
    is restarted with its old configuration, and knows the previous one alone, is still followed.
    Raises PasswordRefused: before anything is changed, or for servers before 6.0, which have one password.
    """
    done: list[str] = []
    if open_nodes := [node.full_name for node in inventory.nodes if not node.password]:
        raise PasswordRefused(
            "an empty password would let everybody in",
            expected="redis_password (from ansible-vault), or REDIS_GAUNTLET_PASSWORD in the environment",
            observed=f"none for {', '.join(open_nodes)}",
            advice="give the new password",
        )
    reached = accepted(inventory)
    cluster = Cluster(reached, read_only=False)
    for node in inventory.nodes:
        if reached.node(node.full_name).password != node.password:
            done.append(f"{node.full_name}: takes the new password beside the previous one")
            if not pretend:
                _add_password(cluster, node)
    for node in inventory.nodes if masterauth else ():
        if node.previous_password:
            with suppress(NodeUnreachable):  # one that does not run gets it with its configuration
                done += _masterauth(cluster, node, pretend)
    return done


def _add_password(cluster: Cluster, node: Node) -> None:
    """Raise PasswordRefused without the server's words: they may repeat the command."""
    try:
        cluster.call(node, "ACL", "SETUSER", node.user or "default", f">{node.password}")
    except Refused as refusal:
        raise PasswordRefused(
            f"{node.full_name} takes no second password",
            expected="ACL SETUSER, which Redis has since 6.0",
            observed=f"an answer that begins with {refusal.code}",
            advice="upgrade first (redis_image), with the password that nodes have; or let ACL be",
        ) from None


def _masterauth(cluster: Cluster, node: Node, pretend: bool) -> list[str]:
    if pairs(plain(cluster.call(node, "CONFIG", "GET", "masterauth"))).get("masterauth") == node.password:
        return []
    if not pretend:
        cluster.call(node, "CONFIG", "SET", "masterauth", node.password)
    return [f"{node.full_name}: set masterauth"]
