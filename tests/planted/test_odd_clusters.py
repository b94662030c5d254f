"""A healthy cluster that looks odd is healthy: the gate finds nothing, whatever the layout and the server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.cluster import CLUSTER, SUPPLY, Supply
from provisioning.errors import ImageError
from provisioning.images import server_image
from tests.planted.burden import fill
from tests.planted.odd_clusters import ODD_CLUSTERS, OddCluster
from tests.planted.vigil import Vigil

pytestmark = [pytest.mark.destructive, pytest.mark.slow]

LOOKS = 5


@pytest.mark.parametrize("odd", ODD_CLUSTERS, ids=lambda odd: odd.id)
def test_nothing_is_found(request: pytest.FixtureRequest, garden: Supply, run: str, odd: OddCluster) -> None:
    """From the first look after its formation on, without a key and with thousands, no look says anything."""
    supply = _supply(garden, odd)
    request.node.stash[SUPPLY] = supply
    cluster = supply.build(odd.layout(garden.layout))
    request.node.stash[CLUSTER] = cluster
    try:
        vigil = Vigil(odd.change(cluster), run)
        vigil.keep(LOOKS)
        fill(vigil.cluster)
        vigil.keep(LOOKS)
        request.node.user_properties.append(("looks", str(vigil)))
    finally:
        if supply.owns(cluster):
            cluster.simulated.remove()


def _supply(garden: Supply, odd: OddCluster) -> Supply:
    """Return where clusters with that server come from. Skips where there is none."""
    session = garden.gauntlet
    images = session.images
    if odd.image:
        try:
            images = replace(images, server=server_image(session.engine, odd.image, lambda _: None))
        except ImageError as problem:
            pytest.skip(f"no {odd.image} on this machine: {problem.observed}")
    if int(images.server.version.partition(".")[0]) < odd.since:
        pytest.skip(f"{images.server.server} {images.server.version} cannot be set up so")
    return Supply(replace(session, images=images), garden.layout, odd.reach or garden.reach, label=f"-{odd.id[:12]}")
