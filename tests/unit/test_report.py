"""The report's verdict never passes what is unknown, and its summary fits a terminal."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.report.document import document, verdict
from fixtures.report.failure import PROVES_NOTHING, proves_nothing
from fixtures.report.record import KINDS, Records, written
from fixtures.report.summary import WIDTH, summary
from provisioning.ansible_inventory import DEFAULT_INVENTORY, read_inventory
from provisioning.errors import WaitTimeout
from provisioning.masking import masked, secrets_of
from tests.examples import examples

pytestmark = pytest.mark.unit

TARGETS = "tests/topology/x.py::test_about_the_target"
"""A test about the target that ended otherwise."""

LONG = "host-with-a-name-that-somebody-thought-would-be-a-good-idea-in-the-asset-database-of-2009"
FINDING: dict[str, Any] = {
    "rule": "slot-overlap",
    "severity": "error",
    "subject": "10.0.0.1:6373",
    "message": "slot 5 is owned twice",
    "repair": "redis-cli --cluster fix 10.0.0.1:6373",
    "evidence": "[5->-07c37df]",
    "seen_by": ["redis-host-1/redis_master"],
    "breaks": "now",
    "if_left": "writes to one of them will be lost",
}


def records(passed: int = 1, **kinds: list[dict[str, Any]]) -> Records:
    """Return the records of a run with so many passed tests, handed over as texts like a worker's."""
    names = [f"tests/topology/x.py::test_passes[{n}]" for n in range(passed)]
    made = Records(about_target=[*names, TARGETS], passed=names, exit_status=0)
    for kind, values in kinds.items():
        for n, value in enumerate(values):
            made.add(f"tests/x.py::test_{n}", kind, written(value))
    return made


def judged(findings: Any = (), not_collected: Any = (), not_applicable: Any = (), **other: Any) -> dict[str, Any]:
    look = {"findings": [*findings], "not_collected": [*not_collected], "not_applicable": [*not_applicable]}
    return {**look, **other}


def reported(made: Records, **target: Any) -> dict[str, Any]:
    facts = {"kind": "simulated", "name": "x", "node_timeout_ms": 5000, "image": None, "nodes": [], **target}
    return document(made, facts, began="2026-01-01T00:00:00+00:00", seconds=1.25)


def host_row(host: str = "redis-host-1", tried: str = "not tried", **other: Any) -> dict[str, Any]:
    row = {"layout": "x", "host": host, "masters_left": 2, "masters_needed": 2, "shards_lost": [], "survives": True}
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
    made.skipped[TARGETS] = "not applicable"
    assert verdict(made) == "holds"
    made.passed.clear()
    assert verdict(made) == "unknown"


def test_no_test_at_all_is_unknown() -> None:
    """An empty run has shown nothing."""
    assert verdict(Records()) == "unknown"


def test_an_error_is_unknown() -> None:
    """A test that could not be carried out has shown nothing, whatever else passed."""
    made = records(passed=100)
    made.errors[TARGETS] = "FaultError"
    assert verdict(made) == "unknown"


def test_the_suites_own_tests_say_nothing_of_the_target() -> None:
    """However many unit tests pass it stays unknown, and one that fails leaves nobody to judge."""
    alone = Records(passed=["tests/unit/x.py::test"], exit_status=0)
    assert verdict(alone) == "unknown"
    assert verdict(records()) == "holds"
    beside = records()
    beside.failed["tests/unit/x.py::test"] = "AssertionError"
    assert verdict(beside) == "unknown"


@pytest.mark.parametrize("status", [2, 3, 4, 5, 130])
def test_a_run_that_was_cut_short_is_unknown(status: int) -> None:
    """What had passed before Ctrl-C is not all that was to be shown; what had failed is enough."""
    made = records(passed=100)
    made.exit_status = status
    assert verdict(made) == "unknown"
    assert reported(made)["exit_status"] == status
    assert "cut short" in "\n".join(summary(reported(made)))
    made.failed[TARGETS] = "AssertionError"
    assert verdict(made) == "violated"


def test_a_run_of_which_one_test_failed_came_to_its_end() -> None:
    """Exit status 1 alone, from whatever plugin, takes nothing back."""
    made = records()
    made.exit_status = 1
    assert verdict(made) == "holds"


