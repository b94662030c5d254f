"""Judging hosts that the playbook has not made: they have no Docker, and Redis as a service or not at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provisioning.convergence import Convergence
from provisioning.hosts.engine import BOOT_SECONDS, EngineHost
from provisioning.inventory import Host, Inventory, Node
from provisioning.redis_conf import render_redis_conf
from provisioning.waiting import wait_until
from tests.playbook.conftest import Building, Site

pytestmark = [pytest.mark.destructive, pytest.mark.slow]

ABOUT_CONTAINERS = {
    "container-not-running",
    "restart-policy",
    "image-unpinned",
    "volume-missing",
    "data-not-on-a-volume",
}
ABOUT_ENGINES = {"engine-down", "service-not-enabled"}

REFUSED_SECONDS = 60
"""Until a cluster of which no node answers is refused; 2 s on an idle machine."""

UPDATE = ("apt-get", "-qq", "update")
INSTALL = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y", "install", "--no-install-recommends")


@pytest.fixture(scope="module")
def site(building: Building) -> Site:
    """Hosts with SSH and Python, and neither Docker nor Redis."""
    made = building(without_engine=("redis-host-1", "redis-host-2", "redis-host-3"))
    made.variables.clear()
    return made


@pytest.fixture(scope="module")
def served(site: Site) -> Site:
    """Debian's redis-server on each host, two instances of it as services, and a cluster joined of them."""
    inventory = site.inventory
    with ThreadPoolExecutor(len(inventory.hosts)) as pool:
        list(pool.map(lambda host: _serve(inventory, host, site.hosts.hosts[host.name]), inventory.hosts))
    Convergence(inventory).run()
    site.cluster.wait_ready()
    return site


def _serve(inventory: Inventory, wanted: Host, host: EngineHost) -> None:
    host.sure(*UPDATE)
    host.sure(*INSTALL, "redis-server")
    host.sure("systemctl", "disable", "--now", "redis-server")  # the package starts one, with its own defaults
    version = host.sure("redis-server", "--version").partition("v=")[2].split()[0]
    for node in wanted.nodes:
        data = f"/var/lib/redis/{node.name}"
        host.sure("install", "-d", "-o", "redis", "-g", "redis", "-m", "750", data)
        text = render_redis_conf(inventory, node, version, data)
        host.sure("sh", "-c", f'umask 077; printf %s "$1" > {_file(node)} && chown redis: {_file(node)}', "sh", text)
        host.sure("systemctl", "enable", "--now", _service(node))


def _service(node: Node) -> str:
    """Return the node's service, of Debian's template."""
    return f"redis-server@node-{node.file_stem}"


def _file(node: Node) -> str:
    """Return where that service looks for its configuration: the name is the playbook's, the directory is not."""
    return f"/etc/redis/redis-node-{node.file_stem}.conf"


def test_hosts_without_redis_are_refused(site: Site, tmp_path: Path) -> None:
    """One message says that no node answers and what to do; nothing is waited for."""
    run = site.judged(tmp_path)
    assert run.is_refusal, run.said
    said = " ".join(run.said.split())
    assert "Connection refused" in said
    assert f"see that Redis runs at {site.hosts.address('redis-host-1')}:6373 and 5 more addresses" in said
    assert run.seconds < REFUSED_SECONDS


def test_redis_without_docker_is_judged(served: Site, tmp_path: Path) -> None:
    """All that does not ask for an engine is decided; what is found is true: nobody has tuned these kernels."""
    run = served.judged(tmp_path)
    untuned = {("overcommit-memory", name) for name in served.hosts.hosts}
    assert (run.code, run.document["verdict"], run.found) == (0, "holds", untuned), run.said
    assert run.undecided == {}
    without = {each["rule"] for each in run.document["not_applicable"] if "engine" in each["why"]}
    assert without == ABOUT_CONTAINERS | ABOUT_ENGINES
    assert run.holding(served.password) == []


def test_its_services_come_back_with_their_host(served: Site, tmp_path: Path) -> None:
    """After a reboot the cluster heals, and the verdict is as before once masters are back in their places."""
    cluster = served.cluster
    served.hosts.reboot("redis-host-2")
    cluster.wait_ready(BOOT_SECONDS + cluster.rejoin_budget)
    cluster.restore_layout()
    run = served.judged(tmp_path)
    assert (run.code, run.document["verdict"]) == (0, "holds"), run.said


def test_a_stopped_service_is_found(served: Site, tmp_path: Path) -> None:
    """A replica's service is stopped: its node is named, and no container is missed."""
    cluster = served.cluster
    node = cluster.inventory.replicas[0]
    host = served.hosts.hosts[node.host]
    host.sure("systemctl", "stop", _service(node))
    run = served.judged(tmp_path)
    host.sure("systemctl", "start", _service(node))
    assert (run.code, run.document["verdict"]) == (1, "violated"), run.said
    assert ("node-unreachable", node.full_name) in run.found
    assert not {rule for rule, _ in run.found} & (ABOUT_CONTAINERS | ABOUT_ENGINES)
    wait_until(lambda: cluster.state(node) == "ok", "the service is back", cluster.rejoin_budget)
