"""Recordings are read as what they are: listings of one or several nodes, captures, or one clear error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.rules.judge import Verdict, judge
from provisioning.cluster_nodes import format_cluster_nodes
from provisioning.evidence import CaptureError, Evidence
from provisioning.evidence.recorded_files import MOST_BYTES
from provisioning.evidence.recording import read_recordings
from tests.unit.listing import M1, M2, M3, NAMES, R1, Entries, entries, node_changed, seen_by_all

LISTINGS = {name: format_cluster_nodes(entries(name).values()) for name in NAMES}
"""What each node of the healthy cluster says."""

ADDRESSES = [entries(name)[name].address for name in NAMES]
NOBODY = 65534


def foreign(text: str) -> str:
    """Return the listing of another cluster: no id and no address in common."""
    for number in range(1, 7):
        text = text.replace(f"{number}" * 40, f"{number + 8:x}" * 40)
    return text.replace("192.168.171.", "192.168.172.")


def written(folder: Path, **contents: str) -> list[Path]:
    """Write files, ``before`` as before.txt, and return their paths."""
    paths = []
    for name, content in contents.items():
        paths.append(folder / f"{name}.txt")
        paths[-1].write_text(content, encoding="utf-8")
    return paths


def names(evidence: Evidence) -> list[str]:
    return [node.name for node in evidence.nodes]


def refused(*paths: Path) -> CaptureError:
    """Return the error with which the recordings are refused."""
    with pytest.raises(CaptureError) as caught:
        read_recordings(paths, said_nothing)
    return caught.value


def said_nothing(text: str) -> None:
    raise AssertionError(f"nothing was to be said, but: {text}")


def test_one_listing_is_one_view(tmp_path: Path) -> None:
    """A file with one node's output is that node's view, named after its address and the file."""
    evidence = read_recordings(written(tmp_path, before=LISTINGS[M1]), said_nothing)
    assert names(evidence) == ["192.168.171.101:6373 in before.txt"]
    assert evidence.views[0].myself == entries(M1)[M1]
    assert judge(evidence).verdict is Verdict.HOLDS


def test_viewer_without_an_address_is_named_after_the_file(tmp_path: Path) -> None:
    """Where the own line has no IP, or there is none, the file is all that can be said."""
    blank = LISTINGS[M1].replace("192.168.171.101:6373@16373 myself", ":6373@16373 myself")
    without = "".join(line for line in LISTINGS[M1].splitlines(keepends=True) if "myself" not in line)
    assert names(read_recordings(written(tmp_path, blank=blank, without=without))) == ["blank.txt", "without.txt"]


JOINED: Mapping[str, Callable[[list[str]], str]] = {
    "by nothing": "".join,
    "by blank lines": "\n".join,
    "by CRLF": lambda texts: "\n".join(texts).replace("\n", "\r\n"),
    "by rulers": "---\n".join,
    "by comments": "# the next one\n".join,
    "as nodes.conf": lambda texts: "".join(f"{text}vars currentEpoch 3 lastVoteEpoch 0\n" for text in texts),
    "as a session": lambda texts: "".join(f"127.0.0.1:6373> cluster nodes\n{text}" for text in texts),
    "under titles": lambda texts: "".join(f"== node {n} ==\n{text}\n" for n, text in enumerate(texts)),
    "under addresses": lambda texts: "".join(f"10.0.0.{n}:6379:\n{text}" for n, text in enumerate(texts)),
    "under places": lambda texts: "".join(f"seen by 10.0.0.{n}:6379 (no {n})\n{text}" for n, text in enumerate(texts)),
    "as head prints files": lambda texts: "".join(f"==> {n}.conf <==\n{text}\n" for n, text in enumerate(texts)),
    "with a warning": lambda texts: "".join(f"Warning: Using a password with '-a'\n{text}" for text in texts),
    "as RESP": lambda texts: "".join(f"${len(text)}\r\n{text}\r\n" for text in texts),
    "as JSON": lambda texts: json.dumps(dict(enumerate(texts))),
    "as indented JSON": lambda texts: json.dumps(dict(enumerate(texts)), indent=2),
    "as a JSON list": json.dumps,
    "with line breaks lost": lambda texts: "".join(texts).replace("\n", ""),
    "as a log": lambda texts: "".join(f"I1010 23:52:10.1 {line}\n" for text in texts for line in text.splitlines()),
}


@pytest.mark.parametrize("how", JOINED)
def test_several_listings_in_one_file_are_several_views(tmp_path: Path, how: str) -> None:
    """The six nodes' outputs in one text, however they were put together, are six views without a remark."""
    evidence = read_recordings(written(tmp_path, all=JOINED[how](list(LISTINGS.values()))), said_nothing)
    assert names(evidence) == [f"{address} in all.txt ({number})" for number, address in enumerate(ADDRESSES, 1)]
    assert [view.entries for view in evidence.views] == [tuple(entries(name).values()) for name in NAMES]
    assert judge(evidence).findings == ()


