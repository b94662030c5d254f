"""A live cluster is brought to its inventory: what lacks is done and named, what works is left alone."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest

from fixtures.session import Session
from provisioning import shard_places
from provisioning.cluster import REJOIN_SECONDS, Cluster
from provisioning.convergence import Convergence
from provisioning.errors import WaitTimeout
from provisioning.evidence import Evidence
from provisioning.evidence.collect import MEMBERSHIP, ask_who_lags, collect
from provisioning.inventory import Host, Inventory, Node
from provisioning.live_change import ConvergenceError
from provisioning.making_way import make_way
from provisioning.password_change import PasswordRefused, adopt_password
from provisioning.planned_inventory import planned_inventory
from provisioning.readiness import find_unready
from provisioning.resp import Connection
from provisioning.rolling import RollingError, require_fit, rolling_order, step_down
from provisioning.slot_moves import KEYS_AT_ONCE, SlotMove, migrate_patience, move
from provisioning.slots import SLOTS, SlotRange, key_in_slot, key_slot
from tests.planted.acts import blank, edit_nodes_conf, kill, start

pytestmark = pytest.mark.destructive

KEYS = 300


def converged(cluster: Cluster, *, pretend: bool = False) -> list[str]:
    return Convergence(cluster.inventory, pretend).run()


def test_a_cluster_as_wanted_is_left_alone(fresh_cluster: Cluster) -> None:
    """Nothing is done, and no config epoch changes."""
    before = {node.full_name: fresh_cluster.current_epoch(node) for node in fresh_cluster.inventory.nodes}
    assert converged(fresh_cluster) == []
    assert {node.full_name: fresh_cluster.current_epoch(node) for node in fresh_cluster.inventory.nodes} == before


def test_roles_stay_where_a_failover_has_put_them(fresh_cluster: Cluster) -> None:
    """After a failover the shard's replica is its master, and that is as good."""
    shard = fresh_cluster.inventory.shards[0]
    fresh_cluster.manual_failover(shard.replicas[0])
    fresh_cluster.wait_replica(shard.master, shard.replicas[0], fresh_cluster.rejoin_budget)
    roles = fresh_cluster.roles()
    assert converged(fresh_cluster) == []
    assert fresh_cluster.roles() == roles


def test_a_blank_node_joins_as_a_replica_and_its_old_id_is_forgotten(fresh_cluster: Cluster) -> None:
    """A node that has lost everything is introduced, follows its shard's master, and nobody knows its old id."""
    node = fresh_cluster.inventory.replicas[0]
    old = fresh_cluster.ids()[node.full_name]
    kill(fresh_cluster, node)
    blank(fresh_cluster, node)
    start(fresh_cluster, node)
    pretended = converged(fresh_cluster, pretend=True)
    assert pretended == [f"introduced {node.full_name}"]
    done = converged(fresh_cluster)
    assert done[0] == f"introduced {node.full_name}"
    assert any(each.startswith(f"made {node.full_name} a replica of {node.replica_of}") for each in done)
    assert all(view is not None and old not in view.by_id for view in fresh_cluster.views().values())
    assert converged(fresh_cluster) == []


def test_a_replica_of_another_shard_is_placed_as_wanted(fresh_cluster: Cluster) -> None:
    """It is told to follow its own shard's master."""
    replica = fresh_cluster.inventory.replicas[0]
    other = next(each for each in fresh_cluster.inventory.masters if each.full_name != replica.replica_of)
    assert fresh_cluster.call(replica, "CLUSTER", "REPLICATE", fresh_cluster.ids()[other.full_name]) == "OK"
    fresh_cluster.wait_replica(replica, other, fresh_cluster.rejoin_budget)
    (done,) = converged(fresh_cluster)
    assert done == f"made {replica.full_name} a replica of {replica.replica_of} (before: of {other.full_name})"


def test_members_that_have_lost_each_others_address_are_reunited(fresh_cluster: Cluster) -> None:
    """Two nodes that hold each other to be without address never find each other again by themselves."""
    one, other = fresh_cluster.inventory.replicas[:2]
    ids = fresh_cluster.ids()
    kill(fresh_cluster, one, other)
    for node, lost in ((one, other), (other, one)):
        edit_nodes_conf(fresh_cluster, node, partial(without_address, node_id=ids[lost.full_name]))
    start(fresh_cluster, one, other)
    lost_to = {node: fresh_cluster.view(node).by_id[ids[lost.full_name]] for node, lost in ((one, other), (other, one))}
    if not all("noaddr" in entry.flags for entry in lost_to.values()):
        assert "valkey_version" in fresh_cluster.info(one)
        pytest.skip("this server hears of the address again from others")
    done = converged(fresh_cluster)
    assert done == [
        f"told {one.full_name} where {other.full_name} is",
        f"told {other.full_name} where {one.full_name} is",
    ]
    assert converged(fresh_cluster) == []


def test_a_replica_takes_over_before_its_master_begins_blank(fresh_cluster: Cluster) -> None:
    """Otherwise it would copy the emptiness. Where nobody can be elected it is told to, and the data is kept."""
    shard = fresh_cluster.inventory.shards[0]
    (replica,), slot = shard.replicas, shard.master.slots[0].first
    key = key_in_slot(slot, "kept:")
    assert fresh_cluster.call(shard.master, "SET", key, "value") == "OK"
    fresh_cluster.wait_replica(replica, shard.master, fresh_cluster.rejoin_budget)
    assert fresh_cluster.call(replica, "CONFIG", "SET", "cluster-replica-no-failover", "yes") == "OK"
    kill(fresh_cluster, shard.master)
    blank(fresh_cluster, shard.master)
    told = [f"let {replica.full_name} take over from {shard.master.full_name}, which begins without its data"]
    assert make_way(fresh_cluster, [shard.master.full_name], pretend=True) == told
    assert make_way(fresh_cluster, [shard.master.full_name]) == told
    start(fresh_cluster, shard.master)
    converged(fresh_cluster)
    assert fresh_cluster.call(replica, "GET", key) == "value"
    assert fresh_cluster.roles()[shard.master.full_name] == f"replica of {replica.full_name}"
    assert make_way(fresh_cluster, []) == converged(fresh_cluster) == []


def test_a_master_whose_data_nobody_has_is_not_begun_blank(fresh_cluster: Cluster) -> None:
    """With its replica dead too that is for a person to decide."""
    shard = fresh_cluster.inventory.shards[0]
    kill(fresh_cluster, *shard.nodes)
    with pytest.raises(ConvergenceError, match="no live node has it"):
        make_way(fresh_cluster, [node.full_name for node in shard.nodes])


def test_a_master_is_not_begun_blank_while_its_replica_is_silent(fresh_cluster: Cluster) -> None:
    """Whoever may have the data is waited for, and named: what nobody has said is unknown, not lost."""
    shard = fresh_cluster.inventory.shards[0]
    kill(fresh_cluster, *shard.nodes)
    with pytest.raises(ConvergenceError, match=f"no answer from {shard.replicas[0].full_name}"):
        make_way(fresh_cluster, [shard.master.full_name])


