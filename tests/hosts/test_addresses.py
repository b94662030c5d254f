"""A host stands on two networks, and its nodes listen on both."""

from __future__ import annotations

from tests.hosts.seen_host import SeenHost


def test_the_host_is_on_both_networks(seen_host: SeenHost) -> None:
    """It has its address on the LAN, which its nodes announce, and one on its own network."""
    host = seen_host.wanted
    for node in host.nodes:
        lan, own = node.bound
        assert lan == node.announced == node.lan == host.address
        assert sorted(seen_host.seen.facts["addresses"]) == sorted([lan, own])


def test_nodes_listen_at_both_addresses(seen_host: SeenHost) -> None:
    """Client port and bus port of every node are open at both addresses of the host, and no other port is."""
    wanted = {
        f"{address}:{port}"
        for node in seen_host.wanted.nodes
        for address in node.bound
        for port in (node.port, node.bus_port)
    }
    listening = {socket for socket in seen_host.seen.listening or () if not socket.startswith("127.")}

    assert listening == wanted
