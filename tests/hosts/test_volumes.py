"""What a node must not lose lies on a volume that outlives its container."""

from __future__ import annotations

from provisioning.cluster import Cluster
from tests.hosts.seen_host import APPENDONLYDIR_SINCE, SeenHost


def test_every_node_has_a_volume(seen_host: SeenHost, cluster: Cluster) -> None:
    """The data of every node is on a named volume of its own, which carries this cluster's label."""
    assert cluster.simulation is not None
    ours = {each.name for each in cluster.simulation.objects if each.kind == "volume"}
    volumes = {name: dict(each.mounts)["/data"] for name, each in (seen_host.seen.containers or {}).items()}

    assert set(volumes) == {node.full_name for node in seen_host.wanted.nodes}
    assert set(volumes.values()) <= ours
    assert len(set(volumes.values())) == len(volumes)


def test_data_is_on_the_volume(seen_host: SeenHost, cluster: Cluster) -> None:
    """The host shows each node's volume, with the node's nodes.conf and append-only files on it."""
    for node, seen in seen_host.nodes:
        aof = "appendonlydir" if int(seen.version.partition(".")[0]) >= APPENDONLYDIR_SINCE else "appendonly.aof"
        written = [f"{node.data_dir}/nodes.conf", *([f"{node.data_dir}/{aof}"] if cluster.inventory.appendonly else [])]

        assert node.data_dir in seen_host.seen.facts["mounts"]
        assert set(written) <= set(seen_host.files)
