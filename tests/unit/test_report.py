"""The report's verdict never passes what is unknown, and its summary fits a terminal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.report.document import document, verdict
from fixtures.report.record import KINDS, Records, written
from fixtures.report.summary import WIDTH, summary

pytestmark = pytest.mark.unit

LONG = "host-with-a-name-that-somebody-thought-would-be-a-good-idea-in-the-asset-database-of-2009"
FINDING = {
    "rule": "slot-overlap",
    "severity": "error",
    "subject": "10.0.0.1:6373",
    "message": "slot 5 is owned twice",
    "repair": "redis-cli --cluster fix 10.0.0.1:6373",
}


def records(passed: int = 1, **kinds: list[dict[str, Any]]) -> Records:
    """Return the records of a run with so many passed tests, handed over as texts like a worker's."""
    made = Records(passed=passed)
    for kind, values in kinds.items():
        for n, value in enumerate(values):
            made.add(f"tests/x.py::test_{n}", kind, written(value))
    return made


def judged(findings: Any = (), not_collected: Any = (), not_applicable: Any = ()) -> dict[str, Any]:
    return {"findings": [*findings], "not_collected": [*not_collected], "not_applicable": [*not_applicable]}


def reported(made: Records, **target: Any) -> dict[str, Any]:
    facts = {"kind": "simulated", "name": "x", "node_timeout_ms": 5000, "image": None, "nodes": [], **target}
    return document(made, facts, began="2026-01-01T00:00:00+00:00", seconds=1.25)


def host_row(host: str = "redis-host-1", tried: str = "not tried", **other: Any) -> dict[str, Any]:
    row = {"layout": "x", "host": host, "masters_left": "2 of 3", "shards_alive": "3 of 3", "survives": True}
    return {**row, "tried": tried, "simulated_for_this": False, **other}


def failover_row(victim: str = "redis-host-1/redis_master", **other: Any) -> dict[str, Any]:
    phases = dict.fromkeys(("first_pfail", "fail", "election_started", "promoted", "all_agree", "first_write"), 7.123)
    row = {"test": "t", "shard": victim, "victim": victim, "fault": f"SIGKILL to {victim}", "phases_s": phases}
    return {**row, "bound_s": 13.0, "attempt": 1, "outage_s": {victim: 7.0}, "clients": {}, **other}


def test_a_run_without_failures_holds() -> None:
    """Passed tests, and nothing against them."""
    assert verdict(records(judged=[judged()])) == "holds"


def test_skipped_tests_change_nothing() -> None:
    """A test that does not apply is no evidence, neither for nor against."""
    made = records()
    made.skipped["t"] = "not applicable"
    assert verdict(made) == "holds"
    made.passed = 0
    assert verdict(made) == "unknown"


def test_no_test_at_all_is_unknown() -> None:
    """An empty run has shown nothing."""
    assert verdict(Records()) == "unknown"


def test_an_error_is_unknown() -> None:
    """A test that could not be carried out has shown nothing, whatever else passed."""
    made = records(passed=100)
    made.errors["t"] = "FaultError"
    assert verdict(made) == "unknown"


def test_what_was_not_collected_is_unknown() -> None:
    """A rule without its evidence is not passed."""
    missing = {"rule": "slots-differ", "why": "node-1 does not answer"}
    made = records(judged=[judged(), judged(not_collected=[missing])])
    assert verdict(made) == "unknown"
    assert reported(made)["not_collected"] == [missing]


def test_a_failure_violates_whatever_else_is_unknown() -> None:
    """One broken promise is enough."""
    made = records(judged=[judged(not_collected=[{"rule": "a", "why": "b"}])])
    made.errors["e"] = "x"
    made.failed["t"] = "AssertionError"
    assert verdict(made) == "violated"


def test_properties_of_others_are_no_records() -> None:
    """What another plugin notes on a test is left alone, and needs not be JSON."""
    made = Records()
    made.add("t", "somebody-elses", "no { JSON")
    assert all(made.of(kind) == [] for kind in KINDS)


@given(st.dictionaries(st.text(), st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text()))))
def test_a_record_crosses_as_it_is(value: dict[str, Any]) -> None:
    """From worker to controller as text and back, with the test's name beside it."""
    value.pop("test", None)
    made = records(evidence=[value])
    assert made.of("evidence") == [{"test": "tests/x.py::test_0", **value}]


def test_findings_are_told_once() -> None:
    """The same finding of two tests is one in the report; another subject is another."""
    other = {**FINDING, "subject": "10.0.0.2:6373"}
    made = records(judged=[judged([FINDING]), judged([FINDING, other])])
    assert reported(made)["findings"] == [FINDING, other]


