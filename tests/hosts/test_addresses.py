"""A host stands on two networks, and its nodes listen on both."""

from __future__ import annotations

from tests.hosts.seen_host import SeenHost


def test_the_host_is_on_both_networks(seen_host: SeenHost) -> None:
    """It has one address on the LAN, which its nodes announce, and one on a network of its own, and no others."""
    networks = dict(seen_host.seen.facts["networks"])

    assert len(networks) == 2
    assert sorted(networks.values()) == seen_host.seen.facts["addresses"]
    assert seen_host.wanted.address in networks.values()
    assert {node.announced for node in seen_host.wanted.nodes} == {seen_host.wanted.address}


def test_nodes_listen_at_both_addresses(seen_host: SeenHost) -> None:
    """Client port and bus port of every node are open at every address of the host, and no other port is."""
    wanted = {
        f"{address}:{port}"
        for address in seen_host.seen.facts["networks"].values()
        for node in seen_host.wanted.nodes
        for port in (node.port, node.bus_port)
    }
    listening = {socket for socket in seen_host.seen.listening or () if not socket.startswith("127.")}

    assert listening == wanted
