"""The one error tree: every message says what was expected, what was observed and what to do."""

from __future__ import annotations


class GauntletError(Exception):
    """A failure that its reader can act on.

    ``expected``, ``observed`` and ``advice`` are sentences or fragments without a final full stop;
    any of them may be empty. ``str()`` puts them on lines of their own under the summary.
    """

    def __init__(self, summary: str, *, expected: str = "", observed: str = "", advice: str = "") -> None:
        self.summary = summary
        self.expected = expected
        self.observed = observed
        self.advice = advice
        super().__init__(summary)

    def __str__(self) -> str:
        lines = [self.summary]
        for label, text in (("expected", self.expected), ("observed", self.observed), ("what to do", self.advice)):
            if text:
                lines.append(f"  {label}: {text}")
        return "\n".join(lines)


class InventoryError(GauntletError):
    """The inventory cannot be read, or contradicts itself."""


class LayoutError(InventoryError):
    """The wanted number of hosts, shards and replicas cannot be placed safely."""


class EngineError(GauntletError):
    """No usable Docker engine."""


class ImageError(GauntletError):
    """An image can be neither found, pulled nor built."""


class OwnershipError(GauntletError):
    """An object is in the way that does not belong to this run."""


class SimulationError(GauntletError):
    """The simulated hosts could not be built, changed or removed."""


class NodeUnreachable(GauntletError):
    """A Redis node did not answer within its deadline."""


class WaitTimeout(GauntletError):
    """What was awaited did not happen within its budget."""


class FaultError(GauntletError):
    """A fault did not take effect, or was not healed: the test proves nothing and errors."""


class EvidenceMissing(GauntletError):
    """What a test judges by could not be collected: it is unknown whether the promise holds."""
