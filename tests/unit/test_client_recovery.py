"""How long a client was without success is computed from its successes alone."""

from __future__ import annotations

import pytest

from fixtures.history.client import ClientProbe
from provisioning.ansible_inventory import DEFAULT_INVENTORY, read_inventory
from provisioning.cluster import Cluster
from provisioning.errors import WaitTimeout

pytestmark = pytest.mark.unit

BEGAN = 100.0


def recovery(*successes: float) -> dict[str, float]:
    """Return the recovery of a client with these successes, in seconds after the fault; nothing is contacted."""
    probe = ClientProbe(Cluster(read_inventory(DEFAULT_INVENTORY)), 0, "redis-py")
    probe.successes = [BEGAN + each for each in successes]
    probe.errors = ["TimeoutError"] * 3
    return probe.recovery(BEGAN)


def test_the_first_success_ends_the_longest_stall() -> None:
    """A call that was under way at the fault may succeed; what counts is the end of the longest silence."""
    assert recovery(-0.1, -0.05, 0.01, 7.5, 7.6, 8.6) == {"first_success_s": 7.5, "longest_stall_s": 7.49, "errors": 3}


def test_a_stall_is_counted_from_the_last_success_before() -> None:
    """Also where that was long before: a client that hung already when the fault began is not flattered."""
    assert recovery(-1.5, 5, 5.05)["longest_stall_s"] == 6.5
    assert recovery(-1.5, 5, 5.05)["first_success_s"] == 5.0


def test_silence_before_the_fault_is_not_its_doing() -> None:
    """A pause that was over when the fault began is neither stall nor recovery."""
    assert recovery(-9, -0.9, -0.05, 0.2, 0.25) == {"first_success_s": 0.2, "longest_stall_s": 0.25, "errors": 3}


def test_a_client_that_noticed_nothing_has_its_own_pace_as_stall() -> None:
    """Without interruption the longest stall is a step between two writes."""
    found = recovery(-0.05, 0.0, 0.05, 0.1)
    assert found["longest_stall_s"] == pytest.approx(0.05)
    assert 0 <= found["first_success_s"] <= 0.1


@pytest.mark.parametrize("successes", [(), (-0.1, -0.05), (3.0,)])
def test_a_client_that_did_not_recover_has_no_recovery(successes: tuple[float, ...]) -> None:
    """Without a success before and one after there is nothing to compute, and that is said."""
    with pytest.raises(WaitTimeout, match="before and after"):
        recovery(*successes)
