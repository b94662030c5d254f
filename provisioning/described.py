"""Is a cluster described well enough to be made by the playbook? Asked before any host is entered."""

from __future__ import annotations

import re
from ipaddress import IPv4Address

from provisioning.errors import GauntletError
from provisioning.inventory import Inventory

PINNED = re.compile(r"\S+@sha256:[0-9a-f]{64}|\S+:(?!latest$)[\w.-]+")
"""A reference with a digest, or with a tag that says a version."""


class PlaybookError(GauntletError):
    """The playbook asks for something that cannot be done."""


def require_name(inventory: Inventory) -> None:
    """Raise PlaybookError where the inventory gives the cluster no name."""
    if "name" not in inventory.given:
        raise PlaybookError(
            "the cluster has no name",
            expected="redis_cluster_name for all hosts: teardown and faults ask for it",
            advice="set it in the vars of the group redis_cluster",
        )


def require_described(inventory: Inventory) -> None:
    """Raise PlaybookError without a name, a pinned image, passwords or IPv4 addresses, and for ACL users or TLS."""
    require_name(inventory)
    _require_pinned(inventory.image)
    _require_passwords(inventory)
    _require_addresses(inventory)
    _require_plain_logins(inventory)


def _require_pinned(image: str) -> None:
    if image and not PINNED.fullmatch(image):
        raise PlaybookError(
            f"the image {image} is another one at another time",
            expected="redis_image with the tag of a version, or a digest",
            observed=image,
            advice="for example redis:8.0.2",
        )


def _require_passwords(inventory: Inventory) -> None:
    open_nodes = [node.full_name for node in inventory.nodes if not node.password]
    if open_nodes:
        raise PlaybookError(
            "the cluster has no password",
            expected="redis_password (from ansible-vault), or REDIS_GAUNTLET_PASSWORD in the environment",
            observed=f"none for {', '.join(open_nodes)}",
            advice="ansible-vault encrypt_string --name redis_password, or export REDIS_GAUNTLET_PASSWORD",
        )


def _require_addresses(inventory: Inventory) -> None:
    """Nodes announce IP addresses: what DNS says of a name may be another thing on each host."""
    for node in inventory.nodes:
        try:
            IPv4Address(node.lan)
        except ValueError:
            raise PlaybookError(
                f"{node.full_name} has no address that nodes can announce",
                expected="an IPv4 address, as nodes know each other by no other name",
                observed=node.lan,
                advice="set redis_address of the host",
            ) from None


def _require_plain_logins(inventory: Inventory) -> None:
    for node in inventory.nodes:
        if node.user not in ("", "default") or node.tls is not None:
            raise PlaybookError(
                f"{node.full_name} is to be entered as {node.user or 'default'}{' over TLS' * (node.tls is not None)}",
                expected="the default user with a password: the playbook makes neither ACL users nor certificates",
                observed="redis_user or redis_tls... in the inventory, or REDIS_GAUNTLET_USER or _TLS... here",
                advice="leave them out for the playbook",
            )
