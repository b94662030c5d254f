"""Two reports compared: nothing is called gone that nobody looked for, and nothing new that was there."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.report.compare import Older, compare
from fixtures.report.compared_text import compared_text
from fixtures.report.document import document
from fixtures.report.groups import grouped
from fixtures.report.older import OlderReportError, read_older
from fixtures.report.record import Records, written
from tests.examples import examples

pytestmark = pytest.mark.unit

M1, M2 = "redis-host-1/redis_master", "redis-host-2/redis_master"
KINDS = ("new", "gone", "undecided", "unchanged")


def finding(rule: str = "node-fail", subject: str = M1, message: str = "is marked FAIL") -> dict[str, Any]:
    more = {"severity": "error", "repair": "", "evidence": "", "seen_by": [], "breaks": "now", "if_left": "x"}
    return {"rule": rule, "subject": subject, "message": message, **more}


def waived(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "reason": "known", "expires": "2026-12-31"}


def node(name: str = M1, **other: str) -> dict[str, str]:
    facts = {"host": name.partition("/")[0], "address": "10.0.0.1:6373", "role": "master 0-5460", "version": "8.0.2"}
    return {"name": name, **facts, **other}


def report(
    *findings: dict[str, Any], nodes: Any = (), name: str = "x", older: Older | None = None, **judged: Any
) -> dict[str, Any]:
    """Return the document of a run with these findings; ``judged`` are further fields of its one look."""
    look = {"findings": findings, "not_applicable": [], "not_collected": [], **judged}
    records = Records(about_target=["t"], passed=["t"], exit_status=0)
    records.add("t", "judged", written(look))
    records.add("t", "target", written({"nodes": list(nodes)}))
    facts = {"kind": "simulated", "name": name, "node_timeout_ms": 5000, "image": None}
    return document(records, facts, began="2026-11-22T10:00:00+00:00", seconds=1.0, older=older)


def compared(then: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    return compare(Older("old/report.json", then), now)


def told(found: dict[str, Any], kind: str) -> list[tuple[str, str]]:
    return [(row["subject"], row["note"]) for row in found[kind]]


def test_findings_are_new_gone_or_unchanged() -> None:
    """By rule and subject; the verdicts and the source are named."""
    other = finding("link-disconnected")
    found = compared(report(finding(), finding(subject=M2)), report(finding(), other))
    assert [(row["rule"], row["subject"]) for row in found["new"]] == [("link-disconnected", M1)]
    assert told(found, "gone") == [(M2, "")]
    assert told(found, "unchanged") == [(M1, "")]
    assert found["undecided"] == []
    assert (found["against"], found["verdict"]) == ("old/report.json", {"then": "holds", "now": "holds"})


def test_a_message_that_changed_is_noted() -> None:
    """The finding is the same, and both of its messages can be read."""
    found = compared(report(finding(message="is down for 3 s")), report(finding(message="is down for 9 s")))
    (row,) = found["unchanged"]
    assert (row["message"], row["note"]) == ("is down for 9 s", "said then: is down for 3 s")
    assert found["new"] == found["gone"] == []


def test_of_several_messages_the_equal_ones_belong_together() -> None:
    """One rule may say several things of one subject: what is said again is unchanged, in whatever order."""
    then = report(finding(message="a"), finding(message="b"), finding(message="c"))
    found = compared(then, report(finding(message="c"), finding(message="a")))
    assert told(found, "unchanged") == [(M1, ""), (M1, "")]
    assert [row["message"] for row in found["gone"]] == ["b"]
    back = compared(report(finding(message="c")), then)
    assert [row["message"] for row in back["new"]] == ["a", "b"]


@pytest.mark.parametrize(
    "now",
    [
        {"not_collected": [{"rule": "node-fail", "why": "NOPERM"}]},
        {"not_applicable": [{"rule": "node-fail", "why": "a recording"}]},
        {"decided": ["link-disconnected"]},
        {"decided": []},
    ],
    ids=["not collected", "not applicable", "not asked", "nothing asked"],
)
def test_what_was_not_decided_is_not_gone(now: dict[str, Any]) -> None:
    """A finding that nobody looked for this time may still be there; the reverse is said of a new one."""
    found = compared(report(finding()), report(**now))
    assert (told(found, "undecided"), found["gone"]) == ([(M1, "")], [])
    back = compared(report(**now), report(finding()))
    assert told(back, "new") == [(M1, "its rule was not decided then")]
    assert told(compared(report(finding()), report(decided=["node-fail"])), "gone") == [(M1, "")]


def test_a_waiver_is_no_repair() -> None:
    """What is waived now, or no longer, is unchanged and says so."""
    counting, accepted = report(finding()), report(waived=[waived(finding())])
    assert told(compared(counting, accepted), "unchanged") == [(M1, "waived now")]
    assert told(compared(accepted, counting), "unchanged") == [(M1, "no longer waived")]
    assert told(compared(accepted, accepted), "unchanged") == [(M1, "")]


rows = st.lists(
    st.builds(finding, st.sampled_from(["node-fail", "x"]), st.sampled_from([M1, M2]), st.sampled_from("abc")),
    unique_by=str,
)


@examples()
@given(rows, rows)
def test_every_finding_is_told_once(then: list[dict[str, Any]], now: list[dict[str, Any]]) -> None:
    """New and unchanged ones are those of this run; the rest of the earlier run's is gone."""
    found = compared(report(*then), report(*now))
    shown = Counter(
        (row["rule"], row["subject"], row["message"]) for kind in ("new", "unchanged") for row in found[kind]
    )
    assert shown == Counter((row["rule"], row["subject"], row["message"]) for row in now)
    assert len(found["gone"]) == len(then) - len(found["unchanged"])
    same = compared(report(*then), report(*then))
    assert same["new"] == same["gone"] == []
    assert all(row["note"] == "" for row in same["unchanged"])


