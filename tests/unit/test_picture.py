"""The picture shows every node, every arrow and every finding where it belongs, in text and as SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.report.groups import grouped
from fixtures.report.picture import NO_HOST, Mark, Picture, picture
from fixtures.report.picture_svg import MOST_BADGES, badges, cut, cut_inside, head, path, picture_svg
from fixtures.report.picture_text import MOST_NODES, MOST_RAILS, picture_text
from fixtures.report.places import CLUSTER, Places, host_place, node_place
from fixtures.report.plan import NODE_HEIGHT, NODE_WIDTH, Plan
from fixtures.report.rails import Rail, drawn, in_lanes
from fixtures.report.visible import on_one_line, visible
from fixtures.report.ways import Ways
from fixtures.rules.finding import Severity
from provisioning.planned_inventory import planned_inventory
from tests.examples import examples

pytestmark = pytest.mark.unit

SVG = "{http://www.w3.org/2000/svg}"
M1, M2, M3 = (f"redis-host-{n}/redis_master" for n in (1, 2, 3))
R3 = "redis-host-3/redis_slave"


def nodes_of(hosts: int, shards: int, replicas: int) -> list[dict[str, str]]:
    """Return report.json's nodes of a planned layout."""
    return [
        {
            "name": node.full_name,
            "host": node.host,
            "address": node.address,
            "role": f"replica of {node.replica_of}" if node.replica_of else f"master {' '.join(map(str, node.slots))}",
            "version": "8.0.2",
        }
        for node in planned_inventory(hosts, shards, replicas).nodes
    ]


def finding(subject: str, severity: str = "error", breaks: str = "now") -> dict[str, Any]:
    more = {"message": "m", "repair": "", "evidence": "", "seen_by": [], "if_left": "x", "breaks": breaks}
    return {"rule": "x", "subject": subject, "severity": severity, **more}


def pictured(nodes: list[dict[str, str]], *subjects: str) -> Picture:
    return picture(nodes, grouped(map(finding, subjects)))


def arrows(picture: Picture) -> set[tuple[int, int]]:
    return {(node.index, node.master) for node in picture.nodes if node.master is not None}


def as_nodes(masters: list[int | None], hosts: list[int]) -> list[dict[str, str]]:
    """Return a node for each pair of a master's number (None: it is one itself) and a host's number."""
    return [
        {
            "name": f"h{host}/n{n}",
            "host": f"h{host}",
            "address": f"10.0.0.{host}:{n}",
            "role": "master" if master is None else f"replica of h{hosts[master]}/n{master}",
            "version": "",
        }
        for n, (master, host) in enumerate(zip(masters, hosts, strict=True))
    ]


@st.composite
def layouts(draw: st.DrawFn) -> list[dict[str, str]]:
    """Return nodes on some hosts, each a master or the replica of anything: of a replica or of itself as well."""
    size = draw(st.integers(1, 16))
    masters = draw(st.lists(st.none() | st.integers(0, size - 1), min_size=size, max_size=size))
    hosts = draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
    return as_nodes(masters, hosts)


# -- what belongs where ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (M1, [node_place(M1)]),
        ("192.168.171.101:6373", [node_place(M1)]),
        ("redis-host-1", [host_place("redis-host-1")]),
        (f"{M1} and {M2}", [node_place(M1), node_place(M2)]),
        (f"{M1}, {R3}", [node_place(M1), node_place(R3)]),
        (f"{M1} and a stranger", [node_place(M1)]),
        ("slots 0-5460", [node_place(M1)]),
        ("slots 5460-5461", [node_place(M1), node_place(M2)]),
        ("slot 16383", [node_place(M3)]),
        ("slots 20000-20001", [CLUSTER]),
        ("redis-host-1/redis_third", [host_place("redis-host-1")]),
        ("redis-host-1: vm.overcommit_memory", [host_place("redis-host-1")]),
        (f"{M1} appendonly", [node_place(M1)]),
        ("redis-host-10", [CLUSTER]),
        ("cluster", [CLUSTER]),
        ("listing 1", [CLUSTER]),
        ("", [CLUSTER]),
    ],
)
def test_a_finding_is_marked_where_its_subject_is(subject: str, expected: list[Any]) -> None:
    """At a node, a host, the owners of slots, several of them; else at the cluster, and never nowhere."""
    assert list(Places(tuple(nodes_of(3, 3, 1))).of(subject)) == expected


