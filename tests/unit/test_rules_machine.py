"""Each rule on hosts, engines, containers and files finds its planted defect.

Restart policies, images, engines and kernels are a real host's: a simulated one has none of its own, so
these are shown on hand-made evidence only. What a live cluster can have is in tests/planted/plants/machine.py.
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import Any

import pytest

from fixtures.rules.engines import is_unpinned
from fixtures.rules.finding import Severity
from fixtures.rules.judge import judge
from fixtures.rules.registry import RULES
from provisioning.evidence import Evidence, HostEvidence
from provisioning.evidence.container import ContainerEvidence
from provisioning.evidence.host_script import NOT_AS_WANTED
from tests.unit.listing import M1, R1, findings, node_changed, rules_in, seen_by_all

pytestmark = pytest.mark.unit

HOST = "redis-host-1"
OF_ENGINES = ("restart-policy", "image-unpinned", "engine-down", "service-not-enabled")
OF_KERNELS = ("overcommit-memory", "transparent-huge-pages")
SSH = f"ssh {HOST}"


def host_changed(evidence: Evidence, **changes: Any) -> Evidence:
    """Return the evidence with fields of the first host replaced; mappings are merged into what is there."""

    def changed(host: HostEvidence) -> HostEvidence:
        merged: dict[str, Any] = {
            key: {**(getattr(host, key) or {}), **value} if isinstance(value, dict) else value
            for key, value in changes.items()
        }
        return replace(host, **merged) if host.name == HOST else host

    return replace(evidence, hosts=tuple(map(changed, evidence.hosts)))


def container_changed(evidence: Evidence, name: str, **changes: Any) -> Evidence:
    """Return the evidence with fields of the container of one of the first host's nodes replaced."""
    containers = evidence.hosts[0].containers or {}
    return host_changed(evidence, containers={name: replace(containers[name], **changes)})


def simulated() -> Evidence:
    """Return the same cluster on simulated hosts: containers of this machine's engine, without engines of their own."""
    evidence = seen_by_all()
    assert evidence.wanted is not None
    hosts = tuple(
        replace(host, ansible_host=f"sim-{host.name}", connection="community.docker.docker")
        for host in evidence.wanted.hosts
    )
    wanted = replace(evidence.wanted, hosts=hosts, simulation="sim")
    wanted = wanted.with_nodes(
        {node.full_name: replace(node, container=f"sim-{node.host}-{node.name}") for node in wanted.nodes}
    )
    seen = tuple(
        replace(
            host,
            engine=None,
            kernel=None,
            containers={
                name: replace(each, host_has_engine=False, restart="", name=f"sim-{name.replace('/', '-')}")
                for name, each in (host.containers or {}).items()
            },
        )
        for host in evidence.hosts
    )
    return replace(evidence, wanted=wanted, hosts=seen)


def test_a_simulated_host_is_healthy_without_an_engine() -> None:
    """No restart policy, no engine, no kernel: what is not the host's own is not applicable, with the reason."""
    judgement = judge(simulated())
    assert judgement.findings == ()
    reasons = dict(judgement.not_applicable)
    assert {reasons[rule] for rule in OF_ENGINES} == {"no host has an engine of its own"}
    assert {reasons[rule] for rule in OF_KERNELS} == {"no host has a kernel of its own"}


@pytest.mark.parametrize(
    ("state", "repair"),
    [("exited", f"{SSH} 'docker start redis_slave'"), ("paused", f"{SSH} 'docker unpause redis_slave'")],
)
def test_container_that_does_not_run_is_found(state: str, repair: str) -> None:
    """A stopped container is to be started, a paused one resumed, on its host."""
    (finding,) = findings(container_changed(seen_by_all(), R1, state=state), "container-not-running")
    assert finding.subject == R1
    assert state in finding.message
    assert finding.repair == repair


def test_container_of_a_simulated_host_is_started_here() -> None:
    """Its node joins the namespaces of the host's container, which must run first."""
    stopped = container_changed(simulated(), R1, state="exited")
    (finding,) = findings(stopped, "container-not-running")
    assert finding.repair == "docker start sim-redis-host-1 sim-redis-host-1-redis_slave"
    (finding,) = findings(container_changed(simulated(), R1, state="paused"), "container-not-running")
    assert finding.repair == "docker unpause sim-redis-host-1-redis_slave"


