"""The inventory is read as Ansible means it, reads the same once written, and is refused by name where it is wrong."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import certifi
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from provisioning.ansible_hosts import SAID_BY
from provisioning.ansible_inventory import DEFAULT_INVENTORY, parse_inventory, read_inventory
from provisioning.errors import InventoryError
from provisioning.inventory import GIVEN, Inventory, Node, Tls, with_node_timeout
from provisioning.login import PASSWORD_VARIABLE, TLS_FILE_VARIABLES, TLS_VARIABLE, USER_VARIABLE
from provisioning.planned_inventory import planned_inventory
from provisioning.slots import SLOTS, SlotRange
from provisioning.written_inventory import write_inventory
from tests.examples import examples

pytestmark = pytest.mark.unit

SEED = DEFAULT_INVENTORY.read_text(encoding="utf-8")


CA_FILE = certifi.where()
"""A file of CAs in PEM that is there."""


@pytest.fixture(autouse=True)
def _no_login_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (USER_VARIABLE, PASSWORD_VARIABLE, TLS_VARIABLE, *TLS_FILE_VARIABLES):
        monkeypatch.delenv(name, raising=False)


def document(**host_1: Any) -> dict[str, Any]:
    """Return the seed's inventory as YAML values, with further variables of redis-host-1."""
    content: dict[str, Any] = yaml.safe_load(SEED)
    content["all"]["children"]["redis_cluster"]["hosts"]["redis-host-1"] |= host_1
    return content


def cluster_vars(**changed: Any) -> dict[str, Any]:
    """Return the seed's inventory as YAML values, with further variables of the group."""
    content = document()
    content["all"]["children"]["redis_cluster"]["vars"] |= changed
    return content


def parsed(content: object) -> Inventory:
    return parse_inventory(yaml.safe_dump(content), "x.yaml")


def refusal(text: str) -> InventoryError:
    """Return the one refusal of this text, which says what is expected, what was observed and what to do."""
    with pytest.raises(InventoryError) as caught:
        parse_inventory(text, "x.yaml")
    assert caught.value.expected
    assert caught.value.observed
    assert caught.value.advice
    return caught.value


def alike(inventory: Inventory) -> Inventory:
    """Return the inventory without what a written one does not carry: where it was read, other variables."""
    return replace(inventory, source="", hosts=tuple(replace(host, variables={}) for host in inventory.hosts))


def nodes_of(*masters: str, **replicas: str) -> str:
    """Return an inventory of one node a host: slots of each master, and whom each replica host follows."""
    hosts: dict[str, Any] = {
        f"m{n}": {"redis_nodes": [{"name": "m", "role": "master", "port": 7000, "slots": slots}]}
        for n, slots in enumerate(masters, 1)
    }
    hosts |= {
        host: {"redis_nodes": [{"name": "r", "role": "replica", "port": 7000, "replica_of": of}]}
        for host, of in replicas.items()
    }
    return yaml.safe_dump({"all": {"hosts": hosts}})


def test_the_seed_reads_as_it_is_meant() -> None:
    """Three hosts, a master and a replica each, the seed's ports, ring of replication, timeout and AOF."""
    inventory = read_inventory(DEFAULT_INVENTORY)
    assert [host.name for host in inventory.hosts] == ["redis-host-1", "redis-host-2", "redis-host-3"]
    assert [host.address for host in inventory.hosts] == [f"192.168.171.10{n}" for n in (1, 2, 3)]
    assert [(node.port, node.bus_port) for node in inventory.masters] == [(6373, 16373)] * 3
    assert [(node.port, node.bus_port) for node in inventory.replicas] == [(6374, 16374)] * 3
    assert {node.host: node.replica_of for node in inventory.replicas} == {
        "redis-host-1": "redis-host-2/redis_master",
        "redis-host-2": "redis-host-3/redis_master",
        "redis-host-3": "redis-host-1/redis_master",
    }
    assert [str(*node.slots) for node in inventory.masters] == ["0-5460", "5461-10922", "10923-16383"]
    assert (inventory.node_timeout_ms, inventory.appendonly, inventory.simulated) == (5000, True, False)
    assert inventory.nodes[0].config_file == "/opt/redis/redis-node-master.conf"
    assert inventory.nodes[1].config_file == "/opt/redis/redis-node-replica.conf"


