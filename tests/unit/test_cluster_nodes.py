"""CLUSTER NODES is read whatever it looks like, and printed as Redis prints it."""

from __future__ import annotations

import time

import pytest

from provisioning.cluster_nodes import format_cluster_nodes, format_entry, may_have_entries, parse_cluster_nodes
from provisioning.node_entry import NodeEntry
from provisioning.slots import SlotRange
from tests.unit.listing import M1, R1, entries

pytestmark = pytest.mark.unit

ID = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40
LINE = f"{ID} 10.0.0.1:6379@16379 myself,master - 0 1700000000000 3 connected 0-100 200"
HEALTHY = format_cluster_nodes(entries().values())


def only(text: str) -> NodeEntry:
    """Return the single entry of a text without unreadable lines."""
    view = parse_cluster_nodes(text)
    assert view.unreadable == ()
    assert len(view.entries) == 1
    return view.entries[0]


def test_every_field_of_a_line_is_read() -> None:
    """A line of Redis 7 and later gives each field under its name, and roles in this project's words."""
    entry = only(f"{ID} 10.0.0.1:6379@16379,name,tls-port=0,shard-id={OTHER} slave,fail? {OTHER} 5 7 3 disconnected")
    assert (entry.node_id, entry.ip, entry.port, entry.bus_port) == (ID, "10.0.0.1", 6379, 16379)
    assert (entry.hostname, entry.shard_id, entry.aux["tls-port"]) == ("name", OTHER, "0")
    assert entry.flags == {"replica", "pfail"}
    assert (entry.master_id, entry.ping_sent, entry.pong_received, entry.config_epoch) == (OTHER, 5, 7, 3)
    assert not entry.link_connected


def test_open_slots_are_read() -> None:
    """A slot that migrates or is imported is kept with the other node's id."""
    entry = only(f"{LINE} [93->-{OTHER}] [94-<-{OTHER}]")
    assert entry.slots == (SlotRange(0, 100), SlotRange(200, 200))
    assert entry.migrating == ((93, OTHER),)
    assert entry.importing == ((94, OTHER),)


@pytest.mark.parametrize(
    ("address", "ip", "port", "bus_port", "hostname"),
    [
        ("10.0.0.1:6379", "10.0.0.1", 6379, None, ""),
        (":0", "", 0, None, ""),
        (":7000", "", 7000, None, ""),
        (":0@0", "", 0, 0, ""),
        ("10.0.0.1:6379@16379,", "10.0.0.1", 6379, 16379, ""),
        ("10.0.0.1:6379@16379,host.example", "10.0.0.1", 6379, 16379, "host.example"),
        ("240b:c0e0::fbeb:6379@16379", "240b:c0e0::fbeb", 6379, 16379, ""),
        ("240b:c0e0::fbeb:6379", "240b:c0e0::fbeb", 6379, None, ""),
        ("[::1]:6379@16379", "::1", 6379, 16379, ""),
        ("test-node2:21000@31000", "test-node2", 21000, 31000, ""),
        ("4.x.x.6:6379@16379", "4.x.x.6", 6379, 16379, ""),
        (f"10.0.0.1:6379@16379,,tls-port=0,shard-id={OTHER}", "10.0.0.1", 6379, 16379, ""),
    ],
)
def test_addresses_of_every_age_are_read(address: str, ip: str, port: int, bus_port: int | None, hostname: str) -> None:
    """Addresses without bus port, without IP, with hostname, as bare IPv6 and as nodes.conf writes them."""
    entry = only(f"{ID} {address} master - 0 0 0 connected")
    assert (entry.ip, entry.port, entry.bus_port, entry.hostname) == (ip, port, bus_port, hostname)


@pytest.mark.parametrize(
    "text",
    [
        f"   {LINE}",
        f"I1010 23:52:10.109863  {LINE}",
        f"> {LINE}",
        f"# {LINE}",
        f"// {LINE}",
        f'1) "{LINE}"',
        f"1070:{LINE}",
        f"{LINE} # master",
        f"{LINE} [",
        f"{LINE}\r\nvars currentEpoch 7 lastVoteEpoch 0\r\n",
        f"127.0.0.1:6379> cluster nodes\n{LINE}\n",
        f"```\n{LINE}\n```",
        f"$1070\r\n{LINE}\r\n",
        f'{{"nodes": "{LINE}"}}',
    ],
)
def test_wrapping_is_seen_through(text: str) -> None:
    """Log prefixes, quotes, comments, prompts and the like around a line change nothing and are no defect."""
    entry = only(text)
    assert entry == only(LINE)
    assert entry.oddities == ()


