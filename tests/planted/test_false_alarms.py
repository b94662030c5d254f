"""The gate never cries wolf: of a healthy cluster it says nothing, of a broken one nothing but what is true."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from fixtures.cluster import Supply
from fixtures.history.failover import failover_bound
from provisioning.cluster import Cluster
from provisioning.simulation import Formation, Simulation
from tests.planted.burden import burning, fill, writing
from tests.planted.damage import DAMAGES, Damage
from tests.planted.lent import lent
from tests.planted.truths import failed_over, rejoining
from tests.planted.vigil import Vigil

pytestmark = pytest.mark.destructive
IN_A_ROW = 50
"""Looks at a cluster that has nothing wrong with it."""

WHILE_BUSY = 15
"""The same while the machine or the cluster is kept busy: a look then takes several times as long."""

AFTERWARDS = 3

ALSO_EMPTY = ("master-killed", "host-dead")
"""Damage after which nodes load their data anew: what is there to be loaded may decide what is seen."""

STORE = {"repl-backlog-size": "64mb"}
"""Settings of a cluster that is written to at full speed: the default of 1 MiB is too small, which is a finding."""

CACHE = {**STORE, "maxmemory": "80mb", "maxmemory-policy": "allkeys-lru"}
"""The backlog counts as used memory, and 20,000 keys with LARGE values find no room beside it."""

SMALL, LARGE = 100, 2000
"""Bytes of a value."""

Watched = Callable[[Cluster], Vigil]


@pytest.fixture
def whole(request: pytest.FixtureRequest, garden: Supply) -> Iterator[Cluster]:
    """The worker's cluster of the default layout."""
    with lent(request, garden) as cluster:
        yield cluster


@pytest.fixture
def watched(request: pytest.FixtureRequest, run: str) -> Iterator[Watched]:
    """Keep vigil over a cluster: ``watched(cluster)``. How many looks there were stands in junit.xml."""
    kept: list[Vigil] = []

    def watch(cluster: Cluster) -> Vigil:
        kept.append(Vigil(cluster, run))
        return kept[-1]

    yield watch
    for vigil in kept:
        request.node.user_properties.append(("looks", str(vigil)))


def test_fifty_looks_in_a_row_find_nothing(whole: Cluster, watched: Watched) -> None:
    """Not one of them says anything of a cluster that is healthy and idle."""
    watched(whole).keep(IN_A_ROW)


def test_nothing_is_found_right_after_formation(whole: Cluster, watched: Watched) -> None:
    """From the moment that its containers run only what passes is seen, and nothing from when it is ready."""
    whole.simulated.rebuild()
    formed = Cluster(whole.simulated.inventory, whole.simulated)
    watched(formed).settle()
    formed.wait_ready()
    at_once = watched(formed)
    at_once.keep(AFTERWARDS)
    assert at_once.looks == AFTERWARDS, f"something passed although the cluster was ready: {at_once}"


@pytest.mark.slow
@pytest.mark.parametrize("formation", ["seeded", "joined"])
def test_nothing_is_found_of_a_new_cluster(garden: Supply, watched: Watched, formation: Formation) -> None:
    """However it was formed, the first look at it settles on nothing, whether anybody waited for it or not."""
    session = garden.gauntlet
    name = f"redis-gauntlet-{session.run.id}-{session.worker}-new-{formation}"
    simulation = Simulation.build(
        session.engine, session.run, name, garden.layout, session.images, reach=garden.reach, formation=formation
    )
    try:
        watched(Cluster(simulation.inventory, simulation)).keep(AFTERWARDS)
    finally:
        simulation.remove()


@pytest.mark.slow
def test_a_manual_failover_and_the_way_back(whole: Cluster, watched: Watched) -> None:
    """In between the gate tells what has changed places and what that means; then nothing."""
    vigil = watched(whole)
    shard = whole.inventory.shards[0]
    whole.manual_failover(shard.replicas[0])
    vigil.settle(failed_over(shard), perhaps=rejoining(shard, shard.master))
    whole.restore_layout()
    vigil.keep(AFTERWARDS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "filled"),
    [*((each, True) for each in DAMAGES), *((each, False) for each in DAMAGES if each.id in ALSO_EMPTY)],
    ids=lambda value: value.id if isinstance(value, Damage) else "with-keys" if value else "empty",
)
def test_only_the_truth_is_told_of_damage_and_its_healing(
    whole: Cluster, watched: Watched, damage: Damage, filled: bool
) -> None:
    """While it lasts, right after it, and once the lost are replicas, just what is so; in the old layout nothing."""
    if filled:
        fill(whole)
    vigil = watched(whole)
    vigil.settle()
    shard = whole.inventory.shards[0]
    (successor,) = shard.replicas
    lost = damage.lost(whole, shard)
    others = [node for node in whole.inventory.nodes if node not in lost]
    node_timeout = whole.inventory.node_timeout
    with damage.done(whole, shard):
        whole.wait_owner(shard.master.slots[0].first, successor, others, failover_bound(node_timeout))
        vigil.settle(damage.true(whole, shard), damage.perhaps(whole, shard))
    vigil.settle(failed_over(shard), rejoining(shard, *lost))
    whole.wait_replica(shard.master, successor, whole.rejoin_budget)
    vigil.settle(failed_over(shard), damage.perhaps(whole, shard))
    whole.restore_layout()
    whole.wait_ready(whole.rejoin_budget)
    vigil.keep(AFTERWARDS)


@pytest.mark.slow
def test_nothing_is_found_while_the_machine_is_busy(whole: Cluster, watched: Watched) -> None:
    """With twice as many busy processes as processors, and keys in the cluster, no look says anything."""
    fill(whole)
    with burning():
        watched(whole).keep_while_busy(WHILE_BUSY)


@pytest.mark.slow
@pytest.mark.parametrize(("settings", "size"), [(STORE, SMALL), (CACHE, LARGE)], ids=["store", "cache-that-evicts"])
def test_nothing_is_found_while_the_cluster_is_written_to(
    garden: Supply, watched: Watched, settings: Mapping[str, str], size: int
) -> None:
    """While every master takes writes at full speed no look says anything, of memory, lag or backlog either."""
    busy = garden.build(replace(garden.layout, settings=settings))
    try:
        with writing(busy, size):
            watched(busy).keep_while_busy(WHILE_BUSY)
        busy.wait_ready(busy.rejoin_budget)
        evicted = {int(busy.info(node)["evicted_keys"]) > 0 for node in busy.inventory.masters}
        assert evicted == {settings is CACHE}
        watched(busy).keep(AFTERWARDS)
    finally:
        busy.simulated.remove()


@pytest.mark.slow
def test_two_gates_at_once_do_not_disturb_each_other(whole: Cluster, watched: Watched) -> None:
    """Looks of one run at one cluster, side by side, find nothing in each other's probe keys."""
    vigils = [watched(whole), watched(whole)]
    with ThreadPoolExecutor(len(vigils)) as pool:
        list(pool.map(lambda vigil: vigil.keep(WHILE_BUSY), vigils))
    assert not any(vigil.passing["slot-not-readable"] for vigil in vigils)
