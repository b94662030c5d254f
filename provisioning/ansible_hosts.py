"""Hosts and nodes from the variables that Ansible, or our reader of its inventories, gives to each host."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from provisioning.ansible_node import read_node
from provisioning.ansible_value import refusal, shown, typed
from provisioning.contradictions import resolved
from provisioning.inventory import BUS_PORT_OFFSET, EVERYWHERE, Host, Inventory, Tls
from provisioning.login import Login, login_from_environment
from provisioning.tls import TlsError, tls_context

NETWORK_MODES = ("host", "published")
"""Whether nodes share their host's network, or are on the engine's bridge with published ports."""

CLUSTER_VARIABLES = {
    "redis_cluster_name": str,
    "redis_node_timeout": int,
    "redis_appendonly": bool,
    "redis_settings": dict,
    "redis_application_user": str,
    "redis_image": str,
    "redis_network_mode": str,
    "redis_gauntlet_simulation": str,
}
TLS_FILES = ("redis_tls_ca_file", "redis_tls_cert_file", "redis_tls_key_file")
PLAYBOOK_VARIABLES = {
    "redis_engine_source": str,
    "redis_log_size": str,
    "redis_log_files": int,
    "redis_tune_kernel": bool,
    "redis_stop_seconds": int,
    "redis_open_files": int,
    "redis_remove_data": bool,
    "redis_confirm": str,
    "redis_state": str,
}
"""What only the playbook reads: see provisioning/roles/redis/defaults/main.yaml."""

FORMS = {
    "redis_engine_source": ("distribution|vendor", "distribution or vendor"),
    "redis_log_size": (r"[1-9]\d*[kmg]", "a number with k, m or g"),
    "redis_log_files": (r"[1-9]\d*", "positive"),
    "redis_stop_seconds": (r"[1-9]\d*", "seconds and positive"),
    "redis_open_files": (r"[1-9]\d*", "positive"),
}
"""Variable -> what its value must look like, as a pattern and in words."""

HOST_VARIABLES = {
    "redis_address": str,
    "redis_outside_address": str,
    "redis_master_port": int,
    "redis_cluster_master_port": int,
    "redis_slave_port": int,
    "redis_cluster_slave_port": int,
    "redis_slave_of": str,
    "redis_nodes": list,
    "redis_user": str,
    "redis_password": str,
    "redis_previous_password": str,
    "redis_tls": bool,
    **dict.fromkeys(TLS_FILES, str),
}


def inventory_of(source: str, variables: Mapping[str, Mapping[str, Any]]) -> Inventory:
    """Return the inventory that these variables, by host, describe; ``source`` is its path, for messages and TLS files.

    Raises InventoryError where they contradict themselves, LoginError or TlsError for an environment that does.
    """
    wide = {name: _common(source, name, [each.get(name) for each in variables.values()]) for name in CLUSTER_VARIABLES}
    for name in PLAYBOOK_VARIABLES.keys() - {"redis_state"}:  # nodes are changed by one host for all
        _common(source, name, [each.get(name) for each in variables.values()])
    login = login_from_environment()
    found_hosts = [_host(source, name, values, login) for name, values in variables.items()]
    hosts = resolved(source, found_hosts)
    _check_tls(source, hosts)
    timeout = 5000 if wide["redis_node_timeout"] is None else wide["redis_node_timeout"]
    if timeout < 1:
        raise refusal(source, "redis_node_timeout is milliseconds and positive", str(timeout))
    appendonly = wide["redis_appendonly"]
    settings = wide["redis_settings"] or {}
    decided = {
        "cluster-node-timeout": wide["redis_node_timeout"] is not None,
        "appendonly": appendonly is not None,
        "slots": any(node.slots for host in found_hosts for node in host.nodes),
        "name": bool(wide["redis_cluster_name"]),
    }
    return Inventory(
        name=wide["redis_cluster_name"] or Path(source).stem,
        hosts=hosts,
        node_timeout_ms=timeout,
        appendonly=True if appendonly is None else appendonly,
        settings={str(key): _setting(source, str(key), value) for key, value in settings.items()},
        simulation=wide["redis_gauntlet_simulation"] or "",
        source=source,
        application_user=wide["redis_application_user"] or "",
        image=wide["redis_image"] or "",
        given=frozenset(name for name, is_given in decided.items() if is_given),
    )


def without_absent(source: str, variables: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the variables of the hosts that are not to leave the cluster, or have left it (``redis_state: absent``).

    Raises InventoryError where one of them follows one that leaves.
    """
    absent = {name for name, values in variables.items() if values.get("redis_state") == "absent"}
    present = {name: values for name, values in variables.items() if name not in absent}
    for name, values in present.items():
        followed = values.get("redis_slave_of")
        if isinstance(followed, str) and followed in absent:
            why = f"{followed} is to leave (redis_state: absent): redis_slave_of of {name} must name another host"
            raise refusal(source, why, f"redis_slave_of: {followed}")
    return present


def _common(source: str, name: str, values: list[Any]) -> Any:
    given = [value for value in values if value is not None]
    if any(value != given[0] for value in given):
        raise refusal(source, f"{name} must be the same for all hosts", f"found {shown(name, given)}")
    kind = {**CLUSTER_VARIABLES, **PLAYBOOK_VARIABLES}[name]
    return typed(source, name, given[0], kind) if given else None


