"""Lend a test the worker's cluster for plants, and have it rebuilt where the test left a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from fixtures.cluster import CLUSTER, SUPPLY, Supply
from provisioning.cluster import Cluster
from provisioning.errors import GauntletError
from provisioning.resp import Refused


@contextmanager
def lent(request: pytest.FixtureRequest, garden: Supply, *, to_break: bool = False) -> Iterator[Cluster]:
    """Yield the cluster of the default layout, without an election before and without a key.

    It is rebuilt before its next use unless the test passed and there was no election; in any case where
    it was lent ``to_break``: for what cannot be seen in the nodes' views, such as settings.
    """
    request.node.stash[SUPPLY] = garden
    found = garden.clean()
    request.node.stash[CLUSTER] = found
    garden.dirty = True
    failed = request.session.testsfailed
    yield found
    if not to_break and request.session.testsfailed == failed:
        with suppress(GauntletError, Refused):  # then it stays dirty, and is rebuilt
            for node in found.inventory.masters:
                found.call(node, "FLUSHALL")
            found.wait_ready(found.rejoin_budget)
            garden.dirty = not found.is_pristine()
