"""How this process reaches the nodes: directly, or through ports that the engine publishes."""

from __future__ import annotations

import socket
from typing import Any, Literal
from urllib.parse import urlsplit

from provisioning.docker_engine import Engine
from provisioning.errors import SimulationError

Reach = Literal["auto", "direct", "published"]

FIRST_PORT = 20000
PORTS_EACH = 48
"""Ports that one cluster may publish: 256 clusters fit below the ephemeral range."""


def chosen_reach(engine: Engine, wanted: Reach) -> Literal["direct", "published"]:
    """Return ``wanted``, or for ``auto`` whether containers can be dialled from here.

    They can where this process shares the engine's network namespace: then the gateway address of
    the engine's bridge is one of our own. On Docker Desktop and remote engines it is not.
    """
    if wanted != "auto":
        return wanted
    api: Any = engine.client.api
    for network in api.networks(filters={"driver": "bridge"}):
        for config in network["IPAM"]["Config"] or []:
            if gateway := config.get("Gateway"):
                return "direct" if _is_ours(gateway) else "published"
    return "direct" if engine.endpoint.startswith("unix://") else "published"


def publishing_addresses(engine: Engine) -> tuple[str, str]:
    """Return where the engine binds published ports and the address at which we dial them."""
    parts = urlsplit(engine.endpoint)
    if parts.scheme in ("tcp", "ssh", "http", "https") and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        return "0.0.0.0", parts.hostname or ""
    return "127.0.0.1", "127.0.0.1"


def published_ports(lan_address: str, count: int, *, local: bool) -> list[int]:
    """Return as many ports to publish, below the range that kernels hand out (32768 and up).

    They follow from the third octet of the LAN, which no other cluster on the engine has; on a ``local``
    engine those are left out that are in use here. Raises SimulationError where there are not enough.
    """
    first = FIRST_PORT + int(lan_address.split(".")[2]) * PORTS_EACH
    free = [port for port in range(first, first + PORTS_EACH) if not local or _can_listen(port)]
    if len(free) < count:
        raise SimulationError(
            "there are not enough ports to publish",
            expected=f"{count} free ports in {first}-{first + PORTS_EACH - 1}",
            observed=f"{len(free)} free",
            advice="end what listens there, or use --reach direct",
        )
    return free[:count]


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _is_ours(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