def _host(source: str, name: str, variables: Mapping[str, Any], login: Login) -> Host:
    known = {**HOST_VARIABLES, **CLUSTER_VARIABLES, **PLAYBOOK_VARIABLES}
    unknown = sorted(key for key in variables if key.startswith("redis_") and key not in known)
    if unknown:
        raise refusal(source, f"host {name!r} has variables that are not known here", ", ".join(unknown))
    value = {key: typed(source, f"{name}: {key}", each, known[key]) for key, each in variables.items() if key in known}
    ansible_host = typed(source, f"{name}: ansible_host", variables.get("ansible_host", name), str)
    address = value.get("redis_address", ansible_host)
    login = Login(
        value.get("redis_user", login.user),
        value.get("redis_password", login.password),
        _tls(source, value, login),
        value.get("redis_previous_password", ""),
    )
    entries = value.get("redis_nodes")
    if entries is None and value.get("redis_slave_of") == name:
        raise refusal(source, f"redis_slave_of of {name!r} must name another host", "it names the host itself")
    if entries is None:
        entries = list(_seed_nodes(value))
    outside = value.get("redis_outside_address", address)
    mode = value.get("redis_network_mode", NETWORK_MODES[0])
    if mode not in NETWORK_MODES:
        raise refusal(source, f"redis_network_mode must be {' or '.join(NETWORK_MODES)}", mode)
    if value.get("redis_state", "present") not in ("present", "absent"):
        raise refusal(source, f"redis_state of {name!r} must be present or absent", value["redis_state"])
    for key, (pattern, meaning) in FORMS.items():
        if key in value and not re.fullmatch(pattern, str(value[key])):
            raise refusal(source, f"{name}: {key} must be {meaning}", str(value[key]))
    bound = EVERYWHERE if mode == "published" else address
    nodes = [read_node(source, name, address, outside, bound, entry, login) for entry in entries]
    if not nodes:
        raise refusal(source, f"host {name!r} has no node", "redis_nodes is empty")
    connection = str(variables.get("ansible_connection", "ssh"))
    rest = {key: each for key, each in variables.items() if not key.startswith("redis_")}
    return Host(name, address, tuple(nodes), ansible_host, connection, rest)


def _tls(source: str, value: Mapping[str, Any], login: Login) -> Tls | None:
    files = [value.get(name, "") for name in TLS_FILES]
    wanted = value.get("redis_tls", any(files) or None)
    if wanted is None:
        return login.tls
    placed = (str(Path(source).parent / os.path.expanduser(each)) if each else "" for each in files)
    return Tls(*placed) if wanted else None


def _check_tls(source: str, hosts: tuple[Host, ...]) -> None:
    """Raise InventoryError for TLS files that cannot be used; each is opened once."""
    for tls in dict.fromkeys(node.tls for host in hosts for node in host.nodes if node.tls is not None):
        try:
            tls_context(tls)
        except TlsError as problem:
            raise refusal(source, "its TLS files cannot be used", problem.observed) from None


SAID_BY: Mapping[str, str] = {
    "port": "redis_master_port, redis_slave_port or redis_nodes",
    "bind": "redis_address",
    "cluster-port": "redis_cluster_master_port, redis_cluster_slave_port or redis_nodes",
    "cluster-announce-ip": "redis_address",
    "cluster-announce-port": "redis_master_port, redis_slave_port or redis_nodes",
    "cluster-announce-bus-port": "redis_cluster_master_port, redis_cluster_slave_port or redis_nodes",
    "cluster-node-timeout": "redis_node_timeout",
    "cluster-enabled": "nothing: it is yes",
    "cluster-config-file": "nothing: it is nodes.conf",
    "dir": "nothing: it is the node's volume",
    "daemonize": "nothing: it is no",
    "appendonly": "redis_appendonly",
    "requirepass": "redis_password",
    "masterauth": "redis_password",
}
"""Directives that the project sets itself, and what decides them: a second word on the same would undo the first."""


def _seed_nodes(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    port = value.get("redis_master_port", 6373)
    bus = value.get("redis_cluster_master_port", port + BUS_PORT_OFFSET)
    yield {"name": "redis_master", "role": "master", "port": port, "bus_port": bus}
    if "redis_slave_of" in value:
        port = value.get("redis_slave_port", 6374)
        bus = value.get("redis_cluster_slave_port", port + BUS_PORT_OFFSET)
        target = f"{value['redis_slave_of']}/redis_master"
        yield {"name": "redis_slave", "role": "replica", "port": port, "bus_port": bus, "replica_of": target}


def _setting(source: str, name: str, value: object) -> str:
    if name.lower() in SAID_BY:
        raise refusal(source, f"{name} does not belong into redis_settings", f"say it by {SAID_BY[name.lower()]}")
    if not name or not isinstance(value, (str, int, float)) or any(each in f"{name}{value}" for each in "\r\n\0"):
        expected = "each of redis_settings is a directive with its value on one line"
        raise refusal(source, expected, f"{name}: {shown(name, value)}")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(typed(source, f"redis_settings: {name}", value, str))