def test_the_redis_address_is_a_variable_of_its_own() -> None:
    """ansible_host may be a bastion: what Redis listens on, announces and is dialled at is redis_address."""
    inventory = parsed(document(ansible_host="bastion.example", redis_address="10.9.8.7"))
    host = inventory.hosts[0]
    assert (host.ansible_host, host.address) == ("bastion.example", "10.9.8.7")
    node = host.nodes[0]
    assert (node.bound, node.announced, node.lan, node.outside) == (("10.9.8.7",), "10.9.8.7", "10.9.8.7", node.outside)
    assert node.outside == ("10.9.8.7", 6373)


def test_addresses_default_to_ansible_host_and_that_to_the_name() -> None:
    """Without redis_address the node is at ansible_host; without that, at the host's name."""
    content = document()
    content["all"]["children"]["redis_cluster"]["hosts"]["redis-host-1"].pop("ansible_host")
    inventory = parsed(content)
    assert inventory.hosts[0].nodes[0].announced == "redis-host-1"
    assert inventory.hosts[1].nodes[0].announced == "192.168.171.102"


def test_the_outside_address_is_for_this_process_only() -> None:
    """redis_outside_address is what we dial; what nodes announce does not change."""
    node = parsed(document(redis_outside_address="gw.example")).hosts[0].nodes[0]
    assert (node.outside, node.announced) == (("gw.example", 6373), "192.168.171.101")


def test_the_nearest_variable_wins() -> None:
    """A host's variable beats its group's, a child group's beats its parent's, and `all` reaches every group."""
    content = cluster_vars(redis_master_port=7001)
    content["all"]["vars"] = {"redis_master_port": 7000, "redis_slave_port": 7002, "redis_user": "x"}
    content["all"]["children"]["redis_cluster"]["hosts"]["redis-host-2"]["redis_master_port"] = 7003
    inventory = parsed(content)
    assert [node.port for node in inventory.masters] == [7001, 7003, 7001]
    assert {node.user for node in inventory.nodes} == {"x"}


def test_variables_of_all_reach_a_group_beside_it() -> None:
    """As in Ansible, a group at the top of the file has the variables of `all`, wherever `all` stands."""
    content = document()
    group = content["all"]["children"].pop("redis_cluster")
    del group["vars"]["redis_node_timeout"]
    inventory = parsed({"redis_cluster": group, "all": {"vars": {"redis_node_timeout": 7000}}})
    assert inventory.node_timeout_ms == 7000


def test_a_host_in_two_groups_is_one_host() -> None:
    """The variables of both groups are joined."""
    content = document()
    content["all"]["children"]["secured"] = {"hosts": {"redis-host-1": None}, "vars": {"redis_user": "probe"}}
    inventory = parsed(content)
    assert len(inventory.hosts) == 3
    assert [node.user for node in inventory.masters] == ["probe", "", ""]


def test_the_login_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """User, password and TLS of the environment stand in where the inventory has none, and only there."""
    monkeypatch.setenv(USER_VARIABLE, "outsider")
    monkeypatch.setenv(PASSWORD_VARIABLE, "from-outside")
    monkeypatch.setenv(TLS_VARIABLE, "1")
    own = {"redis_user": "insider", "redis_password": "own", "redis_tls_ca_file": CA_FILE}
    outsider = ("outsider", "from-outside", Tls())
    for own_variables, logged_in in (
        ({}, outsider),
        (own, ("insider", "own", Tls(CA_FILE))),
        ({"redis_password": "own"}, ("outsider", "own", Tls())),
        ({"redis_user": "", "redis_password": "", "redis_tls": False}, ("", "", None)),
    ):
        first, *others = parsed(document(**own_variables)).masters
        assert (first.user, first.password, first.tls) == logged_in
        assert {(node.user, node.password, node.tls) for node in others} == {outsider}


