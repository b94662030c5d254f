"""How this process reaches the nodes: directly, or through ports that the engine publishes."""

from __future__ import annotations

import socket
from typing import Any, Literal
from urllib.parse import urlsplit

from provisioning.docker_engine import Engine

Reach = Literal["auto", "direct", "published"]


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


def _is_ours(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