def test_the_numbers_in_the_picture_are_those_of_the_list() -> None:
    """The list is ordered by what breaks when; the picture has the same numbers."""
    rows = [finding(M2, breaks="untidy"), finding("redis-host-3"), finding("cluster", "warning"), finding(M2)]
    groups = grouped(rows)
    shown = picture(nodes_of(3, 3, 1), groups)
    by_name = {node.name: node.marks for node in shown.nodes}
    assert by_name[M2] == (Mark(2, Severity.ERROR), Mark(4, Severity.ERROR))
    assert [host.marks for host in shown.hosts] == [(), (), (Mark(1, Severity.ERROR),)]
    assert shown.marks == (Mark(3, Severity.WARNING),)
    listed = [(each.number, each.finding["subject"]) for group in groups for each in group.findings]
    assert listed == [(1, "redis-host-3"), (2, M2), (3, "cluster"), (4, M2)]


def test_hosts_are_in_their_order_and_a_node_without_one_is_shown() -> None:
    """Hosts by their first node, with all of their nodes, wherever these stand in the list."""
    nodes = as_nodes([None, 0, None, 0], [2, 1, 2, 1])
    nodes.insert(1, {"name": "10.0.0.9:1", "host": "", "address": "10.0.0.9:1", "role": "replica of ab", "version": ""})
    shown = pictured(nodes)
    assert [(host.name, [node.label for node in host.nodes]) for host in shown.hosts] == [
        ("h2", ["n0", "n2"]),
        (NO_HOST, ["10.0.0.9:1"]),
        ("h1", ["n1", "n3"]),
    ]
    assert [node.master for node in shown.nodes] == [None, None, None, 0, 0]
    assert [node.drawn_role for node in shown.nodes][2:4] == ["replica of ab", "replica"]


def test_a_node_that_follows_itself_has_no_arrow() -> None:
    """Nor one whose master is not in the picture: its role says whom it follows."""
    shown = pictured(as_nodes([0, None], [0, 1]))
    assert arrows(shown) == set()
    assert shown.nodes[0].drawn_role == "replica of h0/n0"


# -- text -----------------------------------------------------------------------------------------


def test_the_seeds_layout_in_text() -> None:
    """Hosts, nodes, addresses, roles, arrows and marks; nothing of it is told twice."""
    nodes = nodes_of(3, 3, 1)
    nodes[2]["role"] = "dead"
    assert picture_text(pictured(nodes, M2, "redis-host-1", "cluster", M2), 80) == [
        "┌─ redis-host-1 [2] ──────────────────────────────────────────────┐",
        "│ redis_master  192.168.171.101:6373  master 0-5460               │<──┐",
        "│ redis_slave   192.168.171.101:6374  replica                     │─┐ │",
        "├─ redis-host-2 ──────────────────────────────────────────────────┤ │ │",
        "│ redis_master  192.168.171.102:6373  dead                [1] [4] │<┘ │",
        "│ redis_slave   192.168.171.102:6374  replica                     │─┐ │",
        "├─ redis-host-3 ──────────────────────────────────────────────────┤ │ │",
        "│ redis_master  192.168.171.103:6373  master 10923-16383          │<┘ │",
        "│ redis_slave   192.168.171.103:6374  replica                     │───┘",
        "└─────────────────────────────────────────────────────────────────┘",
        "  Arrows lead from each replica to its master. [n] is finding n below.",
        "  Of the cluster as a whole: [3]",
    ]


def followed(lines: list[str]) -> set[tuple[int, int]]:
    """Follow every arrow of a text with the eye: return pairs of lines, from the tail to the head."""
    box = next(line.index("┐") for line in lines)
    beside = [line[box + 1 :] for line in lines if line[:1] in "│┌├"]

    def corner(line: int) -> int:
        return next(n for n, char in enumerate(beside[line]) if char in "┐┘┤")

    def ends(line: int, column: int) -> set[int]:
        found = set()
        for step in (-1, 1):
            at = line
            while 0 <= at < len(beside) and column < len(beside[at]) and beside[at][column] in "│┼┐┘┤":
                if beside[at][column] in "┐┘┤":
                    found.add(at)
                    if at != line and beside[at][column] == ("┐" if step < 0 else "┘"):
                        break
                at += step
                if beside[line][column] == ("┐" if step < 0 else "┘"):
                    break
        return found

    pairs = set()
    for line, text in enumerate(beside):
        if text.startswith("─"):
            heads = [each for each in ends(line, corner(line)) if beside[each].startswith("<")]
            assert len(heads) == 1, "an arrow has one head"
            pairs.add((line, heads[0]))
    return pairs


