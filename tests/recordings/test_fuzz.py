"""Whatever is in a recording: it is read and judged, or refused with one message; nothing crashes or hangs."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.rules.judge import judge
from provisioning.cluster_nodes import format_cluster_nodes, parse_cluster_nodes
from provisioning.evidence import CaptureError, Evidence
from provisioning.evidence.listings import split_listings
from provisioning.evidence.recording import read_recordings
from provisioning.node_entry import NodeEntry
from tests.examples import examples
from tests.recordings.texts import ID, clusters, damaged, damages, texts, valid_entries
from tests.unit.listing import seen_by_all

USUAL = examples(500)
FEWER = examples(200)
MANY = examples(10_000)

MOST_SECONDS = 2.0
"""CPU seconds for any one example: some hundred times what one takes."""

CAPTURE = seen_by_all().to_dict()

bytes_of_files = st.one_of(
    st.binary(max_size=200),
    st.tuples(texts(), st.integers(0, 5_000), st.binary(max_size=20)).map(
        lambda each: each[0].encode()[: each[1]] + each[2] + each[0].encode()[each[1] :]
    ),
    texts().map(lambda text: text.encode("utf-16")),
    texts().map(lambda text: json.dumps({"host": text}).encode()),
    damages.map(lambda damage: damaged(json.dumps(CAPTURE), damage).encode()),
)


def survive(text: str) -> None:
    """Parse a text and judge it, as one view and as the several that may be in it; no line of it may get lost."""
    began = time.process_time()
    view = parse_cluster_nodes(text)
    parts = split_listings(text)
    judged = [Evidence.of_listings((f"view {number}", part.text) for number, part in enumerate(parts))]
    if len(parts) != 1:
        judged.append(Evidence.of_listings([("", text)]))
    for evidence in judged:
        judgement = judge(evidence)
        assert judgement.of("corrupted-output") or not any(map(is_odd, evidence.views))
        assert all(finding.subject and finding.message for finding in judgement.findings)
    assert time.process_time() - began < MOST_SECONDS
    entries = [(entry, entry.number) for each in judged[0].views for entry in each.entries]
    assert entries == [(entry, entry.number) for entry in view.entries]
    told = {entry.number for entry in view.entries} | {line.number for line in view.unreadable}
    assert [number for number, line in enumerate(text.split("\n"), 1) if ID in line and number not in told] == []


def is_odd(view: Any) -> bool:
    """True where a view has something that is not as Redis writes it."""
    return bool(view.unreadable) or any(entry.oddities for entry in view.entries)


@USUAL
@given(texts())
def test_no_text_is_too_much(text: str) -> None:
    """Cut, reordered, repeated, with junk, binary and very long lines in it: 500 texts are parsed and judged."""
    survive(text)


@pytest.mark.slow
@MANY
@given(texts())
def test_no_text_of_very_many_is_too_much(text: str) -> None:
    """The same with 10,000 texts."""
    survive(text)


@USUAL
@given(st.one_of(st.lists(valid_entries, max_size=6), clusters()))
def test_parse_print_parse_is_the_identity(listing: list[NodeEntry]) -> None:
    """Any valid listing, printed and read again, is the same to the letter, and nothing of it is odd."""
    text = format_cluster_nodes(listing)
    view = parse_cluster_nodes(text)
    assert view.entries == tuple(listing)
    assert not is_odd(view)
    assert format_cluster_nodes(view) == text


@pytest.fixture(scope="module")
def file() -> Iterator[Path]:
    """A file to be written again and again."""
    with TemporaryDirectory() as folder:
        yield Path(folder, "recording")


def read_or_refused(file: Path, content: bytes) -> Evidence | None:
    """Read the file with that content; None where it was refused with a message that says what was seen."""
    file.write_bytes(content)
    try:
        return read_recordings([file])
    except CaptureError as refusal:
        problem = refusal
    assert "recording" in problem.summary
    assert problem.observed
    str(problem).encode()
    return None


@USUAL
@given(bytes_of_files)
def test_any_file_is_read_or_refused(file: Path, content: bytes) -> None:
    """Any bytes are views that can be judged and reported, or one error that names the file."""
    began = time.process_time()
    evidence = read_or_refused(file, content)
    if evidence is not None:
        assert evidence.nodes
        json.dumps([finding.to_dict() for finding in judge(evidence).findings], ensure_ascii=False).encode()
    assert time.process_time() - began < MOST_SECONDS


def places(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value in JSON values."""
    children: Any = (
        values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    )
    for key, value in children:
        yield (*path, key)
        yield from places(value, (*path, key))


PLACES = tuple(places(CAPTURE))
# ...: as it was
json_values: st.SearchStrategy[Any] = st.sampled_from(
    [..., None, True, -1, 1.5, "", "x", "\ud800", [], [[]], {}, {"x": None}, ["x", 1]]
)


@FEWER
@given(st.sampled_from(PLACES), json_values)
def test_damaged_capture_is_read_or_refused(file: Path, place: tuple[Any, ...], value: Any) -> None:
    """A capture with any one of its values replaced is evidence that can be judged and written, or an error."""
    values = copy.deepcopy(CAPTURE)
    inner: Any = values
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = inner[place[-1]] if value is ... else value
    evidence = read_or_refused(file, json.dumps(values).encode())
    assert evidence is not None or value is not ...
    if evidence is not None:
        assert Evidence.from_dict(json.loads(json.dumps(evidence.to_dict()))).nodes == evidence.nodes
        judge(evidence)
