"""Each test of this folder once for each host of the inventory, named in its id."""

from __future__ import annotations

import pytest

from fixtures.options import TARGET
from provisioning.cluster import Cluster
from provisioning.evidence import Evidence
from tests.hosts.seen_host import SeenHost


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "host_name" in metafunc.fixturenames:
        target = metafunc.config.stash[TARGET]
        metafunc.parametrize("host_name", [host.name for host in (target.running or target.layout).hosts])


@pytest.fixture
def seen_host(host_name: str, cluster: Cluster, full_evidence: Evidence) -> SeenHost:
    """The host as the inventory has it and as it was seen."""
    if cluster.simulation is None:
        pytest.skip("no access to the hosts of this inventory")
    seen = next(host for host in full_evidence.hosts if host.name == host_name)
    assert not seen.not_collected
    wanted = cluster.inventory.host(host_name)
    nodes = tuple((node, full_evidence.node(node.full_name)) for node in wanted.nodes)
    return SeenHost(wanted, seen, tuple((node, known) for node, known in nodes if known is not None))