def test_of_a_cluster_that_was_down_the_replica_takes_over_from_a_blank_master(fresh_cluster: Cluster) -> None:
    """Nobody has seen the master die, and its replica has just started: it is found by what the others remember."""
    inventory, shard = fresh_cluster.inventory, fresh_cluster.inventory.shards[0]
    (replica,), slot = shard.replicas, shard.master.slots[0].first
    key = key_in_slot(slot, "kept:")
    assert fresh_cluster.call(shard.master, "SET", key, "value") == "OK"
    fresh_cluster.wait_replica(replica, shard.master, fresh_cluster.rejoin_budget)
    kill(fresh_cluster, *inventory.nodes)
    blank(fresh_cluster, shard.master)
    start(fresh_cluster, *(node for node in inventory.nodes if node != shard.master))
    assert make_way(fresh_cluster, [shard.master.full_name]) != []
    start(fresh_cluster, shard.master)
    converged(fresh_cluster)
    assert fresh_cluster.call(replica, "GET", key) == "value"
    assert fresh_cluster.roles()[shard.master.full_name] == f"replica of {replica.full_name}"


def test_a_lost_id_leaves_its_slots_to_who_followed_it(fresh_cluster: Cluster) -> None:
    """A master that came back under a new id on its own: its replica leads, and the old id is forgotten."""
    shard = fresh_cluster.inventory.shards[0]
    (replica,), slot = shard.replicas, shard.master.slots[0].first
    assert fresh_cluster.call(replica, "CONFIG", "SET", "cluster-replica-no-failover", "yes") == "OK"
    lost = fresh_cluster.ids()[shard.master.full_name]
    kill(fresh_cluster, shard.master)
    blank(fresh_cluster, shard.master)
    start(fresh_cluster, shard.master)
    done = converged(fresh_cluster)
    assert f"let {replica.full_name} take over from {lost}, which no node is any more" in done
    assert fresh_cluster.owner(slot) == replica
    assert all(view is not None and lost not in view.by_id for view in fresh_cluster.views().values())
    assert converged(fresh_cluster) == []


@pytest.mark.parametrize("point", ["epochs", "slots of one", "slots", "one meeting"])
def test_a_formation_that_was_cut_short_is_finished(fresh_cluster: Cluster, point: str) -> None:
    """Wherever it was left, the next run ends with the whole cluster."""
    nodes = fresh_cluster.inventory.nodes
    for node in nodes:
        assert fresh_cluster.call(node, "CLUSTER", "RESET", "HARD") == "OK"
    for epoch, node in enumerate(nodes, 1):
        assert fresh_cluster.call(node, "CLUSTER", "SET-CONFIG-EPOCH", epoch) == "OK"
    masters = {"epochs": 0, "slots of one": 1}.get(point, len(nodes))
    for node in fresh_cluster.inventory.masters[:masters]:
        for each in node.slots:
            assert fresh_cluster.call(node, "CLUSTER", "ADDSLOTSRANGE", each.first, each.last) == "OK"
    if point == "one meeting":
        assert fresh_cluster.call(nodes[1], "CLUSTER", "MEET", nodes[0].lan, nodes[0].port, nodes[0].bus_port) == "OK"
        fresh_cluster.wait_for(
            lambda: len(fresh_cluster.view(nodes[0]).entries) == 2, "two that know each other", REJOIN_SECONDS
        )
    assert converged(fresh_cluster)
    assert fresh_cluster.roles() == fresh_cluster.wanted_roles
    assert converged(fresh_cluster) == []


def without_address(text: str, node_id: str) -> str:
    """Return the nodes.conf with that node's address lost."""
    lines = []
    for line in text.splitlines(keepends=True):
        words = line.split(" ")
        if words[0] == node_id:
            words[1] = re.sub(r"^[^,]*", ":0@0", words[1])
            words[2] += ",noaddr"
        lines.append(" ".join(words))
    return "".join(lines)


def test_slots_of_another_shard_are_left_to_a_person(fresh_cluster: Cluster) -> None:
    """A shard of whose nodes two own slots is named, and nothing is done."""
    first, second = fresh_cluster.inventory.shards[:2]
    moved, slot = first.replicas[0], second.master.slots[0].first
    assert fresh_cluster.call(moved, "CLUSTER", "REPLICATE", fresh_cluster.ids()[second.master.full_name]) == "OK"
    fresh_cluster.wait_replica(moved, second.master, fresh_cluster.rejoin_budget)
    fresh_cluster.manual_failover(moved, slot)
    third = fresh_cluster.inventory.shards[2].master
    for node in second.nodes:  # nobody is left who has the data and could take over
        fresh_cluster.wait_replica(node, moved, fresh_cluster.rejoin_budget)
        assert fresh_cluster.call(node, "CLUSTER", "REPLICATE", fresh_cluster.ids()[third.full_name]) == "OK"
        fresh_cluster.wait_replica(node, third, fresh_cluster.rejoin_budget)
    with pytest.raises(ConvergenceError, match="has no one master"):
        converged(fresh_cluster)
    assert fresh_cluster.owner(slot) == moved