def test_container_that_is_not_there_is_found_where_one_is_meant() -> None:
    """Absent and the node silent, or a container that the inventory names; not Redis from a package, which answers."""
    absent = container_changed(seen_by_all(), R1, state="absent")
    assert findings(absent, "container-not-running") == ()
    silent = node_changed(absent, R1, info=None, unreachable="[Errno 111] Connection refused")
    assert [each.subject for each in findings(silent, "container-not-running")] == [R1]
    named = container_changed(simulated(), R1, state="absent")
    assert [each.subject for each in findings(named, "container-not-running")] == [R1]


@pytest.mark.parametrize(
    ("policy", "found"), [("", True), ("on-failure", True), ("always", False), ("unless-stopped", False)]
)
def test_restart_policy_must_survive_a_reboot(policy: str, found: bool) -> None:
    """A clean reboot ends the container without a failure: on-failure leaves it there."""
    results = findings(container_changed(seen_by_all(), M1, restart=policy), "restart-policy")
    assert [each.subject for each in results] == [M1] * found
    for each in results:
        assert each.repair == f"{SSH} 'docker update --restart unless-stopped redis_master'"


@pytest.mark.parametrize(
    ("reference", "unpinned"),
    [
        ("redis", True),
        ("redis:latest", True),
        ("registry.example.org:5000/redis", True),
        ("registry.example.org:5000/team/redis:latest", True),
        ("redis:8.0.2", False),
        ("registry.example.org:5000/redis:8", False),
        (f"redis@sha256:{'a' * 64}", False),
        (f"redis:latest@sha256:{'a' * 64}", False),
        (f"sha256:{'0' * 64}", False),
        ("0123456789ab", False),
    ],
)
def test_image_must_be_named_for_good(reference: str, unpinned: bool) -> None:
    """Without a tag, or with latest, the reference means another image tomorrow; a port is no tag."""
    assert is_unpinned(reference) is unpinned
    found = findings(container_changed(seen_by_all(), M1, image=reference), "image-unpinned")
    assert [each.subject for each in found] == [M1] * unpinned


def test_data_on_a_volume_without_a_name_is_found() -> None:
    """What an image declares as a volume gets a new one with each container; named ones and directories stay."""
    anonymous = container_changed(seen_by_all(), M1, mounts=(("/data", "0a" * 32), ("/opt/redis", "bind:/opt/redis")))
    (finding,) = findings(anonymous, "volume-missing")
    assert finding.subject == M1
    assert findings(node_changed(anonymous, M1, config={"dir": "/opt/redis/data"}), "volume-missing") == ()
    assert [each.subject for each in findings(node_changed(anonymous, M1, config=None), "volume-missing")] == [M1]


def test_engine_that_is_down_is_found_once() -> None:
    """The engine is named, not each container that it cannot tell of."""
    gone = ContainerEvidence("redis_master", "absent")
    evidence = host_changed(seen_by_all(), engine={"running": "no", "version": ""}, containers={M1: gone, R1: gone})
    for name in (M1, R1):
        evidence = node_changed(evidence, name, info=None, unreachable="[Errno 111] Connection refused")
    (finding,) = findings(evidence, "engine-down")
    assert finding.subject == HOST
    assert finding.repair == f"{SSH} 'systemctl start docker'"
    assert findings(evidence, "container-not-running") == ()


def test_engine_that_does_not_talk_to_us_is_not_called_down() -> None:
    """A user who may not ask the engine learns nothing: unknown, with what to do about it."""
    process = "612 1 0 0 /usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock"
    evidence = host_changed(seen_by_all(), engine={"running": "no", "version": ""}, processes=(process,))
    judgement = judge(evidence)
    assert judgement.of("engine-down") == ()
    assert {"engine-down", "container-not-running"} <= {rule for rule, _ in judgement.not_collected}


def test_engine_that_does_not_start_at_boot_is_found() -> None:
    """Only where systemd says so: an empty word is nobody's."""
    (finding,) = findings(host_changed(seen_by_all(), engine={"enabled": "no"}), "service-not-enabled")
    assert finding.repair == f"{SSH} 'systemctl enable docker'"
    assert findings(host_changed(seen_by_all(), engine={"enabled": ""}), "service-not-enabled") == ()


