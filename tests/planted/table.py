"""Measure the README's table "what it finds": ``python -m tests.planted.table [--output FILE] [pytest arguments]``.

Every plant is put in, found and repaired, and while it is there ``redis-cli --cluster check`` is asked
about it through a node that works. Without ``--output`` the table goes into the README, between its two
marks. Ends with 1, and writes nothing, where a plant was not found or not repaired.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.planted.all_plants_run import RAN, ROOT, run_plants
from tests.planted.plant import Plant
from tests.planted.plants import all_plants
from tests.planted.results import read_results
from tests.planted.second_opinion import Opinion

BEGIN, END = "<!-- what-it-finds:begin -->", "<!-- what-it-finds:end -->"


def main(arguments: Sequence[str]) -> int:
    """Run all plants, write the table and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted.table", description=__doc__)
    parser.add_argument("--output", type=Path, help="write the table to this file instead of the README")
    options, rest = parser.parse_known_args(arguments)
    with tempfile.TemporaryDirectory(prefix="redis-gauntlet-") as folder:
        code = run_plants(Path(folder), ["tests.planted.second_opinion"], rest)
        results = {result.plant: result for result in read_results(Path(folder))}
        opinions = read_opinions(Path(folder))
    for result in results.values():
        if not result.passed:
            print(f"{result.plant}: {result.failure}", file=sys.stderr)
    if code not in RAN or not results or not all(result.passed for result in results.values()):
        return 1
    table = rendered([plant for plant in all_plants() if plant.id in results], opinions)
    if options.output:
        options.output.write_text(table, encoding="utf-8")
        return 0
    readme = ROOT / "README.md"
    readme.write_text(between_marks(readme.read_text(encoding="utf-8"), table), encoding="utf-8")
    return 0


def read_opinions(folder: Path) -> Mapping[str, Opinion]:
    """Return by plant what the check said."""
    suffix = ".check.json"
    files = folder.glob(f"*{suffix}")
    return {file.name.removesuffix(suffix): Opinion(**json.loads(file.read_text(encoding="utf-8"))) for file in files}


def rendered(plants: Sequence[Plant], opinions: Mapping[str, Opinion]) -> str:
    """Return the table in Markdown, with a sentence that counts."""
    said = [opinions[plant.id] for plant in plants]
    passed, hung = sum(each.passes for each in said), sum(each.code is None for each in said)
    rows = [
        f"| {plant.claim} | `{plant.rule}` | {str(opinion).replace('|', chr(92) + '|')} |"
        for plant, opinion in zip(plants, said, strict=True)
    ]
    count_of_all, by_hand = len(plants), sum(plant.by_hand is not None for plant in plants)
    count = (
        f"Of these {count_of_all} defects, each planted on a live cluster, all are found. {count_of_all - by_hand} are "
        f"repaired with the commands that their findings give; in {by_hand} the finding asks for patience or for work "
        f"that is no command. `redis-cli --cluster check` ends non-zero for {count_of_all - passed - hung}, "
        f"with 0 for {passed}, and not within 10 s for {hung}."
    )
    head = ["| what is wrong | found as | `redis-cli --cluster check` |", "|---|---|---|"]
    return "\n".join([*head, *rows, "", count, ""])


def between_marks(text: str, table: str) -> str:
    """Return the text with the table between the marks. Raises ValueError where they are not there."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table}{END}{after}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
