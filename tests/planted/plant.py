"""Plant: a defect that can be put into a live cluster, and what the gate must say of it.

To add one, write a function in a file of ``tests/planted/plants/`` (every file there is read; one
file for each family of rules) and decorate it with ``plant``:

    @plant("slots-uncovered", "slot 0 has no owner", also={"cluster-state-fail"})
    def slot_given_up(cluster: Cluster) -> str:
        ...                      # act on the live cluster; return once it is done
        return "slots 0"         # the subject, or a tuple of all subjects, that the rule must name

The test's id is the function's name with dashes. The test (``test_planted.py``) then goes:

1. the cluster is healthy: not one finding, notices included;
2. the function is called; its finding must appear, with exactly these subjects;
3. no finding is left that is neither the rule's nor of one in ``also``: the rules that tell the truth
   about a consequence of the same defect. Say in a comment of which. Never name a false alarm there;
4. the repair that the finding gives is run, line by line as it stands (see ``repairing.py``), and
   after it, each as soon as it is found, those of the rules in ``then``, for a way back in several
   steps. A rule that only shows a consequence, and says so, has its repair in ``repaired_by``; where
   the repair is no command but patience, or work, ``by_hand`` does it;
5. the cluster must be healthy again, not one finding.

The cluster is shared by the plants of a worker and rebuilt after one that left a trace (an election,
a changed epoch, ``rebuild=True``). Whatever such a rebuild does not undo (other containers, mounts or
networks) needs a ``bed`` of its own. Its node timeout is 2 s; ``slow`` is for what takes over 20 s.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from provisioning.cluster import Cluster
from provisioning.inventory import Inventory, with_node_timeout
from provisioning.simulation import Formation

NODE_TIMEOUT_MS = 2000
"""Of the clusters that plants are put into: four tenths of the default's waits, and no false alarm on two cores."""

Build = Callable[[Cluster], str | tuple[str, ...]]


@dataclass(frozen=True)
class Bed:
    """The cluster that a plant is put into. Any but the default one is built for its plant alone.

    ``alone``: the same as the default, but used by nobody after. ``settings``: added to the
    inventory's. ``change``: turns the default inventory into another.
    """

    alone: bool = False
    settings: tuple[tuple[str, str], ...] = ()
    change: Callable[[Inventory], Inventory] | None = None
    formation: Formation = "seeded"
    node_timeout_ms: int = NODE_TIMEOUT_MS

    def layout(self, default: Inventory) -> Inventory:
        """Return the inventory that is to be simulated."""
        changed = self.change(default) if self.change else default
        settings = {**changed.settings, **dict(self.settings)}
        return with_node_timeout(replace(changed, settings=settings), self.node_timeout_ms)


SHARED = Bed()


@dataclass(frozen=True)
class Plant:
    """One defect. ``claim`` is what is wrong, for a person, without a full stop; it stands in the README.

    ``rule``: the id that it must be found under. ``also``: ids that may be found beside it. ``then``:
    ids whose repairs are run after its own, one after the other. ``repaired_by``: the id whose repair is
    run, where the rule's own sends the reader there. ``by_hand``: what is done instead of its repair.
    """

    id: str
    rule: str
    claim: str
    build: Build = field(repr=False)
    also: frozenset[str] = frozenset()
    then: tuple[str, ...] = ()
    repaired_by: str = ""
    by_hand: Callable[[Cluster], None] | None = field(default=None, repr=False)
    bed: Bed = SHARED
    rebuild: bool = False
    slow: bool = False

    @property
    def related(self) -> frozenset[str]:
        """The rules that may find something while it is there."""
        return self.also | {self.rule, *self.then}

    @property
    def steps(self) -> tuple[str, ...]:
        """The rules whose repairs are run, in order."""
        return (self.repaired_by or self.rule, *self.then)


PLANTS: dict[str, Plant] = {}
"""Every plant by id, in the order of definition. Filled by importing ``tests.planted.plants``."""


def plant(
    rule: str,
    claim: str,
    *,
    also: Collection[str] = (),
    then: tuple[str, ...] = (),
    repaired_by: str = "",
    by_hand: Callable[[Cluster], None] | None = None,
    bed: Bed = SHARED,
    rebuild: bool = False,
    slow: bool = False,
) -> Callable[[Build], Build]:
    """Register the function as a plant; see the head of this file."""

    def register(build: Build) -> Build:
        plant_id = build.__name__.replace("_", "-")
        if plant_id in PLANTS:
            raise ValueError(f"two plants are called {plant_id}")
        PLANTS[plant_id] = Plant(
            plant_id, rule, claim, build, frozenset(also), then, repaired_by, by_hand, bed, rebuild, slow
        )
        return build

    return register