@pytest.mark.parametrize(
    ("given", "tls"),
    [
        ({}, None),
        ({"redis_tls": True}, Tls()),
        ({"redis_tls": "no", "redis_tls_ca_file": "/nowhere"}, None),
        ({"redis_tls_ca_file": CA_FILE}, Tls(CA_FILE)),
        ({"redis_tls": "yes", "redis_tls_ca_file": CA_FILE}, Tls(CA_FILE)),
    ],
)
def test_tls_is_asked_for_by_a_file_or_by_name(given: dict[str, Any], tls: Tls | None) -> None:
    """A file means TLS, redis_tls alone the system's CAs, and redis_tls: false none whatever files there are."""
    assert {node.tls for node in parsed(cluster_vars(**given)).nodes} == {tls}


def test_tls_files_are_beside_the_inventory(tmp_path: Path) -> None:
    """A relative path begins where the inventory is."""
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "ca.pem").write_bytes(Path(CA_FILE).read_bytes())
    file = tmp_path / "hosts.yaml"
    file.write_text(yaml.safe_dump(cluster_vars(redis_tls_ca_file="tls/ca.pem")), encoding="utf-8")
    assert read_inventory(file).nodes[0].tls == Tls(str(tmp_path / "tls" / "ca.pem"))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"redis_tls_ca_file": "/nowhere/ca.pem"}, "/nowhere/ca.pem: No such file"),
        ({"redis_tls_ca_file": "/"}, "/: Is a directory"),
        ({"redis_tls_ca_file": "a\0b"}, "null"),
        ({"redis_tls_ca_file": __file__}, "no certificate of a CA"),
        ({"redis_tls_cert_file": __file__}, "no certificate in PEM with its key"),
        ({"redis_tls_key_file": __file__}, "a key without a certificate"),
        ({"redis_tls_ca_file": CA_FILE, "redis_tls_cert_file": CA_FILE, "redis_tls_key_file": __file__}, "its key"),
        ({"redis_tls": "maybe"}, "must be true or false"),
    ],
)
def test_tls_files_that_are_no_use_are_named(given: dict[str, Any], says: str) -> None:
    """Before anything is dialled."""
    assert says in str(refusal(yaml.safe_dump(document(**given))))


def test_a_host_that_leaves_is_not_wanted() -> None:
    """Its nodes are missed by nobody; a replica that still follows one of them has no master."""
    content = document()
    hosts = content["all"]["children"]["redis_cluster"]["hosts"]
    hosts["redis-host-4"] = {"redis_slave_of": "redis-host-1", "redis_state": "absent"}
    assert parsed(content) == parsed(document())
    hosts["redis-host-1"]["redis_slave_of"] = "redis-host-4"
    with pytest.raises(InventoryError, match="must name another host"):
        parsed(content)
    with pytest.raises(InventoryError, match="must be present or absent"):
        parsed(document(redis_state="gone"))


def test_what_rules_need_to_know_is_read() -> None:
    """The user that applications log in with and the wanted image; without them, nothing."""
    inventory = parsed(cluster_vars(redis_application_user="shop", redis_image="redis:8.0.2@sha256:abc"))
    assert (inventory.application_user, inventory.image) == ("shop", "redis:8.0.2@sha256:abc")
    assert (parsed(document()).application_user, parsed(document()).image) == ("", "")


def test_how_ansible_reaches_a_host_is_kept() -> None:
    """Ansible's own variables stay as they are, those of groups too, for whoever logs in to the host."""
    content = cluster_vars(ansible_become=True, ansible_user="deploy")
    content["all"]["children"]["redis_cluster"]["hosts"]["redis-host-1"]["ansible_port"] = 2222
    first, second, _ = parsed(content).hosts
    shared = {"ansible_become": True, "ansible_user": "deploy"}
    assert first.variables == {**shared, "ansible_port": 2222, "ansible_host": "192.168.171.101"}
    assert second.variables == {**shared, "ansible_host": "192.168.171.102"}


