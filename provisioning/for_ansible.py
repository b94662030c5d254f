"""What the playbook asks of this project: the wanted nodes, their configuration, and steps on the live cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from provisioning.ansible_hosts import inventory_of, without_absent
from provisioning.cluster import Cluster
from provisioning.convergence import Convergence
from provisioning.described import PlaybookError, require_described, require_name
from provisioning.errors import NodeUnreachable
from provisioning.inventory import Host, Inventory, Node
from provisioning.making_way import make_way
from provisioning.password_change import accepted, adopt_password
from provisioning.redis_conf import render_redis_conf
from provisioning.resp import Refused
from provisioning.rolling import contradicting_themselves, require_fit, rolling_order, step_down
from provisioning.server_identity import PROBE, parse_identity
from provisioning.waiting import PATIENCE_SECONDS

PLACE = "of Ansible"

NEWEST = "8"
"""What an image is taken to have while check mode only pretends that it is there."""

TRIES = 3
"""A convergence is tried again that often where a node loads or is silent for a moment: what is done it finds done."""


def act(what: str, arguments: Mapping[str, Any], variables: Mapping[str, Mapping[str, Any]], pretend: bool) -> Any:
    """Do one thing for the playbook and return what its task returns: a mapping with ``changed``.

    ``variables`` are those of each host of the cluster, as Ansible resolved them. ``pretend``: Ansible's
    check mode. Raises GauntletError, Refused.
    """
    if what not in DEEDS:
        raise PlaybookError(f"there is no {what!r}", expected=", ".join(DEEDS))
    present = without_absent(PLACE, variables)
    inventory = inventory_of(PLACE, present)
    everyone = inventory_of(PLACE, variables) if len(present) < len(variables) else inventory
    leaving = [host for host in everyone.hosts if host.name not in present]
    wish = Wish(inventory, tuple(leaving), arguments, pretend)
    return {"changed": False, **DEEDS[what](wish)}


@dataclass(frozen=True)
class Wish:
    """What a task asks for. ``leaving`` are the hosts with ``redis_state: absent``; the inventory has the others."""

    inventory: Inventory
    leaving: tuple[Host, ...]
    arguments: Mapping[str, Any]
    pretend: bool

    @property
    def reached(self) -> Inventory:
        """The inventory as nodes can be asked: while one only pretends they do not have a new password yet."""
        return accepted(self.inventory) if self.pretend else self.inventory


def _name(wish: Wish) -> Mapping[str, Any]:
    """Make sure that the inventory gives the cluster a name."""
    require_name(wish.inventory)
    return {}


def _layout(wish: Wish) -> Mapping[str, Any]:
    """Return the same as ``nodes``, of a cluster that may be made, and what an image is asked with (``server``)."""
    require_described(wish.inventory)
    return {**_nodes(wish), "probe": PROBE}


def _nodes(wish: Wish) -> Mapping[str, Any]:
    """Return by host what is to run there, and what is to be removed."""
    return {
        "hosts": {host.name: [_described(node) for node in host.nodes] for host in wish.inventory.hosts},
        "leaving": {host.name: [_described(node) for node in host.nodes] for host in wish.leaving},
    }


def _described(node: Node) -> dict[str, Any]:
    return {
        "full_name": node.full_name,
        "name": node.name,
        "host": node.host,
        "container": node.container or node.name,
        "volume": f"{node.container or node.name}-data",
        "config_file": node.config_file,
        "port": node.port,
        "bus_port": node.bus_port,
        "address": node.lan,
    }


def _configuration(wish: Wish) -> Mapping[str, Any]:
    """Return the text of one node's configuration file for a server of that version, and its checksum."""
    node = wish.inventory.node(str(wish.arguments["node"]))
    text = render_redis_conf(wish.inventory, node, str(wish.arguments["version"]) or NEWEST)
    return {"text": text, "checksum": hashlib.sha256(text.encode()).hexdigest()}


def _password(wish: Wish) -> Mapping[str, Any]:
    """Let nodes take a new password beside the one that they have; with ``alone`` all must answer."""
    everyone = _everyone(wish)
    asked = Cluster(everyone)
    silent = [node.full_name for node in everyone.nodes if not asked.answers(node)]
    if wish.arguments.get("alone") and silent:
        raise PlaybookError(
            "the new password cannot be given to every node",
            expected="an answer of every node, as clients are to be moved over next",
            observed=f"none from {', '.join(silent)}",
            advice="bring them back, or run the whole playbook",
        )
    done = adopt_password(everyone, masterauth=False, pretend=wish.pretend)
    return {"changed": bool(done), "done": done}


def _everyone(wish: Wish) -> Inventory:
    """Return the inventory with those hosts that leave of which a member still knows a node.

    What is on a host that has left already is somebody else's, and so is its password.
    """
    if not wish.leaving:
        return wish.inventory
    views = Cluster(accepted(wish.inventory)).views().values()
    known = {address for view in views if view is not None for address in view.by_address}
    leaving = tuple(host for host in wish.leaving if known & {node.address for node in host.nodes})
    return replace(wish.inventory, hosts=wish.inventory.hosts + leaving)


