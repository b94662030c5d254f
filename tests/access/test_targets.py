"""A running cluster is judged by what its user names: a seed, or an inventory with or without a way to its hosts."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.options import RULE_TESTS
from fixtures.rules.catalogue import catalogue
from fixtures.session import Session
from provisioning.cluster import Cluster
from provisioning.discovery import ANSWER_SECONDS
from provisioning.errors import NodeUnreachable
from provisioning.evidence.collect import SLACK_SECONDS
from provisioning.faults import KillHost, PauseNode, inject
from provisioning.hosts.simulated import SimulatedHost
from provisioning.inventory import Inventory, Node
from provisioning.ownership import CLUSTER_LABEL, objects, remove
from provisioning.playground import PREFIX
from provisioning.reach import chosen_reach
from provisioning.resp import Connection, Refused
from provisioning.waiting import wait_until
from provisioning.written_inventory import write_inventory
from tests.commandstats import PROBES, asked, changing
from tests.launched import WITHOUT_ENGINE, Launched, launched, provisioning

pytestmark = pytest.mark.destructive

RULES = {rule.id for rule in catalogue()}
LOOK_SECONDS = 15.0
"""What a look may take, whatever is silent."""

START_SECONDS = 60.0
"""A guard: a server of a test answers within a second on an idle machine."""

BUSY = 2
"""Of a machine that is busy with other things: so many times what a run took that asked nobody."""

NOBODY = "there is no such password"


@pytest.fixture(autouse=True, scope="module")
def _dialled_directly(gauntlet: Session, pytestconfig: pytest.Config) -> None:
    if chosen_reach(gauntlet.engine, pytestconfig.getoption("reach")) != "direct":
        pytest.skip("nodes are reached through published ports only, which they do not announce")


def from_seed(cluster: Cluster, folder: Path, address: str, *options: str, password: str | None = None) -> Launched:
    """Judge what is found from there; the password is in the environment, no engine is within reach."""
    known = cluster.inventory.nodes[0].password if password is None else password
    environment = {**WITHOUT_ENGINE, "REDIS_GAUNTLET_PASSWORD": known}
    run = launched(folder / "run", "--seed", address, *options, environment=environment)
    check_secret(cluster, run)
    return run


def look_seconds(run: Launched) -> float:
    """Return what the look took that was judged."""
    return float(json.loads(run.evidence.read_text(encoding="utf-8"))["duration"])


def check_waits_no_longer_than_a_deadline(run: Launched, folder: Path) -> None:
    """Assert it of a run, by another one beside it that has nobody to wait for: what it is given is no address."""
    other = launched(folder, "--seed", "nobody", environment=WITHOUT_ENGINE)
    assert other.is_refusal, other.said
    assert run.seconds < ANSWER_SECONDS + SLACK_SECONDS + BUSY * other.seconds


def check_secret(cluster: Cluster, *runs: Launched) -> None:
    """Assert that no output of these runs has the cluster's password in it."""
    (secret,) = {node.password for node in cluster.inventory.nodes}
    assert len(secret) > 20
    assert [where for run in runs for where in run.holding(secret)] == []


def as_real(inventory: Inventory) -> Inventory:
    """Return the inventory as one of hosts that nobody simulates, at their addresses."""
    hosts = tuple(
        replace(
            host,
            ansible_host=host.address,
            connection="ssh",
            nodes=tuple(replace(node, container="", bound=(node.lan,)) for node in host.nodes),
        )
        for host in inventory.hosts
    )
    return replace(inventory, hosts=hosts, simulation="")


def written(inventory: Inventory, folder: Path) -> Path:
    """Write the inventory, password included, and return the file."""
    file = folder / "inventory.yaml"
    write_inventory(inventory, file)
    return file