def test_passwords_are_not_shown() -> None:
    """No repr of a node has its password in it."""
    assert "own-secret" not in repr(parsed(cluster_vars(redis_password="own-secret")))


@pytest.mark.parametrize(
    ("value", "expected"), [(True, True), (False, False), ("yes", True), ("No", False)], ids=lambda value: repr(value)
)
def test_ansible_booleans_are_read(value: object, expected: bool) -> None:
    """yes and no are booleans too, quoted or not."""
    assert parsed(cluster_vars(redis_appendonly=value)).appendonly is expected


def test_settings_are_text() -> None:
    """Settings are handed on as Redis wants them: yes and no, and numbers in digits."""
    wanted = {"maxmemory": 1024, "lazyfree-lazy-expire": True, "save": "", "maxmemory-policy": "noeviction"}
    expected = {"maxmemory": "1024", "lazyfree-lazy-expire": "yes", "save": "", "maxmemory-policy": "noeviction"}
    assert parsed(cluster_vars(redis_settings=wanted)).settings == expected


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    """Planned layouts with passwords, settings, outside addresses and a simulation's name."""
    shards = draw(st.integers(3, 8))
    hosts = draw(st.integers(3, shards))
    replicas = draw(st.integers(0, min(2, hosts - 1)))
    try:
        inventory = planned_inventory(hosts, shards, replicas, node_timeout_ms=draw(st.integers(1, 10**6)))
    except InventoryError:
        inventory = planned_inventory(shards, shards, replicas)
    words = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12).filter(
        lambda s: "{{" not in s
    )
    passwords = draw(st.sampled_from(["none", "shared", "own"]))
    shared = draw(words)
    outside = draw(st.booleans())
    tls = draw(st.sampled_from([None, Tls(), Tls(CA_FILE)]))
    user = draw(st.sampled_from(["", "probe"]))
    changed_hosts = []
    for n, host in enumerate(inventory.hosts):
        password = {"none": "", "shared": shared, "own": f"{shared}{n}"}[passwords]
        nodes: list[Node] = [
            replace(
                node,
                password=password,
                tls=tls,
                user=user,
                container=f"c-{n}-{node.name}" if outside else "",
                outside=("127.0.0.1", 32768 + 100 * n + m) if outside else node.outside,
            )
            for m, node in enumerate(host.nodes)
        ]
        changed_hosts.append(replace(host, nodes=tuple(nodes), connection=draw(st.sampled_from(["ssh", "docker"]))))
    return replace(
        inventory,
        name=draw(words),
        hosts=tuple(changed_hosts),
        appendonly=draw(st.booleans()),
        settings=draw(st.dictionaries(words.filter(lambda name: name.lower() not in SAID_BY), words, max_size=3)),
        simulation=draw(st.sampled_from(["", "redis-gauntlet-x"])),
        application_user=draw(st.one_of(st.just(""), words)),
        image=draw(st.one_of(st.just(""), words)),
        given=GIVEN,
    )


@examples(40, sharing_fixtures=True)
@given(inventory=inventories())
def test_what_is_written_reads_the_same(inventory: Inventory, tmp_path: Path) -> None:
    """Write, then read, is the identity: layout, addresses, logins, settings, whatever characters they have."""
    file = tmp_path / "effective.yaml"
    write_inventory(inventory, file)
    assert alike(read_inventory(file)) == alike(inventory)


def test_what_is_left_out_is_not_taken_for_given(tmp_path: Path) -> None:
    """An inventory remembers what it leaves to us, also when it is written; --node-timeout is given."""
    content = document()
    variables = content["all"]["children"]["redis_cluster"]["vars"]
    del variables["redis_node_timeout"], variables["redis_appendonly"]
    bare = parsed(content)
    assert (bare.given, bare.node_timeout_ms, bare.appendonly) == (frozenset({"name"}), 5000, True)
    assert parsed(cluster_vars()).given == GIVEN - {"slots"}
    assert parse_inventory(nodes_of("0-5460", "5461-10922", "10923-16383"), "x.yaml").given == {"slots"}
    assert with_node_timeout(bare, 700).given == {"name", "cluster-node-timeout"}
    file = tmp_path / "written.yaml"
    write_inventory(bare, file)
    assert alike(read_inventory(file)) == alike(bare)


