"""The gate sees what is wrong: each defect is found under its name, and no more once its repair was run."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning.cluster import Cluster
from tests.planted.gate import Gate
from tests.planted.plant import Plant
from tests.planted.plants import all_plants
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

    for step, rule in enumerate(plant.steps):
        seen = gate.wait_step(plant, step)
        if plant.by_hand and not step:
            plant.by_hand(bed)
            gate.seen = None
        else:
            gate.repair(seen.of(rule))
    gate.wait_repaired(plant.steps[-1])
