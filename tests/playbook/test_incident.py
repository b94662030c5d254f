"""The incident with which this project began: a cluster behind Docker's NAT that announces Docker's own addresses."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.history.failover import failover_bound
from provisioning.cluster import Cluster
from provisioning.errors import SimulationError
from provisioning.evidence.redirect import parse_redirect
from provisioning.hosts.simulated import File, SimulatedHost
from provisioning.inventory import Inventory, Node
from provisioning.resp import Refused
from tests.launched import Launched
from tests.playbook.conftest import Building, Site

pytestmark = [pytest.mark.destructive, pytest.mark.slow]

ORIGINAL = """\
port {port}
cluster-enabled yes
cluster-config-file nodes.conf
cluster-node-timeout 5000
appendonly yes
protected-mode no
"""
"""The original's five lines, and what the official image adds: Debian's packages would refuse remote clients."""

CHECK_SECONDS = "20"
"""For a redis-cli: much more than a node timeout, after which a handshake without an answer is given up."""

ADD_TRIES = 3

BYSTANDER = "bystander"
"""A container on each host that is none of the cluster's."""


@pytest.fixture(scope="module")
def site(building: Building) -> Site:
    """Hosts with an engine each, and nothing on them."""
    return building(redis_network_mode="published")


def add_by_hand(site: Site, cluster: Cluster, node: Node, first: Node, master_id: str) -> None:
    """Add a replica as the original's user did.

    With such addresses a handshake may be lost, for whose end redis-cli waits for ever. Then its user begins again.
    """
    behind = ("--cluster-slave", "--cluster-master-id", master_id)
    for left in reversed(range(ADD_TRIES)):
        before = str(cluster.call(node, "CLUSTER", "MYID"))
        try:
            cli(site, first, "--cluster", "add-node", node.address, first.address, *behind)
            return
        except SimulationError:
            if not left:
                raise
        cluster.call(node, "CLUSTER", "RESET", "HARD")
        for other in cluster.inventory.nodes:
            with suppress(Refused):  # it has not heard of it
                cluster.call(other, "CLUSTER", "FORGET", before)


@pytest.fixture(scope="module")
def original(site: Site) -> Inventory:
    """The original cluster: published ports, no announced addresses, made by redis-cli; its nodes ask no password."""
    wanted = site.inventory
    image = site.variables["redis_image"]
    for node in wanted.nodes:
        file = f"/opt/original/{node.file_stem}.conf"
        site.hosts.hosts[node.host].put([File(file, ORIGINAL.format(port=node.port))])
        published = [word for port in (node.port, node.bus_port) for word in ("--publish", f"{port}:{port}")]
        mount = ("--volume", f"{file}:/redis.conf")
        server = (image, "redis-server", "/redis.conf")
        site.docker(
            node.host, "run", "--detach", "--name", node.name, "--restart", "always", *published, *mount, *server
        )
    for host in site.hosts.hosts:
        site.docker(host, "run", "--detach", "--name", BYSTANDER, image, "sleep", "infinity")
    masters, first = [node.address for node in wanted.masters], wanted.masters[0]
    open_nodes = {node.full_name: replace(node, password="") for node in wanted.nodes}
    made = wanted.with_nodes(open_nodes)
    cluster = Cluster(made, read_only=False)
    cluster.wait_for(lambda: all(cluster.state(node) != "unreachable" for node in made.nodes), "all servers", 30)
    cli(site, first, "--cluster", "create", *masters, "--cluster-yes")
    ids = cluster.ids()
    for node in wanted.replicas:
        add_by_hand(site, cluster, node, first, ids[node.replica_of])
    cluster.wait_for(
        lambda: (
            all(cluster.state(node) == "ok" for node in made.nodes)
            and all(cluster.info(node)["master_link_status"] == "up" for node in made.replicas)
        ),
        "the original cluster is ok",
        cluster.rejoin_budget + 20,
    )
    return made


@pytest.fixture(scope="module")
def judged(site: Site, original: Inventory, tmp_path_factory: pytest.TempPathFactory) -> Launched:
    """What the gate says of it."""
    return replace(site, password="").judged(tmp_path_factory.mktemp("judged"))


@pytest.fixture(scope="module")
def client(site: Site) -> SimulatedHost:
    """Who uses the cluster from another machine."""
    return site.hosts.client(site.variables["redis_image"])


@pytest.fixture
def at_rest(site: Site, original: Inventory) -> Cluster:
    """The original cluster, all its nodes up."""
    return Cluster(original, read_only=False)


