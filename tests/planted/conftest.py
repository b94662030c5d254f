"""The clusters that plants are put into, and who else looks while one is there."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Any

import pytest

from fixtures.cluster import CLUSTER, SUPPLY, Supply
from fixtures.session import Session
from provisioning.ansible_inventory import DEFAULT_INVENTORY, read_inventory
from provisioning.cluster import Cluster
from provisioning.errors import GauntletError
from provisioning.resp import Refused
from tests.planted.plant import SHARED, Plant
from tests.planted.witness import WITNESSES, Witness

REPAIRED = pytest.StashKey[bool]()
"""On an item: its test passed, so its cluster is whole."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if call.when == "call":
        item.stash[REPAIRED] = report.passed
    return report


@pytest.fixture(scope="session")
def garden(gauntlet: Session, pytestconfig: pytest.Config) -> Iterator[Supply]:
    """The worker's own cluster for plants: the default layout, whatever the target is."""
    layout = SHARED.layout(read_inventory(DEFAULT_INVENTORY))
    made = Supply(gauntlet, layout, reach=pytestconfig.getoption("reach"), label="-planted")
    yield made
    made.discard()


@pytest.fixture
def bed(request: pytest.FixtureRequest, garden: Supply, plant: Plant) -> Iterator[Cluster]:
    """The cluster that the plant is put into: nobody's else before, or whole and without a failover."""
    request.node.stash[SUPPLY] = garden
    shared = plant.bed == SHARED
    found = garden.clean() if shared else garden.build(plant.bed.layout(read_inventory(DEFAULT_INVENTORY)))
    request.node.stash[CLUSTER] = found
    garden.dirty = garden.dirty or shared
    yield found
    if shared:
        repaired = request.node.stash.get(REPAIRED, False)
        failed_over = "role-differs" in plant.related
        garden.dirty = plant.rebuild or failed_over or not repaired or not _is_as_before(found)
    elif garden.owns(found):
        found.simulated.remove()


def _is_as_before(cluster: Cluster) -> bool:
    """Remove all keys, and say whether the cluster can be used as if nothing had been planted.

    Config epochs may be others than before; who needs them to be in some order sees to that.
    """
    with suppress(GauntletError, Refused):
        for node in cluster.inventory.masters:
            cluster.call(node, "FLUSHALL")
        cluster.wait_ready(cluster.inventory.node_timeout)
        return cluster.roles() == cluster.wanted_roles
    return False


@pytest.fixture
def witnesses(request: pytest.FixtureRequest) -> tuple[Witness, ...]:
    """Who else is to look at every plant while it is there."""
    called: list[Witness] = request.config.stash.get(WITNESSES, [])
    return tuple(called)


@pytest.fixture
def run(gauntlet: Session) -> str:
    """The run's id, for probe keys."""
    return gauntlet.run.id
