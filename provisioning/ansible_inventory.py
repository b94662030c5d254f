"""Read the inventory: an Ansible inventory in YAML.

Understood: the group ``all``, nested by ``children``, each group with ``hosts`` and ``vars``; a host
in several groups; variables of a host over those of its group, of a child group over its parent.
Refused by name: the INI format, host ranges (``web[1:3]``), templates (``{{ ... }}``), tags such as
``!vault``, executable inventories, and ``redis_`` variables that this project does not know.

A host's nodes are one master on ``redis_master_port`` and, with ``redis_slave_of``, one replica on
``redis_slave_port`` of that host's master; or, for any other number, the list ``redis_nodes``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from provisioning.errors import InventoryError
from provisioning.inventory import Host, Inventory, Node, Role, Tls
from provisioning.layout import equal_ranges
from provisioning.slots import SLOTS, SlotRange, joined_ranges, show_ranges

DEFAULT_INVENTORY = Path(__file__).with_name("inventory.yaml")
"""The seed's three hosts."""

BUS_PORT_OFFSET = 10000
"""Client port to bus port where nothing else is said (Redis Cluster specification, "The cluster bus")."""

CLUSTER_VARIABLES = {
    "redis_cluster_name": str,
    "redis_node_timeout": int,
    "redis_appendonly": bool,
    "redis_settings": dict,
    "redis_gauntlet_simulation": str,
}
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
    "redis_tls_ca_file": str,
    "redis_tls_cert_file": str,
    "redis_tls_key_file": str,
}
NODE_KEYS = {
    "name": str,
    "role": str,
    "port": int,
    "bus_port": int,
    "replica_of": str,
    "slots": str,
    "container": str,
    "outside": str,
    "bound": str,
}
INI_SECTION = re.compile(r"\A(?:[ \t]*(?:[#;].*)?\n)*\[[\w:.-]+\][ \t]*$", re.MULTILINE)
PORT = re.compile(r"[0-9]{1,5}")
SECRET_NAME = re.compile(r"(_password|redis_settings|requirepass|masterauth|-pass)$")
"""Variables and settings whose values stand in no message."""
SECRET_NEAR = re.compile(r"pass|masterauth|redis_settings")
"""What a line has in it that may hold a password."""
QUOTED = re.compile(r"'.*'|\".*\"")
LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
PASSWORD_VARIABLE = "REDIS_GAUNTLET_PASSWORD"
"""Environment variable that stands in where the inventory has no ``redis_password``."""