def test_a_cluster_is_found_from_a_replica(cluster: Cluster, tmp_path: Path) -> None:
    """All nodes are found from any of them and judged by reading alone; what was seen can be judged again."""
    before = asked(cluster)
    run = from_seed(cluster, tmp_path, cluster.inventory.replicas[0].address)
    assert (run.code, run.document["verdict"]) == (0, "holds"), run.said
    assert changing(cluster, before) == set()

    target = run.document["target"]
    assert (target["kind"], target["name"]) == ("seed", cluster.inventory.replicas[0].address)
    assert target["node_timeout_ms"] == cluster.inventory.node_timeout_ms
    assert {node["address"] for node in target["nodes"]} == {node.address for node in cluster.inventory.nodes}
    assert {node["host"] for node in target["nodes"]} == {host.address for host in cluster.inventory.hosts}
    assert {node["version"] for node in target["nodes"]} == {cluster.info(cluster.inventory.nodes[0])["redis_version"]}
    assert run.cases.keys() == RULES
    assert run.of_kind("skipped") >= {"missing-node", "slot-not-writable", "bus-port-closed", "volume-missing"}
    assert not run.of_kind("skipped") & {"config-differs", "moved-to-unreachable-address", "no-authentication"}

    again = launched(tmp_path / "again", "--recording", run.evidence, environment=WITHOUT_ENGINE)
    check_secret(cluster, again)
    assert (again.code, again.found) == (0, run.found), again.said
    assert again.document["target"]["nodes"] == target["nodes"]
    assert again.of_kind("skipped") == run.of_kind("skipped")


@pytest.mark.slow
def test_a_cluster_is_found_from_an_address_that_it_does_not_announce(cluster: Cluster, tmp_path: Path) -> None:
    """The seed's other address leads to the same nodes, each once."""
    outside = "{}:{}".format(*cluster.inventory.masters[0].outside)
    assert outside != cluster.inventory.masters[0].address
    run = from_seed(cluster, tmp_path, outside)
    assert (run.code, run.found) == (0, set()), run.said
    assert {node["address"] for node in run.document["target"]["nodes"]} == {
        node.address for node in cluster.inventory.nodes
    }


@pytest.mark.slow
def test_probes_are_written_on_request_only(writable_cluster: Cluster, tmp_path: Path) -> None:
    """With --probe-writes the rules about clients apply; nothing but probe keys is written, and none stays."""
    before = asked(writable_cluster)
    run = from_seed(writable_cluster, tmp_path, writable_cluster.inventory.masters[0].address, "--probe-writes")
    assert (run.code, run.document["verdict"]) == (0, "holds"), run.said
    assert not run.of_kind("skipped") & {"slot-not-writable", "slot-not-readable", "redirect-loop"}
    assert changing(writable_cluster, before) == PROBES
    assert {writable_cluster.call(node, "DBSIZE") for node in writable_cluster.inventory.nodes} == {0}


@pytest.mark.slow
def test_a_misplaced_replica_is_found_by_its_address(writable_cluster: Cluster, tmp_path: Path) -> None:
    """Hosts are told apart by address: a replica beside its master is named, and so is the master that it left."""
    host = writable_cluster.inventory.hosts[0]
    master, replica = (next(node for node in host.nodes if node.role == role) for role in ("master", "replica"))
    left = writable_cluster.inventory.node(replica.replica_of)
    with replica_moved(writable_cluster, replica, master):
        run = from_seed(writable_cluster, tmp_path, left.address)
        again = launched(tmp_path / "again", "--recording", run.evidence, environment=WITHOUT_ENGINE)
    assert (run.code, run.document["verdict"]) == (1, "violated"), run.said
    assert run.found >= {("replica-same-host-as-master", replica.address), ("master-without-replica", left.address)}
    assert run.of_kind("failure") == {each["rule"] for each in run.document["findings"] if each["severity"] == "error"}
    assert (again.code, again.document["findings"]) == (1, run.document["findings"])


@pytest.mark.slow
def test_a_wrong_announced_address_is_found(writable_cluster: Cluster, tmp_path: Path) -> None:
    """A replica that announces an address where nobody is: the address is named."""
    wrong = "127.0.0.9"
    replica, seed = writable_cluster.inventory.replicas[0], writable_cluster.inventory.masters[0]
    try:
        assert writable_cluster.call(replica, "CONFIG", "SET", "cluster-announce-ip", wrong) == "OK"
        writable_cluster.wait_for(
            lambda: f"{wrong}:{replica.port}" in writable_cluster.view(seed).by_address,
            f"{seed.full_name} has been told",
            2 * writable_cluster.inventory.node_timeout,
        )
        run = from_seed(writable_cluster, tmp_path, seed.address)
    finally:
        writable_cluster.call(replica, "CONFIG", "SET", "cluster-announce-ip", replica.announced)
    assert run.code == 1, run.said
    assert ("unroutable-announced-address", f"{wrong}:{replica.port}") in run.found