@examples(200)
@given(layouts())
def test_every_arrow_in_the_text_leads_from_the_replica_to_its_master(nodes: list[dict[str, str]]) -> None:
    """Followed with the eye over all crossings; a replica without an arrow says its master's name."""
    shown = pictured(nodes)
    lines = picture_text(shown, 80)
    boxed = [line for line in lines if line[:1] in "│┌├"]
    line_of = {}
    for node in shown.nodes:
        begins = f"│ {node.label} "
        host = next(n for n, line in enumerate(boxed) if f"─ h{node.name[1:].partition('/')[0]} " in line)
        line_of[node.index] = next(n for n in range(host, len(boxed)) if boxed[n].startswith(begins))
    seen = followed(lines)
    assert seen <= {(line_of[replica], line_of[master]) for replica, master in arrows(shown)}
    for node in shown.nodes:
        if node.master is not None and (line_of[node.index], line_of[node.master]) not in seen:
            assert f"replica of {shown.nodes[node.master].name}" in boxed[line_of[node.index]]


@pytest.mark.parametrize("size", [(3, 3, 1), (5, 5, 2), (12, 12, 1), (12, 12, 2), (30, 20, 2)])
def test_every_fact_stands_in_the_text(size: tuple[int, int, int]) -> None:
    """Every host, node, address, slot range, arrow and mark, in 80 columns."""
    nodes = nodes_of(*size)
    shown = pictured(nodes, *(node["name"] for node in nodes), *{node["host"] for node in nodes})
    lines = picture_text(shown, 80)
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for node in nodes:
        assert node["host"] in text
        assert node["address"] in text
        assert not node["role"].startswith("master") or node["role"] in text
    assert all(f"[{number}]" in text for number in range(1, len(nodes) + size[0] + 1))
    if shown.nodes and len(nodes) <= 24:
        assert len(followed(lines)) == size[1] * size[2]


LONG = "host-with-a-name-that-somebody-thought-would-be-a-good-idea-in-the-asset-database-of-2009"


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("name", [LONG, "x" * 200, "many words in it " * 9])
def test_long_texts_are_folded_and_not_cut(name: str, width: int) -> None:
    """Names, roles of many ranges and many marks: nothing is lost, and nothing is wider than the terminal."""
    ranges = " ".join(f"{n}-{n + 1}" for n in range(0, 400, 4))
    nodes = [
        {"name": f"{name}/m", "host": name, "address": f"{'f' * 39}:6373", "role": f"master {ranges}", "version": ""},
        {"name": f"{name}/r", "host": name, "address": "10.0.0.1:1", "role": f"replica of {name}/m", "version": ""},
        {"name": name, "host": "", "address": "", "role": f"replica of {'0' * 40}", "version": ""},
    ]
    lines = picture_text(pictured(nodes, *[f"{name}/m"] * 40, *[name] * 40), width)
    assert max(map(len, lines)) <= width
    text = "".join("".join(lines).split()).replace("│", "")
    assert text.count("[40]") == text.count("[80]") == 1
    for piece in ("396-397", "0-1", "[1]"):
        assert piece in text
    assert lines[0].startswith("┌─ ")


def test_a_cluster_of_many_nodes_is_drawn_where_something_is_wrong() -> None:
    """Two hundred lines help nobody: nodes with a mark are drawn, the others counted."""
    nodes = nodes_of(40, 40, 4)
    lines = picture_text(pictured(nodes, nodes[150]["name"], nodes[7]["host"]), 80)
    text = "\n".join(lines)
    assert len(lines) < 10
    assert nodes[150]["address"] in text
    assert f"─ {nodes[7]['host']} [2] ─" in text
    assert f"{len(nodes) - 1} more nodes" in " ".join(text.split())
    everywhere = picture_text(pictured(nodes, *(node["name"] for node in nodes)), 80)
    assert sum(line.startswith("│ redis_") for line in everywhere) == MOST_NODES


def test_without_nodes_there_is_no_picture() -> None:
    """Neither in text nor on the page."""
    assert picture_text(pictured([], "cluster"), 80) == []
    assert picture_svg(pictured([], "cluster")) == ""


# -- lanes ----------------------------------------------------------------------------------------

spans = st.dictionaries(
    st.integers(0, 30), st.tuples(st.integers(0, 20), st.integers(0, 20)).map(lambda each: (min(each), max(each)))
)


