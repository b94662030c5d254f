"""Follow at most one redirect by hand, and say who answered in the end."""

from __future__ import annotations

from typing import Any

from provisioning.cluster import Cluster
from provisioning.evidence.redirect import parse_redirect
from provisioning.inventory import Node
from provisioning.resp import Refused


def one_hop(cluster: Cluster, entry: Node, *words: str | bytes | int) -> tuple[Any, Node]:
    """Send the command to ``entry`` and, where it says MOVED, once to whom it names; return answer and answerer.

    Raises Refused for any other refusal, and for a second redirect.
    """
    try:
        return cluster.call(entry, *words), entry
    except Refused as refusal:
        redirect = parse_redirect(str(refusal))
        if redirect is None or redirect.kind != "MOVED":
            raise
    named = cluster.inventory.at(redirect.host, redirect.port)
    assert named is not None, f"{entry.full_name} redirects to {redirect.address}, which the inventory does not have"
    return cluster.call(named, *words), named
