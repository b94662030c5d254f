"""`pytest --recording`, and what goes with every target: exit codes, reports, waivers, comparison, pages of rules."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fixtures.options import DEFAULT_WAIVERS, EVIDENCE_FILE
from fixtures.rules.catalogue import catalogue
from fixtures.rules.page import explain
from provisioning.cluster_nodes import format_cluster_nodes
from provisioning.evidence import Evidence, NodeEvidence
from tests.launched import ROOT, WITHOUT_ENGINE, Launched, launched, provisioning
from tests.unit.listing import M1, M2, NAMES, R1, R2, R3, Edit, change, entries, node_changed, node_id, seen_by_all

RULES = {rule.id for rule in catalogue()}
UNLINKED = ("link-disconnected", "192.168.171.101:6374")
HELD_BACK = ("nofailover-flag", "192.168.171.101:6374")
SECRET = "s3cret/of+the=test"

TOMORROW, YESTERDAY = ((datetime.now(UTC) + timedelta(days=days)).date() for days in (1, -1))

DOCUMENTED = {
    *("schema", "verdict", "exit_status", "began", "duration_s", "target", "tests", "findings"),
    *("not_applicable", "not_collected", "waived", "compared", "survival", "failovers"),
}
OF_NODE = {"name", "host", "address", "role", "version"}
OF_FINDING = {"rule", "severity", "subject", "message", "repair", "evidence", "seen_by", "breaks", "if_left"}

Content = str | bytes | Evidence
Judge = Callable[..., Launched]


def listing(*edits: Edit, viewer: str = M1) -> str:
    """Return what one node of a healthy cluster shows, each edit applied."""
    lines = entries(viewer)
    for edit in edits:
        edit(lines)
    return format_cluster_nodes(lines.values())


def unlinked(viewer: str = M1) -> str:
    """Return a listing with an error."""
    return listing(lambda lines: change(lines, R1, link_state="disconnected"), viewer=viewer)


def held_back() -> str:
    """Return a listing with a warning."""
    return listing(lambda lines: change(lines, R1, flag="nofailover"))


def write(folder: Path, content: Content, name: str = "seen.txt") -> Path:
    """Write a recording and return its path."""
    if isinstance(content, Evidence):
        content = json.dumps(content.to_dict())
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Launched:
    """A run on a healthy cluster's listing, called from where it lies, that says what it imports."""
    folder = tmp_path_factory.mktemp("healthy")
    write(folder, listing())
    return launched(
        folder / "run",
        "--recording",
        "seen.txt",
        at=folder,
        environment={**WITHOUT_ENGINE, "PYTHONPROFILEIMPORTTIME": "1"},
    )


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> Launched:
    """A run on a listing with one defect, and with a line that no node wrote."""
    folder = tmp_path_factory.mktemp("sick")
    path = write(folder, f"{unlinked()}?? {SECRET} ??\n")
    return launched(
        folder / "run", "--recording", path, environment={**WITHOUT_ENGINE, "REDIS_GAUNTLET_PASSWORD": SECRET}
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Launched:
    """A run on a healthy cluster's complete capture."""
    folder = tmp_path_factory.mktemp("whole")
    return launched(folder / "run", "--recording", write(folder, seen_by_all()), environment=WITHOUT_ENGINE)


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Judge a recording in a run of its own, called from where it lies: ``judge(content, *further options)``."""

    def run(content: Content, *options: str | Path) -> Launched:
        path = write(tmp_path, content)
        runs = len(list(tmp_path.glob("run-*")))
        return launched(
            tmp_path / f"run-{runs}", "--recording", path, *options, at=tmp_path, environment=WITHOUT_ENGINE
        )

    return run


def test_a_healthy_listing_holds(healthy: Launched) -> None:
    """Without an engine, from any directory: exit code 0, a verdict, and nothing found."""
    assert healthy.code == 0, healthy.said
    assert healthy.document["verdict"] == "holds"
    assert healthy.document["findings"] == healthy.document["not_collected"] == []
    assert "verdict   HOLDS" in healthy.output


def test_the_document_has_what_is_documented(healthy: Launched, sick: Launched) -> None:
    """report.json has every documented field, of the run, of the target's nodes and of findings."""
    for run in (healthy, sick):
        assert run.document.keys() >= DOCUMENTED
        assert run.document["schema"] == 1
        assert run.document["exit_status"] == run.code
        assert run.document["target"]["kind"] == "recording"
        nodes = run.document["target"]["nodes"]
        assert [node.keys() for node in nodes] == [OF_NODE] * 6
        assert {node["host"] for node in nodes} == {f"192.168.171.10{n}" for n in (1, 2, 3)}
        assert nodes[0]["role"] == "master 0-5460"
        assert run.document["compared"] is None
        assert run.document["failovers"] == run.document["waived"] == []
    assert [each.keys() for each in sick.document["findings"]] == [OF_FINDING] * 2


def test_every_rule_is_a_testcase(healthy: Launched, sick: Launched) -> None:
    """JUnit has each rule once, under its id; one that does not apply is skipped with the reason."""
    for run in (healthy, sick):
        assert run.cases.keys() == RULES
        skipped = {each["rule"]: each["why"] for each in run.document["not_applicable"]}
        assert run.of_kind("skipped") == skipped.keys()
        assert skipped.keys() >= {"bus-port-closed", "config-differs", "cluster-state-fail", "missing-node"}
        assert not skipped.keys() & {"slots-uncovered", "epoch-collision", "replica-same-host-as-master"}
        for rule, why in skipped.items():
            assert why in run.message(rule, "skipped")
    assert healthy.of_kind("failure") == healthy.of_kind("error") == set()


def test_a_defect_is_named(sick: Launched) -> None:
    """Exit code 1; the finding is in the document, in JUnit under its rule, and in the terminal, with its repair."""
    assert sick.code == 1, sick.said
    assert sick.document["verdict"] == "violated"
    assert UNLINKED in sick.found
    assert {rule for rule, _ in sick.found} == sick.of_kind("failure") == {UNLINKED[0], "corrupted-output"}
    for text in (sick.message(UNLINKED[0], "failure"), sick.output):
        assert f"{UNLINKED[1]}: has no bus link" in text
        assert "repair: " in text
    assert "def hold_to" not in sick.said  # what is wrong with a cluster is no traceback of ours


def test_a_line_that_cannot_be_read_is_a_finding(sick: Launched) -> None:
    """It is shown with its number, and a password in it is not."""
    (finding,) = (each for each in sick.document["findings"] if each["rule"] == "corrupted-output")
    assert "line 7 cannot be read" in finding["message"]
    assert "?? masked ??" in finding["message"]
    assert sick.holding(SECRET) == []
    assert sick.evidence.exists()


def test_what_takes_long_to_import_is_left_alone(healthy: Launched) -> None:
    """A recording is judged without Hypothesis, whose plugin would import all of it at the end of any run."""
    assert "| fixtures.rules.catalogue\n" in healthy.errors
    assert "hypothesis.core" not in healthy.errors


def test_views_of_several_nodes_are_compared(tmp_path: Path) -> None:
    """Listings of several nodes, in files and folders, are one cluster; where they differ is found."""
    (tmp_path / "seen").mkdir()
    first = write(tmp_path / "seen", listing())
    other = listing(lambda lines: change(lines, R2, master_id=node_id(M2)), viewer=R3)
    write(tmp_path / "seen", f"{listing(viewer=M2)}\n{other}", "two more.txt")
    run = launched(tmp_path / "run", "--recording", first, "--recording", first.parent, environment=WITHOUT_ENGINE)
    assert run.code == 1, run.said
    assert "views-disagree" in {rule for rule, _ in run.found}
    (finding,) = (each for each in run.document["findings"] if each["rule"] == "views-disagree")
    assert any("two more.txt (2)" in each for each in finding["seen_by"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        (b"\x00\xff\xfe" * 99, "no line of CLUSTER NODES"),
        ('{"schema": 1, "nodes": [{"name": 5}]}', "the capture is damaged"),
        pytest.param("hello\n", "no line of CLUSTER NODES", marks=pytest.mark.slow),
        pytest.param('{"schema": 99, "nodes": []}', "schema", marks=pytest.mark.slow),
        pytest.param(listing()[:40], "no line of CLUSTER NODES", marks=pytest.mark.slow),
    ],
    ids=["empty", "binary", "damaged", "prose", "newer", "cut"],
)
def test_what_is_no_recording_is_one_message(content: Content, says: str, judge: Judge) -> None:
    """Exit code 4 before any test, with what was expected and what to do."""
    run = judge(content)
    assert run.is_refusal, run.said
    assert says in run.said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--recording", "missing.txt"), "missing.txt cannot be read"),
        (("--recording", "seen.txt", "seen.txt"), "--recording seen.txt"),
        (("--recording", "seen.txt", "--waive", "nonsense until 2999-01-01 because x"), "no rule is called 'nonsense'"),
        (("--recording", "seen.txt", "--compare-with", "missing"), "cannot be compared with"),
        pytest.param(("--recording", "nothing"), "has no recording in it", marks=pytest.mark.slow),
        pytest.param(("--recording", "seen.txt", "-n", "2"), "-n cannot be used", marks=pytest.mark.slow),
        pytest.param(("--recording", "seen.txt", "--seed", "x:1"), "different targets", marks=pytest.mark.slow),
        pytest.param(("--recording", "seen.txt", "--probe-writes"), "nobody to write to", marks=pytest.mark.slow),
        pytest.param(("--recording", "seen.txt", "--layout", "x"), "one or the other", marks=pytest.mark.slow),
        pytest.param(("--recording", "seen.txt", "--waivers", "missing.yaml"), "missing.yaml", marks=pytest.mark.slow),
        pytest.param(("--recording", "seen.txt", "--waive", "node-fail"), "no date", marks=pytest.mark.slow),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_one_message(options: tuple[str, ...], says: str, tmp_path: Path) -> None:
    """Paths and options that lead nowhere, or contradict each other: exit code 4, and nothing judged."""
    write(tmp_path, listing())
    (tmp_path / "nothing").mkdir()
    run = launched(tmp_path / "run", *options, at=tmp_path, environment=WITHOUT_ENGINE)
    assert run.is_refusal, run.said
    assert says in run.said
    assert not (run.report / "report.json").exists()


def refused_everything() -> Evidence:
    """Return what a login without rights sees of nodes that answer."""
    seen = seen_by_all(inventory=False)
    asked = [each.name for each in fields(NodeEvidence) if getattr(seen.nodes[0], each.name) is not None]
    why = dict.fromkeys(asked, "NOPERM this user has no permissions")
    nodes = tuple(NodeEvidence(node.name, node.address, node.host, not_collected=why) for node in seen.nodes)
    return replace(seen, nodes=nodes, hosts=())


def test_what_cannot_be_decided_is_unknown(judge: Judge) -> None:
    """Exit code 1, a verdict of its own, no finding; each node's reason is shown once, not for every rule again."""
    run = judge(refused_everything())
    assert (run.code, run.document["verdict"]) == (1, "unknown"), run.said
    assert run.document["findings"] == []
    assert run.undecided.keys() == run.of_kind("failure") >= {"slots-uncovered", "config-differs", "node-fail"}
    summary = run.output.partition(" redis-gauntlet =")[2]
    assert "verdict   UNKNOWN" in summary
    assert [summary.count(f"not collected: {name}: NOPERM") for name in NAMES] == [1] * 6


@pytest.mark.slow
def test_nothing_at_all_is_unknown(judge: Judge) -> None:
    """A capture without a single node passes nothing."""
    run = judge(Evidence(()))
    assert (run.code, run.document["verdict"]) == (1, "unknown"), run.said


def test_a_defect_of_a_rule_is_unknown(tmp_path: Path) -> None:
    """A rule that cannot cope with what it sees says nothing of the cluster; what it stumbled over is shown."""
    write(
        tmp_path,
        "from dataclasses import replace\nfrom fixtures.rules.catalogue import RULES\n"
        "find = lambda evidence: 1 / 0\n"
        "find.__module__ = RULES['node-pfail'].find.__module__\n"
        "RULES['node-pfail'] = replace(RULES['node-pfail'], find=find)\n",
        "broken_rule.py",
    )
    path = write(tmp_path, listing())
    environment = {**WITHOUT_ENGINE, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    run = launched(tmp_path / "run", "-p", "broken_rule", "--recording", path, environment=environment)
    assert (run.code, run.document["verdict"]) == (1, "unknown"), run.said
    assert "ZeroDivisionError" in run.undecided["node-pfail"]
    assert run.found == set()


def test_a_capture_of_hosts_and_nodes_holds(whole: Launched) -> None:
    """A complete capture is judged by the rules about hosts, settings and the inventory, too."""
    assert whole.code == 0, whole.said
    assert not whole.of_kind("skipped") & {"bus-port-closed", "config-differs", "missing-node", "slot-not-writable"}
    assert whole.document["target"]["nodes"][0]["name"] == M1
    assert whole.document["target"]["nodes"][0]["version"] == "8.0.2"


def test_a_warning_fails_on_request_only(judge: Judge) -> None:
    """Alone it is reported and passes; with --fail-on warning it violates."""
    passed = judge(held_back())
    assert (passed.code, passed.document["verdict"]) == (0, "holds"), passed.said
    assert passed.found == {HELD_BACK}
    failed = judge(held_back(), "--fail-on", "warning")
    assert (failed.code, failed.document["verdict"]) == (1, "violated"), failed.said
    assert failed.of_kind("failure") == {HELD_BACK[0]}


@pytest.mark.slow
def test_an_unknown_severity_is_refused(judge: Judge) -> None:
    """What there is to choose from is named."""
    run = judge(listing(), "--fail-on", "everything")
    assert run.code == 4
    assert "notice" in run.said


ENTRY = """
- rule: {rule}
  subject: '{subject}'
  reason: the replica is moved in spring
  expires: {expires}
"""


def test_waivers_beside_the_caller_count(judge: Judge, tmp_path: Path) -> None:
    """waivers.yaml where the run is called from: what it covers is no failure, and is shown with reason and end."""
    rule, subject = UNLINKED
    write(tmp_path, ENTRY.format(rule=rule, subject=subject, expires=TOMORROW), DEFAULT_WAIVERS)
    run = judge(unlinked())
    assert (run.code, run.document["verdict"]) == (0, "holds"), run.said
    assert run.document["findings"] == []
    (waived,) = run.document["waived"]
    assert (waived["rule"], waived["subject"]) == UNLINKED
    assert (waived["reason"], waived["expires"]) == ("the replica is moved in spring", str(TOMORROW))
    assert f"until {TOMORROW}: the replica is moved in spring" in run.output
    assert run.document["waivers_without_effect"] == []


def test_waivers_of_file_and_option_are_added(judge: Judge, tmp_path: Path) -> None:
    """--waivers stands in for waivers.yaml and --waive adds to it; an expired one has no effect, which is said."""
    rule, _ = UNLINKED
    write(tmp_path, ENTRY.format(rule=rule, subject="", expires=TOMORROW), DEFAULT_WAIVERS)
    other = write(tmp_path, ENTRY.format(rule=rule, subject="", expires=YESTERDAY), "others.yaml")
    more = f"epoch-collision until {TOMORROW} because it passes"
    run = judge(unlinked(), "--waivers", other, "--waive", more)
    assert (run.code, run.document["verdict"]) == (1, "violated"), run.said
    assert run.found == {UNLINKED}
    assert run.document["waived"] == []
    why = {each["rule"]: each["why"] for each in run.document["waivers_without_effect"]}
    assert why == {rule: f"it expired on {YESTERDAY}", "epoch-collision": "it covers no finding of this run"}
    assert f"waiver without effect: {rule}: it expired on {YESTERDAY}" in run.output


@pytest.mark.slow
def test_a_waiver_of_the_command_line_counts(judge: Judge) -> None:
    """For one subject; another's finding of the same rule still fails."""
    waiver = f"{UNLINKED[0]}:{UNLINKED[1]} until {TOMORROW} because of the move"
    assert judge(unlinked(), "--waive", waiver).code == 0
    other = judge(unlinked(), "--waive", waiver.replace(":6374", ":6373"))
    assert (other.code, other.found) == (1, {UNLINKED})


def test_what_is_new_and_gone_is_said(sick: Launched, judge: Judge) -> None:
    """Against the report of an earlier run, in report.json and in the terminal."""
    run = judge(held_back(), "--compare-with", sick.report / "report.json")
    assert run.code == 0, run.said
    compared = run.document["compared"]
    assert compared["verdict"] == {"then": "violated", "now": "holds"}
    assert [each["rule"] for each in compared["new"]] == [HELD_BACK[0]]
    assert {each["rule"] for each in compared["gone"]} == {UNLINKED[0], "corrupted-output"}
    assert compared["unchanged"] == []
    assert "1 new, 2 gone" in run.output


@pytest.mark.slow
def test_the_older_report_may_be_where_the_new_one_goes(judge: Judge, tmp_path: Path) -> None:
    """It is read before it is replaced; what was there already is unchanged."""
    shutil.copytree(judge(held_back()).report, tmp_path / "both")
    judge(held_back(), "--compare-with", tmp_path / "both", "--report", tmp_path / "both")
    compared = json.loads((tmp_path / "both" / "report.json").read_text(encoding="utf-8"))["compared"]
    assert [each["rule"] for each in compared["unchanged"]] == [HELD_BACK[0]]
    assert compared["new"] == compared["gone"] == []


def emptied() -> Evidence:
    """Return a capture in which a master runs since 5 s, has no key, and nobody but an earlier look knows better."""
    blank = {"uptime_in_seconds": "5", "run_id": "f" * 40, "db0": "", "total_commands_processed": "40"}
    now = node_changed(seen_by_all(), M1, info={**blank, "cmdstat_set": ""}, occupied_slots=0)
    return node_changed(now, R3, info={"db0": "", "cmdstat_set": ""})


def test_an_earlier_look_shows_what_was_lost(whole: Launched, judge: Judge) -> None:
    """The evidence beside the older report proves that a master had keys: what is suspected without it is an error."""
    suspected = judge(emptied())
    assert (suspected.code, {rule for rule, _ in suspected.found}) == (0, {"restarted-empty"}), suspected.said
    proven = judge(emptied(), "--compare-with", whole.report)
    (finding,) = proven.document["findings"]
    assert (proven.code, finding["rule"], finding["severity"]) == (1, "restarted-empty", "error"), proven.said
    assert finding["subject"] == M1


def test_a_runs_own_evidence_can_be_judged_in_place(sick: Launched, tmp_path: Path) -> None:
    """The report folder of a run, given to the next one that reports to it, is judged by its evidence, which stays."""
    folder = tmp_path / "run" / "report"
    shutil.copytree(sick.report, folder)
    kept = json.dumps(json.loads(sick.evidence.read_bytes())).encode()  # as somebody else would write it
    (folder / EVIDENCE_FILE).write_bytes(kept)
    run = launched(folder.parent, "--recording", folder, environment=WITHOUT_ENGINE)
    assert (run.code, run.found) == (1, sick.found), run.said
    assert run.evidence.read_bytes() == kept


@pytest.mark.slow
def test_evidence_of_an_earlier_run_is_not_taken_for_this_one(judge: Judge, tmp_path: Path) -> None:
    """A run that judges anything replaces the evidence beside its report; one that is refused leaves all as it was."""
    first = judge(seen_by_all())
    kept = first.evidence.read_bytes()
    refused = launched(first.report.parent, "--recording", tmp_path / "missing", environment=WITHOUT_ENGINE)
    assert refused.is_refusal
    assert refused.evidence.read_bytes() == kept
    judge(listing(), "--report", first.report)
    assert first.evidence.read_bytes() != kept


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (("--seed", "127.0.0.1:1"), "does not name the nodes"),
        pytest.param(("--seed", "redis-1"), "HOST:PORT", marks=pytest.mark.slow),
        pytest.param(("--inventory", "missing.yaml"), "missing.yaml", marks=pytest.mark.slow),
        pytest.param(("--name", "x"), "no docker command", marks=pytest.mark.slow),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_capture_of_nothing_is_one_message(source: tuple[str, str], says: str, tmp_path: Path) -> None:
    """What cannot be asked is not captured: exit code 1, one message, and no file."""
    file = tmp_path / "evidence.json"
    run = provisioning(tmp_path / "run", "capture", *source, "--output", file, environment=WITHOUT_ENGINE)
    assert (run.code, run.errors.count("error: ")) == (1, 1), run.said
    assert says in run.errors
    assert "what to do:" in run.errors
    assert not file.exists()


@pytest.mark.parametrize("asked", ["slots-uncovered", "list"])
def test_a_rules_page_is_all_that_is_printed(asked: str, tmp_path: Path) -> None:
    """--explain needs nothing else and does nothing else."""
    run = launched(tmp_path / "run", "--explain", asked, at=tmp_path, environment=WITHOUT_ENGINE)
    assert (run.code, run.output, run.errors) == (0, f"{explain(asked, catalogue())}\n", "")
    assert not run.report.exists()


def test_an_unknown_page_names_the_near_ones(tmp_path: Path) -> None:
    """Exit code 4, and the ids that were probably meant."""
    run = launched(tmp_path / "run", "--explain", "slot-uncovered", at=tmp_path, environment=WITHOUT_ENGINE)
    assert (run.code, run.output) == (4, "")
    assert "slots-uncovered" in run.errors
    assert "what to do:" in run.errors


@pytest.mark.slow
def test_without_a_target_the_suite_is_run_from_anywhere(tmp_path: Path) -> None:
    """Called from outside the checkout, with no test named, its own tests are collected and not what lies there."""
    (tmp_path / "test_foreign.py").write_text("def test_foreign(): ...\n")
    run = launched(tmp_path / "run", "--collect-only", "-q", at=tmp_path, environment=WITHOUT_ENGINE)
    assert run.code == 0, run.said
    assert "tests/topology/test_rules.py::test_no_finding[slots-uncovered]" in run.output
    assert "test_foreign" not in run.output
