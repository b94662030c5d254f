"""A waiver takes a finding out of the verdict: for one rule, with a reason, until a day; never by a typing error."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.rules.catalogue import catalogue
from fixtures.rules.finding import Finding, Severity
from fixtures.rules.unknown_rule import UnknownRule
from fixtures.rules.waiver_text import WaiverError, parse_waiver, read_waivers
from fixtures.rules.waivers import Waiver, apply, without_effect
from tests.examples import examples

pytestmark = pytest.mark.unit

KNOWN = [rule.id for rule in catalogue()]
DAY = date(2026, 11, 23)
M1, M2 = "redis-host-1/redis_master", "redis-host-2/redis_master"

subjects = st.sampled_from(["", M1, M2, "redis-host-1/*", "*", "slots 0-5460", "cluster"])
waivers_ = st.builds(
    Waiver,
    st.sampled_from(KNOWN[:3]),
    subjects,
    st.just("known"),
    st.dates(DAY - timedelta(days=2), DAY + timedelta(days=2)),
)


def finding(rule: str = "uneven-slots", subject: str = M1, **other: Any) -> Finding:
    return Finding(subject, "is not as it should be", rule=rule, severity=Severity.ERROR, **other)


def waiver(rule: str = "uneven-slots", subject: str = "", expires: date = DAY) -> Waiver:
    return Waiver(rule, subject, "the reshard is planned", expires)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("uneven-slots until 2026-12-31 because x y", ("uneven-slots", "", "x y", date(2026, 12, 31))),
        (
            "slots-uncovered:slots 0-5460 until 2026-12-31 because no data",
            ("slots-uncovered", "slots 0-5460", "no data", date(2026, 12, 31)),
        ),
        (
            "node-fail:10.0.0.1:6373 until 2026-01-02 because until then, because it is slow",
            ("node-fail", "10.0.0.1:6373", "until then, because it is slow", date(2026, 1, 2)),
        ),
        (
            "  epoch-collision: a/m and b/m   until  2026-12-31\n because  r ",
            ("epoch-collision", "a/m and b/m", "r", date(2026, 12, 31)),
        ),
    ],
)
def test_an_option_is_read(text: str, expected: tuple[str, str, str, date]) -> None:
    """Subjects may have colons and spaces, reasons may have any word."""
    assert parse_waiver(text, KNOWN) == Waiver(*expected)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("uneven-slots until 2026-12-31", "no reason"),
        ("uneven-slots until 2026-12-31 because", "no reason"),
        ("uneven-slots until 2026-12-31 because  ", "no reason"),
        ("uneven-slots because x", "no date"),
        ("uneven-slots until because x", "no date"),
        ("uneven-slots", "no date"),
        ("uneven-slots until 31.12.2026 because x", "'31.12.2026'"),
        ("uneven-slots until 2026-02-30 because x", "'2026-02-30'"),
        ("uneven-slots until 20261231 because x", "'20261231'"),
        ("uneven-slots until tomorrow because x", "'tomorrow'"),
        ("", "names no rule"),
        (":cluster until 2026-12-31 because x", "names no rule"),
    ],
)
def test_an_option_that_says_too_little_is_refused(text: str, says: str) -> None:
    """Reason and date are mandatory; the message says what is missing and how it is written."""
    with pytest.raises(WaiverError) as refused:
        parse_waiver(text, KNOWN)
    assert says in refused.value.observed
    assert "until YYYY-MM-DD because REASON" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "near"),
    [("slots-uncoverd", "slots-uncovered"), ("uneven", "uneven-slots"), ("UNEVEN_SLOTS", "uneven-slots")],
)
def test_an_unknown_rule_is_refused_with_those_that_are_near(text: str, near: str) -> None:
    """A waiver of a rule that is none would waive nothing, silently."""
    with pytest.raises(UnknownRule) as refused:
        parse_waiver(f"{text}:{M1} until 2026-12-31 because x", KNOWN)
    assert f"did you mean {near}" in refused.value.advice
    assert text in str(refused.value)


def test_a_file_is_read(tmp_path: Path) -> None:
    """A list of mappings; the date is one of YAML's or in quotes, the subject may be left out; options come after."""
    file = tmp_path / "waivers.yaml"
    file.write_text(
        "# known\n- rule: uneven-slots\n  reason: planned\n  expires: 2026-12-31\n"
        "- {rule: node-fail, subject: '10.0.0.1:6373', reason: on order, expires: '2027-01-31'}\n",
        encoding="utf-8",
    )
    assert read_waivers(file, ["node-fail until 2026-12-01 because x"], KNOWN) == (
        Waiver("uneven-slots", "", "planned", date(2026, 12, 31)),
        Waiver("node-fail", "10.0.0.1:6373", "on order", date(2027, 1, 31)),
        Waiver("node-fail", "", "x", date(2026, 12, 1)),
    )