def test_json_and_run_together_lines_are_taken_apart() -> None:
    r"""A listing inside JSON with literal \n, or with its line breaks lost, gives all its entries."""
    lines = HEALTHY.splitlines()
    expected = parse_cluster_nodes(HEALTHY).entries
    quoted = '{"nodes": "' + "\\n".join(lines) + '\\n"}'
    assert parse_cluster_nodes(quoted).entries == expected
    assert parse_cluster_nodes("".join(lines)).entries == expected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (LINE.replace(ID, ID[:39]), "node id of 39 characters"),
        (LINE.replace(" - ", f" {OTHER[:39]} "), "master id of 39 characters"),
        (LINE.replace("connected", "connecte"), "unknown link-state 'connecte'"),
        (LINE.replace("200", "200-"), "slot range '200-' cannot be read"),
        (LINE.replace("200", "99999"), "slot range '99999' cannot be read"),
    ],
)
def test_damage_inside_a_line_is_told(line: str, said: str) -> None:
    """What can be read of a damaged line is read, and the damage is said."""
    assert any(said in oddity for oddity in only(line).oddities)


@pytest.mark.parametrize("line", [LINE[:60], LINE[:75], "garbage", "\x00\xff\x01", ID, LINE.replace("6379@", "port@")])
def test_unreadable_line_is_kept_with_its_number(line: str) -> None:
    """A line that cannot be read does not hide the others and is kept with number, text and reason."""
    view = parse_cluster_nodes(f"{HEALTHY}{line}\n")
    assert len(view.entries) == 6
    assert [(each.number, each.text) for each in view.unreadable] == [(7, line.strip())]
    assert "line 7" in str(view.unreadable[0])


def test_print_is_what_redis_prints() -> None:
    """Reading a line and printing it gives the line, whatever order its flags had."""
    address = f"10.0.0.1:6379@16379,name,shard-id={OTHER}"
    line = f"{ID} {address} myself,slave,fail?,nofailover {OTHER} 1 2 3 connected 5 7-9 [93->-{ID}]"
    assert format_entry(only(line)) == line
    assert format_entry(only(line.replace("myself,slave", "slave,myself"))) == line


@pytest.mark.parametrize("blank", [0, 1, 5000])
def test_number_of_a_line_is_that_in_the_text(blank: int) -> None:
    """Blank lines in front are counted, for entries and for lines that cannot be read."""
    view = parse_cluster_nodes("\n" * blank + HEALTHY + "garbage\n")
    assert [entry.number for entry in view.entries] == [blank + number for number in range(1, 7)]
    assert [line.number for line in view.unreadable] == [blank + 7]


def test_lines_inside_a_json_string_have_the_number_of_their_line() -> None:
    r"""A listing with literal \n is one line of the text; what comes after it is counted as the file has it."""
    text = HEALTHY.replace("\n", "\\n")
    view = parse_cluster_nodes(f'{{\n"one": "{text}",\n"two": "{text}cut",\n}}\ngarbage')
    assert [entry.number for entry in view.entries] == [2] * 6 + [3] * 6
    assert [line.number for line in view.unreadable] == [3, 5]


@pytest.mark.parametrize(
    "line",
    [
        "Warning: Using a password with '-a' or '-u' option on the command line interface may not be safe.",
        "Connection to 10.0.0.1 closed.",
        'Defaulted container "redis" out of: redis, metrics',
    ],
)
def test_remarks_of_the_tools_are_no_defect(line: str) -> None:
    """What redis-cli, ssh and kubectl say before or after the answer is not taken for a damaged line."""
    assert parse_cluster_nodes(f"{line}\n{HEALTHY}{line}\r\n").unreadable == ()


@pytest.mark.parametrize(
    "text",
    [
        f"{ID} {'1:' * 256} " * 2000,
        f"abcdefgh {'1:' * 256} " * 2000,
        f"{ID} 1:1 {' ' * 5000}" * 100,
        f"abcdefgh 1:1 {'master,' * 500}" * 300,
        f"{LINE} " + "[" * 300_000,
        f"{LINE} " + "9" * 300_000,
        "[" * 300_000,
        ("#" * 1900 + "\n") * 200,
    ],
    ids=["ids", "words", "spaces", "flags", "brackets in a line", "digits in a line", "brackets", "prompts"],
)
def test_long_lines_cost_what_their_length_costs(text: str) -> None:
    """No line of a third of a megabyte, or of a whole one, keeps the reader longer than a second of CPU time."""
    began = time.process_time()
    parse_cluster_nodes(text)
    assert time.process_time() - began < 1.0


def test_text_without_a_flag_is_told_at_once() -> None:
    """A text with a flag in it may be a listing; one without is none."""
    assert may_have_entries(HEALTHY)
    assert all(may_have_entries(LINE.replace("myself,master", flags)) for flags in ("handshake", "noflags", "fail?"))
    assert not may_have_entries("lorem ipsum\n" * 1000)


def test_view_of_a_healthy_listing_has_a_name_for_everyone() -> None:
    """The listing that the other tests plant defects in is itself read without remarks."""
    view = parse_cluster_nodes(HEALTHY, seen_by=M1)
    assert view.myself == entries()[M1]
    assert view.by_address["192.168.171.101:6374"] == entries()[R1]