def test_records_are_plain_values() -> None:
    """All of them can be written as JSON and read again."""
    made = records(judged=[judged()])
    made.deselected = 7
    assert Records(**json.loads(json.dumps(asdict(made)))) == made
    assert reported(made)["tests"]["deselected"] == 7


@pytest.mark.parametrize("error", [kind("x") for kind in PROVES_NOTHING])
def test_what_could_not_be_carried_out_proves_nothing(error: Exception) -> None:
    """By its class, not by what it says; in a group only where all of them are such."""
    assert proves_nothing(error)
    assert proves_nothing(ExceptionGroup("", [error, ExceptionGroup("", [error])]))
    assert not proves_nothing(ExceptionGroup("", [error, AssertionError()]))


@pytest.mark.parametrize(
    "error",
    [AssertionError("NodeUnreachable, FaultError and SimulationError"), WaitTimeout("x"), KeyError("FaultError")],
    ids=lambda error: type(error).__name__,
)
def test_any_other_failure_breaks_a_promise(error: Exception) -> None:
    """Whatever words stand in its message."""
    assert not proves_nothing(error)


def test_every_form_of_a_secret_is_masked() -> None:
    """As it is, as Python shows it, and as JSON has it; the longer one first where one is part of another."""
    secrets = {"pä\"'\\ß", "S3CRET", "S3CRETpw"}
    for secret in secrets:
        text = masked(f"a {secret} b {secret!r} c {json.dumps(secret)}", secrets)
        assert text.replace("'", "").replace('"', "") == "a masked b masked c masked"
    assert masked("nothing", secrets) == "nothing"


def test_secrets_are_those_of_nodes_and_of_ansible() -> None:
    """Logins to Redis and to the hosts; names of users are no secrets."""
    inventory = read_inventory(DEFAULT_INVENTORY)
    assert secrets_of(inventory) == frozenset()
    host = replace(
        inventory.hosts[0],
        nodes=tuple(
            replace(node, user="ada", password="one", previous_password="zero") for node in inventory.hosts[0].nodes
        ),
        variables={"ansible_password": "two", "ansible_become_pass": 3, "ansible_user": "ada", "x_password": None},
    )
    assert secrets_of(replace(inventory, hosts=(host, *inventory.hosts[1:]))) == {"zero", "one", "two", "3"}


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
    made.failed[TARGETS] = "AssertionError"
    assert verdict(made) == "violated"


def test_properties_of_others_are_no_records() -> None:
    """What another plugin notes on a test is left alone, and needs not be JSON."""
    made = Records()
    made.add("t", "somebody-elses", "no { JSON")
    assert all(made.of(kind) == [] for kind in KINDS)


@examples()
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
    """At most 80 columns but for commands, however long names and messages are; nothing that matters is cut off."""
    node = {"name": f"{name}/redis_master", "host": name, "address": "10.0.0.1:6373", "role": "master 0-5460"}
    command = f"redis-cli -h {name} fix"
    sentences = {"message": f"{name} is wrong " * 9, "if_left": f"{name} is lost " * 9}
    long_finding = {**FINDING, "subject": name, **sentences, "repair": f"start it\n{command}\nand wait for {name}"}
    client = {"redis-py asyncio": {"first_success_s": 8.1, "longest_stall_s": 8.2, "errors": 3}}
    made = records(
        target=[{"nodes": [node]}],
        judged=[judged([long_finding], [{"rule": "r", "why": f"{name} does not answer"}])],
        survival=[host_row(name, tried="MARK-TRIED", survives=False, layout=name)],
        failover=[
            failover_row(f"{name}/redis_master", outage_s={f"{name}{n}/m": 1.5 for n in range(5)}, clients=client)
        ],
    )
    made.failed[TARGETS] = "AssertionError"
    image = {"server": "redis", "version": "8.0.2", "origin": "built", "reference": f"{name}:1", "why": f"{name} " * 9}
    lines = summary(reported(made, name=name, image=image))
    assert [line.strip() for line in lines].count(command) == 1
    assert [line for line in lines if len(line) > WIDTH and line != command] == []
    text = " ".join(" ".join(lines).split())
    for matters in ("is fatal", "MARK-TRIED", "master 0-5460", "13.0 1", "VIOLATED", "8.0.2", "8.20", "start it"):
        assert matters in text