@pytest.mark.parametrize("tried_first", [True, False])
def test_what_was_tried_replaces_what_was_only_predicted(tried_first: bool) -> None:
    """One row for each host of a layout, the tried one whichever came first; other hosts and layouts stay."""
    rows = [host_row(tried="survived"), host_row(), host_row("redis-host-2")]
    if not tried_first:
        rows[:2] = rows[1::-1]
    rows.append(host_row(layout="bad", survives=False, tried="fatal", simulated_for_this=True))
    found = reported(records(survival=rows))["survival"]
    assert [(row["layout"], row["host"], row["tried"]) for row in found] == [
        ("x", "redis-host-1", "survived"),
        ("x", "redis-host-2", "not tried"),
        ("bad", "redis-host-1", "fatal"),
    ]
    assert all("test" not in row for row in found)


def test_failovers_are_in_the_order_of_their_shards() -> None:
    """However workers interleaved them."""
    made = records(failover=[failover_row("c/m"), failover_row("a/m"), failover_row("b/m")])
    assert [row["shard"] for row in reported(made)["failovers"]] == ["a/m", "b/m", "c/m"]


def test_the_targets_nodes_come_from_who_looked_first() -> None:
    """What tests learn of the target is added to what is known without them."""
    nodes = [{"name": "h/m", "host": "h", "address": "10.0.0.1:1", "role": "master", "version": "8.0.2"}]
    target = reported(records(target=[{"nodes": nodes}, {"nodes": []}]))["target"]
    assert (target["nodes"], target["kind"]) == (nodes, "simulated")
    assert "test" not in target


def test_a_phase_that_was_not_seen_is_a_dash() -> None:
    """Nothing stands in for what was not seen, and no attempt is not attempt zero."""
    row = failover_row(attempt=None)
    row["phases_s"] = dict.fromkeys(row["phases_s"])
    lines = summary(reported(records(failover=[row])))
    (line,) = [line for line in lines if line.startswith("redis-host-1/redis_master")]
    assert line.split()[1:] == ["-"] * 6 + ["13.0", "-"]


def test_a_fatal_prediction_is_read_in_words() -> None:
    """The operator reads what a host's death does, predicted and tried."""
    rows = [host_row(survives=False, tried="was fatal"), host_row("redis-host-2", tried="survived")]
    text = "\n".join(summary(reported(records(survival=rows))))
    assert "is fatal" in text
    assert "was fatal" in text
    assert "survives" in text


@pytest.mark.parametrize("name", ["redis-host-1", LONG, "ein Rechner mit vielen Worten " * 5, "x" * 200])
def test_every_line_fits_the_terminal(name: str) -> None:
    """At most 80 columns, however long names, messages and commands are, and nothing that matters is cut off."""
    node = {"name": f"{name}/redis_master", "host": name, "address": "10.0.0.1:6373", "role": "master 0-5460"}
    long_finding = {
        **FINDING,
        "subject": name,
        "message": f"{name} is wrong " * 9,
        "repair": f"redis-cli -h {name} fix",
    }
    client = {"redis-py asyncio": {"first_success_s": 8.1, "longest_stall_s": 8.2, "errors": 3}}
    made = records(
        target=[{"nodes": [node]}],
        judged=[judged([long_finding], [{"rule": "r", "why": f"{name} does not answer"}])],
        survival=[host_row(name, tried="MARK-TRIED", survives=False, layout=name)],
        failover=[
            failover_row(f"{name}/redis_master", outage_s={f"{name}{n}/m": 1.5 for n in range(5)}, clients=client)
        ],
    )
    made.failed[f"tests/{name}.py::test"] = "AssertionError"
    image = {"server": "redis", "version": "8.0.2", "origin": "built", "reference": f"{name}:1", "why": f"{name} " * 9}
    lines = summary(reported(made, name=name, image=image))
    assert [line for line in lines if len(line) > WIDTH] == []
    text = " ".join(" ".join(lines).split())
    for matters in ("is fatal", "MARK-TRIED", "master 0-5460", "13.0 1", "VIOLATED", "8.0.2", "8.20", " fix"):
        assert matters in text


@settings(max_examples=60, deadline=None)
@given(host=st.text(min_size=1, max_size=120), message=st.text(max_size=200), repair=st.text(max_size=200))
def test_no_text_breaks_the_summary(host: str, message: str, repair: str) -> None:
    """Whatever stands in names and messages, there is a summary of at most 80 columns with the verdict at its end."""
    finding = {**FINDING, "subject": host, "message": message, "repair": repair}
    lines = summary(reported(records(judged=[judged([finding])], survival=[host_row(host)])))
    assert all(len(line) <= WIDTH for line in lines)
    assert lines[-1].startswith("verdict   ")