@examples()
@given(spans)
def test_spans_that_meet_have_different_lanes(given_spans: dict[int, tuple[int, int]]) -> None:
    """All are placed, and each lane has one arrow at a time; with a limit the lanes are that many at most."""
    lanes = in_lanes(given_spans)
    assert lanes.keys() == given_spans.keys()
    for one in given_spans:
        for other in given_spans:
            (begin, end), (start, stop) = given_spans[one], given_spans[other]
            assert one == other or lanes[one] != lanes[other] or end < start or stop < begin
    limited = in_lanes(given_spans, 2)
    assert set(limited.values()) <= {0, 1}
    assert limited == {key: lane for key, lane in lanes.items() if key in limited}


def test_arrows_that_cross_are_told_from_arrows_that_meet() -> None:
    """A crossing is a cross; where a second replica joins, the line has a branch."""
    assert drawn([Rail(0, 0, (1, 3)), Rail(1, 2, (5,))], 6) == ["<┐", "─┤", "<┼─┐", "─┘ │", "   │", "───┘"]
    assert drawn([], 2) == ["", ""]


def test_arrows_without_room_are_words() -> None:
    """More arrows side by side than there are rails: the rest names its master."""
    count = MOST_RAILS + 3
    nodes = as_nodes([*[None] * count, *range(count)], [0] * count + [1] * count)
    text = "\n".join(picture_text(pictured(nodes), 80))
    assert text.count("│<") == MOST_RAILS
    assert text.count("replica of h0/n") == 3


# -- SVG ------------------------------------------------------------------------------------------


@examples(200)
@given(layouts())
def test_arrows_on_the_page_keep_off_the_boxes(nodes: list[dict[str, str]]) -> None:
    """Each runs from its replica's border to its master's, straight or at right angles, over no node, on the page."""
    shown = pictured(nodes)
    plan = Plan(shown)
    for arrow in plan.arrows:
        ends = ((arrow.replica, arrow.points[0]), (arrow.master, arrow.points[-1]))
        for index, (x, y) in ends:
            placed = plan.nodes[index]
            assert x in (placed.x, placed.x + NODE_WIDTH)
            assert placed.y < y < placed.y + NODE_HEIGHT
        for (x, y), (to_x, to_y) in pairwise(arrow.points):
            assert x == to_x or y == to_y
            assert min(x, to_x) >= 0
            assert max(x, to_x) <= plan.width
            assert min(y, to_y) >= 0
            assert max(y, to_y) <= plan.height
            for placed in plan.nodes.values():
                beside = max(x, to_x) <= placed.x or min(x, to_x) >= placed.x + NODE_WIDTH
                assert beside or max(y, to_y) <= placed.y or min(y, to_y) >= placed.y + NODE_HEIGHT
    assert {(arrow.replica, arrow.master) for arrow in plan.arrows} == arrows(shown)


@examples(200)
@given(layouts())
def test_arrows_of_two_masters_never_run_in_one_line(nodes: list[dict[str, str]]) -> None:
    """They may cross; where they ran over each other nobody could tell them apart."""
    upright: dict[float, list[tuple[float, float, int]]] = {}
    for arrow in Plan(pictured(nodes)).arrows:
        for (x, y), (to_x, to_y) in pairwise(arrow.points):
            if x == to_x:
                upright.setdefault(x, []).append((min(y, to_y), max(y, to_y), arrow.master))
    for pieces in upright.values():
        for begin, end, master in pieces:
            assert not any(other != master and start < end and begin < stop for start, stop, other in pieces)


@pytest.mark.parametrize(
    ("hosts", "columns", "rows"), [(1, 1, 1), (3, 3, 1), (4, 4, 1), (5, 3, 2), (9, 3, 3), (12, 4, 3)]
)
def test_hosts_stand_in_a_grid_that_fits_a_page(hosts: int, columns: int, rows: int) -> None:
    """At most four beside each other, in rows of nearly equal length."""
    ways = Ways(pictured(as_nodes([None] * hosts, [*range(hosts)])))
    assert (ways.columns, ways.rows) == (columns, rows)
    assert Plan(ways.picture).width < 1200


def test_an_arrow_takes_the_shortest_way() -> None:
    """Between neighbours, or from top to bottom, through one gutter; else by the sides that face each other."""
    ways = Ways(pictured(nodes_of(3, 3, 1))).all
    assert [(way.out, way.into, way.channel) for way in ways] == [(1, 1, None), (2, 2, None), (2, 1, 1)]
    below = Ways(pictured(as_nodes([None, 0, None, None, None, 4, None, 0], [0, 0, 1, 2, 3, 1, 4, 5]))).all
    assert [(way.out, way.into, way.channel) for way in below] == [(1, 1, None), (1, 1, None), (2, 1, 1)]


