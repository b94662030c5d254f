"""One entry of ``redis_nodes``: a node with its ports, its role and its slots."""

from __future__ import annotations

import re

from provisioning.ansible_value import check_name, mapping, refusal, typed
from provisioning.inventory import BUS_PORT_OFFSET, Node, Role
from provisioning.login import Login
from provisioning.slots import SlotRange

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
PORT = re.compile(r"[0-9]{1,5}")


def read_node(source: str, host: str, address: str, dialled: str, bound: str, entry: object, login: Login) -> Node:
    """Return the node of one entry; ``address`` is its host's, ``dialled`` where this process reaches that host.

    ``bound`` is where it listens, if its entry does not say.

    Raises InventoryError.
    """
    fields = mapping(source, f"a node of {host!r}", entry)
    unknown = sorted(set(fields) - set(NODE_KEYS))
    if unknown:
        raise refusal(source, f"a node of {host!r} has keys that are not known here", ", ".join(unknown))
    fields = {key: typed(source, f"{host}: {key}", each, NODE_KEYS[key]) for key, each in fields.items()}
    role = fields.get("role")
    missing = [key for key in ("name", "role", "port") if key not in fields]
    if missing:
        raise refusal(source, f"a node of {host!r} lacks {', '.join(missing)}", str(fields))
    name = f"{host}/{fields['name']}"
    if role not in ("master", "replica"):
        raise refusal(source, f"role of {name} must be master or replica", str(role))
    if (role == "replica") != ("replica_of" in fields):
        raise refusal(source, f"{name}: a replica, and only a replica, has replica_of", str(fields))
    if role == "replica" and fields.get("slots"):
        raise refusal(source, f"{name}: a replica has no slots", str(fields))
    check_name(source, f"a node of {host!r}", fields["name"])
    port = fields["port"]
    bus_port = fields.get("bus_port", port + BUS_PORT_OFFSET)
    for each in (port, bus_port):
        if not 0 < each < 65536:
            raise refusal(source, f"a port of {name} must be in 1-65535", str(each))
    try:
        slots = tuple(SlotRange.parse(part) for part in fields.get("slots", "").replace(",", " ").split())
    except ValueError as problem:
        raise refusal(source, f"slots of {name}", str(problem)) from None
    outside = fields.get("outside", f"{dialled}:{port}")
    outside_host, _, outside_port = outside.rpartition(":")
    if not outside_host or not PORT.fullmatch(outside_port) or not 0 < int(outside_port) < 65536:
        raise refusal(source, f"outside of {name} must be HOST:PORT", outside)
    chosen: Role = "master" if role == "master" else "replica"
    return Node(
        host=host,
        name=fields["name"],
        role=chosen,
        port=port,
        bus_port=bus_port,
        bound=tuple(fields.get("bound", bound).split()),
        announced=address,
        lan=address,
        outside=(outside_host, int(outside_port)),
        replica_of=fields.get("replica_of", ""),
        slots=slots,
        container=fields.get("container", ""),
        user=login.user,
        password=login.password,
        tls=login.tls,
        previous_password=login.previous_password,
    )
