"""The table "what it finds": what is taken from redis-cli's words, and where it is put."""

from __future__ import annotations

import pytest

from tests.planted.plants import all_plants
from tests.planted.second_opinion import Opinion, complaint
from tests.planted.table import BEGIN, END, between_marks, rendered
from tests.unit.listing import wanted

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (">>> Performing\n\x1b[31;1m[ERR] Nodes don't agree about configuration!\x1b[0m\n", "[ERR] Nodes don't agree"),
        (
            "[WARNING] Node 192.168.171.101:6373 has slots in migrating state.\n[ERR] x",
            "Node redis-host-1/redis_master ",
        ),
        ("*** WARNING: " + "a" * 40 + " claims to be slave of unknown node ID x.", "WARNING: <id> claims to be"),
        ("Could not connect to Redis at 192.168.171.102:6374: Connection refused", "at redis-host-2/redis_slave: Conn"),
        ("[OK] All 16384 slots covered.", ""),
    ],
)
def test_first_complaint_is_taken_without_what_differs_from_run_to_run(output: str, told: str) -> None:
    """Of all that the check prints its first complaint counts, with names for addresses and without colours."""
    said = complaint(wanted(), output)
    assert told in said
    assert bool(told) == bool(said)


def test_ending_is_told_by_code_or_by_time() -> None:
    """An opinion is OK, a code with a complaint, or hung."""
    assert str(Opinion(0)) == "OK"
    assert str(Opinion(1, "[ERR] x")) == "exit 1: [ERR] x"
    assert str(Opinion(None)) == "hung (10 s)"


def test_table_has_a_row_for_each_plant_and_goes_between_the_marks() -> None:
    """Every plant has its row, the last sentence counts, and the rest of the README stays as it was."""
    plants = all_plants()[:3]
    said = (Opinion(0), Opinion(1, "[ERR] a|b"), Opinion(None))
    table = rendered(plants, {plant.id: opinion for plant, opinion in zip(plants, said, strict=True)})
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert [plant.claim in row and plant.rule in row for plant, row in zip(plants, rows, strict=True)] == [True] * 3
    assert "[ERR] a\\|b" in rows[1]
    assert "non-zero for 1, with 0 for 1, and not within 10 s for 1" in table
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert between_marks(text, table) == f"before\n{BEGIN}\n{table}{END}\nafter\n"
    with pytest.raises(ValueError, match="no "):
        between_marks("no marks", table)