def test_two_clusters_are_not_merged(fresh_cluster: Cluster) -> None:
    """A node of another cluster in the inventory is named; introduced, the masters of one would drop their data."""
    stranger = fresh_cluster.inventory.replicas[0]
    before = fresh_cluster.ids()
    assert fresh_cluster.call(stranger, "CLUSTER", "RESET", "HARD") == "OK"
    assert fresh_cluster.call(stranger, "CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1) == "OK"
    for node in fresh_cluster.inventory.nodes:
        if node != stranger:
            assert fresh_cluster.call(node, "CLUSTER", "FORGET", before[stranger.full_name]) == "OK"
    with pytest.raises(ConvergenceError, match="nodes of more than one cluster"):
        converged(fresh_cluster)
    assert len(fresh_cluster.view(stranger).entries) == 1


def open_slot(cluster: Cluster, source: Node, target: Node, slot: int) -> None:
    for node, state, other in ((target, "IMPORTING", source), (source, "MIGRATING", target)):
        node_id = cluster.call(other, "CLUSTER", "MYID")
        assert cluster.call(node, "CLUSTER", "SETSLOT", slot, state, node_id) == "OK"


def migrate(cluster: Cluster, source: Node, target: Node, key: str, *options: str) -> None:
    login = ("AUTH", target.password) if target.password else ()
    assert cluster.call(source, "MIGRATE", target.lan, target.port, key, 0, 5000, *options, *login) == "OK"


@pytest.mark.parametrize("failed_over", ["neither", "source", "target"])
def test_moves_that_were_interrupted_are_finished(fresh_cluster: Cluster, failed_over: str) -> None:
    """A slot that was left open, its keys on both sides, ends where it was going; shares are then made equal.

    One key is on both sides at once, as where the answer of its move was lost: what the source has since is kept.
    So it is where a replica has taken over meanwhile on one side, which knows nothing of the move.
    """
    source, target = fresh_cluster.inventory.masters[:2]
    slot = source.slots[-1].last
    keys = [key_in_slot(slot, f"{n}:") for n in range(4)]
    for key in keys:
        assert fresh_cluster.call(source, "SET", key, key) == "OK"
    open_slot(fresh_cluster, source, target, slot)
    migrate(fresh_cluster, source, target, keys[0])
    migrate(fresh_cluster, source, target, keys[1], "COPY")
    assert fresh_cluster.call(source, "SET", keys[1], "later") == "OK"
    inventory = replace(fresh_cluster.inventory, given=fresh_cluster.inventory.given - {"slots"})
    for died in [node for node, name in ((source, "source"), (target, "target")) if name == failed_over]:
        (heir,) = fresh_cluster.shard_of(died).replicas
        fresh_cluster.wait_replica(heir, died, fresh_cluster.rejoin_budget)
        fresh_cluster.manual_failover(heir)
        fresh_cluster.wait_replica(died, heir, fresh_cluster.rejoin_budget)
    done = Convergence(inventory, unfinished=True).run()
    assert "finished the move of 1 slots, which was interrupted" in done
    client = fresh_cluster.client()
    assert [client.get(key) for key in keys] == [keys[0], "later", *keys[2:]]
    for node in (source, target):
        own = fresh_cluster.view(node).myself
        assert own is not None
        assert own.migrating == own.importing == ()
    assert Convergence(inventory).run() == []


def opened(cluster: Cluster, source: Node, target: Node) -> dict[str, str]:
    """Leave slots of the source open, the first one too, with a key each; one has been moved. Return the keys."""
    slots = [each for some in source.slots for each in some][:3]
    keys = {key: key for slot in slots for key in (key_in_slot(slot, "first:"), key_in_slot(slot, "second:"))}
    for key in keys:
        assert cluster.call(source, "SET", key, key) == "OK"
    (heir,) = cluster.shard_of(source).replicas
    cluster.wait_replica(heir, source, cluster.rejoin_budget)
    for slot in slots:
        open_slot(cluster, source, target, slot)
    migrate(cluster, source, target, next(iter(keys)))
    return keys


def assert_moved(cluster: Cluster, keys: dict[str, str], *masters: Node) -> None:
    """Every key is there, and no slot of these is open."""
    client = cluster.client()
    assert {key: client.get(key) for key in keys} == keys
    for node in masters:
        own = cluster.view(node).myself
        assert own is not None
        assert own.migrating == own.importing == ()


@pytest.mark.parametrize("blank_by", ["playbook", "itself"])
def test_a_source_that_comes_back_blank_keeps_no_target_down(fresh_cluster: Cluster, blank_by: str) -> None:
    """The target does not hear from others who owns now what it imports: it is told, and the moves are finished.

    Until then it holds the dead source for the owner, and refuses what it owns itself.
    """
    source, target = fresh_cluster.inventory.masters[:2]
    keys = opened(fresh_cluster, source, target)
    (heir,) = fresh_cluster.shard_of(source).replicas
    others = [node for node in fresh_cluster.inventory.nodes if node != source]
    elects = blank_by == "playbook"
    if not elects:
        assert fresh_cluster.call(heir, "CONFIG", "SET", "cluster-replica-no-failover", "yes") == "OK"
    kill(fresh_cluster, source)
    blank(fresh_cluster, source)
    if elects:
        told = [node for node in others if node != target]
        fresh_cluster.wait_owner(key_slot(next(iter(keys))), heir, told, 60.0)
        make_way(fresh_cluster, [source.full_name])
    start(fresh_cluster, source)
    converged(fresh_cluster)
    assert fresh_cluster.roles()[source.full_name] == f"replica of {heir.full_name}"
    # Of a master that is started blank without the playbook its replica may have copied the emptiness.
    assert_moved(fresh_cluster, keys if elects else dict(list(keys.items())[:1]), heir, target)
    assert {fresh_cluster.state(node) for node in fresh_cluster.inventory.nodes} == {"ok"}
    assert converged(fresh_cluster) == []


def test_shares_that_are_meant_to_differ_are_kept(fresh_cluster: Cluster) -> None:
    """A slot that somebody else has left open is closed, and nothing more; what this project has begun is finished."""
    inventory = replace(fresh_cluster.inventory, given=fresh_cluster.inventory.given - {"slots"})
    first, second = inventory.masters[:2]
    (own,) = first.slots
    wanted = fresh_cluster.inventory.with_nodes(
        {
            first.full_name: replace(first, slots=(SlotRange(own.first, own.first + 99),)),
            second.full_name: replace(second, slots=(SlotRange(own.first + 100, own.last), *second.slots)),
        }
    )
    Convergence(wanted).run()
    assert Convergence(inventory).run() == []
    open_slot(fresh_cluster, second, first, own.last)
    assert Convergence(inventory).run() == ["finished the move of 1 slots, which was interrupted"]
    assert Convergence(inventory).run() == []
    done = Convergence(inventory, unfinished=True).run()
    assert any(each.startswith("moved 5") for each in done), done
    sizes = [sum(map(len, entry.slots)) for entry in fresh_cluster.view(first).masters]
    assert max(sizes) - min(sizes) <= 1


def test_a_slot_of_which_nothing_was_moved_is_closed(fresh_cluster: Cluster) -> None:
    """Its target follows the source now: it would send clients to and fro. One that two import is for a person."""
    first, second, third = fresh_cluster.inventory.masters
    inventory = replace(fresh_cluster.inventory, given=fresh_cluster.inventory.given - {"slots"})
    slot = first.slots[0].first
    (own,) = fresh_cluster.shard_of(first).replicas
    assert fresh_cluster.call(own, "CLUSTER", "RESET", "HARD") == "OK"
    known = second
    fresh_cluster.call(own, "CLUSTER", "MEET", known.lan, known.port, known.bus_port)
    own_id = str(fresh_cluster.call(own, "CLUSTER", "MYID"))
    fresh_cluster.wait_for(
        lambda: all(
            view is not None and (entry := view.by_id.get(own_id)) is not None and entry.is_master
            for view in fresh_cluster.views(fresh_cluster.inventory.masters).values()
        ),
        "a master more",
        fresh_cluster.rejoin_budget,
    )
    assert fresh_cluster.call(first, "CLUSTER", "SETSLOT", slot, "MIGRATING", own_id) == "OK"
    assert fresh_cluster.call(own, "CLUSTER", "REPLICATE", fresh_cluster.ids()[first.full_name]) == "OK"
    done = Convergence(inventory).run()
    assert f"closed slot {slot} of {first.full_name}, of which nothing had been moved" in done
    assert_moved(fresh_cluster, {}, first)
    assert Convergence(inventory).run() == []
    for target in (second, third):
        open_slot(fresh_cluster, first, target, slot)
    with pytest.raises(ConvergenceError, match=f"slot {slot} is being moved to two nodes"):
        Convergence(inventory).run()


def calls(cluster: Cluster, node: Node, command: str) -> int:
    """Return how often the node has been asked that."""
    stats = str(cluster.call(node, "INFO", "commandstats"))
    return int(stats.partition(f"cmdstat_{command}:calls=")[2].partition(",")[0] or 0)


def test_keys_that_take_long_together_are_moved_one_by_one(fresh_cluster: Cluster) -> None:
    """The source is silent while a MIGRATE goes on: many keys have the patience of one."""
    source, target = fresh_cluster.inventory.masters[:2]
    slot, timeout = source.slots[0].first, fresh_cluster.inventory.node_timeout_ms
    keys = [key_in_slot(slot, f"{n}:") for n in range(KEYS_AT_ONCE)]
    for key in keys:
        assert fresh_cluster.call(source, "SET", key, key) == "OK"

    def paused(_: str) -> None:
        pause = migrate_patience(1, timeout) * 9 // 10
        assert pause > 2 * migrate_patience(len(keys), timeout)
        assert fresh_cluster.call(target, "CLIENT", "PAUSE", pause, "WRITE") == "OK"

    nodes = {node.full_name: node for node in fresh_cluster.inventory.masters}
    ids = {name: str(fresh_cluster.call(node, "CLUSTER", "MYID")) for name, node in nodes.items()}
    move(fresh_cluster, nodes, ids, [[SlotMove(slot, source.full_name, target.full_name)]], paused)
    assert {fresh_cluster.call(target, "GET", key) for key in keys} == set(keys)
    assert fresh_cluster.owner(slot, seen_by=target) == target
    if "valkey_version" not in fresh_cluster.info(source):  # SETSLOT waits there for the end of the pause, no key does
        assert calls(fresh_cluster, source, "migrate") == 1 + len(keys)


def test_what_was_given_up_is_not_carried_out_later(fresh_cluster: Cluster) -> None:
    """Packets are lost, and the kernel goes on sending what the source has given up: old values after new ones.

    Keys move one by one after that, over another connection; the target has closed the first.
    """
    source, target = fresh_cluster.inventory.masters[:2]
    if "valkey_version" in fresh_cluster.info(source):
        pytest.skip("its SETSLOT waits for replicas, until no packet is lost any more")
    host = fresh_cluster.simulated.host_of(target)
    first, second = source.slots[0].first, source.slots[0].first + 1
    keys = [key_in_slot(first, "0:"), *(key_in_slot(second, f"{n}:") for n in range(KEYS_AT_ONCE))]
    for key in keys:
        assert fresh_cluster.call(source, "SET", key, key) == "OK"
    patient = replace(fresh_cluster.inventory, node_timeout_ms=15_000)
    given_up = migrate_patience(KEYS_AT_ONCE, patient.node_timeout_ms) / 1000
    lost = ("INPUT", "-p", "tcp", "-s", source.lan, "--dport", str(target.port), "-j", "DROP")
    healing = threading.Timer(given_up + 0.5, host.sure, ("iptables", "-D", *lost))

    def lose_packets(_: str) -> None:
        if calls(fresh_cluster, source, "migrate"):  # the connection of the first is used again
            host.sure("iptables", "-I", *lost)
            healing.start()

    nodes = {node.full_name: node for node in fresh_cluster.inventory.masters}
    ids = {name: str(fresh_cluster.call(node, "CLUSTER", "MYID")) for name, node in nodes.items()}
    moves = [[SlotMove(slot, source.full_name, target.full_name)] for slot in (first, second)]
    try:
        move(Cluster(patient, fresh_cluster.simulation), nodes, ids, moves, lose_packets)
    finally:
        if healing.ident is not None:
            healing.join()
    sending = fresh_cluster.simulated.host_of(source)
    fresh_cluster.wait_for(
        lambda: sending.run("grep", "-q", " 04 ", "/proc/net/tcp").code == 1, "an end of FIN_WAIT1", 60.0
    )
    assert {fresh_cluster.call(target, "GET", key) for key in keys} == set(keys)
    assert calls(fresh_cluster, target, "restore-asking") == len(keys)


def unlink(cluster: Cluster, replica: Node, master: Node) -> None:
    """Take the replica's way to its master's data, and see the link down."""
    assert cluster.call(replica, "CONFIG", "SET", "masterauth", "wrong") == "OK"
    cluster.call(master, "CLIENT", "KILL", "TYPE", "slave")
    cluster.wait_for(
        lambda: cluster.info(replica).get("master_link_status") == "down", "a link that is down", cluster.rejoin_budget
    )


def test_a_replica_that_is_restarted_next_needs_no_link(fresh_cluster: Cluster) -> None:
    """An older server cannot load what a newer one sends: only its own change mends that, so it is first in the order.

    Whoever is not going to be changed must have one.
    """
    shard = fresh_cluster.inventory.shards[2]
    (replica,) = shard.replicas
    unlink(fresh_cluster, replica, shard.master)
    names = [node.full_name for node in fresh_cluster.inventory.nodes]
    assert rolling_order(fresh_cluster, names)[0] == replica.full_name
    assert Convergence(fresh_cluster.inventory, due=(replica.full_name,)).run() == []
    with pytest.raises(WaitTimeout) as missed:
        converged(fresh_cluster)
    assert f"{replica.full_name}: the link to its master is down" in missed.value.observed


def test_a_replica_is_upgraded_before_it_follows_a_newer_master(
    fresh_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could not load what that sends, and would have nothing. Both have one version: one is taken for older."""
    replica, other = fresh_cluster.inventory.replicas[0], fresh_cluster.inventory.masters[0]
    assert replica.replica_of != other.full_name
    assert fresh_cluster.call(replica, "CLUSTER", "REPLICATE", fresh_cluster.ids()[other.full_name]) == "OK"
    fresh_cluster.wait_replica(replica, other, fresh_cluster.rejoin_budget)
    older = fresh_cluster.info(replica)["run_id"]
    monkeypatch.setattr(shard_places, "server_version", lambda info: "7.0.15" if info["run_id"] == older else "8.0.2")
    with pytest.raises(
        ConvergenceError, match=f"{replica.full_name} cannot become a replica of .* before it is upgrad"
    ):
        Convergence(fresh_cluster.inventory, due=(replica.full_name,)).run()
    assert fresh_cluster.roles()[replica.full_name] == f"replica of {other.full_name}"


def test_a_bus_port_is_not_changed_on_a_live_cluster(fresh_cluster: Cluster) -> None:
    """Nobody listens at another one: announced, it would take away every failover. Nothing is set."""
    node = fresh_cluster.inventory.nodes[0]
    wanted = fresh_cluster.inventory.with_nodes({node.full_name: replace(node, bus_port=node.bus_port + 1)})
    for pretend in (True, False):
        with pytest.raises(ConvergenceError, match=f"the bus port of {node.full_name} is another"):
            Convergence(wanted, pretend).run()
    own = fresh_cluster.view(node).myself
    assert own is not None
    assert own.bus_port == node.bus_port


def test_a_cluster_that_is_written_to_is_ready(fresh_cluster: Cluster) -> None:
    """A replica that was asked before its master lacks what came in between; asked again it has that.

    One that does not get it is behind.
    """
    inventory, shard = fresh_cluster.inventory, fresh_cluster.inventory.shards[0]
    (replica,) = shard.replicas

    def asked_in_between() -> Evidence:
        before = collect(inventory, questions=MEMBERSHIP, redirects=False)
        key = key_in_slot(shard.master.slots[0].first, "written:")
        assert fresh_cluster.call(shard.master, "SET", key, "x" * 100) == "OK"
        after = collect(inventory, questions=MEMBERSHIP, redirects=False)
        behind = next(node for node in before.nodes if node.name == replica.full_name)
        return replace(after, nodes=tuple(behind if node.name == behind.name else node for node in after.nodes))

    seen = asked_in_between()
    assert [each.partition(":")[0] for each in find_unready(seen)] == [replica.full_name]
    assert find_unready(ask_who_lags(inventory, seen)) == []
    fresh_cluster.simulated.nodes[replica.full_name].signal("STOP")
    try:
        lagging = replace(seen, nodes=tuple(replace(node, second_info=None) for node in seen.nodes))
        assert find_unready(ask_who_lags(inventory, lagging, deadline=1.0)) != []
    finally:
        fresh_cluster.simulated.nodes[replica.full_name].signal("CONT")


def test_a_server_that_takes_no_second_password_is_named(fresh_cluster: Cluster) -> None:
    """In words of our own: the server's may repeat what it was told."""
    node = fresh_cluster.inventory.nodes[0]
    assert fresh_cluster.call(node, "ACL", "SETUSER", "default", "-acl") == "OK"
    changed = {
        each.full_name: replace(each, password="another", previous_password=each.password)
        for each in fresh_cluster.inventory.nodes
    }
    with pytest.raises(PasswordRefused, match=f"{node.full_name} takes no second password") as refused:
        adopt_password(fresh_cluster.inventory.with_nodes(changed))
    assert refused.value.observed == "an answer that begins with NOPERM"
    assert "another" not in str(refused.value)


def test_the_order_follows_roles_not_names(fresh_cluster: Cluster) -> None:
    """First who is down, then replicas, then masters, as they are now."""
    shard = fresh_cluster.inventory.shards[0]
    promoted = shard.replicas[0]
    fresh_cluster.manual_failover(promoted)
    fresh_cluster.wait_replica(shard.master, promoted, fresh_cluster.rejoin_budget)
    down = next(each for each in fresh_cluster.inventory.replicas if each is not promoted)
    kill(fresh_cluster, down)
    names = [node.full_name for node in fresh_cluster.inventory.nodes]
    order = rolling_order(fresh_cluster, names)
    assert order[0] == down.full_name
    assert order.index(promoted.full_name) >= 3
    assert order.index(shard.master.full_name) < 3
    assert rolling_order(fresh_cluster, [promoted.full_name]) == [promoted.full_name]


def test_a_master_steps_down_and_a_replica_has_nothing_to_do(fresh_cluster: Cluster) -> None:
    """The successor is one of the shard's replicas; whoever has no slots is restarted as it is."""
    shard = fresh_cluster.inventory.shards[1]
    assert step_down(fresh_cluster, shard.replicas[0]) == ""
    assert step_down(fresh_cluster, shard.master) == shard.replicas[0].full_name
    assert fresh_cluster.owner(shard.master.slots[0].first) == shard.replicas[0]


def test_a_master_without_a_replica_is_not_taken_down(fresh_cluster: Cluster) -> None:
    """Its shard would stop: that is refused, and the master keeps its slots."""
    shard = fresh_cluster.inventory.shards[0]
    other = fresh_cluster.inventory.shards[1].master
    moved = shard.replicas[0]
    assert fresh_cluster.call(moved, "CLUSTER", "REPLICATE", fresh_cluster.ids()[other.full_name]) == "OK"
    fresh_cluster.wait_replica(moved, other, fresh_cluster.rejoin_budget)
    with pytest.raises(RollingError, match="a master without a replica"):
        step_down(fresh_cluster, shard.master)
    assert fresh_cluster.owner(shard.master.slots[0].first) == shard.master


def test_an_older_server_is_refused(fresh_cluster: Cluster) -> None:
    """The running version and later ones may be rolled out, no earlier one: a container says what it was made with."""
    info = fresh_cluster.info(fresh_cluster.inventory.nodes[0])
    name, running = ("valkey", info["valkey_version"]) if "valkey_version" in info else ("redis", info["redis_version"])
    require_fit(fresh_cluster, name, running, {})
    require_fit(fresh_cluster, name, "99.0", {"down": (name, "98.9"), "not ours": ("", "")})
    refused: list[tuple[str, dict[str, tuple[str, str]]]] = [("1.0", {}), ("99.0", {"down": (name, "99.1")})]
    for wanted, made_with in refused:
        with pytest.raises(RollingError, match="a downgrade is refused"):
            require_fit(fresh_cluster, name, wanted, made_with)


def test_another_projects_server_is_refused(fresh_cluster: Cluster) -> None:
    """Redis does not follow Valkey, nor the other way round, whatever their versions are; who is down counts."""
    info = fresh_cluster.info(fresh_cluster.inventory.nodes[0])
    other = "redis" if "valkey_version" in info else "valkey"
    with pytest.raises(RollingError, match="another project's server"):
        require_fit(fresh_cluster, other, "99.0", {})
    mine = ({"redis", "valkey"} - {other}).pop()
    with pytest.raises(RollingError, match="another project's server"):
        require_fit(fresh_cluster, mine, "99.0", {"down": (other, "1.0")})


@dataclass(frozen=True)
class Departure:
    """A cluster on four hosts of which the last is to leave; ``heir`` follows its master, and shall follow another."""

    whole: Cluster
    inventory: Inventory
    leaving: Host
    led: Node
    heir: Node
    rest: Inventory

    def run(self) -> list[str]:
        """Let it leave, and return what was done."""
        return Convergence(self.rest, leaving=(self.leaving,)).run()


@pytest.fixture
def departure(simulation_of: Callable[..., Cluster]) -> Departure:
    """The four hosts, with keys that the replicas have too."""
    whole = simulation_of(planned_inventory(shards=4, hosts=4, replicas=1))
    inventory = replace(whole.inventory, given=whole.inventory.given - {"slots"})
    *staying, leaving = inventory.hosts
    (led,) = [node for node in leaving.nodes if node.role == "master"]
    (followed,) = [node.replica_of for node in leaving.nodes if node.role == "replica"]
    heir = next(node for node in inventory.replicas if node.replica_of == led.full_name)
    rest = replace(inventory, hosts=tuple(staying)).with_nodes({heir.full_name: replace(heir, replica_of=followed)})
    client = whole.client()
    for n in range(KEYS):
        client.set(f"key:{n}", n)
    whole.wait_ready(whole.rejoin_budget)
    return Departure(whole, inventory, leaving, led, rest.node(heir.full_name), rest)


def has_all_keys(cluster: Cluster) -> bool:
    client = cluster.client()
    return {int(client.get(f"key:{n}") or -1) for n in range(KEYS)} == set(range(KEYS))


def test_a_host_leaves_and_comes_back(departure: Departure) -> None:
    """Its slots go to the others with their keys, its nodes are forgotten, and the other way round; no key is lost."""
    done = departure.run()
    assert any(each.startswith(f"moved 4096 slots from {departure.led.full_name} to ") for each in done), done
    assert [each for each in done if each.startswith("dismissed")] == [
        f"dismissed {n.full_name}" for n in departure.leaving.nodes
    ]
    for node in departure.leaving.nodes:  # they are somebody else's now
        assert departure.whole.call(node, "CONFIG", "SET", "requirepass", "theirs") == "OK"
    assert departure.run() == []
    assert has_all_keys(Cluster(departure.rest, departure.whole.simulation))
    for node in departure.leaving.nodes:
        with Connection.to(replace(node, password="theirs")) as link:
            assert link.call("CONFIG", "SET", "requirepass", node.password) == "OK"

    arrival = replace(departure.inventory, hosts=(departure.leaving, *departure.inventory.hosts[:-1]))
    noted = Convergence(arrival, holds=True)
    back = noted.run()
    assert noted.held
    assert {entry.address for entry in departure.whole.view(departure.led).masters} == {
        node.address for node in departure.rest.masters
    }
    back += Convergence(arrival).run()
    placed = [each.split()[1] for each in back if " a replica of " in each]
    assert placed == [node.full_name for node in departure.leaving.nodes if node.replica_of] + [
        departure.heir.full_name
    ]
    moved = [each for each in back if each.startswith("moved 4096 slots")]
    assert [each.endswith(f" to {departure.led.full_name}") for each in moved] == [True], back
    assert converged(departure.whole) == []
    assert has_all_keys(departure.whole)


def test_a_host_leaves_that_leads_a_shard_of_those_who_stay(departure: Departure) -> None:
    """After a failover: the shard's own master takes over again, as no slot can be moved to a replica."""
    whole = departure.whole
    (leading,) = [node for node in departure.leaving.nodes if node.role == "replica"]
    master = whole.inventory.node(leading.replica_of)
    whole.manual_failover(leading)
    whole.wait_replica(master, leading, whole.rejoin_budget)
    told = f"let {master.full_name} take over from {leading.full_name}, which leaves its shard"
    assert told in Convergence(departure.rest, True, (departure.leaving,)).run()
    done = departure.run()
    assert told in done
    assert any(each.startswith(f"moved 4096 slots from {departure.led.full_name} to ") for each in done), done
    assert departure.run() == []
    left = Cluster(departure.rest, whole.simulation)
    assert left.owner(master.slots[0].first) == departure.rest.node(master.full_name)
    assert has_all_keys(left)


@pytest.mark.parametrize("slot", ["closed", "open"])
def test_a_shard_is_led_by_its_own_nodes_again(departure: Departure, slot: str) -> None:
    """A failover, then a change of whom that replica follows: the master takes over, then the replica follows another.

    Here it is the heir: it is to follow another shard's master, and leads the shard of the host that stays now.
    """
    whole, heir = departure.whole, departure.heir
    before = whole.inventory.node(heir.full_name)
    whole.manual_failover(before)
    whole.wait_replica(departure.led, before, whole.rejoin_budget)
    swapped = next(node for node in departure.leaving.nodes if node.role == "replica")
    wanted = departure.inventory.with_nodes(
        {
            heir.full_name: heir,
            swapped.full_name: replace(swapped, replica_of=departure.led.full_name),
        }
    )
    told = f"let {departure.led.full_name} take over from {heir.full_name}, which leaves its shard"
    if slot == "open":  # its target does not hear from others who leads it then
        open_slot(whole, before, departure.rest.masters[0], departure.led.slots[0].first)
    assert Convergence(wanted, pretend=True).run() == [told]
    done = Convergence(wanted).run()
    assert done[0] == f"let {departure.led.full_name} take over from {heir.full_name}, which leaves its shard"
    assert any(each.startswith(f"made {heir.full_name} a replica of {heir.replica_of}") for each in done), done
    assert Convergence(wanted).run() == []
    assert has_all_keys(whole)


def test_two_shards_that_lead_each_other_are_led_by_their_own_nodes_again(fresh_cluster: Cluster) -> None:
    """Both replicas lead, and each is to follow the other's master: neither shard's data is given up."""
    inventory, (first, second) = fresh_cluster.inventory, fresh_cluster.inventory.shards[:2]
    for shard in (first, second):
        (replica,) = shard.replicas
        assert (
            fresh_cluster.call(shard.master, "SET", key_in_slot(shard.master.slots[0].first, "kept:"), "value") == "OK"
        )
        fresh_cluster.wait_replica(replica, shard.master, fresh_cluster.rejoin_budget)
        fresh_cluster.manual_failover(replica)
        fresh_cluster.wait_replica(shard.master, replica, fresh_cluster.rejoin_budget)
    swapped = {
        shard.replicas[0].full_name: replace(shard.replicas[0], replica_of=other.master.full_name)
        for shard, other in ((first, second), (second, first))
    }
    wanted = inventory.with_nodes(swapped)
    done = Convergence(wanted).run()
    assert len([each for each in done if "take over" in each]) == 2, done
    for shard in (first, second):
        key = key_in_slot(shard.master.slots[0].first, "kept:")
        assert fresh_cluster.call(shard.master, "GET", key) == "value"
    assert Cluster(wanted, fresh_cluster.simulation).roles() == Cluster(wanted, fresh_cluster.simulation).wanted_roles
    assert Convergence(wanted).run() == []


def test_blank_nodes_form_no_cluster_while_its_data_leaves(departure: Departure) -> None:
    """New hosts for all old ones in one run: the data would be removed with those who leave."""
    whole = departure.whole
    staying, leaving = departure.inventory.hosts[0], departure.inventory.hosts[1:]
    for node in staying.nodes:
        kill(whole, node)
        blank(whole, node)
        start(whole, node)
    blanks = replace(departure.inventory, hosts=(staying,))
    for pretend in (True, False):
        with pytest.raises(ConvergenceError, match="leaves, and nodes that stay have nothing"):
            Convergence(blanks, pretend, leaving).run()
    for node in whole.inventory.nodes:
        if node.host in {host.name for host in leaving}:
            kill(whole, node)
    with pytest.raises(ConvergenceError, match="no answer from it"):
        Convergence(blanks, leaving=leaving).run()


def test_a_replica_of_who_stays_is_made_no_master(fresh_cluster: Cluster) -> None:
    """Slots cannot be moved to it, and what it has is a copy that its master may need: that is for a person to say."""
    inventory = fresh_cluster.inventory
    promoted = inventory.replicas[0]
    grown = inventory.with_nodes({promoted.full_name: replace(promoted, replica_of="", role="master")})
    with pytest.raises(ConvergenceError, match=f"{promoted.full_name} is to be a master, and is a replica"):
        Convergence(replace(grown, given=grown.given - {"slots"})).run()
    assert fresh_cluster.roles() == fresh_cluster.wanted_roles


def test_a_dead_host_leaves(departure: Departure) -> None:
    """Its replica takes over, gives the slots to the others with their keys, and follows whom the inventory says."""
    departure.whole.simulated.hosts[departure.leaving.name].signal("KILL")
    done = departure.run()
    heir = departure.heir
    assert any(each.startswith(f"moved 4096 slots from {heir.full_name} to ") for each in done), done
    assert any(each.startswith(f"made {heir.full_name} a replica of {heir.replica_of}") for each in done), done
    assert departure.run() == []
    left = Cluster(departure.rest, departure.whole.simulation)
    assert left.roles()[heir.full_name] == f"replica of {heir.replica_of}"
    assert all(view is not None and len(view.entries) == 6 for view in left.views().values())
    assert has_all_keys(left)


def test_a_host_that_dies_while_its_slots_move_away_keeps_no_target_down(departure: Departure) -> None:
    """The target imports what its replica owns now, and does not hear of that from others: it is told."""
    whole, target = departure.whole, departure.rest.masters[0]
    opened(whole, departure.led, target)
    whole.simulated.hosts[departure.leaving.name].signal("KILL")
    done = departure.run()
    assert "finished the move of 3 slots, which was interrupted" in done
    left = Cluster(departure.rest, whole.simulation)
    assert {left.state(node) for node in departure.rest.nodes} == {"ok"}
    assert has_all_keys(left)
    assert departure.run() == []


def test_who_has_left_asks_for_no_copies(departure: Departure) -> None:
    """A host may stay in the inventory after it has left: what is restarted next needs no link for that."""
    departure.run()
    (replica,) = [n for n in departure.rest.replicas if n.replica_of == departure.rest.masters[1].full_name]
    unlink(departure.whole, replica, departure.rest.masters[1])
    assert Convergence(departure.rest, leaving=(departure.leaving,), due=(replica.full_name,)).run() == []


def test_nothing_is_moved_to_a_master_whose_replica_has_no_copy(departure: Departure) -> None:
    """What has been moved is gone where it was: with two copies before, it would have one."""
    target = departure.rest.masters[1]
    (replica,) = [node for node in departure.rest.replicas if node.replica_of == target.full_name]
    unlink(departure.whole, replica, target)
    for holds in (True, False):
        change = Convergence(departure.rest, leaving=(departure.leaving,), holds=holds)
        with pytest.raises(ConvergenceError, match=f"{replica.full_name} has no copy of what {target.full_name} has"):
            change.run()
        assert not change.held
    owned = {entry.address: sum(map(len, entry.slots)) for entry in departure.whole.view(target).masters}
    assert owned[departure.led.address] > 0
    assert owned[target.address] == SLOTS // 4
    assert has_all_keys(departure.whole)


def join_again(departure: Departure) -> Node:
    """Let the master that has left join again, blank, and return whose slots it may get first."""
    whole, known = departure.whole, departure.rest.masters[0]
    whole.call(departure.led, "CLUSTER", "MEET", known.lan, known.port, known.bus_port)
    joined = str(whole.call(departure.led, "CLUSTER", "MYID"))
    members = [*departure.rest.nodes, departure.led]

    def is_known() -> bool:
        views = [view for view in whole.views(members).values() if view is not None]
        known = all((entry := view.by_id.get(joined)) is not None and entry.role for view in views)
        return known and whole.state(departure.led) == "ok"

    whole.wait_for(is_known, "a member more", whole.rejoin_budget)
    return Cluster(departure.rest, whole.simulation).owner(key_slot("key:0"))


def test_keys_are_not_given_up_with_a_host_whose_arrival_was_interrupted(departure: Departure) -> None:
    """It owns no slot yet, and has the keys of those that it was to get: they come back before it leaves.

    Where nothing is open any more, nobody knows where they belong: then it does not leave.
    """
    departure.run()
    source, whole = join_again(departure), departure.whole
    open_slot(whole, source, departure.led, key_slot("key:0"))
    migrate(whole, source, departure.led, "key:0")
    for node in (source, departure.led):
        assert whole.call(node, "CLUSTER", "SETSLOT", key_slot("key:0"), "STABLE") == "OK"
    with pytest.raises(ConvergenceError, match=f"{departure.led.full_name} leaves, and has keys"):
        departure.run()
    assert whole.call(departure.led, "DBSIZE") == 1

    open_slot(whole, source, departure.led, key_slot("key:0"))
    done = departure.run()
    assert done[0] == "finished the move of 1 slots, which was interrupted"
    assert f"dismissed {departure.led.full_name}" in done
    assert has_all_keys(Cluster(departure.rest, whole.simulation))
    assert departure.run() == []


def test_keys_are_not_given_up_with_a_host_that_died_while_it_got_them(departure: Departure) -> None:
    """Its replica leads, and knows nothing of the move: it has the keys all the same."""
    whole = departure.whole
    keys = (f"key:{n}" for n in range(KEYS))
    source, key = next((owner, key) for key in keys if (owner := whole.owner(key_slot(key))) != departure.led)
    open_slot(whole, source, departure.led, key_slot(key))
    migrate(whole, source, departure.led, key)
    (before,) = [node for node in whole.inventory.replicas if node.replica_of == departure.led.full_name]
    whole.wait_replica(before, departure.led, whole.rejoin_budget)
    whole.simulated.hosts[departure.leaving.name].signal("KILL")
    done = departure.run()
    assert "finished the move of 1 slots, which was interrupted" in done
    assert has_all_keys(Cluster(departure.rest, whole.simulation))
    assert departure.run() == []


def leads(cluster: Cluster, node: Node) -> bool:
    """True where every node has seen that it is a master."""
    entries = [view.by_address.get(node.address) if view is not None else None for view in cluster.views().values()]
    return all(entry is not None and entry.is_master for entry in entries)


def test_a_slot_that_was_opened_for_who_died_is_closed(departure: Departure) -> None:
    """The target had got no key yet. While it lives, and the inventory does not have it, nobody says what it has."""
    departure.run()
    source, whole, slot = join_again(departure), departure.whole, key_slot("key:0")
    joined = str(whole.call(departure.led, "CLUSTER", "MYID"))
    open_slot(whole, source, departure.led, slot)
    with pytest.raises(ConvergenceError, match=f"slot {slot} was being moved .*, which has keys of it and cannot be"):
        Convergence(departure.rest).run()
    whole.simulated.hosts[departure.leaving.name].signal("KILL")
    left = Cluster(departure.rest, whole.simulation)
    left.wait_for(
        lambda: not any(view is None or view.by_id[joined].is_live for view in left.views().values()),
        "the death of the host",
        whole.rejoin_budget,
    )
    done = Convergence(departure.rest).run()
    assert done[0] == f"closed slot {slot} of {source.full_name}, of which nothing had been moved"
    assert_moved(left, {}, source)
    assert has_all_keys(left)
    assert Convergence(departure.rest).run() == []


def test_keys_that_only_a_replica_has_are_not_dropped(departure: Departure) -> None:
    """The host died in the middle of the first move to it: it owned nothing, so nobody is elected for it."""
    departure.run()
    source, whole, heir, slot = join_again(departure), departure.whole, departure.heir, key_slot("key:0")
    joined = str(whole.call(departure.led, "CLUSTER", "MYID"))
    assert whole.call(heir, "CLUSTER", "REPLICATE", joined) == "OK"
    open_slot(whole, source, departure.led, slot)
    migrate(whole, source, departure.led, "key:0")
    left = Cluster(departure.rest, whole.simulation)
    left.wait_for(lambda: left.call(heir, "CLUSTER", "COUNTKEYSINSLOT", slot), "the key on the replica", 30.0)
    whole.simulated.hosts[departure.leaving.name].signal("KILL")
    left.wait_for(
        lambda: not any(view is None or view.by_id[joined].is_live for view in left.views().values()),
        "the death of the host",
        whole.rejoin_budget,
    )
    done, refusal = [], ""
    try:
        done = departure.run()  # Valkey elects it
    except ConvergenceError as problem:
        refusal = str(problem)
    if not done:
        assert f"keys of slot {slot} are on {heir.full_name} alone" in refusal
        assert left.call(heir, "CLUSTER", "COUNTKEYSINSLOT", slot) == 1
        assert left.call(heir, "CLUSTER", "FAILOVER", "TAKEOVER") == "OK"
        left.wait_for(lambda: leads(left, heir), f"{heir.full_name} as a master", 30.0)
        done = departure.run()
    assert "finished the move of 1 slots, which was interrupted" in done
    assert has_all_keys(left)
    assert departure.run() == []


def test_no_replica_is_taken_from_a_master_that_the_inventory_lacks(departure: Departure) -> None:
    """Its host was taken out of the inventory, and its replica is to follow another: that has the only copy."""
    with pytest.raises(ConvergenceError, match=r"slots are owned by .*, which is no master of the inventory"):
        Convergence(departure.rest).run()
    assert departure.whole.roles() == departure.whole.wanted_roles


def test_a_new_master_gets_the_functions_of_the_others(departure: Departure) -> None:
    """Clients call them by the key that they are about: every master must have them."""
    whole = departure.whole
    code = "#!lua name=ours\nredis.register_function('said', function(keys) return redis.call('GET', keys[1]) end)"
    for node in whole.inventory.masters:
        if "unknown command" in whole.ask(node, "FUNCTION", "LOAD", code):
            pytest.skip("this server has no functions")
    departure.run()
    assert whole.call(departure.led, "FUNCTION", "FLUSH") == "OK"
    done = Convergence(departure.inventory).run()
    assert [each for each in done if "functions" in each] == [
        f"gave {departure.led.full_name} the functions of {departure.rest.masters[0].full_name}"
    ]
    for n in range(KEYS):
        key = f"key:{n}"
        assert whole.call(whole.owner(key_slot(key)), "FCALL", "said", 1, key) == str(n)


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_master_gives_its_last_slot_after_it_has_got_others(
    simulation_of: Callable[..., Cluster], interrupted: bool
) -> None:
    """Without any it would become a replica, and no slot can be moved to a replica; also where that move is open."""
    planned = planned_inventory(shards=3, hosts=3, replicas=1)
    first, second, third = planned.masters
    made = planned.with_nodes(
        {
            first.full_name: replace(first, slots=(SlotRange(0, 0),)),
            second.full_name: replace(second, slots=(SlotRange(1, 8191),)),
            third.full_name: replace(third, slots=(SlotRange(8192, SLOTS - 1),)),
        }
    )
    cluster = simulation_of(made)
    first, second, third = cluster.inventory.masters
    wanted = cluster.inventory.with_nodes(
        {
            first.full_name: replace(first, slots=(SlotRange(1, 10),)),
            second.full_name: replace(second, slots=(SlotRange(0, 0), SlotRange(11, 8191))),
        }
    )
    both = f"{first.full_name}, {second.full_name}"
    expected = [f"moved 11 slots from {both} to {both}"]
    if interrupted:
        open_slot(cluster, first, second, 0)
        finished = "finished the move of 1 slots, which was interrupted"
        expected = [finished, f"moved 10 slots from {second.full_name} to {first.full_name}"]
    assert Convergence(wanted).run() == expected
    assert (after := Cluster(wanted, cluster.simulation)).roles() == after.wanted_roles
    assert Convergence(wanted).run() == []


def test_slots_with_keys_in_another_database_are_not_moved(
    gauntlet: Session, simulation_of: Callable[..., Cluster]
) -> None:
    """What lists and moves a slot's keys knows one database: the others' keys would be lost."""
    server = gauntlet.images.server
    if server.server != "valkey" or int(server.version.partition(".")[0]) < 9:
        pytest.skip("a cluster of this server has one database")
    planned = planned_inventory(shards=3, hosts=3, replicas=1)
    cluster = simulation_of(replace(planned, settings={**planned.settings, "cluster-databases": "2"}))
    inventory = cluster.inventory
    first, second = inventory.masters[:2]
    key = key_in_slot(first.slots[0].first, "other:")
    with cluster.connection(first) as link:
        assert link.calls([("SELECT", 1), ("SET", key, "value")]) == ["OK", "OK"]
    slots, one = first.slots[0], SlotRange(first.slots[0].first, first.slots[0].first)
    wanted = inventory.with_nodes(
        {
            first.full_name: replace(first, slots=(SlotRange(slots.first + 1, slots.last),)),
            second.full_name: replace(second, slots=(one, *second.slots)),
        }
    )
    for change in (Convergence(wanted, pretend=True), Convergence(wanted, holds=True), Convergence(wanted)):
        with pytest.raises(ConvergenceError, match="it has keys in other databases than 0"):
            change.run()
        assert not change.held
    with cluster.connection(first) as link:
        assert link.calls([("SELECT", 1), ("GET", key)]) == ["OK", "value"]


def test_a_dead_host_whose_slots_nobody_has_taken_over_does_not_leave(departure: Departure) -> None:
    """Who leads them then is for a person to say; until then nothing is moved."""
    assert departure.whole.call(departure.heir, "CONFIG", "SET", "cluster-replica-no-failover", "yes") == "OK"
    departure.whole.simulated.hosts[departure.leaving.name].signal("KILL")
    with pytest.raises(ConvergenceError, match="leaves, does not answer, and owns slots"):
        departure.run()


def test_a_stranger_is_not_forgotten(fresh_cluster: Cluster) -> None:
    """A member that lives and that the inventory does not have is named, and stays."""
    inventory = fresh_cluster.inventory
    stranger = inventory.replicas[-1]
    hosts = [
        replace(host, nodes=tuple(node for node in host.nodes if node is not stranger)) for host in inventory.hosts
    ]
    smaller = replace(inventory, hosts=tuple(hosts))
    with pytest.raises(ConvergenceError, match="is a member and not in the inventory"):
        Convergence(smaller).run()
    assert fresh_cluster.state(stranger) == "ok"