@pytest.mark.slow
def test_a_paused_master_is_named_in_time(fresh_cluster: Cluster, tmp_path: Path) -> None:
    """A node that hangs delays the look by no more than its deadline, and is found unreachable."""
    victim, seed = fresh_cluster.inventory.masters[0], fresh_cluster.inventory.replicas[-1]
    with inject(fresh_cluster.simulated, PauseNode(victim)):
        run = from_seed(fresh_cluster, tmp_path, seed.address)
    assert (run.code, run.document["verdict"]) == (1, "violated"), run.said
    assert ("node-unreachable", victim.address) in run.found
    assert look_seconds(run) < LOOK_SECONDS


@pytest.mark.slow
def test_a_dead_host_is_named_in_time(fresh_cluster: Cluster, tmp_path: Path) -> None:
    """Both of its nodes are found by what the others still know of them."""
    host, seed = fresh_cluster.inventory.hosts[0], fresh_cluster.inventory.hosts[1].nodes[0]
    with inject(fresh_cluster.simulated, KillHost(host.name)):
        run = from_seed(fresh_cluster, tmp_path, seed.address)
    assert (run.code, run.document["verdict"]) == (1, "violated"), run.said
    assert run.found >= {("node-unreachable", node.address) for node in host.nodes}
    assert look_seconds(run) < LOOK_SECONDS


def test_a_wrong_password_is_one_message(cluster: Cluster, tmp_path: Path) -> None:
    """The server's own words, and where the password is read from; nothing is judged."""
    run = from_seed(cluster, tmp_path, cluster.inventory.masters[0].address, password=NOBODY)
    assert run.is_refusal, run.said
    assert "WRONGPASS" in run.said
    assert "REDIS_GAUNTLET_PASSWORD" in run.said
    assert NOBODY not in run.said


def test_a_closed_port_is_one_message(cluster: Cluster, tmp_path: Path) -> None:
    """It says which address refused."""
    address = f"{cluster.inventory.nodes[0].announced}:1"
    run = from_seed(cluster, tmp_path, address)
    assert run.is_refusal, run.said
    assert f"{address} does not name the nodes" in run.said
    assert "refused" in run.said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "options", "says"),
    [
        ("redis-1", (), "HOST:PORT"),
        ("{0}", ("-n", "2"), "-n cannot be used"),
        ("{0}", ("--inventory", "provisioning/inventory.yaml"), "different targets"),
        ("{0}", ("--node-timeout", "2000"), "one or the other"),
    ],
)
def test_what_cannot_be_asked_of_a_seed_is_one_message(
    address: str, options: tuple[str, ...], says: str, cluster: Cluster, tmp_path: Path
) -> None:
    """An address that is none, several workers, and options of other targets."""
    run = from_seed(cluster, tmp_path, address.format(cluster.inventory.nodes[0].address), *options)
    assert run.is_refusal, run.said
    assert says in run.said


@pytest.mark.slow
def test_a_login_without_password_is_one_message(cluster: Cluster, tmp_path: Path) -> None:
    """What the node asks for is said."""
    run = from_seed(cluster, tmp_path, cluster.inventory.masters[0].address, password="")
    assert run.is_refusal, run.said
    assert "NOAUTH" in run.said


@pytest.mark.slow
def test_an_address_that_nobody_has_is_one_message_in_time(cluster: Cluster, tmp_path: Path) -> None:
    """A free address of the hosts' own network, where packets are lost: nobody waits longer than a deadline."""
    run = from_seed(cluster, tmp_path, f"{free_address(cluster)}:6373")
    assert run.is_refusal, run.said
    assert "no answer" in run.said or "No route" in run.said
    check_waits_no_longer_than_a_deadline(run, tmp_path)