def read_inventory(path: Path) -> Inventory:
    """Return the inventory in that file.

    Raises InventoryError for a file that is missing, empty, malformed, not understood, or that
    contradicts itself (duplicate address, port clash, replica of itself or of nothing, slots that
    overlap or are left out).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise InventoryError(
            f"cannot read the inventory {path}",
            expected="an Ansible inventory in YAML",
            observed=str(problem),
            advice="name an existing file; provisioning/inventory.yaml is an example",
        ) from None
    return parse_inventory(text, str(path))


def parse_inventory(text: str, source: str) -> Inventory:
    """Return the inventory written in ``text``; ``source`` is its name in messages. Raises InventoryError."""
    if text.startswith("#!"):
        raise _refusal(source, "executable inventories are not understood here: write YAML", text.splitlines()[0])
    if ini := INI_SECTION.search(text):
        raise _refusal(source, "the INI format is not understood here: write YAML", ini[0].strip())
    try:
        document = yaml.load(text, Loader=_StrictLoader)
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        # Beside YAMLError: what PyYAML lets through for values such as 2024-99-99 or `!!bool x`.
        raise _refusal(source, "it is not YAML that is understood here", _told(problem, text)) from None
    if not isinstance(document, dict) or not document:
        raise _refusal(source, "a mapping with the group `all` is expected", f"found {_kind(document)}")
    variables: dict[str, dict[str, Any]] = {}
    try:
        _walk(source, "all", document.get("all"), {}, variables)
        for group in [each for each in document if each != "all"]:
            _walk(source, str(group), document[group], _vars_of_all(source, document), variables)
    except RecursionError:
        raise _refusal(source, "a group must not contain itself", "groups nested without end") from None
    if not variables:
        raise _refusal(source, "it names no host", "no group has `hosts`")
    cluster_wide = {
        name: _common(source, name, [each.get(name) for each in variables.values()]) for name in CLUSTER_VARIABLES
    }
    hosts = [_host(source, name, values) for name, values in variables.items()]
    hosts = _resolved(source, hosts)
    timeout = 5000 if cluster_wide["redis_node_timeout"] is None else cluster_wide["redis_node_timeout"]
    if timeout < 1:
        raise _refusal(source, "redis_node_timeout is milliseconds and positive", str(timeout))
    appendonly = cluster_wide["redis_appendonly"]
    return Inventory(
        name=cluster_wide["redis_cluster_name"] or Path(source).stem,
        hosts=tuple(hosts),
        node_timeout_ms=timeout,
        appendonly=True if appendonly is None else appendonly,
        settings={
            str(key): _setting(source, str(key), value) for key, value in (cluster_wide["redis_settings"] or {}).items()
        },
        simulation=cluster_wide["redis_gauntlet_simulation"] or "",
        source=source,
    )


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice instead of keeping the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (list, dict)):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _walk(
    source: str, group: str, content: object, inherited: Mapping[str, Any], found: dict[str, dict[str, Any]]
) -> None:
    if content is None:
        return
    if not isinstance(content, dict) or not set(content) <= {"hosts", "vars", "children"}:
        extra = sorted(map(str, set(content) - {"hosts", "vars", "children"})) if isinstance(content, dict) else []
        raise _refusal(
            source,
            f"group {group!r} may have `hosts`, `vars` and `children` only",
            f"found {', '.join(extra) or _kind(content)}",
        )
    own = _mapping(source, f"vars of {group!r}", content.get("vars"))
    here = {**inherited, **own}
    for child, inner in _mapping(source, f"children of {group!r}", content.get("children")).items():
        _walk(source, str(child), inner, here, found)
    for host, values in _mapping(source, f"hosts of {group!r}", content.get("hosts")).items():
        name = str(host)
        if "[" in name:
            raise _refusal(source, "host ranges are not understood here: write each host out", name)
        _check_name(source, "a host", name)
        specific = _mapping(source, f"variables of {name!r}", values)
        found[name] = {**here, **found.get(name, {}), **specific}


def _mapping(source: str, what: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _refusal(source, f"{what} must be a mapping", f"found {_kind(value)}")
    return {str(key): each for key, each in value.items()}


def _vars_of_all(source: str, document: Mapping[Any, Any]) -> dict[str, Any]:
    content = document.get("all")
    return _mapping(source, "vars of 'all'", content.get("vars")) if isinstance(content, dict) else {}


def _check_name(source: str, what: str, name: str) -> None:
    if not name or "/" in name or any(each.isspace() or not each.isprintable() for each in name):
        raise _refusal(source, f"the name of {what} must be a word without slash", repr(name))


def _common(source: str, name: str, values: list[Any]) -> Any:
    given = [value for value in values if value is not None]
    if any(value != given[0] for value in given):
        raise _refusal(source, f"{name} must be the same for all hosts", f"found {_shown(name, given)}")
    return _typed(source, name, given[0], CLUSTER_VARIABLES[name]) if given else None


def _typed(source: str, name: str, value: object, kind: type) -> Any:
    if isinstance(value, str) and "{{" in value:
        expected = f"{name} is a template; templates are not understood here: write the value"
        raise _refusal(source, expected, _shown(name, value, str))
    if kind is bool and isinstance(value, str) and value.lower() in ("yes", "no"):
        return value.lower() == "yes"
    if kind is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if kind is int and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _refusal(source, f"{name} must be a {kind.__name__}", f"found {_shown(name, value)}")
    return value


def _shown(name: str, value: object, show: Callable[[object], str] = repr) -> str:
    """Return a value for a message; one that is or may hold a password is not shown."""
    return "(not shown)" if SECRET_NAME.search(name) else show(value)


def _told(problem: Exception, text: str) -> str:
    """Return what is wrong with the YAML, and in which line; never the line itself, which may hold a password."""
    mark = problem.problem_mark or problem.context_mark if isinstance(problem, yaml.MarkedYAMLError) else None
    if not isinstance(problem, yaml.MarkedYAMLError) or mark is None:
        return "a character, a date, a number or a tag that cannot be read"
    said = " ".join(f"{problem.context or ''} {problem.problem or ''}".split())
    before, line = ["", *LINE_BREAK.split(text), ""][mark.line : mark.line + 2]
    if SECRET_NEAR.search(line) or (before.rstrip().endswith(":") and SECRET_NEAR.search(before)):
        said = QUOTED.sub("(not shown)", said)
    return f"line {mark.line + 1}: {said}"


def _host(source: str, name: str, variables: dict[str, Any]) -> Host:
    known = {**HOST_VARIABLES, **CLUSTER_VARIABLES}
    unknown = sorted(key for key in variables if key.startswith("redis_") and key not in known)
    if unknown:
        raise _refusal(source, f"host {name!r} has variables that are not known here", ", ".join(unknown))
    value = {key: _typed(source, f"{name}: {key}", each, known[key]) for key, each in variables.items() if key in known}
    ansible_host = _typed(source, f"{name}: ansible_host", variables.get("ansible_host", name), str)
    address = value.get("redis_address", ansible_host)
    tls_files = tuple(value.get(f"redis_tls_{each}_file", "") for each in ("ca", "cert", "key"))
    entries = value.get("redis_nodes")
    if entries is None and value.get("redis_slave_of") == name:
        raise _refusal(source, f"redis_slave_of of {name!r} must name another host", "it names the host itself")
    if entries is None:
        entries = list(_seed_nodes(value))
    nodes = [
        _node(source, name, address, entry, value, Tls(*tls_files) if any(tls_files) else None) for entry in entries
    ]
    if not nodes:
        raise _refusal(source, f"host {name!r} has no node", "redis_nodes is empty")
    connection = str(variables.get("ansible_connection", "ssh"))
    rest = {key: each for key, each in variables.items() if not key.startswith("redis_")}
    return Host(name, address, tuple(nodes), ansible_host, connection, rest)


def _seed_nodes(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    port = value.get("redis_master_port", 6373)
    bus = value.get("redis_cluster_master_port", port + BUS_PORT_OFFSET)
    yield {"name": "redis_master", "role": "master", "port": port, "bus_port": bus}
    if "redis_slave_of" in value:
        port = value.get("redis_slave_port", 6374)
        bus = value.get("redis_cluster_slave_port", port + BUS_PORT_OFFSET)
        target = f"{value['redis_slave_of']}/redis_master"
        yield {"name": "redis_slave", "role": "replica", "port": port, "bus_port": bus, "replica_of": target}


def _node(source: str, host: str, address: str, entry: object, value: Mapping[str, Any], tls: Tls | None) -> Node:
    fields = _mapping(source, f"a node of {host!r}", entry)
    unknown = sorted(set(fields) - set(NODE_KEYS))
    if unknown:
        raise _refusal(source, f"a node of {host!r} has keys that are not known here", ", ".join(unknown))
    fields = {key: _typed(source, f"{host}: {key}", each, NODE_KEYS[key]) for key, each in fields.items()}
    role = fields.get("role")
    missing = [key for key in ("name", "role", "port") if key not in fields]
    if missing:
        raise _refusal(source, f"a node of {host!r} lacks {', '.join(missing)}", str(fields))
    if role not in ("master", "replica"):
        raise _refusal(source, f"role of {host}/{fields['name']} must be master or replica", str(role))
    if (role == "replica") != ("replica_of" in fields):
        raise _refusal(source, f"{host}/{fields['name']}: a replica, and only a replica, has replica_of", str(fields))
    if role == "replica" and fields.get("slots"):
        raise _refusal(source, f"{host}/{fields['name']}: a replica has no slots", str(fields))
    _check_name(source, f"a node of {host!r}", fields["name"])
    port = fields["port"]
    bus_port = fields.get("bus_port", port + BUS_PORT_OFFSET)
    for each in (port, bus_port):
        if not 0 < each < 65536:
            raise _refusal(source, f"a port of {host}/{fields['name']} must be in 1-65535", str(each))
    try:
        slots = tuple(SlotRange.parse(part) for part in fields.get("slots", "").replace(",", " ").split())
    except ValueError as problem:
        raise _refusal(source, f"slots of {host}/{fields['name']}", str(problem)) from None
    outside = fields.get("outside", f"{value.get('redis_outside_address', address)}:{port}")
    outside_host, _, outside_port = outside.rpartition(":")
    if not outside_host or not PORT.fullmatch(outside_port) or not 0 < int(outside_port) < 65536:
        raise _refusal(source, f"outside of {host}/{fields['name']} must be HOST:PORT", outside)
    chosen: Role = "master" if role == "master" else "replica"
    return Node(
        host=host,
        name=fields["name"],
        role=chosen,
        port=port,
        bus_port=bus_port,
        bound=tuple(fields.get("bound", address).split()),
        announced=address,
        lan=address,
        outside=(outside_host, int(outside_port)),
        replica_of=fields.get("replica_of", ""),
        slots=slots,
        container=fields.get("container", ""),
        user=value.get("redis_user", ""),
        password=value.get("redis_password", os.environ.get(PASSWORD_VARIABLE, "")),
        tls=tls,
    )


def _resolved(source: str, hosts: list[Host]) -> list[Host]:
    """Return the hosts with replica targets checked and the slots of masters filled in."""
    nodes = [node for host in hosts for node in host.nodes]
    addresses: dict[str, str] = {}
    for host in hosts:
        if (other := addresses.setdefault(host.address, host.name)) != host.name:
            raise _refusal(source, f"{other} and {host.name} have the same address", host.address)
    listening: dict[tuple[str, int], str] = {}
    names: set[str] = set()
    for node in nodes:
        if node.full_name in names:
            raise _refusal(source, "two nodes of one host have the same name", node.full_name)
        names.add(node.full_name)
        for port in (node.port, node.bus_port):
            if (other := listening.setdefault((node.host, port), node.full_name)) != node.full_name or (
                node.port == node.bus_port
            ):
                raise _refusal(source, f"{other} and {node.full_name} both want port {port}", f"host {node.host}")
    masters = {node.full_name: node for node in nodes if node.role == "master"}
    for node in nodes:
        if node.role == "replica" and node.replica_of not in masters:
            target = node.replica_of
            why = (
                "itself"
                if target == node.full_name
                else "a replica"
                if target in names
                else "no node of this inventory"
            )
            raise _refusal(source, f"{node.full_name} must replicate a master", f"it names {target}, which is {why}")
    if len(masters) < 3:
        raise _refusal(
            source, "a Redis Cluster needs at least 3 masters to elect a successor", f"{len(masters)} masters"
        )
    given = joined_ranges(each for node in masters.values() for each in node.slots)
    if not given:
        filled = dict(zip(masters, equal_ranges(len(masters)), strict=True))
        return [_with_nodes(host, {name: (each,) for name, each in filled.items()}) for host in hosts]
    total = sum(len(each) for node in masters.values() for each in node.slots)
    if given != (SlotRange(0, SLOTS - 1),) or total != SLOTS:
        raise _refusal(
            source, "the slots of all masters must be 0-16383, each once", f"{show_ranges(given)}, {total} in all"
        )
    return hosts


def _with_nodes(host: Host, slots: Mapping[str, tuple[SlotRange, ...]]) -> Host:
    return replace(host, nodes=tuple(replace(node, slots=slots.get(node.full_name, node.slots)) for node in host.nodes))


def _setting(source: str, name: str, value: object) -> str:
    if not name or not isinstance(value, (str, int, float)) or any(each in f"{name}{value}" for each in "\r\n\0"):
        expected = "each of redis_settings is a directive with its value on one line"
        raise _refusal(source, expected, f"{name}: {_shown(name, value)}")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(_typed(source, f"redis_settings: {name}", value, str))


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _refusal(source: str, why: str, observed: str) -> InventoryError:
    return InventoryError(
        f"the inventory {source} cannot be used: {why}",
        expected="an Ansible inventory in YAML, of the subset that is understood",
        observed=observed,
        advice="correct the file; the head of provisioning/ansible_inventory.py describes the subset",
    )
