"""A fault is a description; an injection is what happened, with proof that it took effect and healed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from provisioning.errors import FaultError, GauntletError, WaitTimeout
from provisioning.evidence import Evidence
from provisioning.evidence.collect import collect
from provisioning.faults.site import Site
from provisioning.waiting import wait_until

EFFECT_SECONDS = 15.0
"""Budget for a fault to take effect or to heal: what the engine may take on a loaded machine."""


FAILURE_LOOK_SECONDS = 1.0
"""For the look at a failed test's cluster before it is healed; a silent node must not hold that up."""


Place = TypeVar("Place", bound=Site, contravariant=True)


class Fault(Protocol[Place]):
    """One thing that can go wrong there. ``effect`` and ``healed`` return the proof, or "" for not (yet).

    ``begin`` returns the monotonic second right before it, where the way to the place takes time.
    """

    def begin(self, site: Place, /) -> float | None: ...

    def effect(self, site: Place, /) -> str: ...

    def end(self, site: Place, /) -> None: ...

    def healed(self, site: Place, /) -> str: ...


@dataclass
class Injection:
    """What happened. Times are monotonic seconds; ``ended`` is None while it lasts."""

    fault: Fault[Any]
    began: float
    proof: str = ""
    ended: float | None = None
    healed: str = ""
    at_failure: Evidence | None = field(default=None, repr=False)
    """What all nodes said when the block failed, before anything was healed."""
    _site: Site | None = field(default=None, repr=False)

    def heal(self) -> None:
        """End the fault now and prove it; the end of the ``with`` block then does nothing more."""
        if self.ended is not None or self._site is None:
            return
        self.ended = time.monotonic()
        self.fault.end(self._site)
        self.healed = _proven(self.fault.healed, self._site, f"{self.fault} healed")

    def __str__(self) -> str:
        return f"{self.fault}: {self.proof}" + (f"; {self.healed}" if self.healed else "")


@contextmanager
def inject(site: Place, *faults: Fault[Place]) -> Iterator[Injection]:
    """Let the faults happen at once, and end them with the block; yields the first one's injection.

    ``began`` is taken right before the first act, so that no outage is measured too short. Raises
    FaultError where an effect, or the healing, is not observed: the test then proves nothing.
    """
    with ExitStack() as stack:
        injections = []
        for fault in faults:
            injection = Injection(fault, time.monotonic(), _site=site)
            stack.callback(injection.heal)
            site.injections.append(injection)
            injection.began = fault.begin(site) or injection.began
            injections.append(injection)
        for injection in injections:
            injection.proof = _proven(injection.fault.effect, site, f"{injection.fault} takes effect")
        try:
            yield injections[0]
        except Exception:
            injections[0].at_failure = collect(site.inventory, deadline=FAILURE_LOOK_SECONDS)
            raise


def _proven(look: object, site: Site, expected: str) -> str:
    assert callable(look)

    def proof() -> str:
        try:
            return str(look(site) or "")
        except GauntletError:
            return ""

    try:
        return wait_until(lambda: proof() or None, expected, EFFECT_SECONDS)
    except WaitTimeout as problem:
        raise FaultError(
            "a fault cannot be proven", expected=expected, observed=str(problem), advice="look at docker ps -a"
        ) from None
