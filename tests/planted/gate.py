"""Gate: all that the rules say of one cluster, at a moment and after it had time to settle."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import TypeVar

from fixtures.rules.finding import Finding
from fixtures.rules.judge import Judgement, Verdict, judge
from fixtures.rules.needs import ON_HOSTS, Need
from fixtures.rules.registry import RULES
from provisioning.cluster import REJOIN_SECONDS, Cluster
from provisioning.errors import WaitTimeout
from provisioning.evidence.hosts_look import look_everywhere
from provisioning.waiting import wait_until
from tests.planted.plant import Plant
from tests.planted.repairing import lines_of, repair

T = TypeVar("T")

LOOKS = 4
"""How many looks a wait may need, of which each takes several seconds on an overloaded machine."""

BLOCKED = 5
"""Reasons shown why a verdict is unknown; one silent node gives dozens."""

PACE = 0.2
"""Seconds between two looks; one takes about as long on an idle machine, most of it processor time."""


BEYOND_NODES = frozenset({*ON_HOSTS, Need.VANTAGE, Need.PROBES})
"""What a rule needs that a glance does not have."""


class Missed(AssertionError):
    """The gate did not see what was planted."""


class Gate:
    """Looks at a cluster as the gate does: every node, every host, probe writes; all rules."""

    def __init__(self, cluster: Cluster, run: str) -> None:
        self.cluster = cluster
        self.run = run
        self.slowest = 0.0
        """Seconds that the slowest look took."""
        self.seen: Judgement | None = None
        """What the last look said, None where something was done since."""
        self.done: set[str] = set()
        """The lines of repairs that were run."""

    @property
    def budget(self) -> float:
        """Seconds for a defect to show, or for a repair to work: detection, an election, a rejoin, and the looks."""
        return REJOIN_SECONDS + 4 * self.cluster.inventory.node_timeout + LOOKS * self.slowest

    def look(self) -> Judgement:
        """Return what all rules say now."""
        evidence = look_everywhere(self.cluster.inventory, self.cluster.simulation, probe_run=self.run)
        self.slowest = max(self.slowest, evidence.duration)
        self.seen = judge(evidence)
        return self.seen

    def glance(self) -> Judgement:
        """Return what they say of the nodes' answers alone: a twentieth of the work, enough to wait with."""
        self.seen = judge(self.cluster.look())
        return self.seen

    def wait_whole(self) -> None:
        """Wait until no rule finds anything, notices included."""

        def whole() -> bool:
            seen = self.glance()
            seen = self.look() if not seen.findings else seen
            return seen.verdict is Verdict.HOLDS and not seen.findings

        self._wait(whole, "no finding")

    def repair(self, findings: Collection[Finding]) -> None:
        """Run what these findings say, every line as it stands and once. Raises RepairFailed."""
        self.done.update(repair(self.cluster, findings))
        self.seen = None

    def wait_repaired(self, rule: str) -> None:
        """Wait until no rule finds anything; what this one says anew by then is run too, as who reads it again would.

        A look in the moment in which a server starts sees its container run and the node silent, and says another
        thing than the next look. And a manual failover that is given up (after 5 s: CLUSTER_MF_TIMEOUT), which the
        server's log alone tells, is asked for once more. Raises WaitTimeout.
        """
        try:
            self.wait_whole()
        except WaitTimeout:
            left = self.look().of(rule)
            said = lines_of(left)
            if self.done.issuperset(said) and not any("CLUSTER FAILOVER" in line for line in said):
                raise
            self.repair(left)
            self.wait_whole()

    def wait_found(self, plant: Plant, subjects: Collection[str]) -> None:
        """Wait until the plant's rule finds exactly these subjects. Raises Missed."""

        look = self.look if BEYOND_NODES.intersection(RULES[plant.rule].needs) else self.glance

        def found() -> bool:
            return {each.subject for each in look().of(plant.rule)} == set(subjects)

        try:
            self._wait(found, f"{plant.rule} finds {', '.join(subjects)}")
        except WaitTimeout as problem:
            raise Missed(str(problem)) from None
        self.seen = self.seen if look == self.look else None

    def wait_step(self, plant: Plant, step: int) -> Judgement:
        """Wait until the rule of that step finds something, those of the steps before nothing, and no stranger.

        A stranger is a rule that does not follow from the plant. What it finds and what cannot pass by
        itself is not waited for. A finding that says nothing but what was run already is one of which more
        will be said: what was run takes time to work. Where the step is a failover, findings must have stayed
        the same for a node timeout: who has just come back is refused one until all have learnt of it.
        """
        rule, gone = plant.steps[step], frozenset(plant.steps[:step])
        before, since = frozenset[tuple[str, str]](), time.monotonic()
        last = self.seen

        def clean(seen: Judgement) -> bool:
            strangers = [found for found in seen.findings if found.rule not in plant.related]
            lasting = "\n".join(str(found) for found in strangers if not RULES[found.rule].transient)
            assert not lasting, f"found beside {plant.rule}, which is what was planted:\n{lasting}\n{told(seen)}"
            return not strangers and not any(seen.of(each) for each in gone - {rule})

        def ready() -> Judgement | None:
            nonlocal before, since, last
            if last is None and not clean(self.glance()):
                return None
            seen, last = last or self.look(), None
            summary = frozenset((found.rule, found.subject) for found in seen.findings)
            before, since = summary, since if summary == before else time.monotonic()
            said = lines_of(seen.of(rule))
            failover = step and any("CLUSTER FAILOVER" in line for line in said)
            settled = not failover or time.monotonic() - since >= self.cluster.inventory.node_timeout
            new = not self.done.issuperset(said) if said else bool(seen.of(rule))
            return seen if clean(seen) and new and settled else None

        return self._wait(ready, f"{rule}, and nothing that does not follow from {plant.id}", plant.related)

    def _wait(self, look: Callable[[], T | None], expected: str, related: Collection[str] | None = None) -> T:
        return wait_until(look, expected, self.budget, shown=lambda: told(self.seen, related), poll=PACE)


def told(judgement: Judgement | None, related: Collection[str] | None = None) -> str:
    """Return every finding, a paragraph each, and the first reasons why something could not be decided.

    With ``related``, the ids that are expected, those that are not come first.
    """
    if judgement is None:
        return "nothing was looked at"
    if related is not None:
        strangers = sorted({found.rule for found in judgement.findings} - set(related))
        return f"unrelated: {', '.join(strangers) or 'none'}\n{told(judgement)}"
    findings = [f"{found}\n  repair: {found.repair}\n  {found.evidence}" for found in judgement.findings]
    unknown = [f"{rule_id}: not collected: {why}" for rule_id, why in judgement.not_collected[:BLOCKED]]
    return "\n".join([*findings, *unknown])
