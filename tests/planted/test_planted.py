"""The gate sees what is wrong: each defect is found under its name, and no more once its repair was run."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.rules.finding import Finding
from provisioning.cluster import Cluster
from provisioning.errors import WaitTimeout
from tests.planted.gate import Gate
from tests.planted.plant import Plant
from tests.planted.plants import all_plants
from tests.planted.repairing import repair
from tests.planted.witness import Witness

pytestmark = pytest.mark.destructive


def each_plant() -> list[Any]:
    """Return every plant as a parameter whose id is the plant's."""
    return [pytest.param(each, id=each.id, marks=[pytest.mark.slow] if each.slow else []) for each in all_plants()]


@pytest.mark.parametrize("plant", each_plant())
def test_a_planted_defect_is_found_and_repaired(
    plant: Plant, bed: Cluster, run: str, witnesses: tuple[Witness, ...]
) -> None:
    """The defect is found under its id, nothing unrelated is, and after the repair, run as it stands, nothing is."""
    gate = Gate(bed, run)
    gate.wait_whole()

    named = plant.build(bed)
    gate.wait_found(plant, (named,) if isinstance(named, str) else named)
    for witness in witnesses:
        witness(plant, bed)
        gate.seen = None

    repaired: tuple[Finding, ...] = ()
    for step in range(len(plant.steps)):
        repaired = gate.wait_step(plant, step).of(plant.steps[step])
        if plant.by_hand and not step:
            plant.by_hand(bed)
        else:
            repair(bed, repaired)
        gate.seen = None
    try:
        gate.wait_whole()
    except WaitTimeout:
        if not gate.failover_given_up(repaired):
            raise
        repair(bed, repaired)  # as who sees the finding again would
        gate.wait_whole()
