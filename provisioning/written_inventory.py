"""The effective inventory as a file: what a simulation's real addresses and password are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from provisioning.inventory import Inventory, Node, Tls


def write_inventory(inventory: Inventory, path: Path) -> None:
    """Write the inventory, passwords included, readable by its owner only."""
    logins = [_written_login(host.nodes[0]) for host in inventory.hosts]
    shared_login = {name: value for name, value in logins[0].items() if all(each.get(name) == value for each in logins)}
    hosts: dict[str, Any] = {}
    for host, login in zip(inventory.hosts, logins, strict=True):
        hosts[host.name] = {
            "ansible_host": host.ansible_host,
            "ansible_connection": host.connection,
            "redis_address": host.address,
            "redis_nodes": [_written_node(node, "slots" in inventory.given) for node in host.nodes],
            **{name: value for name, value in login.items() if name not in shared_login},
        }
    shared: dict[str, Any] = {"redis_cluster_name": inventory.name, **_written_decisions(inventory), **shared_login}
    rest = {
        "redis_settings": dict(inventory.settings),
        "redis_application_user": inventory.application_user,
        "redis_image": inventory.image,
        "redis_gauntlet_simulation": inventory.simulation,
    }
    shared |= {name: value for name, value in rest.items() if value}
    document = {"all": {"children": {"redis_cluster": {"vars": shared, "hosts": hosts}}}}
    text = "# The effective inventory: written by redis-gauntlet, the addresses are real.\n"
    text += yaml.safe_dump(document, sort_keys=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _written_login(node: Node) -> dict[str, Any]:
    """Return all that a login has, also what is empty: no environment is to stand in for it."""
    tls = node.tls or Tls()
    files = zip(("ca", "cert", "key"), (tls.ca_file, tls.cert_file, tls.key_file), strict=True)
    return {
        "redis_user": node.user,
        "redis_password": node.password,
        "redis_tls": node.tls is not None,
        **{f"redis_tls_{each}_file": file for each, file in files if file},
    }


def _written_decisions(inventory: Inventory) -> dict[str, Any]:
    """Return what the inventory decides and could have left to us."""
    values = {
        "cluster-node-timeout": ("redis_node_timeout", inventory.node_timeout_ms),
        "appendonly": ("redis_appendonly", inventory.appendonly),
    }
    return dict(pair for name, pair in values.items() if name in inventory.given)


def _written_node(node: Node, with_slots: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": node.name, "role": node.role, "port": node.port, "bus_port": node.bus_port}
    if node.role == "replica":
        entry["replica_of"] = node.replica_of
    elif with_slots:
        entry["slots"] = ",".join(map(str, node.slots))
    if node.container:
        entry["container"] = node.container
    if node.bound != (node.lan,):
        entry["bound"] = " ".join(node.bound)
    if node.outside[0]:
        entry["outside"] = f"{node.outside[0]}:{node.outside[1]}"
    return entry
