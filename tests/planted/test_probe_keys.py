"""A look writes nothing but probe keys, which name the run, expire, and are removed; without a run it only reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import pytest

from fixtures.cluster import Supply
from provisioning.cluster import REJOIN_SECONDS, Cluster
from provisioning.errors import NodeUnreachable, SimulationError
from provisioning.evidence import Evidence
from provisioning.evidence.client_probe import PREFIX, TTL_SECONDS
from provisioning.evidence.hosts_look import look_everywhere
from provisioning.evidence.probe_result import ProbeResult
from provisioning.faults import KillNode, PauseNode, inject
from provisioning.inventory import Node, with_node_timeout
from provisioning.resp import Connection
from tests.commandstats import PROBES, asked, changing
from tests.planted.acts import on_host
from tests.planted.burden import fill
from tests.planted.lent import lent

pytestmark = pytest.mark.destructive

QUIET_SECONDS = 0.2
"""After this time without a command there comes none any more."""

LONG_NODE_TIMEOUT_MS = 30000
"""Nobody takes over from a master that is silent for the time of one look."""

_SEEN = re.compile(r"[\d.]+ \[\d+ \S+\] (.*)")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Monitor:
    """A connection on which a node tells every command that it carries out."""

    node: Node
    link: Connection

    def told(self) -> Iterator[list[str]]:
        """Yield the words of each command, until no more comes."""
        with suppress(NodeUnreachable):
            while seen := _SEEN.fullmatch(str(self.link.next_message(QUIET_SECONDS))):
                yield _WORD.findall(seen[1])


@contextmanager
def monitored(cluster: Cluster) -> Iterator[list[Monitor]]:
    """Let every node tell what it carries out."""
    with ExitStack() as stack:
        monitors = [Monitor(node, stack.enter_context(cluster.connection(node))) for node in cluster.inventory.nodes]
        for each in monitors:
            assert each.link.call("MONITOR") == "OK"
        yield monitors


@pytest.fixture
def whole(request: pytest.FixtureRequest, garden: Supply) -> Iterator[Cluster]:
    """The worker's cluster of the default layout, to be looked at."""
    with lent(request, garden) as cluster:
        yield cluster


@pytest.fixture
def broken(request: pytest.FixtureRequest, garden: Supply) -> Iterator[Cluster]:
    """The worker's cluster of the default layout, to be broken."""
    with lent(request, garden, to_break=True) as cluster:
        yield cluster


def look(cluster: Cluster, run: str) -> Evidence:
    return look_everywhere(cluster.inventory, cluster.simulated, probe_run=run)


def probes_of(seen: Evidence, slot: int) -> dict[str, ProbeResult]:
    """Return what became of the probe of that slot, by the entry node's name."""
    return {node.name: node.probes[slot] for node in seen.nodes if node.probes is not None}


def keys_left(cluster: Cluster, node: Node) -> dict[str, int]:
    """Return the probe keys that the node has, each with the milliseconds that it still lives."""
    cursor, keys = "0", set()
    while True:
        cursor, found = cluster.call(node, "SCAN", cursor, "MATCH", f"{PREFIX}*", "COUNT", 1000)
        keys |= set(found)
        if cursor == "0":
            return {key: int(cluster.call(node, "PTTL", key)) for key in keys}


def wait_no_key(cluster: Cluster) -> None:
    """Wait until no node has a probe key: a replica learns of the removal a moment after its master."""
    cluster.wait_for(
        lambda: not any(keys_left(cluster, node) for node in cluster.inventory.nodes),
        "no probe key on any node",
        REJOIN_SECONDS,
    )


def test_a_look_with_probes_touches_only_keys_of_its_run_and_leaves_none(whole: Cluster, run: str) -> None:
    """Every key carries prefix and run, expires within 60 s, and is gone; nothing else is sent but what reads."""
    fill(whole, 300)
    stored = {node: whole.call(node, "DBSIZE") for node in whole.inventory.nodes}
    before = asked(whole)
    with monitored(whole) as monitors:
        seen = look(whole, run)
        told = [words for each in monitors for words in each.told()]

    of_keys = [words for words in told if words[0].upper() in {"SET", "GET", "DEL", "EXISTS"}]
    probing = [words for words in of_keys if words[1].startswith(f"{PREFIX}{run}:")]
    assert {words[0].upper() for words in probing} == {"SET", "GET", "DEL", "EXISTS"}
    assert all(words[1].startswith("redis-gauntlet:look:") for words in of_keys if words not in probing)
    assert {words[0].upper() for words in of_keys if words not in probing} <= {"GET"}
    written = [words for words in probing if words[0].upper() == "SET" and "EX" in words]
    assert {words[words.index("EX") + 1] for words in written} == {str(TTL_SECONDS)}
    assert len({words[1] for words in written}) == len(whole.inventory.nodes) * len(whole.inventory.shards)

    assert changing(whole, before) - {"MONITOR"} == PROBES
    for node in whole.inventory.masters:
        assert all(not (each.write or each.read or each.left) for each in _through_all(whole, seen, node))
    wait_no_key(whole)
    assert {node: whole.call(node, "DBSIZE") for node in whole.inventory.nodes} == stored