@pytest.mark.parametrize(
    "how", ["by blank lines", "by rulers", "as nodes.conf", "as a session", "under titles", "as JSON"]
)
def test_two_clusters_are_told_apart(tmp_path: Path, how: str) -> None:
    """Listings without any id or address in common are not judged together: a repair would make them one cluster."""
    both = JOINED[how]([LISTINGS[M3], foreign(LISTINGS[M2])])
    with pytest.raises(CaptureError, match=r"both.* are of different clusters") as caught:
        read_recordings(written(tmp_path, both=both), said_nothing)
    assert caught.value.observed == "2 clusters in 2 listings"


def test_a_node_that_was_reset_may_be_of_the_same_cluster(tmp_path: Path) -> None:
    """A listing of a node that knows only itself is one more view, although nobody knows its new id."""
    alone = next(line for line in foreign(LISTINGS[M2]).splitlines(True) if "myself" in line)
    evidence = read_recordings(written(tmp_path, others=LISTINGS[M3], alone=alone), said_nothing)
    assert sorted(len(view.entries) for view in evidence.views) == [1, 6]
    assert judge(evidence).of("isolated-single-node")


def test_listings_of_one_cluster_need_no_id_in_common_where_a_third_has_both(tmp_path: Path) -> None:
    """Two views that share nothing belong together by way of one that shares something with each."""
    lines = LISTINGS[M3].splitlines(True)
    texts = {"first": "".join(lines[:3]), "second": "".join(lines[3:]), "third": LISTINGS[M3]}
    assert len(read_recordings(written(tmp_path, **texts), said_nothing).views) == 3


@pytest.mark.parametrize("how", ["as nodes.conf", "as a session", "as head prints files", "as RESP"])
def test_certain_ends_need_no_own_line(tmp_path: Path, how: str) -> None:
    """Behind a nodes.conf's last line, a typed command, a file's name or a RESP length something new begins."""
    texts = [LISTINGS[M3], foreign(LISTINGS[M2])]
    both = JOINED[how](["".join(line for line in text.splitlines(True) if "myself" not in line) for text in texts])
    with pytest.raises(CaptureError, match="are of different clusters"):
        read_recordings(written(tmp_path, both=both), said_nothing)


@pytest.mark.parametrize("gap", ["\n", "later:\n"])
def test_member_listed_again_below_a_gap_is_another_view(tmp_path: Path, gap: str) -> None:
    """One line, set apart, of a node that was listed above is what somebody said at another time."""
    again = LISTINGS[M1].splitlines()[-1].replace("connected", "disconnected")
    evidence = read_recordings(written(tmp_path, two=f"{LISTINGS[M1]}{gap}{again}"), said_nothing)
    assert [len(view.entries) for view in evidence.views] == [6, 1]


