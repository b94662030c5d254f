"""What was taken down is noted by cluster until it is up again, however a run ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioning.harm_note import HarmNote
from provisioning.inventory import Inventory
from tests.unit.listing import M1, NAMES, R1, wanted

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of the test's own."""
    monkeypatch.setenv("REDIS_GAUNTLET_STATE", str(tmp_path))
    return tmp_path


def at_port(port: int) -> Inventory:
    inventory = wanted()
    return inventory.with_nodes(
        {each.full_name: replace(each, outside=(each.announced, port)) for each in inventory.nodes}
    )


def test_clusters_of_one_name_are_told_apart() -> None:
    """By the addresses of their nodes: everybody's example has the same name."""
    HarmNote(at_port(6373)).add([M1])
    assert HarmNote(at_port(6373)).names == [M1]
    assert HarmNote(at_port(7000)).names == []
    assert HarmNote(replace(at_port(6373), name="another")).names == []


def test_each_node_is_struck_off_by_itself() -> None:
    """One that cannot be started stays noted; striking off what is not noted changes nothing."""
    note = HarmNote(wanted())
    note.add([M1, R1])
    note.strike(R1)
    note.strike(NAMES[-1])
    assert HarmNote(wanted()).names == [M1]


def test_a_note_is_replaced_whole(state: Path) -> None:
    """Nothing else is left beside it, and whoever reads meanwhile has the old one."""
    note = HarmNote(wanted())
    note.add([M1])
    (file,) = (state / "harmed").iterdir()
    with file.open(encoding="utf-8") as old:
        note.add(NAMES)
        assert old.read() == f'["{M1}"]'
    assert list((state / "harmed").iterdir()) == [file]
    assert note.names == sorted(NAMES)