@pytest.mark.slow
def test_a_server_that_says_nothing_is_one_message_in_time(cluster: Cluster, tmp_path: Path) -> None:
    """A port that takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        run = from_seed(cluster, tmp_path, "{}:{}".format(*silent.getsockname()))
    assert run.is_refusal, run.said
    assert "no answer within" in run.said
    check_waits_no_longer_than_a_deadline(run, tmp_path)


@pytest.mark.slow
def test_a_server_that_is_no_cluster_is_one_message(gauntlet: Session, cluster: Cluster, tmp_path: Path) -> None:
    """A server without cluster mode is quoted."""
    with single_server(gauntlet) as address:
        run = from_seed(cluster, tmp_path, address, password="")
    assert run.is_refusal, run.said
    assert "cluster support disabled" in run.said


@pytest.mark.slow
def test_an_inventory_of_a_running_simulation_is_judged_by_all_rules(cluster: Cluster, tmp_path: Path) -> None:
    """Hosts included, each rule a testcase; a warning alone passes, and fails on request."""
    inventory = replace(cluster.inventory, application_user="default")
    options = ("--inventory", written(inventory, tmp_path), "-m", "not destructive")
    run = launched(tmp_path / "run", *options)
    assert (run.code, run.document["verdict"]) == (0, "holds"), run.said
    assert run.document["target"]["kind"] == "simulated, running before"
    assert {(each["rule"], each["severity"]) for each in run.document["findings"]} == {
        ("dangerous-commands-open", "warning")
    }
    assert run.cases.keys() == RULES
    assert not run.of_kind("skipped") & {"bus-port-closed", "volume-missing", "config-file-differs", "missing-node"}
    failed = launched(tmp_path / "failed", *options, *RULE_TESTS, "--fail-on", "warning")
    assert (failed.code, failed.of_kind("failure")) == (1, {"dangerous-commands-open"}), failed.said
    check_secret(cluster, run, failed)


@pytest.mark.slow
def test_real_hosts_are_judged_without_a_way_to_them(cluster: Cluster, tmp_path: Path) -> None:
    """With --no-host-access what only hosts show does not count, and it says so; nothing is written."""
    file = written(as_real(cluster.inventory), tmp_path)
    before = asked(cluster)
    run = launched(tmp_path / "run", "--inventory", file, "--no-host-access", environment=WITHOUT_ENGINE)
    assert (run.code, run.document["verdict"]) == (0, "holds"), run.said
    assert run.document["target"]["kind"] == "real"
    why = {each["rule"]: each["why"] for each in run.document["not_applicable"]}
    assert "no access to hosts" in why["bus-port-closed"]
    assert why.keys() == run.of_kind("skipped")
    assert not why.keys() & {"missing-node", "config-not-as-wanted", "replica-same-host-as-master"}
    assert changing(cluster, before) == set()
    check_secret(cluster, run)


@pytest.mark.slow
def test_real_hosts_that_let_nobody_in_leave_the_verdict_unknown(cluster: Cluster, tmp_path: Path) -> None:
    """Nothing listens for SSH there: what hosts show is missing, each host's reason is told once, nothing is wrong."""
    file = written(as_real(cluster.inventory), tmp_path)
    run = launched(tmp_path / "run", "--inventory", file)
    assert (run.code, run.document["verdict"]) == (1, "unknown"), run.said
    assert run.found == set()
    assert run.undecided.keys() == run.of_kind("failure") >= {"bus-port-closed", "client-port-closed"}
    summary = run.output.partition(" redis-gauntlet =")[2].partition(" short test summary info ")[0]
    for host in cluster.inventory.hosts:
        assert summary.count(f"not collected: {host.name}: ") == 1
    assert "connection refused" in summary
    assert look_seconds(run) < LOOK_SECONDS
    check_secret(cluster, run)


