"""One server for each node, not as root, in a container that runs."""

from __future__ import annotations

from tests.hosts.seen_host import SeenHost


def test_one_server_for_each_node(seen_host: SeenHost) -> None:
    """The host runs one redis-server for each of its nodes, on that node's port, and no other."""
    assert sorted(server.port for server in seen_host.servers) == sorted(node.port for node in seen_host.wanted.nodes)


def test_no_server_is_root(seen_host: SeenHost) -> None:
    """Every server runs as the unprivileged user that its data belongs to."""
    for node in seen_host.wanted.nodes:
        server = seen_host.server(node)
        assert server.uid != 0
        assert seen_host.files[f"{node.data_dir}/nodes.conf"].startswith(f"{server.uid}:")


def test_every_container_runs(seen_host: SeenHost) -> None:
    """The engine says of the host and of each of its nodes that they are running."""
    assert {name: each.state for name, each in (seen_host.seen.containers or {}).items()} == {
        node.full_name: "running" for node in seen_host.wanted.nodes
    }
