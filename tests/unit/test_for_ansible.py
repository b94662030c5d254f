"""What the playbook is asked for is refused before any host is entered, where it cannot be made or would do harm."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning.errors import GauntletError
from provisioning.for_ansible import act

pytestmark = pytest.mark.unit

COMMON = {"redis_cluster_name": "test", "redis_password": "secret", "redis_image": "redis:8.0.2"}


def variables(**changes: Any) -> dict[str, dict[str, Any]]:
    """Return the variables of three hosts, with these changed for all of them; None leaves one out."""
    given = {name: value for name, value in {**COMMON, **changes}.items() if value is not None}
    followed = {1: 2, 2: 3, 3: 1}
    return {
        f"redis-host-{n}": {"ansible_host": f"127.0.0.{n}", "redis_slave_of": f"redis-host-{m}", **given}
        for n, m in followed.items()
    }


def test_what_is_to_run_where_is_told() -> None:
    """By host."""
    layout = act("layout", {}, variables(), pretend=False)
    assert {host: [node["name"] for node in nodes] for host, nodes in layout["hosts"].items()} == {
        f"redis-host-{n}": ["redis_master", "redis_slave"] for n in (1, 2, 3)
    }
    assert layout["changed"] is False


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"redis_password": None}, "the cluster has no password"),
        ({"redis_password": ""}, "the cluster has no password"),
        ({"redis_cluster_name": None}, "the cluster has no name"),
        ({"redis_image": "redis:latest"}, "another one at another time"),
        ({"redis_image": "redis"}, "another one at another time"),
        ({"redis_image": "registry:5000/redis"}, "another one at another time"),
        ({"redis_user": "app"}, "makes neither ACL users nor certificates"),
        ({"redis_engine_source": "snap"}, "distribution or vendor"),
        ({"redis_log_size": "lots"}, "a number with k, m or g"),
        ({"redis_stop_seconds": -5}, "seconds and positive"),
        ({"redis_network_mode": "bridge"}, "host or published"),
    ],
)
def test_what_cannot_be_made_is_refused(changes: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one message."""
    monkeypatch.delenv("REDIS_GAUNTLET_PASSWORD", raising=False)
    with pytest.raises(GauntletError) as refused:
        act("layout", {}, variables(**changes), pretend=False)
    assert says in str(refused.value)


@pytest.mark.parametrize("image", ["redis:8.0.2", "registry:5000/redis:8", f"redis@sha256:{'0' * 64}"])
def test_a_pinned_image_is_taken(image: str) -> None:
    """A tag with a version, or a digest."""
    assert act("layout", {}, variables(redis_image=image), pretend=False)["hosts"]


@pytest.mark.parametrize("address", ["redis1.example.com", "fd00::1"])
def test_what_is_no_ipv4_address_is_refused(address: str) -> None:
    """Nodes announce addresses: what DNS says of a name is another matter on each host. IPv6 was tried nowhere."""
    given = variables()
    given["redis-host-1"]["redis_address"] = address
    with pytest.raises(GauntletError, match="no address that nodes can announce"):
        act("layout", {}, given, pretend=False)


def test_a_container_of_another_cluster_is_refused() -> None:
    """Its name says nothing: the label does. Ours and nobody's are taken."""
    ours = ["redis_master|running|8.0.2|test", "redis_slave|exited||", "proxy|running||other"]
    assert act("containers", {"containers": ours}, variables(), pretend=False) == {"changed": False}
    with pytest.raises(GauntletError, match="redis_slave is of other"):
        act("containers", {"containers": [*ours, "redis_slave|running|8.0.2|other"]}, variables(), pretend=False)


def test_values_that_differ_by_host_are_refused() -> None:
    """Nodes are changed by one host for all."""
    given = variables()
    given["redis-host-2"]["redis_open_files"] = 20000
    given["redis-host-1"]["redis_open_files"] = 10000
    with pytest.raises(GauntletError, match="must be the same for all hosts"):
        act("layout", {}, given, pretend=False)


def test_an_empty_password_is_given_to_nobody() -> None:
    """It would let everybody in, and no replica to its master."""
    with pytest.raises(GauntletError, match="an empty password would let everybody in"):
        act("password", {}, variables(redis_password="", redis_previous_password="old"), pretend=False)


def test_clients_are_not_moved_over_where_a_node_does_not_answer() -> None:
    """Alone, the step that lets nodes take both passwords names whom it has not reached."""
    with pytest.raises(GauntletError, match="cannot be given to every node"):
        act("password", {"alone": True}, variables(redis_previous_password="old"), pretend=False)