@pytest.mark.parametrize("gap", ["", "\n", "\n\n\n", "# second\n"])
@pytest.mark.parametrize("turned", range(6))
def test_order_of_the_lines_does_not_matter(tmp_path: Path, gap: str, turned: int) -> None:
    """Each node lists the members in an order of its own; the same members make up the second listing all the same."""
    second = LISTINGS[M2].splitlines(keepends=True)
    text = LISTINGS[M1] + gap + "".join((*second[turned:], *second[:turned]))
    evidence = read_recordings(written(tmp_path, two=text), said_nothing)
    assert [len(view.entries) for view in evidence.views] == [6, 6]
    assert judge(evidence).findings == ()


def test_member_that_nobody_else_lists_is_in_the_right_listing(tmp_path: Path) -> None:
    """A node that only the second viewer knows, at the top of its listing, belongs to what follows."""
    first = "".join(line for line in LISTINGS[M1].splitlines(keepends=True) if "192.168.171.101:6374" not in line)
    second = LISTINGS[M2].splitlines(keepends=True)
    text = f"{first}\n{''.join((second[1], *second[:1], *second[2:]))}"
    evidence = read_recordings(written(tmp_path, two=text), said_nothing)
    assert [len(view.entries) for view in evidence.views] == [5, 6]


def test_blank_lines_and_comments_inside_a_listing_divide_nothing(tmp_path: Path) -> None:
    """Masters and replicas set apart by whoever saved the text are still one view."""
    lines = sorted(LISTINGS[M1].splitlines(), key=lambda line: "master" not in line)
    text = "\n".join(("# masters", *lines[:3], "", "replicas:", *lines[3:]))
    evidence = read_recordings(written(tmp_path, one=text), said_nothing)
    assert [len(view.entries) for view in evidence.views] == [6]
    assert judge(evidence).findings == ()


def test_doubled_line_is_no_listing_of_its_own(tmp_path: Path) -> None:
    """One entry twice, with nothing between, is one view."""
    lines = LISTINGS[M1].splitlines()
    for place in range(6):
        text = "\n".join((*lines[: place + 1], *lines[place:]))
        (view,) = read_recordings(written(tmp_path, doubled=text), said_nothing).views
        assert len(view.entries) == 7


@pytest.mark.parametrize("how", ["by nothing", "by blank lines", "under titles", "as nodes.conf", "as indented JSON"])
@pytest.mark.parametrize("which", [1, 8, 17])
def test_unreadable_line_is_found_under_its_number_in_the_file(tmp_path: Path, how: str, which: int) -> None:
    """A damaged line in any of several listings is a finding with the file, the line's number there and its text."""
    lines = JOINED[how](list(LISTINGS.values())).split("\n")
    if how == "as indented JSON":
        number = 2 + which // 6
        lines[number - 1] = ":port@".join(lines[number - 1].rsplit(":6374@", 1))
    else:
        number = [number for number, line in enumerate(lines, 1) if "connected" in line][which]
        lines[number - 1] = lines[number - 1][:70]
    evidence = read_recordings(written(tmp_path, bad="\n".join(lines)), said_nothing)
    assert len(evidence.views) == 6
    (finding,) = judge(evidence).of("corrupted-output")
    assert finding.message.startswith(f"line {number} cannot be read")
    assert finding.subject.endswith(f"in bad.txt ({which // 6 + 1})")
    assert finding.evidence in lines[number - 1]


def test_garbage_around_a_listing_is_found(tmp_path: Path) -> None:
    """Lines that are neither entries nor known wrapping are findings, above and below too."""
    evidence = read_recordings(written(tmp_path, bad=f"what is this\n{LISTINGS[M1]}and this"), said_nothing)
    said = [finding.message for finding in judge(evidence).of("corrupted-output")]
    assert ["line 1 " in said[0], "line 8 " in said[1], len(said)] == [True, True, 2]


def test_several_files_are_several_views_of_one_cluster(tmp_path: Path) -> None:
    """Files are taken in the order given; of two with the same name the folder is said too."""
    for folder, name in (("a", M1), ("b", M2)):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder, nodes=LISTINGS[name])
    paths = [tmp_path / "b" / "nodes.txt", tmp_path / "a" / "nodes.txt"]
    evidence = read_recordings(paths, said_nothing)
    assert names(evidence) == [f"{ADDRESSES[2]} in {paths[0]}", f"{ADDRESSES[0]} in {paths[1]}"]
    assert judge(evidence).verdict is Verdict.HOLDS


