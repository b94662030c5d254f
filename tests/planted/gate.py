"""Gate: all that the rules say of one cluster, at a moment and after it had time to settle."""

from __future__ import annotations

import time
from collections.abc import Collection

from fixtures.rules.judge import Judgement, Verdict, judge
from fixtures.rules.needs import ON_HOSTS, Need
from fixtures.rules.registry import RULES
from provisioning.cluster import REJOIN_SECONDS, Cluster
from provisioning.errors import WaitTimeout
from provisioning.evidence.collect import collect
from provisioning.evidence.hosts_look import look_everywhere
from provisioning.waiting import wait_until
from tests.planted.plant import Plant

BLOCKED = 5
"""Reasons shown why a verdict is unknown; one silent node gives dozens."""

PACE = 0.2
"""Seconds between two looks; one takes about 0.25 s on an idle machine, most of it for the hosts."""

BEYOND_NODES = frozenset({*ON_HOSTS, Need.VANTAGE, Need.PROBES})
"""What a rule may need that nodes alone do not say."""


class Missed(AssertionError):
    """The gate did not see what was planted."""


class Gate:
    """Looks at a cluster as the gate does: every node, every host, probe writes; all rules."""

    def __init__(self, cluster: Cluster, run: str) -> None:
        self.cluster = cluster
        self.run = run
        self.budget = REJOIN_SECONDS + 4 * cluster.inventory.node_timeout
        """Seconds for a defect to show, or for a repair to work: detection, an election, a rejoin."""

    def look(self) -> Judgement:
        """Return what all rules say now."""
        return judge(look_everywhere(self.cluster.inventory, self.cluster.simulation, probe_run=self.run))

    def ask(self) -> Judgement:
        """Return what the rules say of what the nodes alone say: for waits, as it costs a fraction of a look."""
        return judge(collect(self.cluster.inventory))

    def shows(self, rule: str) -> bool:
        """True where a look is worth its price: the nodes alone show the rule's finding, or cannot."""
        return bool(BEYOND_NODES.intersection(RULES[rule].needs)) or bool(self.ask().of(rule))

    def wait_whole(self) -> None:
        """Wait until no rule finds anything, notices included."""
        seen = self.ask()

        def whole() -> bool:
            nonlocal seen
            seen = self.ask()
            if seen.verdict is Verdict.HOLDS and not seen.findings:
                seen = self.look()
                return seen.verdict is Verdict.HOLDS and not seen.findings
            return False

        wait_until(whole, "no finding", self.budget, shown=lambda: told(seen), poll=PACE)

    def wait_found(self, plant: Plant, subjects: Collection[str]) -> Judgement:
        """Wait until the plant's rule finds exactly these subjects. Raises Missed."""
        seen = self.ask()

        def found() -> Judgement | None:
            nonlocal seen
            if not self.shows(plant.rule):
                return None
            seen = self.look()
            return seen if {each.subject for each in seen.of(plant.rule)} == set(subjects) else None

        try:
            return wait_until(found, f"{plant.rule} finds {', '.join(subjects)}", self.budget, poll=PACE)
        except WaitTimeout as problem:
            raise Missed(f"{problem}\nwhat was found instead:\n{told(seen)}") from None

    def wait_step(self, plant: Plant, step: int) -> Judgement:
        """Wait until the rule of that step finds something, those of the steps before nothing, and no stranger.

        A stranger is a rule that does not follow from the plant. What it finds and what cannot pass by
        itself is not waited for. After the first step findings must have stayed the same for a node
        timeout: who has just come back is refused a failover until all have learnt of it.
        """
        rule, gone = plant.steps[step], frozenset(plant.steps[:step])
        seen, since = self.look(), time.monotonic()
        settling = self.cluster.inventory.node_timeout if step else 0.0

        def ready() -> Judgement | None:
            nonlocal seen, since
            before, seen = _summary(seen), self.look()
            since = since if _summary(seen) == before else time.monotonic()
            strangers = [found for found in seen.findings if found.rule not in plant.related]
            lasting = "\n".join(str(found) for found in strangers if not RULES[found.rule].transient)
            assert not lasting, f"found beside {plant.rule}, which is what was planted:\n{lasting}\n{told(seen)}"
            done = not any(seen.of(each) for each in gone - {rule})
            settled = time.monotonic() - since >= settling
            return seen if seen.of(rule) and not strangers and done and settled else None

        def shown() -> str:
            return f"{_unrelated(plant, seen)}\n{told(seen)}"

        return wait_until(ready, f"{rule} and nothing unrelated to {plant.id}", self.budget, shown=shown, poll=PACE)


def _summary(seen: Judgement) -> frozenset[tuple[str, str]]:
    return frozenset((found.rule, found.subject) for found in seen.findings)


def _unrelated(plant: Plant, seen: Judgement) -> str:
    ids = dict.fromkeys(found.rule for found in seen.findings if found.rule not in plant.related)
    return f"unrelated: {', '.join(ids) or 'none'}"


def told(judgement: Judgement) -> str:
    """Return every finding, a paragraph each, and the first reasons why something could not be decided."""
    findings = [f"{found}\n  repair: {found.repair}\n  {found.evidence}" for found in judgement.findings]
    unknown = [f"{rule_id}: not collected: {why}" for rule_id, why in judgement.not_collected[:BLOCKED]]
    return "\n".join([*findings, *unknown])
