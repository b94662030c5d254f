"""Findings as they are read: grouped by what breaks when, with what to copy, in the terminal and on the page."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.report.compare import Older
from fixtures.report.document import document
from fixtures.report.groups import HEADINGS, grouped, numbers
from fixtures.report.html import failover_page, head
from fixtures.report.summary import WIDTH, summary
from fixtures.report.visible import on_one_line
from fixtures.rules.finding import Breaks
from fixtures.rules.waivers import Waiver
from tests.examples import examples
from tests.unit.test_report import FINDING, failover_row, host_row, judged, records, reported

pytestmark = pytest.mark.unit

FACTS: dict[str, Any] = {"kind": "simulated", "name": "x", "node_timeout_ms": 5000, "image": None, "nodes": []}
BEGAN = "2026-01-01T00:00:00+00:00"


def row(rule: str, breaks: str = "now", severity: str = "error", **other: Any) -> dict[str, Any]:
    return {**FINDING, "rule": rule, "breaks": breaks, "severity": severity, **other}


def test_findings_are_grouped_by_what_breaks_when() -> None:
    """Now, at the next failure, untidy; in each the worst first, else in the order of arrival; numbered through."""
    rows = [
        row("a", "untidy", "notice"),
        row("b", "at the next failure", "warning"),
        row("c", "untidy", "error"),
        row("d", "at the next failure", "error"),
        row("e", "now", "notice"),
        row("f", "at the next failure", "error"),
    ]
    groups = grouped(rows)
    assert [(group.breaks, [(each.number, each.finding["rule"]) for each in group.findings]) for group in groups] == [
        (Breaks.NOW, [(1, "e")]),
        (Breaks.NEXT_FAILURE, [(2, "d"), (3, "f"), (4, "b")]),
        (Breaks.UNTIDY, [(5, "c"), (6, "a")]),
    ]
    assert [group.heading for group in groups] == list(HEADINGS.values())
    assert numbers(groups)["d", FINDING["subject"], FINDING["message"]] == 2
    assert grouped([]) == ()
    assert [group.breaks for group in grouped(rows[:1])] == [Breaks.UNTIDY]


@pytest.mark.parametrize(
    ("repair", "commands", "advice"),
    [
        ("redis-cli -h 10.0.0.1 -p 1 PING\nredis-cli --cluster fix 10.0.0.1:1", 2, ""),
        ("  redis-cli PING  ", 1, ""),
        ("start the node, or free the way to it", 0, "start the node, or free the way to it"),
        ("start it; if it will not come back:\nredis-cli PING", 1, "start it; if it will not come back:"),
        ("CLUSTER FORGET 07c37df, on every other node", 0, "CLUSTER FORGET 07c37df, on every other node"),
        ("restart it:\ndocker start x\nthen wait", 1, "restart it: then wait"),
        ("on redis-host-1: sysctl -w vm.overcommit_memory=1", 1, ""),
        ("where 10.0.0.1:6373 runs: printf x | sh", 1, ""),
        ("where 10.0.0.1:6373 runs: look", 0, "where 10.0.0.1:6373 runs: look"),
        ("printf '%s\\n' x | ssh ada@h 'sh -c y'", 1, ""),
        ("", 0, ""),
    ],
)
def test_commands_are_told_from_sentences(repair: str, commands: int, advice: str) -> None:
    """A line that begins with a program, if need be after a place, is to be copied; any other is to be read."""
    ((each,),) = (group.findings for group in grouped([row("a", repair=repair)]))
    assert (len(each.commands), each.advice) == (commands, advice)
    assert all(line in map(str.strip, repair.split("\n")) for line in each.commands)


def test_a_finding_is_read_from_top_to_bottom() -> None:
    """What, how bad, what happens if it is left, and what to run; the command in full, however long."""
    command = f"redis-cli -h 10.0.0.1 -p 6373 CLUSTER REPLICATE {'0' * 40}"
    found = row("a-rule", "at the next failure", "warning", repair=f"first look, then:\n{command}\nredis-cli PING")
    lines = summary(reported(records(judged=[judged([found])])))
    begin = lines.index("what breaks at the next failure (1)")
    assert lines[begin : begin + 8] == [
        "what breaks at the next failure (1)",
        "[1]  10.0.0.1:6373: slot 5 is owned twice",
        "     warning, a-rule",
        "     if left: writes to one of them will be lost",
        "     repair: first look, then:",
        command,
        "       redis-cli PING",
        "",
    ]


def test_what_is_waived_is_listed_apart() -> None:
    """With its reason and its last day; waivers that have no effect are named, and why."""
    accepted = {**FINDING, "reason": "planned", "expires": "2026-12-31"}
    waivers = [
        Waiver("slot-overlap", "", "planned", date(2026, 12, 31)),
        Waiver("node-fail", "h/m", "old", date(2025, 12, 31)),
        Waiver("node-pfail", "", "never seen", date(2026, 12, 31)),
    ]
    made = records(judged=[judged(waived=[accepted]), judged(waived=[accepted])])
    found = document(made, FACTS, began=BEGAN, seconds=1.0, waivers=waivers)
    assert (found["waived"], found["findings"], found["verdict"]) == ([accepted], [], "holds")
    assert [(each["rule"], each["why"]) for each in found["waivers_without_effect"]] == [
        ("node-fail", "it expired on 2025-12-31"),
        ("node-pfail", "it covers no finding of this run"),
    ]
    text = "\n".join(summary(found))
    assert "  slot-overlap, 10.0.0.1:6373: slot 5 is owned twice\n    until 2026-12-31: planned\n" in text
    assert "waiver without effect: node-fail, h/m: it expired on 2025-12-31\n" in text
    assert "what breaks" not in text
    page = head(found)
    for matters in ("planned", "2026-12-31", "it expired on 2025-12-31", "None that counts"):
        assert matters in page


def test_what_does_not_apply_is_only_counted() -> None:
    """Each rule once, with the way to its reason; what could not be collected is said in full."""
    reasons = [{"rule": "engine-down", "why": "NO ENGINE"}, {"rule": "engine-down", "why": "another"}]
    made = records(judged=[judged(not_applicable=reasons), judged([], [{"rule": "r", "why": "NOPERM"}])])
    text = "\n".join(summary(reported(made)))
    assert "rules that do not apply to this target: 1 (report.json says why)" in text
    assert "not collected: r: NOPERM" in text
    page = head(reported(made))
    assert "do not apply to this target: 1 " in page
    assert "NOPERM" in page
    assert "NO ENGINE" not in text + page


def test_what_was_decided_is_told_where_all_looks_say_so() -> None:
    """Each rule once; nothing at all where one look does not say it."""
    made = records(judged=[judged(decided=["a", "b"]), judged(decided=["b"])])
    assert reported(made)["decided"] == ["a", "b"]
    assert reported(records(judged=[judged(decided=["a"]), judged()]))["decided"] is None


@pytest.mark.parametrize("kind", ["recording", "seed"])
def test_a_target_of_which_little_is_known_has_a_summary(kind: str) -> None:
    """Without node timeout, image, host or inventory; without nodes there is no picture."""
    node = {"name": "10.0.0.1:1", "host": "", "address": "10.0.0.1:1", "role": "master", "version": ""}
    for nodes in ([], [node]):
        found = reported(records(judged=[judged([FINDING])]), kind=kind, node_timeout_ms=None, nodes=nodes)
        lines = summary(found)
        assert lines[0] == f"target    {kind}: x"
        assert any(line.startswith("│ 10.0.0.1:1 ") for line in lines) is bool(nodes)
        assert ("<svg" in head(found)) is bool(nodes)
        assert "None" not in "\n".join(lines)
    bare = {**reported(records()), "target": {"kind": kind, "name": "x"}}
    assert summary(bare)[0] == f"target    {kind}: x"
    assert "<h2" in head(bare)


SCRIPT = "<script>alert('x')</script>"


def test_what_a_cluster_says_cannot_run_in_the_page() -> None:
    """Lines of CLUSTER NODES are text of others: shown, and not run, wherever they stand."""
    hostile = dict.fromkeys(("rule", "subject", "message", "repair", "evidence", "if_left"), SCRIPT)
    finding = {**FINDING, **hostile, "seen_by": [SCRIPT]}
    node = dict.fromkeys(("name", "host", "address", "role", "version"), SCRIPT)
    look = judged(
        [finding, {**finding, "repair": f"redis-cli {SCRIPT}"}],
        [{"rule": SCRIPT, "why": SCRIPT}],
        waived=[{**finding, "subject": "y", "reason": SCRIPT, "expires": "2026-01-01"}],
    )
    made = records(judged=[look], survival=[host_row(SCRIPT)], target=[{"nodes": [node]}])
    gone = {**FINDING, **hostile, "subject": f"gone {SCRIPT}"}
    before = {**reported(records(judged=[judged([gone])])), "began": SCRIPT, "verdict": SCRIPT}
    found = document(
        made,
        {**FACTS, "kind": SCRIPT, "name": SCRIPT},
        began=BEGAN,
        seconds=1.0,
        older=Older(SCRIPT, before),
        waivers=[Waiver(SCRIPT, "x", SCRIPT, date(2026, 1, 1))],
    )
    page = head(found)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 30
    assert "<script" not in failover_page({"layout_before": {SCRIPT: SCRIPT}, "layout_after": {SCRIPT: SCRIPT}})


def test_the_page_has_what_the_terminal_has() -> None:
    """Groups, numbers that lead to the findings, commands apart, the comparison and the rest of the summary."""
    older = Older("old/report.json", reported(records(judged=[judged([row("was-there")])])))
    nodes = [{"name": "h/m", "host": "h", "address": "10.0.0.1:6373", "role": "master 0-5460", "version": "8.0.2"}]
    rows = [row("a-rule"), row("b-rule", "untidy", "notice", subject="cluster")]
    phases = {"killed": 0.0, **failover_row()["phases_s"]}
    made = records(
        judged=[judged(rows)],
        survival=[host_row()],
        failover=[failover_row(layout_before={}, successor="h/r", phases_s=phases)],
    )
    page = head(document(made, {**FACTS, "nodes": nodes}, began=BEGAN, seconds=1.0, older=older))
    for matters in (
        "What breaks now (1)",
        "What is untidy (1)",
        'id="finding-1"',
        'href="#finding-1"',
        'href="#finding-2"',
        "<pre>redis-cli --cluster fix 10.0.0.1:6373</pre>",
        "writes to one of them will be lost",
        "Compared with old/report.json",
        "was-there",
        "If a host dies",
        "Failovers",
        "<svg",
    ):
        assert matters in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", ""), "the page loads nothing"


@examples(60)
@given(host=st.text(min_size=1, max_size=120), message=st.text(max_size=200), repair=st.text(max_size=200))
def test_no_text_breaks_the_summary(host: str, message: str, repair: str) -> None:
    """Whatever stands in names and messages, there is a summary of at most 80 columns with the verdict at its end.

    Only commands may be longer. No character moves the cursor, and there is a page as well.
    """
    finding = {**FINDING, "subject": host, "message": message, "repair": repair, "if_left": message}
    node = {"name": host, "host": message, "address": repair, "role": f"replica of {host}", "version": ""}
    made = records(judged=[judged([finding], waived=[{**finding, "reason": host, "expires": "2026-01-01"}])])
    found = {**reported(made, nodes=[node], name=host), "survival": [host_row(host)]}
    lines = summary(found)
    commands = [each for group in grouped([finding]) for one in group.findings for each in one.commands]
    assert all(len(line) <= WIDTH or line in map(on_one_line, commands) for line in lines)
    assert all(line.isprintable() for line in lines)
    assert lines[-1].startswith("verdict   ")
    assert all(char.isprintable() or char == "\n" for char in head(found))