@pytest.mark.parametrize("value", ["0", "2"])
def test_overcommit_is_noticed(value: str) -> None:
    """Anything but 1 is what Redis warns about."""
    (finding,) = findings(host_changed(seen_by_all(), kernel={"overcommit_memory": value}), "overcommit-memory")
    assert (finding.subject, finding.severity) == (HOST, Severity.NOTICE)


def test_huge_pages_are_noticed_where_a_server_takes_them() -> None:
    """Servers that switch them off for themselves are not concerned; madvise and never are fine."""
    always = host_changed(seen_by_all(), kernel={"transparent_hugepage": "always"})
    (finding,) = findings(always, "transparent-huge-pages")
    assert (finding.subject, finding.severity) == (HOST, Severity.NOTICE)
    for name in (M1, R1):
        always = node_changed(always, name, config={"disable-thp": "yes"})
    assert findings(always, "transparent-huge-pages") == ()
    refused = node_changed(always, R1, config=None, not_collected={"config": "NOPERM"})
    assert judge(refused, [RULES["transparent-huge-pages"]]).verdict == "unknown"


@pytest.mark.parametrize(
    ("limit", "maxclients", "found"),
    [
        (10032, "10000", False),
        (10031, "10000", True),
        (4096, "4064", True),
        (1048576, "10000", False),
        (1048576, "1048544", False),
        (64, "32", True),
    ],
)
def test_too_few_open_files_are_noticed(limit: int, maxclients: str, found: bool) -> None:
    """Also after the server has lowered maxclients to what its limit allows, which looks as if it had been meant."""
    evidence = host_changed(seen_by_all(), open_files={M1: limit})
    evidence = node_changed(evidence, M1, config={"maxclients": maxclients})
    results = findings(evidence, "open-files-limit")
    assert [(each.subject, each.severity) for each in results] == [(M1, Severity.NOTICE)] * found
    meant = host_changed(evidence, directives={M1: {"maxclients": maxclients}})
    lowered = int(maxclients) + 32 <= limit
    assert [each.subject for each in findings(meant, "open-files-limit")] == [M1] * (found and not lowered)


def file_changed(evidence: Evidence, **changes: str | None) -> Evidence:
    """Return the evidence with directives of the first master's file replaced, or, by None, left out."""
    directives = dict((evidence.hosts[0].directives or {})[M1])
    for name, value in changes.items():
        directives.pop(name.replace("_", "-"), None)
        if value is not None:
            directives[name.replace("_", "-")] = value
    return host_changed(evidence, directives={M1: directives})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cluster_node_timeout": "15000"}, "says cluster-node-timeout 15000, and the inventory wants 5000"),
        ({"cluster_node_timeout": None}, "does not say cluster-node-timeout, and the inventory wants 5000"),
        ({"appendonly": None}, "does not say appendonly, and the inventory wants yes"),
        ({"port": "6379"}, "says port 6379, and the inventory wants 6373"),
        ({"cluster_announce_ip": "172.17.0.2"}, "says cluster-announce-ip 172.17.0.2"),
        ({"masterauth": NOT_AS_WANTED}, "has another masterauth than the inventory"),
        ({"requirepass": None}, "has no requirepass, the inventory has one"),
    ],
)
def test_file_that_says_something_else_is_found(changes: dict[str, str | None], words: str) -> None:
    """Whatever the inventory decides is compared, on real hosts as on simulated ones; no password is shown."""
    for evidence in (seen_by_all(), simulated()):
        (finding,) = findings(file_changed(evidence, **changes), "config-file-differs")
        assert finding.subject == M1
        assert words in finding.message
        assert "secret-of-the-test" not in str(finding.to_dict())


@pytest.mark.parametrize(
    "changes", [{"bind": "0.0.0.0"}, {"protected_mode": "no"}, {"dir": "/var/lib/redis"}, {"cluster_announce_ip": None}]
)
def test_file_from_elsewhere_may_have_its_own_ways(changes: dict[str, str | None]) -> None:
    """What only our template decides is compared where our template wrote the file: on simulated hosts."""
    assert findings(file_changed(seen_by_all(), **changes), "config-file-differs") == ()
    assert [each.subject for each in findings(file_changed(simulated(), **changes), "config-file-differs")] == [M1]