def test_nodes_that_changed_are_named() -> None:
    """Role, version and address, then and now; nodes that came and went."""
    then = report(nodes=[node(), node(M2), node("h/gone")])
    now = report(nodes=[node(role="dead", version=""), node(M2, address="10.0.0.9:6373"), node("h/came")])
    assert [tuple(row.values()) for row in compared(then, now)["nodes"]] == [
        (M1, "role", "master 0-5460", "dead"),
        (M1, "version", "8.0.2", ""),
        (M2, "address", "10.0.0.1:6373", "10.0.0.9:6373"),
        ("h/gone", "node", "present", "absent"),
        ("h/came", "node", "absent", "present"),
    ]
    assert compared(then, then)["nodes"] == []


def test_another_target_is_said() -> None:
    """Two clusters can be compared; the reader is told."""
    assert compared(report(name="a"), report(name="b"))["other_target"] == "simulated a"
    assert compared(report(), report())["other_target"] == ""


def test_the_report_has_the_comparison() -> None:
    """Beside everything else; null where nothing was to be compared with."""
    now = report(older=Older("old", report(finding())))
    assert told(now["compared"], "gone") == [(M1, "")]
    assert report()["compared"] is None
    json.dumps(now)


def text(then: dict[str, Any], now: dict[str, Any]) -> str:
    return "\n".join(compared_text(compared(then, now), grouped(now["findings"])))


def test_the_comparison_is_read_in_the_terminal() -> None:
    """This run's findings by their numbers in the list, the earlier run's in words, and changes of nodes."""
    then = report(finding(), finding(subject="lost"), nodes=[node()])
    now = report(
        finding("a-rule"), finding(message="else"), waived=[waived(finding("w-rule"))], nodes=[node(role="dead")]
    )
    lines = text(then, now).splitlines()
    assert lines[1:] == [
        "compared with old/report.json of 2026-11-22T10:00:00+00:00",
        "  verdict   holds then, holds now",
        "  findings  2 new, 1 gone, 0 undecided, 1 unchanged",
        "  new       [1] 1 of those that are waived",
        "  gone      node-fail, lost: is marked FAIL",
        "  unchanged [2] (said then: is marked FAIL)",
        f"  node      {M1}: role master 0-5460 then, dead now",
    ]
    assert list(compared_text(None, ())) == []


def test_addresses_of_a_new_simulation_are_one_line() -> None:
    """Every simulation has others: that is no news in six lines; one node's new address is news."""
    then = report(nodes=[node(), node(M2)])
    assert "2 have another address" in text(then, report(nodes=[node(address="a:1"), node(M2, address="b:1")]))
    assert f"{M2}: address 10.0.0.1:6373 then, b:1 now" in text(then, report(nodes=[node(), node(M2, address="b:1")]))


def test_an_older_report_is_read(tmp_path: Path) -> None:
    """By its file, or by the folder of the report."""
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report(finding())), encoding="utf-8")
    assert read_older(file).document == read_older(tmp_path).document == report(finding())
    assert read_older(tmp_path).source == str(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not JSON"),
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "no report"),
        ("{}", "no report"),
        ('{"schema": 2}', "schema is 2, and 1"),
        ('{"schema": 1}', "no list target.nodes"),
        (json.dumps({**report(), "findings": {}}), "no list findings"),
        (json.dumps({**report(), "findings": [{"rule": "x"}]}), "an entry of findings"),
        (json.dumps({**report(), "not_collected": ["x"]}), "an entry of not_collected"),
        (json.dumps({**report(), "verdict": None}), "no verdict"),
        (json.dumps({**report(), "target": "x"}), "no list target.nodes"),
    ],
)
def test_what_is_no_report_is_refused(content: str, says: str, tmp_path: Path) -> None:
    """In one message that says what is wrong with the file."""
    file = tmp_path / "report.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(OlderReportError) as refused:
        read_older(file)
    assert says in refused.value.observed
    assert str(file) in str(refused.value)


def test_a_report_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Absent, a folder without one, or no text at all."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for each in (tmp_path / "absent.json", tmp_path, tmp_path / "bytes"):
        with pytest.raises(OlderReportError, match="cannot be compared with"):
            read_older(each)