def test_folder_is_all_its_files(tmp_path: Path) -> None:
    """A folder's files are taken in the order of their names; hidden ones and folders are left out, and it is said."""
    written(tmp_path, b=LISTINGS[M2], a=LISTINGS[M1])
    written(tmp_path, **{".hidden": "no listing"})
    (tmp_path / "older").mkdir()
    said: list[str] = []
    evidence = read_recordings([tmp_path, tmp_path / "a.txt"], said.append)
    assert names(evidence) == [f"{ADDRESSES[0]} in a.txt", f"{ADDRESSES[2]} in b.txt"]
    assert ["hidden" in said[0], "older" in said[1], "twice" in said[2], len(said)] == [True, True, True, 3]


def test_capture_is_read_as_it_was_written(tmp_path: Path) -> None:
    """A saved capture is the evidence that it was, with what was wanted."""
    evidence = seen_by_all()
    again = read_recordings(written(tmp_path, capture=json.dumps(evidence.to_dict(), indent=1)), said_nothing)
    assert (again.nodes, again.hosts, again.taken_at) == (evidence.nodes, evidence.hosts, evidence.taken_at)
    assert again.wanted is not None
    assert [node.full_name for node in again.wanted.nodes] == list(NAMES)
    assert judge(again).verdict is Verdict.HOLDS


def test_listing_beside_a_capture_is_one_more_view(tmp_path: Path) -> None:
    """A pasted listing is judged together with the capture, under the capture's names."""
    lines: Entries = entries(M1)
    lines[R1] = replace(lines[R1], master_id=lines[M1].node_id)
    evidence = read_recordings(
        written(tmp_path, capture=json.dumps(seen_by_all().to_dict()), later=format_cluster_nodes(lines.values()))
    )
    assert names(evidence) == [*NAMES, f"{ADDRESSES[0]} in later.txt"]
    (finding,) = judge(evidence).of("replica-same-host-as-master")
    assert (finding.subject, finding.seen_by) == (R1, (f"{ADDRESSES[0]} in later.txt",))


def test_listing_stands_in_for_an_answer_that_the_capture_lacks(tmp_path: Path) -> None:
    """What a node said on its own host fills the gap that it left in the capture; nothing else is changed."""
    silent = node_changed(seen_by_all(), M2, cluster_nodes=None, not_collected={"cluster_nodes": "no answer"})
    evidence = read_recordings(written(tmp_path, capture=json.dumps(silent.to_dict()), found=LISTINGS[M2]))
    assert evidence.nodes == seen_by_all().nodes


def test_two_captures_are_refused(tmp_path: Path) -> None:
    """Two captures are two moments: the error names both."""
    text = json.dumps(seen_by_all().to_dict())
    problem = refused(*written(tmp_path, before=text, after=text))
    assert problem.observed == "before.txt and after.txt"


CAPTURE: dict[str, Any] = seen_by_all().to_dict()