@pytest.mark.parametrize(
    "changes",
    [{"appendonly": "YES"}, {"appendfsync": None}, {"logfile": None}, {"maxclients": "20000"}, {"save": "60 1"}],
)
def test_other_words_for_the_same_are_no_difference(changes: dict[str, str | None]) -> None:
    """Case, a default that is left out, and directives that the template does not have."""
    assert findings(file_changed(simulated(), **changes), "config-file-differs") == ()


def test_login_of_another_user_is_in_no_file() -> None:
    """Where the inventory names an ACL user its password is compared with no directive."""
    evidence = file_changed(seen_by_all(), requirepass=NOT_AS_WANTED, masterauth=None)
    assert evidence.wanted is not None
    nodes = {node.full_name: replace(node, user="admin") for node in evidence.wanted.nodes}
    assert findings(replace(evidence, wanted=evidence.wanted.with_nodes(nodes)), "config-file-differs") == ()


def without_file(evidence: Evidence) -> Evidence:
    host = evidence.hosts[0]
    directives = {name: each for name, each in (host.directives or {}).items() if name != M1}
    return replace(evidence, hosts=(replace(host, directives=directives), *evidence.hosts[1:]))


@pytest.mark.parametrize(
    ("used", "found"),
    [
        ("/opt/redis/redis-node-master.conf", True),
        ("/etc/redis/redis.conf", False),
        ("", False),
    ],
)
def test_missing_file_is_found_where_the_server_needs_it(used: str, found: bool) -> None:
    """A server that was started from it cannot start again; one that runs from another file is left alone."""
    evidence = node_changed(without_file(seen_by_all()), M1, info={"config_file": used})
    assert [each.subject for each in findings(evidence, "config-file-differs")] == [M1] * found
    assert [each.subject for each in findings(without_file(simulated()), "config-file-differs")] == [M1]


@pytest.mark.parametrize("containers", [None, {M1: ContainerEvidence("redis_master", "absent")}])
def test_missing_file_of_a_server_without_a_container_is_that_very_path(
    containers: dict[str, ContainerEvidence] | None,
) -> None:
    """A service of the host that runs from a file of the same name elsewhere does not need the playbook's."""
    for used, found in (("/opt/redis/redis-node-master.conf", True), ("/etc/redis/redis-node-master.conf", False)):
        evidence = node_changed(without_file(seen_by_all()), M1, info={"config_file": used})
        served = replace(evidence, hosts=(replace(evidence.hosts[0], containers=containers), *evidence.hosts[1:]))
        assert [each.subject for each in findings(served, "config-file-differs")] == [M1] * found


def test_file_is_followed_through_the_containers_mounts() -> None:
    """A container sees the host's file under another path: what counts is where that leads on the host."""
    mounts = (("/data", "data"), ("/usr/local/etc/redis.conf", "bind:/opt/redis/redis-node-master.conf"))
    evidence = node_changed(
        file_changed(seen_by_all(), port="1"), M1, info={"config_file": "/usr/local/etc/redis.conf"}
    )
    assert findings(container_changed(evidence, M1, mounts=mounts), "config-file-differs")
    elsewhere = (mounts[0], ("/usr/local/etc/redis.conf", "bind:/srv/own.conf"))
    assert findings(container_changed(evidence, M1, mounts=elsewhere), "config-file-differs") == ()


def test_file_of_a_silent_node_is_judged_by_its_peers_version() -> None:
    """A node that is down has a file all the same; where nobody says a version it is not known what belongs in it."""
    evidence = node_changed(file_changed(simulated(), port="1"), M1, info=None, unreachable="no answer")
    assert [each.subject for each in findings(evidence, "config-file-differs")] == [M1]
    for node in evidence.nodes:
        evidence = node_changed(evidence, node.name, info=None, unreachable="no answer")
    assert "config-file-differs" in {rule for rule, _ in judge(evidence).not_collected}


