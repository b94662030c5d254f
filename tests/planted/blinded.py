"""Show that each plant is missed where its rule finds nothing: ``python -m tests.planted.blinded [pytest arguments]``.

Every test must fail at its finding: not before, where the cluster is built, and not by chance later.
Ends with 1 where one does not. ``-n 4`` makes it shorter.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.planted.all_plants_run import RAN, run_plants
from tests.planted.plants import all_plants
from tests.planted.results import read_results


def main(arguments: Sequence[str]) -> int:
    """Run all plants blind, print what became of each, and return the exit code."""
    with tempfile.TemporaryDirectory(prefix="redis-gauntlet-") as folder:
        code = run_plants(Path(folder), ["tests.planted.blindfold"], arguments)
        results = {result.plant: result for result in read_results(Path(folder))}
    wrong = 0
    for plant in all_plants():
        result = results.get(plant.id)
        if result is None:
            continue  # left out by the arguments
        verdict = "blind" if result.missed else "SEES" if result.passed else "FAILS ELSEWHERE"
        wrong += not result.missed
        print(f"{verdict:16} {plant.id:42} {plant.rule:32} {'' if result.missed else result.failure[:80]}")
    print(f"\n{len(results) - wrong} of {len(results)} plants are not found where their rule finds nothing")
    return 1 if wrong or not results or code not in RAN else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