@pytest.mark.parametrize(
    ("content", "summary", "observed"),
    [
        ("", "empty", "0 bytes"),
        (" \r\n\t\n", "empty", "white space"),
        ("NOAUTH Authentication required.\n", "no line of CLUSTER NODES", "NOAUTH"),
        (bytes(range(256)) * 100, "no line of CLUSTER NODES", "\\x00\\x01"),
        (b"\xff\xfe" + b"\x00\xd8" * 99, "no line of CLUSTER NODES", "\ufffd"),
        ("master " * 200_000, "no line of CLUSTER NODES", "master master"),
        ("[" * 200_000, "no line of CLUSTER NODES", "[[["),
        ('{"a":' * 100_000, "no line of CLUSTER NODES", '{"a":'),
        ('{"verdict": "holds"}', "no line of CLUSTER NODES", "verdict"),
        ('{"schema": 1, "verdict": "holds"}', "no whole capture", "verdict"),
        ('{"schema": 1, "nodes": [' + "[" * 100_000, "no whole capture", "nested"),
        (json.dumps(CAPTURE)[:-500], "no whole capture", "line 1 column"),
        (json.dumps({**CAPTURE, "taken_at": "\ud800"}), "no whole capture", "surrogates"),
        (json.dumps({**CAPTURE, "schema": 99}), "not a capture that this version can read", "99"),
        (json.dumps({**CAPTURE, "nodes": 7}), "damaged", "not iterable"),
        (json.dumps({**CAPTURE, "nodes": [{"name": "x", "cluster_nodes": 7}]}), "damaged", "cluster_nodes is 7"),
        (json.dumps({**CAPTURE, "nodes": [{"name": "x", "info": {"a": 1}}]}), "damaged", "info is"),
        (json.dumps({**CAPTURE, "nodes": [{"name": "x", "cluster_slots": [1]}]}), "damaged", "CLUSTER SLOTS"),
        (json.dumps({**CAPTURE, "wanted": {"name": "x"}}), "damaged", "hosts"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: str | bytes, summary: str, observed: str) -> None:
    """Whatever else a file holds, it is one error that names the file, what is in it and what to do."""
    path = tmp_path / "file.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    problem = refused(path)
    assert "file.txt" in problem.summary
    assert summary in problem.summary
    assert observed in problem.observed
    assert problem.advice
    assert len(str(problem)) < 800


def test_paths_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    """Missing, wrong, empty, huge or special: each is one error that names the path."""
    (listing,) = written(tmp_path, listing=LISTINGS[M1])
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "empty").mkdir()
    (tmp_path / "hidden").mkdir()
    written(tmp_path / "hidden", **{".a": LISTINGS[M1]})
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(MOST_BYTES + 1)
    seen = {
        name: refused(listing, tmp_path / name).observed
        for name in ("missing", "listing.txt/x", "loop", "x" * 300, "a\0b", "empty", "hidden", "pipe", "huge")
    }
    assert seen["missing"] == "No such file or directory"
    assert seen["empty"] == "an empty folder"
    assert seen["hidden"] == "only .a.txt (hidden)"
    assert "pipe" in seen["pipe"]
    assert seen["huge"] == f"{MOST_BYTES >> 20} MiB"
    assert all(seen.values())
    assert refused().summary == "no recording was named"


@pytest.mark.parametrize("what", ["file", "folder"])
def test_missing_rights_are_said(tmp_path: Path, what: str) -> None:
    """A file or folder that this user must not read is refused with the reason."""
    (path,) = written(tmp_path, listing=LISTINGS[M1])
    locked = path if what == "file" else tmp_path
    user = os.geteuid()
    locked.chmod(0)
    try:
        if user == 0:
            os.seteuid(NOBODY)  # root may read everything
        problem = refused(path)
    finally:
        os.seteuid(user)
        locked.chmod(0o700)
    assert problem.observed == "Permission denied"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_any_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    """A byte order mark is understood; bytes that are no UTF-8 are replaced and hide nothing else."""
    path = tmp_path / "listing.txt"
    path.write_bytes(f"# préparé\n{LISTINGS[M1]}".encode(encoding))
    (view,) = read_recordings([path]).views
    assert (view.entries, view.unreadable) == (tuple(entries(M1).values()), ())


def test_file_name_may_hold_anything(tmp_path: Path) -> None:
    """A name that cannot be printed or encoded is shown with question marks."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff\nb"))
    path.write_text(LISTINGS[M1], encoding="utf-8")
    assert names(read_recordings([path])) == [f"{ADDRESSES[0]} in a??b"]


def test_reader_needs_no_docker() -> None:
    """Reading recordings loads neither Docker's nor Redis's client."""
    code = "import sys, provisioning.evidence.recording; print(*(m for m in sys.modules if '.' not in m))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "provisioning" in loaded.stdout.split()
    assert not {"docker", "redis", "hiredis", "requests"} & set(loaded.stdout.split())
