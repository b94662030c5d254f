"""The configuration files on the host say what the inventory says, and only to the server."""

from __future__ import annotations

from provisioning.cluster import Cluster
from provisioning.evidence.host_script import AS_WANTED
from provisioning.inventory import Inventory, Node
from tests.hosts.seen_host import SeenHost


def wanted_directives(inventory: Inventory, node: Node) -> dict[str, str]:
    """Return what the inventory demands of a node's configuration file."""
    return {
        "port": str(node.port),
        "cluster-enabled": "yes",
        "cluster-config-file": "nodes.conf",
        "cluster-node-timeout": str(inventory.node_timeout_ms),
        "cluster-announce-ip": node.announced,
        "cluster-announce-port": str(node.port),
        "cluster-announce-bus-port": str(node.bus_port),
        "appendonly": "yes" if inventory.appendonly else "no",
        **(dict.fromkeys(("requirepass", "masterauth"), AS_WANTED) if node.password else {}),
        **inventory.settings,
    }


def test_the_file_is_as_wanted(seen_host: SeenHost, cluster: Cluster) -> None:
    """Ports, addresses, node timeout, persistence and passwords in every node's file are the inventory's."""
    for node in seen_host.wanted.nodes:
        wanted = wanted_directives(cluster.inventory, node)
        written = seen_host.configuration(node)

        assert {name: written.get(name) for name in wanted} == wanted
        assert set(seen_host.seen.facts["networks"].values()) <= set(written["bind"].split())


def test_the_file_is_for_the_server_only(seen_host: SeenHost) -> None:
    """The file with the password belongs to root, can be read by the server's group and by nobody else."""
    for node in seen_host.wanted.nodes:
        assert seen_host.files[node.config_file] == f"0:{seen_host.server(node).gid} 640"