def _converge(wish: Wish) -> Mapping[str, Any]:
    """Bring the cluster to the inventory, also where a node has been restarted with its old password since.

    ``unfinished``: slots were being moved when a run of before ended. ``due``: the nodes that are restarted next.
    ``holds``: it ends before slots are moved, and returns whether there are some (``moving``).
    """
    change = Convergence(
        wish.reached,
        wish.pretend,
        wish.leaving,
        PATIENCE_SECONDS,
        unfinished=bool(wish.arguments.get("unfinished")),
        due=tuple(map(str, wish.arguments.get("due", ()))),
        holds=bool(wish.arguments.get("holds")) and not wish.pretend,
    )
    for left in reversed(range(TRIES)):
        try:
            if not wish.pretend:
                adopt_password(_everyone(wish))
            change.run()
            break
        except (NodeUnreachable, Refused) as problem:
            passing = isinstance(problem, NodeUnreachable) or problem.code in ("LOADING", "WRONGPASS")
            if not passing or not left:
                raise
    return {"changed": bool(change.done), "done": change.done, "moving": change.held}


def _order(wish: Wish) -> Mapping[str, Any]:
    cluster = Cluster(wish.reached)
    return {"nodes": _in_order(cluster, wish.arguments["nodes"])}


def _server(wish: Wish) -> Mapping[str, Any]:
    """Return which server an ``image`` holds, from what the probe of ``layout`` printed in a container of it."""
    found = parse_identity(str(wish.arguments["image"]), str(wish.arguments["said"]))
    return {"server": {"name": found.server, "version": found.version, "user": found.uid}}


def _containers(wish: Wish) -> Mapping[str, Any]:
    """Refuse a host's containers where they are another cluster's; and a server that is no successor of what runs.

    ``containers`` are lines as vars/main.yaml asks for them; without a ``version`` of the ``server`` nothing is to be
    made, or not known yet. Those of nobody, as of a cluster that was made by hand, are taken over.
    """
    hosts = (*wish.inventory.hosts, *wish.leaving)
    names = {node.container or node.name for host in hosts for node in host.nodes}
    found = [words for line in wish.arguments["containers"] if (words := str(line).split("|"))[0] in names]
    others = {words[0]: cluster for words in found if (cluster := words[3]) not in ("", wish.inventory.name)}
    if others:
        raise PlaybookError(
            "a container of another cluster has the name of one of this",
            expected=f"no such container, or one of {wish.inventory.name}",
            observed=", ".join(f"{name} is of {cluster}" for name, cluster in others.items()),
            advice="take the host out of this inventory, or give the nodes other containers (redis_nodes)",
        )
    if wish.arguments.get("version"):
        made_with = {words[0]: (words[6], words[2]) for words in found}
        require_fit(Cluster(wish.reached), str(wish.arguments["server"]), str(wish.arguments["version"]), made_with)
    return {}


def _beginning(wish: Wish) -> Mapping[str, Any]:
    """Refuse where another server is where ``unmade`` nodes shall be, or hosts have servers of several ``versions``."""
    versions = {str(host): str(version) for host, version in wish.arguments["versions"].items() if version}
    if len(set(versions.values())) > 1:
        raise PlaybookError(
            "the image is not the same one on every host",
            expected="one server for all nodes",
            observed=", ".join(f"{version} on {host}" for host, version in versions.items()),
            advice="name an exact version in redis_image, or a digest; or docker pull on every host",
        )
    cluster = Cluster(wish.inventory)
    for name in wish.arguments["unmade"]:
        if cluster.answers(node := wish.inventory.node(str(name))):
            raise PlaybookError(
                f"something else than container {node.container or node.name} answers at {node.address}",
                expected=f"the container of {name}, or nobody",
                observed="an answer, and no such container on that host",
                advice="name the container that runs there (redis_nodes), or stop what has its port",
            )
    return {}


def _make_way(wish: Wish) -> Mapping[str, Any]:
    """Let replicas take over from ``nodes`` that are about to begin without data."""
    if not wish.pretend:
        adopt_password(_everyone(wish), masterauth=False)
    cluster = Cluster(wish.reached, read_only=False)
    done = make_way(cluster, list(wish.arguments["nodes"]), patience=PATIENCE_SECONDS, pretend=wish.pretend)
    return {"changed": bool(done), "done": done}


def _in_order(cluster: Cluster, names: Collection[str]) -> list[dict[str, Any]]:
    return [_described(cluster.inventory.node(name)) for name in rolling_order(cluster, names)]


def _misleading(wish: Wish) -> Mapping[str, Any]:
    """Return the nodes that have to be restarted once more, after an upgrade."""
    cluster = Cluster(wish.inventory, read_only=False)
    return {"nodes": _in_order(cluster, contradicting_themselves(cluster))}


def _step_down(wish: Wish) -> Mapping[str, Any]:
    node = wish.inventory.node(str(wish.arguments["node"]))
    successor = step_down(Cluster(wish.inventory, read_only=False), node)
    return {"changed": bool(successor), "successor": successor}


def _restore(wish: Wish) -> Mapping[str, Any]:
    done = Cluster(wish.inventory, read_only=False).restore_layout()
    return {"changed": bool(done), "done": done}


DEEDS: Mapping[str, Callable[[Wish], Mapping[str, Any]]] = {
    "layout": _layout,
    "name": _name,
    "nodes": _nodes,
    "configuration": _configuration,
    "password": _password,
    "converge": _converge,
    "server": _server,
    "containers": _containers,
    "beginning": _beginning,
    "make_way": _make_way,
    "order": _order,
    "step_down": _step_down,
    "misleading": _misleading,
    "restore": _restore,
}
"""What a task may ask for."""