@pytest.mark.parametrize("size", [(3, 3, 1), (5, 5, 2), (12, 12, 1)])
def test_every_fact_stands_on_the_page(size: tuple[int, int, int]) -> None:
    """It is well-formed, and every node has its name, address, role and version, as a text or under the pointer."""
    nodes = nodes_of(*size)
    svg = ElementTree.fromstring(picture_svg(pictured(nodes, *(node["name"] for node in nodes))))
    titles = [each.text or "" for each in svg.iter(f"{SVG}title")]
    for number, node in enumerate(nodes, 1):
        assert any(all(node[key] in title for key in ("name", "address", "version")) for title in titles)
        assert f"finding {number}" in titles
    assert len([title for title in titles if " replicates from " in title]) == size[1] * size[2]
    assert len([each for each in svg.iter(f"{SVG}path") if each.get("class") == "arrow"]) == size[1] * size[2]
    assert {each.get("href") for each in svg.iter(f"{SVG}a")} == {f"#finding-{n + 1}" for n in range(len(nodes))}


HOSTILE = '"><script>alert(1)</script>&amp;\x1b[2J\u202e\ud800'


def test_names_cannot_break_out_of_the_page() -> None:
    """What a cluster says of itself is text, whatever stands in it."""
    node = {"name": HOSTILE, "host": HOSTILE, "address": HOSTILE, "role": f"master {HOSTILE}", "version": HOSTILE}
    svg = picture_svg(pictured([node, {**node, "name": "r", "role": f"replica of {HOSTILE}"}], HOSTILE))
    root = ElementTree.fromstring(svg)
    assert not list(root.iter(f"{SVG}script"))
    assert "<script" not in svg
    assert '"><script>' in "".join(root.itertext())
    text = "\n".join(picture_text(pictured([node], HOSTILE), 80))
    assert all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize("text", ["\x1b[2J", "\u202e", "\x00", "\ud800", "\u2028", "\r", "\x0b"])
def test_what_is_not_to_be_seen_is_escaped(text: str) -> None:
    """Line feeds stay unless all is to be on one line; what can be seen stays as it is."""
    assert visible(f"a{text}ä\n").isprintable() is False
    assert visible(f"a{text}ä").isprintable()
    assert on_one_line(f"a{text}\nä").isprintable()
    assert visible("ä\n ─ b") == "ä\n ─ b"


def test_badges_are_few_the_worst_first_and_in_a_row() -> None:
    """What has no room is counted, and its numbers are under the pointer."""
    marks = [Mark(n, Severity.NOTICE) for n in range(1, 9)] + [Mark(9, Severity.ERROR)]
    row = badges(marks, 100.0)
    assert [badge.text for badge in row] == ["9", "1", "2", "3", "+5"]
    assert len(row) == MOST_BADGES
    assert (row[0].severity, row[-1].title) == ("error", "findings 4, 5, 6, 7, 8")
    assert row[-1].x + row[-1].width == 100.0
    assert all(left.x + left.width < right.x for left, right in pairwise(row))
    assert [badge.text for badge in badges(marks[:5], 0)] == ["1", "2", "3", "4", "5"]
    assert badges([], 0) == []


def test_long_names_are_cut_on_the_page() -> None:
    """Roles at their end, names in their middle, as hosts often differ in a number at the end."""
    assert (cut("x" * 10, 10), cut("x" * 11, 10)) == ("x" * 10, "x" * 9 + "…")
    assert cut_inside("host-of-2009-1", 9) == "host…09-1"
    assert (len(cut_inside(LONG, 28)), cut_inside("short", 5)) == (28, "short")


def test_an_arrow_is_a_line_with_round_corners_and_a_head() -> None:
    """The head's tip is at the master's border, on whichever side of it."""
    points = ((0.0, 0.0), (20.0, 0.0), (20.0, 50.0), (40.0, 50.0))
    assert path(points) == "M0 0L14 0Q20 0 20 6L20 44Q20 50 26 50L32 50"
    assert head(points) == "M40 50L32 45.5L32 54.5Z"
    assert head(((60.0, 50.0), (40.0, 50.0))) == "M40 50L48 45.5L48 54.5Z"