def cli(site: Site, node: Node, *words: str) -> str:
    """Run redis-cli in the node's container and return what it says."""
    return site.docker(node.host, "exec", node.name, "timeout", CHECK_SECONDS, "redis-cli", *words)


def test_it_looks_healthy(site: Site, original: Inventory, at_rest: Cluster) -> None:
    """Every node says ok, and so does redis-cli's check."""
    assert {at_rest.state(node) for node in original.nodes} == {"ok"}
    said = cli(site, original.masters[0], "--cluster", "check", original.masters[0].address)
    assert "[OK] All nodes agree about slots configuration." in said
    assert "[OK] All 16384 slots covered." in said


def test_the_gate_finds_it_and_names_the_nodes(original: Inventory, judged: Launched) -> None:
    """The verdict is violated: addresses of Docker's bridge are announced, and by whom."""
    assert (judged.code, judged.document["verdict"]) == (1, "violated"), judged.said
    named = {subject for rule, subject in judged.found if rule == "unroutable-announced-address"}
    assert named == {node.full_name for node in original.nodes}, judged.found
    assert "172.17." in judged.said


def started(site: Site, host: str) -> str:
    """Return since when that host's bystander has been running."""
    return site.docker(host, "inspect", "--format", "{{.State.Running}} {{.State.StartedAt}}", BYSTANDER)


def at(node: Node) -> tuple[str, ...]:
    """Return where the node is, as words of redis-cli."""
    return "-h", node.lan, "-p", str(node.port)


def test_after_a_failover_a_client_is_sent_to_nowhere(
    site: Site, at_rest: Cluster, original: Inventory, client: SimulatedHost
) -> None:
    """Host 2's master dies: a node then redirects to an address of Docker's, and whoever asked it is lost.

    With such addresses not every node hears of the failover; of one that does not nothing is asked here.
    """
    victim = original.node("redis-host-2/redis_master")
    slot = victim.slots[0].first
    successor = next(node for node in original.replicas if node.replica_of == victim.full_name)
    others = [node for node in original.nodes if node not in (victim, successor)]
    hosts = {host.address for host in original.hosts}

    def ways() -> dict[str, str]:
        """Return whereto each node sends who asks it, of those that send to the successor's port."""
        said = {node.full_name: at_rest.ask(node, "GET", at_rest.key_in(slot)) for node in others}
        redirects = {name: parse_redirect(answer) for name, answer in said.items()}
        return {name: each.host for name, each in redirects.items() if each and each.port == successor.port}

    def astray() -> dict[str, str]:
        return {name: address for name, address in ways().items() if address not in hosts}

    site.docker(victim.host, "kill", victim.name)
    try:
        lost = at_rest.wait_for(astray, "a redirection to no host", 2 * failover_bound(original.node_timeout))
        assert all(address.startswith("172.17.") for address in lost.values()), lost
        for name, address in ways().items():
            place = at(original.node(name))
            got = client.run("timeout", CHECK_SECONDS, "redis-cli", "-c", *place, "GET", at_rest.key_in(slot))
            assert (got.code != 0) == (address not in hosts), got
            if address not in hosts:
                assert f"Could not connect to Redis at {address}:" in got.output
    finally:
        site.docker(victim.host, "start", victim.name)
    at_rest.wait_for(lambda: at_rest.state(victim) == "ok", "the killed node is back", at_rest.rejoin_budget + 20)


def test_the_playbook_mends_it(site: Site, original: Inventory, tmp_path: Path) -> None:
    """It is rolled over the cluster that runs: no key is lost, masters are in their places, and nothing is found.

    What else runs on the hosts is not touched.
    """
    before = Cluster(original, read_only=False)
    keys = {before.key_in(shard.master.slots[0].first): shard for shard in original.shards}
    for key, shard in keys.items():
        assert before.call(before.owner(shard.master.slots[0].first), "SET", key, key) == "OK"
    masters = {node.full_name for node in before.masters()}
    bystanders = {host: started(site, host) for host in site.hosts.hosts}
    mended = site.play()
    assert mended.code == 0, mended.output
    assert set(mended.rolled[-len(masters) :]) == masters, "replicas first, by the roles of that moment"
    assert {host: started(site, host) for host in site.hosts.hosts} == bystanders
    after = site.cluster
    for key, shard in keys.items():
        assert after.ask(after.owner(shard.master.slots[0].first), "GET", key) == key
    run = site.judged(tmp_path)
    assert (run.code, run.found) == (0, set()), run.said
    assert (again := site.play()).idle, again.output
