"""A fault is a description; an injection is what happened, with proof that it took effect and healed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from provisioning.errors import FaultError, GauntletError, WaitTimeout
from provisioning.evidence import Evidence
from provisioning.evidence.collect import collect
from provisioning.simulation import Simulation
from provisioning.waiting import wait_until

EFFECT_SECONDS = 15.0
"""Budget for a fault to take effect or to heal: what the engine may take on a loaded machine."""


FAILURE_LOOK_SECONDS = 1.0
"""For the look at a failed test's cluster before it is healed; a silent node must not hold that up."""


class Fault(Protocol):
    """One thing that can go wrong. ``effect`` and ``healed`` return the proof, or "" for not (yet)."""

    def begin(self, simulation: Simulation) -> None: ...

    def effect(self, simulation: Simulation) -> str: ...

    def end(self, simulation: Simulation) -> None: ...

    def healed(self, simulation: Simulation) -> str: ...


@dataclass
class Injection:
    """What happened. Times are monotonic seconds; ``ended`` is None while it lasts."""

    fault: Fault
    began: float
    proof: str = ""
    ended: float | None = None
    healed: str = ""
    at_failure: Evidence | None = field(default=None, repr=False)
    """What all nodes said when the block failed, before anything was healed."""
    _simulation: Simulation | None = field(default=None, repr=False)

    def heal(self) -> None:
        """End the fault now and prove it; the end of the ``with`` block then does nothing more."""
        if self.ended is not None or self._simulation is None:
            return
        self.ended = time.monotonic()
        self.fault.end(self._simulation)
        self.healed = _proven(self.fault.healed, self._simulation, f"{self.fault} healed")

    def __str__(self) -> str:
        return f"{self.fault}: {self.proof}" + (f"; {self.healed}" if self.healed else "")


@contextmanager
def inject(simulation: Simulation, *faults: Fault) -> Iterator[Injection]:
    """Let the faults happen at once, and end them with the block; yields the first one's injection.

    ``began`` is taken before the first act, so that no outage is measured too short. Raises
    FaultError where an effect, or the healing, is not observed: the test then proves nothing.
    """
    with ExitStack() as stack:
        injections = []
        for fault in faults:
            injection = Injection(fault, time.monotonic(), _simulation=simulation)
            stack.callback(injection.heal)
            simulation.injections.append(injection)
            fault.begin(simulation)
            injections.append(injection)
        for injection in injections:
            injection.proof = _proven(injection.fault.effect, simulation, f"{injection.fault} takes effect")
        try:
            yield injections[0]
        except Exception:
            injections[0].at_failure = collect(simulation.inventory, deadline=FAILURE_LOOK_SECONDS)
            raise


def _proven(look: object, simulation: Simulation, expected: str) -> str:
    assert callable(look)

    def proof() -> str:
        try:
            return str(look(simulation) or "")
        except GauntletError:
            return ""

    try:
        return wait_until(lambda: proof() or None, expected, EFFECT_SECONDS)
    except WaitTimeout as problem:
        raise FaultError(
            "a fault cannot be proven", expected=expected, observed=str(problem), advice="look at docker ps -a"
        ) from None
