"""An inventory for so many hosts, shards and replicas, where no file describes them."""

from __future__ import annotations

from typing import Any

import yaml

from provisioning.ansible_inventory import parse_inventory
from provisioning.errors import LayoutError
from provisioning.inventory import Inventory
from provisioning.layout import equal_ranges, plan

MOST_HOSTS = 150
"""Hosts of a planned inventory: their last octets begin at 101, as the seed's."""


def planned_inventory(
    hosts: int, shards: int, replicas: int, *, node_timeout_ms: int = 5000, name: str = "redis-gauntlet"
) -> Inventory:
    """Return an inventory of ``shards`` x (1 + ``replicas``) nodes over ``hosts`` hosts. Raises LayoutError."""
    planned = plan(hosts, shards, replicas)
    if hosts > MOST_HOSTS:
        raise LayoutError(
            f"{hosts} hosts have no room in one network",
            expected=f"at most {MOST_HOSTS} hosts",
            observed=str(hosts),
            advice="use fewer --hosts",
        )
    ranges = equal_ranges(shards)
    ports: dict[int, int] = dict.fromkeys(range(hosts), 6372)
    names: dict[tuple[int, int, str], str] = {}
    content: dict[str, dict[str, Any]] = {
        f"redis-host-{host + 1}": {"ansible_host": f"192.168.171.{101 + host}", "redis_nodes": []}
        for host in range(hosts)
    }
    masters: dict[int, str] = {}
    counted: dict[tuple[int, str], int] = {}
    for node in planned:
        ports[node.host] += 1
        number = counted[node.host, node.role] = counted.get((node.host, node.role), 0) + 1
        label = ("redis_master" if node.role == "master" else "redis_slave") + (f"_{number}" if number > 1 else "")
        names[node.host, node.shard, node.role] = label
        entry: dict[str, Any] = {"name": label, "role": node.role, "port": ports[node.host]}
        if node.role == "master":
            masters[node.shard] = f"redis-host-{node.host + 1}/{label}"
            entry["slots"] = str(ranges[node.shard])
        else:
            entry["replica_of"] = masters[node.shard]
        content[f"redis-host-{node.host + 1}"]["redis_nodes"].append(entry)
    document = {
        "all": {
            "children": {
                "redis_cluster": {
                    "vars": {"redis_cluster_name": name, "redis_node_timeout": node_timeout_ms},
                    "hosts": content,
                }
            }
        }
    }
    return parse_inventory(yaml.safe_dump(document, sort_keys=False), f"{shards} shards x {replicas} replicas")