@pytest.mark.slow
def test_a_capture_is_judged_as_what_it_shows(cluster: Cluster, tmp_path: Path) -> None:
    """What `capture` writes of a seed or of an inventory gives the verdict of a look; it holds no password."""
    environment = {"REDIS_GAUNTLET_PASSWORD": cluster.inventory.nodes[0].password}
    inventory = written(cluster.inventory, tmp_path)
    for name, source in (
        ("seed", ("--seed", cluster.inventory.nodes[0].address)),
        ("inventory", ("--inventory", inventory)),
    ):
        file = tmp_path / f"{name}.json"
        made = provisioning(tmp_path / name, "capture", *source, "--output", file, environment=environment)
        assert made.code == 0, made.said
        assert f"{file}: 6 nodes, {3 if name == 'inventory' else 0} hosts" in made.output
        judged = launched(tmp_path / f"{name}-judged", "--recording", file, environment=WITHOUT_ENGINE)
        assert (judged.code, judged.found) == (0, set()), judged.said
        assert ("bus-port-closed" in judged.of_kind("skipped")) == (name == "seed")
        check_secret(cluster, made, judged)
        assert environment["REDIS_GAUNTLET_PASSWORD"] not in file.read_text(encoding="utf-8")
        assert file.stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_a_playground_is_captured_by_name(gauntlet: Session, tmp_path: Path) -> None:
    """The only cluster that is up needs no name."""
    name = f"c{gauntlet.run.id}-{gauntlet.worker}"
    state = {"REDIS_GAUNTLET_STATE": str(tmp_path / "state")}
    (tmp_path / "state").mkdir()
    file = tmp_path / "evidence.json"
    try:
        made = provisioning(tmp_path / "up", "up", "--name", name, environment=state)
        assert made.code == 0, made.said
        captured = provisioning(tmp_path / "capture", "capture", "--output", file, environment=state)
        assert captured.code == 0, captured.said
    finally:
        gone = provisioning(tmp_path / "down", "down", "--name", name, environment=state)
    assert gone.code == 0, gone.said
    judged = launched(tmp_path / "judged", "--recording", file, environment=WITHOUT_ENGINE)
    assert (judged.code, judged.found) == (0, set()), judged.said
    assert judged.document["target"]["nodes"][0]["name"] == "redis-host-1/redis_master"


@contextmanager
def replica_moved(cluster: Cluster, replica: Node, master: Node) -> Iterator[None]:
    """Let the replica follow another master while the block lasts."""
    ids = cluster.ids()
    try:
        assert cluster.call(replica, "CLUSTER", "REPLICATE", ids[master.full_name]) == "OK"
        cluster.wait_replica(replica, master, cluster.rejoin_budget)
        yield
    finally:
        cluster.call(replica, "CLUSTER", "REPLICATE", ids[replica.replica_of])


def free_address(cluster: Cluster) -> str:
    """Return an address of the first host's LAN that nobody has."""
    api: Any = cluster.simulated.engine.client.api
    networks = api.inspect_container(cluster.inventory.hosts[0].ansible_host)["NetworkSettings"]["Networks"]
    lan = next(each for each in networks.values() if each["IPAddress"] == cluster.inventory.hosts[0].address)
    network = ipaddress.ip_interface(f"{lan['IPAddress']}/{lan['IPPrefixLen']}").network
    taken = {lan["Gateway"], *(host.address for host in cluster.inventory.hosts)}
    return next(str(each) for each in reversed(list(network.hosts())) if str(each) not in taken)


@contextmanager
def single_server(gauntlet: Session) -> Iterator[str]:
    """Yield the address of a server of its own, without cluster mode; it is gone afterwards."""
    api: Any = gauntlet.engine.client.api
    name = f"{PREFIX}{gauntlet.run.id}-{gauntlet.worker}-single"
    try:
        api.create_container(
            gauntlet.images.server.reference,
            name=name,
            command=[f"{gauntlet.images.server.server}-server", "--protected-mode", "no"],
            labels=gauntlet.run.labels(name),
        )
        server = SimulatedHost(gauntlet.engine, name)
        server.start()
        networks = api.inspect_container(name)["NetworkSettings"]["Networks"]
        node = Node("", name, "master", 6379, 0, outside=(next(iter(networks.values()))["IPAddress"], 6379))
        wait_until(lambda: answers(node), "a server", START_SECONDS, shown=server.log, poll=0.1)
        yield "{}:{}".format(*node.outside)
    finally:
        remove(gauntlet.engine, objects(gauntlet.engine, {CLUSTER_LABEL: name}))


def answers(node: Node) -> bool:
    """True where the server answers."""
    with Connection.to(node) as link:
        try:
            return bool(link.call("PING") == "PONG")
        except (NodeUnreachable, Refused):
            return False