@pytest.mark.parametrize("login", [{}, {"redis_user": "ada", "redis_password": "own", "redis_tls_ca_file": CA_FILE}])
def test_no_environment_changes_what_was_written(
    login: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A written inventory has its whole login in it, also where that is none."""
    file = tmp_path / "effective.yaml"
    inventory = parsed(cluster_vars(**login))
    write_inventory(inventory, file)
    for name, value in ((USER_VARIABLE, "u"), (PASSWORD_VARIABLE, "p"), (TLS_VARIABLE, "1")):
        monkeypatch.setenv(name, value)
    assert read_inventory(file).nodes == inventory.nodes


def test_the_seed_can_be_written_and_read(tmp_path: Path) -> None:
    """Also an inventory in the seed's own variables, with one password for one host."""
    inventory = parsed(document(redis_password="own", redis_outside_address="gw.example"))
    write_inventory(inventory, tmp_path / "new" / "x.yaml")
    assert alike(read_inventory(tmp_path / "new" / "x.yaml")) == alike(replace(inventory, name="redis-gauntlet"))


def test_a_written_inventory_is_its_owners_only(tmp_path: Path) -> None:
    """It has passwords in it: mode 0600, also over a file that everybody could read."""
    file = tmp_path / "x.yaml"
    file.write_text("old")
    file.chmod(0o644)
    write_inventory(read_inventory(DEFAULT_INVENTORY), file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["x.yaml"]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """The file is put in place whole or not at all; what was half written is gone."""
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_inventory(read_inventory(DEFAULT_INVENTORY), tmp_path / "directory")
    assert os.listdir(tmp_path) == ["directory"]


@pytest.mark.parametrize("content", [None, "directory", b"\xff\xfe\x00binary", b"\x7fELF\x00\x01\xf0"])
def test_a_file_that_cannot_be_read_is_named(content: bytes | str | None, tmp_path: Path) -> None:
    """Missing, a directory, or binary: one message with the path and the reason."""
    file = tmp_path / "hosts.yaml"
    if content == "directory":
        file.mkdir()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    with pytest.raises(InventoryError, match=r"hosts\.yaml") as caught:
        read_inventory(file)
    assert caught.value.expected
    assert caught.value.observed
    assert caught.value.advice


SEED_HOST = "redis-host-1:\n          ansible_host: 192.168.171.101\n"


def edited(old: str, new: str) -> str:
    assert SEED.count(old) >= 1, old
    return SEED.replace(old, new)


def with_nodes(value: str) -> str:
    return edited(SEED_HOST, f"{SEED_HOST}          redis_nodes: {value}\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "found nothing"),
        ("# only a comment\n", "found nothing"),
        ("- a\n- b\n", "found a list"),
        ("hello", "found a str"),
        ("42", "found a int"),
        ("{}", "found a dict"),
        ("all: [", "not YAML"),
        ("all:\n\thosts:\n", "not YAML"),
        ("[redis]\nhost-1 ansible_host=10.0.0.1\n", "INI format"),
        ("# mine\n; too\n[redis:vars]\nredis_master_port=1\n", "INI format"),
        ("#!/usr/bin/env python3\nprint('{}')\n", "executable"),
        ("all: {vars: {x: 2024-99-99}}", "not YAML"),
        ("all: {vars: {x: !!bool maybe}}", "not YAML"),
        ("all: {vars: {x: !!timestamp maybe}}", "not YAML"),
        ("all: {vars: {x: !!float maybe}}", "not YAML"),
        ("all: {vars: {x: 0b_}}", "not YAML"),
        ("all: {? !!set {a} : b}", "not YAML"),
        ("all: " + "[" * 600, "not YAML"),
        (f"all: {{vars: {{x: {'9' * 5000}}}}}", "not YAML"),
        ("all: &a {children: {again: *a}}", "contain itself"),
        ("all: {hosts: [a, b, c]}", "must be a mapping"),
        ("all: {hosts: a}", "must be a mapping"),
        ("all: {hosts: {a: [1]}}", "must be a mapping"),
        ("all: {vars: [a]}", "must be a mapping"),
        ("all: {children: [a]}", "must be a mapping"),
        ("all: [a]", "found a list"),
        ("all: {host: {a: {}}}", "host"),
        ("all: {children: {x: {servers: {a: {}}}}}", "servers"),
        ("all: {}", "no host"),
        ("all:\n", "no host"),
        ("all: {hosts: {'web[1:3]': {}}}", "ranges"),
        ("all: {hosts: {'a/b': {}}}", "without slash"),
        ("all: {hosts: {'a b': {}}}", "without slash"),
        ("all: {hosts: {'': {}}}", "without slash"),
        (edited("192.168.171.101", "'{{ address }}'"), "template"),
        (edited("192.168.171.101", "{{ address }}"), "not YAML"),
        (edited("192.168.171.101", "!vault abc"), "!vault"),
        (edited("192.168.171.101", "!vault [a]"), "!vault"),
        (edited("192.168.171.101", "!unsafe abc"), "!unsafe"),
        ("all: {hosts: {!vault '$ANSIBLE_VAULT;1.1;AES256': {}}}", "a key must be a word"),
        (edited("redis_node_timeout: 5000", "redis_node_timeout: '{{ x }}'"), "template"),
        (edited("redis_appendonly: true", "redis_settings: {maxmemory: '{{ x }}'}"), "template"),
        (SEED + "        redis-host-3:\n          ansible_host: 192.168.171.104\n", "'redis-host-3' is given twice"),
        (SEED + "          redis_slave_of: redis-host-1\n", "'redis_slave_of' is given twice"),
        (edited("192.168.171.102", "192.168.171.101"), "same address"),
        (edited("redis_slave_port: 6374", "redis_slave_port: 6373"), "both want port 6373"),
        (edited("port: 16374", "port: 16373"), "both want port 16373"),
        (edited("port: 16374", "port: 6373"), "both want port 6373"),
        (edited("redis_cluster_master_port: 16373", "redis_cluster_master_port: 6373"), "both want port 6373"),
        (edited("redis_slave_of: redis-host-2", "redis_slave_of: redis-host-1"), "names the host itself"),
        (edited("redis_slave_of: redis-host-2", "redis_slave_of: redis-host-9"), "no node of this inventory"),
        (edited("redis_slave_of: redis-host-2", "redis_slave_of: [a]"), "must be text"),
        (edited("redis_slave_of: redis-host-2", "redis_slave: redis-host-2"), "redis_slave"),
        (SEED[: SEED.index("        redis-host-3:")], "redis-host-3"),
        (
            SEED[: SEED.index("        redis-host-3:")].replace(
                "redis_slave_of: redis-host-3", "redis_slave_of: redis-host-1"
            ),
            "2 masters",
        ),
        (edited(": 6373 ", ": 0 "), "1-65535"),
        (edited(": 6373 ", ": 65536 "), "1-65535"),
        (edited(": 6373 ", ": -1 "), "1-65535"),
        (edited(": 6373 ", ": 60000 ").replace("        redis_cluster_master_port: 16373", "        #"), "1-65535"),
        (edited(": 6373 ", ": lots "), "must be a whole number"),
        (edited(": 6373 ", ": true "), "must be a whole number"),
        (edited(": 6373 ", ": 6373.5 "), "must be a whole number"),
        (edited(": 6373 ", f": '{'9' * 5000}' "), "must be a whole number"),
        (edited("redis_node_timeout: 5000", "redis_node_timeout: 0"), "positive"),
        (edited("redis_node_timeout: 5000", "redis_node_timeout: -5"), "positive"),
        (edited("redis_node_timeout: 5000", "redis_node_timeout: 5s"), "must be a whole number"),
        (edited("redis_appendonly: true", "redis_appendonly: maybe"), "must be true or false"),
        (edited("redis_appendonly: true", "redis_apendonly: true"), "redis_apendonly"),
        (edited("redis_appendonly: true", "redis_settings: [a]"), "must be a mapping"),
        (edited("redis_appendonly: true", "redis_settings: {a: [b]}"), "one line"),
        (edited("redis_appendonly: true", "redis_settings: {a: }"), "one line"),
        (edited("redis_appendonly: true", "redis_settings: {Port: 7777}"), "say it by redis_master_port"),
        (edited("redis_appendonly: true", "redis_settings: {cluster-enabled: no}"), "it is yes"),
        (edited("redis_appendonly: true", 'redis_settings: {a: "b\\nc"}'), "one line"),
        (edited(SEED_HOST, SEED_HOST + "          redis_node_timeout: 6000\n"), "same for all hosts"),
        (with_nodes("[]"), "no node"),
        (with_nodes("{a: b}"), "must be a list"),
        (with_nodes("[x]"), "must be a mapping"),
        (with_nodes("[{name: a, role: master}]"), "lacks port"),
        (with_nodes("[{name: a, role: main, port: 1}]"), "main"),
        (with_nodes("[{name: a, rule: master, port: 1}]"), "rule"),
        (with_nodes("[{name: a/b, role: master, port: 1}]"), "slash"),
        (with_nodes("[{name: a, role: replica, port: 1}]"), "replica_of"),
        (
            with_nodes("[{name: a, role: master, port: 1, replica_of: b}]"),
            "replica_of",
        ),
        (
            with_nodes("[{name: a, role: master, port: 1, outside: nowhere}]"),
            "HOST:PORT",
        ),
        (
            with_nodes("[{name: a, role: master, port: 1, outside: 'a:²'}]"),
            "HOST:PORT",
        ),
        (
            with_nodes("[{name: a, role: master, port: 1, outside: 'a:99999'}]"),
            "HOST:PORT",
        ),
        (nodes_of("0-8191", "8192-16383"), "2 masters"),
        (nodes_of("0-5460", "5461-10922", "10923-16382"), "0-16382"),
        (nodes_of("0-5460", "5461-10922", "10900-16383"), "16407 in all"),
        (nodes_of("0-5460", "5461-10922", "0-16383"), "each once"),
        (nodes_of("0-5460", "5461-10922", "10923-16384"), "no slot range"),
        (nodes_of("0-5460", "5461-10922", "16383-10923"), "no slot range"),
        (nodes_of("0-5460", "5461-10922", "the rest"), "no slot range"),
        (nodes_of("0-5460", "5461-10922", ""), "0-10922"),
        (nodes_of("0-5460", "5461-10922", "10923-16383", r="r/r"), "itself"),
        (nodes_of("0-5460", "5461-10922", "10923-16383", r="m1/m", s="r/r"), "a replica"),
        (nodes_of("0-5460", "5461-10922", "10923-16383", r="m9/m"), "no node of this inventory"),
    ],
)
def test_what_is_wrong_is_named(text: str, says: str) -> None:
    """A malformed or contradictory inventory is refused with what is wrong, expected and observed, and what to do."""
    assert says in str(refusal(text))


@pytest.mark.parametrize(
    "value",
    [
        "'{{ S3CRET }}'",
        "{{ S3CRET }}",
        "[S3CRET]",
        "[S3CRET",
        "'S3CRET",
        '"S3CRET',
        '"\\S3CRET"',
        "!S3CRET",
        "!S3CRET x",
        "!vault S3CRET",
        "!vault |\n            S3CRET",
        "\n            !S3CRET x",
        "*S3CRET",
        "%S3CRET",
        "!!int S3CRET",
        "!!bool S3CRET",
        "S3CRET: x",
        "S3CRET\0",
    ],
)
@pytest.mark.parametrize(
    "name", ["redis_password", "redis_previous_password", "redis_settings", "redis_settings: {requirepass"]
)
def test_a_refusal_shows_no_password(name: str, value: str) -> None:
    """However the value of a password is garbled, the message says what is wrong with it and not what it is."""
    said = refusal(edited("redis_appendonly: true", f"{name}: {value}{'}' * name.count('{')}"))
    assert "S3CRET" not in str(said).upper()


def test_settings_that_differ_are_not_shown() -> None:
    """Nor where hosts contradict each other."""
    content = document(redis_settings={"requirepass": "S3CRET"})
    content["all"]["children"]["redis_cluster"]["hosts"]["redis-host-2"]["redis_settings"] = {"requirepass": "x"}
    said = str(refusal(yaml.safe_dump(content)))
    assert "must be the same" in said
    assert "S3CRET" not in said


def test_yaml_that_is_wrong_is_named_by_its_line() -> None:
    """Where the parser knows the line, so does the reader."""
    assert "line 3: " in str(refusal("all:\n  hosts:\n    a: b: c\n"))


def test_a_replica_with_slots_is_refused() -> None:
    """Slots belong to masters; given to a replica they would be lost without a word."""
    content = yaml.safe_load(nodes_of("0-5460", "5461-10922", "10923-16383", r="m1/m"))
    content["all"]["hosts"]["r"]["redis_nodes"][0]["slots"] = "0-5460"
    assert "no slots" in str(refusal(yaml.safe_dump(content)))


def test_slots_left_out_everywhere_are_shared_equally() -> None:
    """Where no master has slots, all 16384 are dealt out in the order of the hosts."""
    inventory = parse_inventory(nodes_of("", "", "", ""), "x.yaml")
    assert [each for node in inventory.masters for each in node.slots] == [
        SlotRange(4096 * n, 4096 * n + 4095) for n in range(4)
    ]
    assert sum(len(each) for node in inventory.masters for each in node.slots) == SLOTS


LINES = SEED.splitlines(keepends=True)
CUTS = st.integers(0, len(SEED)).map(lambda end: SEED[:end])
DOUBLED = st.integers(0, len(LINES) - 1).map(lambda n: "".join([*LINES[: n + 1], *LINES[n:]]))
DROPPED = st.integers(0, len(LINES) - 1).map(lambda n: "".join([*LINES[:n], *LINES[n + 1 :]]))
YAMLISH = st.text("ab01:-_ \n\t[]{}&*!|>'\"#%@`,?.~=<\\x\0é", max_size=12)
INSERTED = st.builds(
    lambda at, garbage: SEED[:at] + garbage + SEED[at:],
    st.integers(0, len(SEED)),
    st.one_of(st.text(max_size=8), YAMLISH),
)
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.dates(), st.binary(max_size=3)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=5,
)
VARIABLES = st.sampled_from(
    [
        "redis_nodes",
        "redis_address",
        "redis_master_port",
        "redis_slave_of",
        "redis_settings",
        "redis_node_timeout",
        "ansible_host",
        "ansible_connection",
        "redis_password",
        "redis_previous_password",
        "redis_state",
        "redis_outside_address",
        "redis_cluster_name",
    ]
)
REPLACED = st.builds(lambda name, value: yaml.safe_dump(document(**{name: value})), VARIABLES, VALUES)
NODE_REPLACED = st.builds(
    lambda key, value: yaml.safe_dump(
        document(redis_nodes=[{"name": "redis_master", "role": "master", "port": 6373} | {key: value}])
    ),
    st.sampled_from(["name", "role", "port", "bus_port", "replica_of", "slots", "container", "outside"]),
    VALUES,
)


@examples(200, sharing_fixtures=True)
@given(text=st.one_of(CUTS, DOUBLED, DROPPED, INSERTED, REPLACED, NODE_REPLACED, YAMLISH, st.text()))
def test_whatever_the_text_it_is_read_or_refused(text: str) -> None:
    """Cut, doubled, garbled or with any value anywhere, an inventory is read or refused, and nothing else happens."""
    try:
        inventory = parse_inventory(text, "x.yaml")
    except InventoryError as problem:
        refused = problem
    else:
        assert len(inventory.masters) >= 3
        assert sum(len(each) for node in inventory.masters for each in node.slots) == SLOTS
        return
    assert refused.summary
    assert refused.expected