def test_a_look_without_probes_only_reads(whole: Cluster) -> None:
    """No node is asked anything that could change something."""
    before = asked(whole)
    seen = look(whole, "")
    assert changing(whole, before) == set()
    assert {node.probes for node in seen.nodes} == {None}


def test_a_key_that_cannot_be_removed_is_told_and_expires(whole: Cluster, run: str) -> None:
    """Where a node refuses the removal the key lives on for 60 s at the most, and the evidence says so."""
    node = whole.inventory.masters[0]
    whole.call(node, "ACL", "SETUSER", "default", "-del")
    try:
        seen = look(whole, run)
        left = keys_left(whole, node)
    finally:
        whole.call(node, "ACL", "SETUSER", "default", "+del")

    assert len(left) == len(whole.inventory.nodes)
    assert all(key.startswith(f"{PREFIX}{run}:") for key in left)
    assert all(0 < milliseconds <= 1000 * TTL_SECONDS for milliseconds in left.values())
    assert all(each.left and not each.write and not each.read for each in _through_all(whole, seen, node))
    elsewhere = probes_of(seen, whole.inventory.masters[1].slots[0].first)
    assert {name for name, each in elsewhere.items() if each.left} == {node.full_name}, "who refuses it to the entry"


@pytest.mark.slow
def test_a_node_that_falls_silent_in_the_middle_keeps_its_keys_no_longer_than_they_live(
    whole: Cluster, run: str
) -> None:
    """It acknowledges the writes and hears of no removal: the keys have an end, and the evidence says they are left."""
    node = whole.inventory.masters[0]
    rule = f"INPUT -p tcp --dport {node.port} -m string --string DEL --algo bm -j DROP"
    try:
        on_host(whole, node.host, f"iptables -A {rule}")
    except SimulationError as problem:
        pytest.skip(f"this kernel cannot lose packets by what is in them: {problem.observed}")
    try:
        seen = look(whole, run)
        left = keys_left(whole, node)
    finally:
        on_host(whole, node.host, f"iptables -D {rule}")

    assert left
    assert all(0 < milliseconds <= 1000 * TTL_SECONDS for milliseconds in left.values())
    assert all(each.left and not each.write for each in _through_all(whole, seen, node))


@pytest.mark.slow
def test_what_a_silent_node_was_sent_may_be_left_and_what_a_dead_one_was_not_is_not(garden: Supply, run: str) -> None:
    """A paused node may carry out the write when it resumes, and the key then has its end; a dead one never had it."""
    cluster = garden.build(with_node_timeout(garden.layout, LONG_NODE_TIMEOUT_MS))
    sleeper, dead = cluster.inventory.masters[:2]
    try:
        with inject(cluster.simulated, PauseNode(sleeper), KillNode(dead)):
            seen = look(cluster, run)
        asleep, gone = (probes_of(seen, node.slots[0].first) for node in (sleeper, dead))
        assert len(asleep) == len(gone) == len(cluster.inventory.nodes) - 2
        assert all("no answer" in each.write and each.left for each in asleep.values())
        assert all("refused" in each.write and not each.left for each in gone.values())
        left = keys_left(cluster, sleeper)
        assert all(0 < milliseconds <= 1000 * TTL_SECONDS for milliseconds in left.values())
    finally:
        cluster.simulated.remove()


def test_what_refuses_a_write_is_told_in_its_own_words(broken: Cluster, run: str) -> None:
    """Whatever the reason for which a master takes no writes, it is seen through every node."""
    without_replicas, full, unable = broken.inventory.masters
    assert broken.call(without_replicas, "CONFIG", "SET", "min-replicas-to-write", 2) == "OK"
    assert broken.call(full, "CONFIG", "SET", "maxmemory", "1mb") == "OK"
    _let_saving_fail(broken, unable)
    refusals = {without_replicas: "NOREPLICAS", full: "OOM", unable: "MISCONF"}
    seen = look(broken, run)
    for node, word in refusals.items():
        assert {each.write.partition(" ")[0] for each in _through_all(broken, seen, node)} == {word}

    assert broken.call(without_replicas, "CONFIG", "SET", "min-replicas-to-write", 0) == "OK"
    assert broken.call(without_replicas, "CLUSTER", "DELSLOTS", without_replicas.slots[0].first) == "OK"
    seen = look(broken, run)
    assert {each.write.partition(" ")[0] for each in _through_all(broken, seen, without_replicas)} == {"CLUSTERDOWN"}
    assert not any(each.left for node in broken.inventory.masters for each in _through_all(broken, seen, node))
    wait_no_key(broken)


def _through_all(cluster: Cluster, seen: Evidence, node: Node) -> list[ProbeResult]:
    """Return what became of the probe of that node's slots, through every node."""
    found = probes_of(seen, node.slots[0].first)
    assert found.keys() == {each.full_name for each in cluster.inventory.nodes}
    return list(found.values())


def _let_saving_fail(cluster: Cluster, node: Node) -> None:
    """Put a directory where the node would save to, and let it try."""
    on_host(cluster, node.host, f"rm -rf {node.data_dir}/dump.rdb; mkdir {node.data_dir}/dump.rdb")
    cluster.call(node, "CONFIG", "SET", "save", "3600 1")
    cluster.call(node, "BGSAVE")
    cluster.wait_for(
        lambda: cluster.info(node)["rdb_last_bgsave_status"] == "err", "a save that failed", cluster.rejoin_budget
    )