@pytest.mark.parametrize("text", ["", "# nothing is waived\n", "[]\n", "---\n"])
def test_a_file_without_waivers_is_no_error(text: str, tmp_path: Path) -> None:
    """Nor is no file at all."""
    (tmp_path / "waivers.yaml").write_text(text, encoding="utf-8")
    assert read_waivers(tmp_path / "waivers.yaml", (), KNOWN) == read_waivers(None, (), KNOWN) == ()


GOOD = "- rule: uneven-slots\n  reason: x\n  expires: 2026-12-31\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rule: uneven-slots\n", "no list, but a mapping"),
        ("uneven-slots\n", "no list, but a text"),
        ("- uneven-slots\n", "a text: 'uneven-slots'"),
        ("- rule: uneven-slots\n  expires: 2026-12-31\n", "no reason"),
        ("- rule: uneven-slots\n  reason:\n  expires: 2026-12-31\n", "no reason"),
        ("- rule: uneven-slots\n  reason: x\n", "no date"),
        ("- reason: x\n  expires: 2026-12-31\n", "names no rule"),
        ("- rule: uneven-slots\n  reason: x\n  expires: soon\n", "'soon'"),
        ("- rule: uneven-slots\n  reason: x\n  expires: 2026-12-31 10:00:00\n", "2026-12-31T10:00:00"),
        ("- rule: uneven-slots\n  reason: x\n  expires: 2026-99-99\n", "month must be in"),
        ("- rule: uneven-slots\n  reason: x\n  expires: 20261231\n", "20261231"),
        ("- rule: uneven-slots\n  reason: x\n  expires: false\n", "False"),
        ("- rule: uneven-slots\n  reason: [x]\n  expires: 2026-12-31\n", "['x']"),
        ("- rule: uneven-slots\n  subject: 6373\n  reason: x\n  expires: 2026-12-31\n", "6373"),
        ("- rule: uneven-slots\n  reason: x\n  until: 2026-12-31\n", "unknown: until"),
        (GOOD + "  rule: node-fail\n  reason: y\n", "line 1: rule is given twice"),
        (GOOD + GOOD, "given twice"),
        ("- {rule: uneven-slots\n", "line 2: "),
        ("- !vault x\n", "line 1: "),
        ("\x00", "special characters"),
    ],
)
def test_a_file_that_is_wrong_is_refused(text: str, says: str, tmp_path: Path) -> None:
    """One message that names the file, the entry and what was found there."""
    file = tmp_path / "waivers.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(WaiverError) as refused:
        read_waivers(file, (), KNOWN)
    assert says in refused.value.observed
    assert refused.value.expected
    assert refused.value.advice


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"], ids=["absent", "no text"])
def test_a_file_that_cannot_be_read_is_refused(content: bytes | None, tmp_path: Path) -> None:
    """One that was named and is not there, a folder, and one that is no text."""
    file = tmp_path / "waivers.yaml"
    if content is not None:
        file.write_bytes(content)
    for each in (file, tmp_path):
        with pytest.raises(WaiverError, match="waiver"):
            read_waivers(each, (), KNOWN)


