"""The layout as a table by host: what an operator looks at first. At most 80 columns."""

from __future__ import annotations

from provisioning.cluster import Cluster
from provisioning.inventory import Inventory


def layout_table(cluster: Cluster) -> str:
    """Return one line per node, grouped by host, with the role that each node has now."""
    lines = [layout_lines(cluster.inventory, cluster.roles())]
    published = [node for node in cluster.inventory.nodes if node.outside[1] != node.port]
    if published:
        lines.append("  reached from here through published ports:")
        lines += [f"    {node.full_name:<34}{node.outside[0]}:{node.outside[1]}" for node in published]
    return "\n".join(lines)


def layout_lines(inventory: Inventory, roles: dict[str, str]) -> str:
    """Return the table for these roles (full name -> ``master 0-5460``, ``replica of ...`` or ``dead``)."""
    lines = [f"  {'host':<13}{'node':<15}{'address':<21}role"]
    for host in inventory.hosts:
        for position, node in enumerate(host.nodes):
            label = host.name if position == 0 else ""
            role = roles.get(node.full_name, "?").replace("/redis_master", "")
            lines.append(f"  {label:<13}{node.name:<15}{node.address:<21}{role}"[:80])
    return "\n".join(lines)
