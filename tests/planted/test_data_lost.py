"""What no command brings back is found as well: data that is gone, and the end of an AOF that is gone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.cluster import CLUSTER, SUPPLY, Supply
from fixtures.rules.finding import Severity
from provisioning.cluster import Cluster
from provisioning.inventory import Node, with_node_timeout
from provisioning.waiting import wait_until
from tests.dataset import fill
from tests.planted.acts import kill, on_host, start
from tests.planted.gate import PACE, Gate
from tests.planted.plants.data import lose_data

pytestmark = pytest.mark.destructive

CUT_BYTES = 5
"""So much of the last command in an AOF is missing that it cannot be read."""

UNSUSPECTED_MS = 15_000
"""A node timeout within which a master is back that was killed, and whose file was changed, on a loaded machine too."""


@pytest.fixture
def filled(request: pytest.FixtureRequest, garden: Supply) -> Iterator[Cluster]:
    """A cluster of its own with keys in every shard: nobody else's writes are in what its replicas remember."""
    request.node.stash[SUPPLY] = garden
    found = garden.build(with_node_timeout(garden.layout, UNSUSPECTED_MS))
    request.node.stash[CLUSTER] = found
    fill(found)
    yield found
    if garden.owns(found):
        found.simulated.remove()


def expect(gate: Gate, rule: str, node: Node) -> None:
    """Wait until the rule's finding for this node, an error, is all that is found."""

    def found() -> bool:
        said = [(each.rule, each.subject, each.severity) for each in gate.look().findings]
        return said == [(rule, node.full_name, Severity.ERROR)]

    wait_until(found, f"{rule} of {node.full_name} and nothing else", gate.budget, poll=PACE)


def test_lost_data_is_found_although_every_node_says_ok(filled: Cluster, run: str) -> None:
    """A master that came back within the node timeout without its data, but as the member that it was, is found.

    Its replica has copied the emptiness. Once its keys are written again nothing is found any more.
    """
    gate = Gate(filled, run)
    gate.wait_whole()
    master = filled.inventory.masters[0]
    lose_data(filled, master)
    expect(gate, "restarted-empty", master)
    assert {filled.state(node) for node in filled.inventory.nodes} == {"ok"}
    assert filled.is_pristine()
    fill(filled)
    gate.wait_whole()


def test_cut_aof_is_found_although_the_server_loaded_it(filled: Cluster, run: str) -> None:
    """A master whose AOF had lost its end when it started is found; INFO says nothing of it, its log does.

    The next start, which reads the file that the server has cut, ends the finding.
    """
    gate = Gate(filled, run)
    gate.wait_whole()
    master = filled.inventory.masters[0]
    kill(filled, master)
    on_host(filled, master.host, f"find {master.data_dir} -name '*.aof' -exec truncate -s -{CUT_BYTES} {{}} +")
    start(filled, master)
    expect(gate, "persistence-failing", master)
    filled.simulated.nodes[master.full_name].signal("TERM")
    filled.wait_for(
        lambda: not filled.simulated.nodes[master.full_name].running, "its end", filled.inventory.node_timeout
    )
    start(filled, master)
    gate.wait_whole()