def test_repair_of_a_file_leaves_one_line_that_says_it(tmp_path: Any) -> None:
    """The command that is run on the host removes every line of that directive and writes the right one."""
    (finding,) = findings(file_changed(simulated(), cluster_node_timeout="15000"), "config-file-differs")
    enter = "docker exec sim-redis-host-1 sh -c "
    assert finding.repair.startswith(enter)
    file = tmp_path / "redis-node-master.conf"
    file.write_text("cluster-node-timeout 15000\nport 6373\ncluster-node-timeout 1\ncluster-node-timeouts 1\n")
    command = finding.repair.removeprefix(enter).replace("/opt/redis", str(tmp_path))
    subprocess.run(["sh", "-c", f"sh -c {command}"], check=True)
    assert file.read_text().splitlines() == ["port 6373", "cluster-node-timeouts 1", "cluster-node-timeout 5000"]


def test_repair_brings_a_value_into_force_too() -> None:
    """Where the server runs with the wrong value it is set as well, or, what counts at the start only, restarted."""
    wrong = node_changed(file_changed(simulated(), appendonly="no"), M1, config={"appendonly": "no"})
    (finding,) = findings(wrong, "config-file-differs")
    assert finding.repair.splitlines()[1:] == ["redis-cli -h 192.168.171.101 -p 6373 CONFIG SET appendonly yes"]
    wrong = node_changed(
        file_changed(simulated(), protected_mode="no", daemonize="yes"), M1, config={"daemonize": "yes"}
    )
    repairs = [each.repair.splitlines()[1:] for each in findings(wrong, "config-file-differs")]
    assert repairs == [[], ["docker restart sim-redis-host-1-redis_master"]]


@pytest.mark.parametrize(("user", "found"), [("repl", 0), ("default", 1)])
def test_a_replication_user_has_a_password_of_its_own(user: str, found: int) -> None:
    """masterauth is the inventory's password only where a replica logs in as default."""
    evidence = file_changed(seen_by_all(), masterauth=NOT_AS_WANTED, masteruser=user)
    assert len(findings(evidence, "config-file-differs")) == found


def test_an_engine_that_nobody_uses_is_left_alone() -> None:
    """Docker that is not to start at boot, beside Redis from a package, is no defect; where nodes need it, it is."""
    gone = ContainerEvidence("redis_master", "absent")
    rules = ("engine-down", "service-not-enabled")
    for running in ("yes", "no"):
        unused = host_changed(
            seen_by_all(), engine={"running": running, "enabled": "no"}, containers={M1: gone, R1: gone}
        )
        assert [findings(unused, rule) for rule in rules] == [(), ()]
    silent = node_changed(unused, R1, info=None, unreachable="no answer")
    assert all(findings(silent, rule) for rule in rules)
    assert unused.wanted is not None
    named = {R1: replace(unused.wanted.node(R1), container="redis_slave")}
    assert all(findings(replace(unused, wanted=unused.wanted.with_nodes(named)), rule) for rule in rules)
    hidden = host_changed(unused, processes=("1 0 0 0 /usr/bin/dockerd -H fd://",))
    assert findings(hidden, "service-not-enabled")


def test_password_reaches_the_file_by_standard_input() -> None:
    """The command names the variable and never the password, and no list of processes shows it on the host."""
    (finding,) = findings(file_changed(seen_by_all(), masterauth=NOT_AS_WANTED), "config-file-differs")
    assert finding.repair.startswith(f"""printf '%s\\n' "${{REDISCLI_AUTH:?}}" | {SSH} 'read -r REDISCLI_AUTH; """)


def test_sudo_and_port_of_the_inventory_are_used() -> None:
    """A host is entered as Ansible enters it."""
    evidence = container_changed(seen_by_all(), R1, state="exited")
    assert evidence.wanted is not None
    variables = {"ansible_become": True, "ansible_port": 2222, "ansible_user": "ops"}
    hosts = tuple(replace(host, variables=variables) for host in evidence.wanted.hosts)
    (finding,) = findings(replace(evidence, wanted=replace(evidence.wanted, hosts=hosts)), "container-not-running")
    quoted = "'sudo -n -u root sh -c '\"'\"'docker start redis_slave'\"'\"''"
    assert finding.repair == f"ssh -p 2222 -l ops {HOST} {quoted}"


def test_healthy_hosts_are_left_alone() -> None:
    """Real or simulated, nothing is found."""
    assert rules_in(seen_by_all()) == set()
    assert rules_in(simulated()) == set()
