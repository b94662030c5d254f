"""The rules are scored on labelled listings: what is right, what is a false alarm, and what is missed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fixtures.rules import score
from provisioning.cluster_nodes import format_cluster_nodes
from provisioning.slots import SlotRange
from tests.unit.listing import M1, M3, R1, change, entries

HALF = entries(M1)
change(HALF, M3, slots=(SlotRange(10923, 16000),))
change(HALF, R1, flag="fail", link_state="disconnected")
RIGHT = ["slots-uncovered", "node-fail", "link-disconnected", "other:master-without-replica"]


def labelled(folder: Path, name: str, **values: object) -> None:
    """Write a listing with two defects, labelled as given."""
    dumps = [{"seen_by": None, "text": format_cluster_nodes(HALF.values())}]
    (folder / name).write_text(yaml.safe_dump({"dumps": dumps, **values}), encoding="utf-8")


def row(output: str, rule: str) -> list[str]:
    """Return the figures of one rule in the table."""
    return next(line.split()[1:] for line in output.splitlines() if line.split()[:1] == [rule])


def test_right_labels_score_full_marks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the rules find what is labelled and nothing else, recall and precision are full and the code is 0."""
    labelled(tmp_path, "a.yaml", findings=RIGHT)
    labelled(tmp_path, "b.yaml", findings=RIGHT[:3], ambiguous=["master-without-replica"])
    assert score.main([str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert row(output, "node-fail") == ["2", "0", "0", "100.0%", "100.0%"]
    assert row(output, "master-without-replica") == ["1", "0", "0", "100.0%", "100.0%"]
    assert row(output, "all") == ["7", "0", "0", "100.0%", "100.0%"]
    assert "a.yaml" not in output


def test_wrong_labels_are_misses_and_false_alarms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A label that no rule meets is a miss, a finding without a label a false alarm; both are shown with the file."""
    labelled(tmp_path, "good.yaml", findings=RIGHT)
    labelled(tmp_path, "bad.yaml", findings=[*RIGHT[1:], "node-pfail", "no-rule-of-ours"])
    assert score.main([str(tmp_path)]) == 1
    output = capsys.readouterr().out
    assert row(output, "slots-uncovered") == ["1", "1", "0", "100.0%", "50.0%"]
    assert row(output, "node-pfail") == ["0", "0", "1", "0.0%", "-"]
    assert row(output, "all") == ["7", "1", "2", "77.8%", "87.5%"]
    said = [line for line in output.splitlines() if "bad.yaml" in line]
    assert "slots-uncovered: slots 16001-16383: 383 of 16384 slots have no owner" in said[0]
    assert said[1:] == [
        "missed       bad.yaml: no-rule-of-ours (there is no such rule)",
        "missed       bad.yaml: node-pfail",
    ]
    assert "good.yaml" not in output


@pytest.mark.parametrize("label", ["ambiguous", "not_assessable"])
def test_what_nobody_can_tell_counts_in_neither_direction(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], label: str
) -> None:
    """Labels that are ambiguous or not assessable are neither missed nor false alarms."""
    labelled(tmp_path, "a.yaml", findings=["node-pfail"], **{label: [*RIGHT, "node-pfail"]})
    assert score.main([str(tmp_path)]) == 0
    assert row(capsys.readouterr().out, "all") == ["0", "0", "0", "-", "-"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"dumps: [",
        b"a: 1",
        b"- 1",
        b"dumps: 7\nfindings: []",
        b"dumps: [{text: 7}]\nfindings: []",
        b"dumps: [{seen_by: x}]\nfindings: []",
        b"dumps: []\nfindings: {a: 1}",
        b"dumps: []\nfindings: [7]",
        b"when: 2024-99-99",
        b"[" * 1000,
        bytes(range(256)),
    ],
)
def test_what_is_no_labelled_listing_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    """A file that is something else ends it with one message that names the file, and exit code 1."""
    labelled(tmp_path, "a.yaml", findings=RIGHT)
    (tmp_path / "b.yaml").write_bytes(content)
    assert score.main([str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"error: {tmp_path / 'b.yaml'} is no labelled listing\n  expected: ")
    assert len(message.splitlines()) == 3


def test_text_that_no_terminal_can_show_is_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half of a surrogate pair in a listing does not end the scoring."""
    line = f"{'a' * 40} \\ud800:1@2 myself,master - 0 0 1 connected"
    (tmp_path / "a.yaml").write_text(f'dumps: [{{text: "{line}"}}]\nfindings: []\n', encoding="utf-8")
    assert score.main([str(tmp_path)]) == 1
    assert "false alarm  a.yaml: hostname-in-ip-field" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["absent", "empty", "file"])
def test_folder_without_listings_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A folder that is absent, empty or none at all is said, with what was expected."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert score.main([str(tmp_path / name)]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"error: {tmp_path / name} ")
    assert "expected: " in message