def test_a_waiver_given_twice_is_refused(tmp_path: Path) -> None:
    """Also once in the file and once as an option; another subject is another waiver."""
    file = tmp_path / "waivers.yaml"
    file.write_text(GOOD, encoding="utf-8")
    assert len(read_waivers(file, [f"uneven-slots:{M1} until 2026-12-31 because x"], KNOWN)) == 2
    with pytest.raises(WaiverError, match="uneven-slots"):
        read_waivers(file, ["uneven-slots until 2027-12-31 because y"], KNOWN)


@pytest.mark.parametrize(
    ("subject", "covered"),
    [
        ("", True),
        (M1, True),
        ("redis-host-1/*", True),
        ("*", True),
        (M2, False),
        ("redis-host-1", False),
        ("redis-host-1/redis_maste?", False),
        ("*/redis_master", False),
        ("redis-host-2*", False),
        ("host-1/*", False),
    ],
)
def test_a_waiver_covers_its_subject(subject: str, covered: bool) -> None:
    """All subjects, one to the letter, or all that begin so; no other pattern."""
    assert waiver(subject=subject).covers("uneven-slots", M1) is covered
    assert not waiver(subject=subject).covers("node-fail", M1)


@pytest.mark.parametrize(("days", "waived"), [(-1, 0), (0, 1), (1, 1)])
def test_a_waiver_has_effect_up_to_its_last_day(days: int, waived: int) -> None:
    """On that day still, on the next no more; then it is named."""
    split = apply([finding()], [waiver(expires=DAY + timedelta(days=days))], DAY)
    assert (len(split.waived), len(split.counting), len(split.expired)) == (waived, 1 - waived, 1 - waived)


def test_what_is_waived_does_not_count() -> None:
    """Only the finding that is covered is taken out, and it keeps its waiver; what covers nothing is named."""
    first, second, idle = waiver(subject=M1), waiver("node-fail"), waiver(subject="cluster")
    split = apply([finding(), finding(subject=M2), finding("node-fail")], [first, second, idle], DAY)
    assert split.counting == (finding(subject=M2),)
    assert split.waived == ((finding(), first), (finding("node-fail"), second))
    assert (split.expired, split.unmatched) == ((), (idle,))


@examples()
@given(
    st.lists(waivers_), st.lists(st.builds(finding, st.sampled_from(KNOWN[:3]), st.sampled_from([M1, M2, "cluster"])))
)
def test_no_finding_is_lost_or_told_twice(waivers: list[Waiver], findings: list[Finding]) -> None:
    """Each counts or is waived by a waiver that covers it and has effect; each waiver has effect or is named."""
    split = apply(findings, waivers, DAY)
    together = [*split.counting, *(each for each, _ in split.waived)]
    assert sorted(map(str, together)) == sorted(map(str, findings))
    assert all(each.covers(found.rule, found.subject) and each.expires >= DAY for found, each in split.waived)
    active = [each for each in waivers if each.expires >= DAY]
    assert not any(each.covers(found.rule, found.subject) for each in active for found in split.counting)
    reported = [each.to_dict(found) for found, each in split.waived]
    named = [(row["rule"], row["subject"], row["expires"]) for row in without_effect(waivers, reported, DAY)]
    without = [each for each in waivers if each in (*split.expired, *split.unmatched)]
    assert named == [(each.rule, each.subject, each.expires.isoformat()) for each in without]


def test_a_waived_finding_is_reported_with_its_waiver() -> None:
    """As any finding, with reason and day beside it; the waiver's name is rule and subject."""
    row = waiver(subject=M1).to_dict(finding(repair="start it"))
    assert (row["rule"], row["subject"], row["repair"]) == ("uneven-slots", M1, "start it")
    assert (row["reason"], row["expires"]) == ("the reshard is planned", "2026-11-23")
    assert (str(waiver()), str(waiver(subject=M1))) == ("uneven-slots", f"uneven-slots:{M1}")


def test_a_waiver_without_effect_says_why() -> None:
    """It has expired, or there is nothing to waive."""
    rows = without_effect([waiver(expires=DAY - timedelta(days=1)), waiver("node-fail")], [], DAY)
    assert [row["why"] for row in rows] == ["it expired on 2026-11-22", "it covers no finding of this run"]
