"""Vigil: look after look at a cluster of which it is known what is true; nothing else may be found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from fixtures.rules.judge import Judgement, judge
from fixtures.rules.registry import RULES
from fixtures.rules.settled import settled
from provisioning.cluster import Cluster
from provisioning.evidence import Evidence
from provisioning.evidence.hosts_look import NO_ANSWER, look_everywhere
from tests.judged import told

Truth = Collection[tuple[str, str]]
"""What is true of a cluster: pairs of a rule and the subject that it names."""


@dataclass
class Vigil:
    """Looks as the gate looks: at every node and host, with probe keys, all rules, nothing waived.

    ``looks`` counts them. ``passing``: what one look found and a later one, of the same settling, did not.
    """

    cluster: Cluster
    run: str
    looks: int = 0
    passing: Counter[str] = field(default_factory=Counter)

    def look(self) -> Evidence:
        """Return what is seen now."""
        self.looks += 1
        return look_everywhere(self.cluster.inventory, self.cluster.simulation, probe_run=self.run)

    def keep(self, count: int) -> None:
        """Settle so many times on a healthy cluster: each time nothing is found and nothing is left unknown."""
        for _ in range(count):
            self.settle()

    def keep_while_busy(self, count: int) -> None:
        """The same on a machine so busy that a host may truly give no answer in time: then nothing is found either.

        Such a look does not count. Where every other one is such, it is the look that takes too long.
        """
        for _ in range(2 * count):
            if not self.settle(unanswered=True).not_collected:
                count -= 1
            if not count:
                return
        raise AssertionError(f"{count} looks too few at which every host gave its answer: {self}")

    def settle(self, true: Truth = (), perhaps: Truth = (), *, unanswered: bool = False) -> Judgement:
        """Look as often as the gate does and return what is said in the end.

        That must be all that is ``true`` and nothing else but what is so at one moment and not at the
        next (``perhaps``). What a rule says not to pass by itself must not pass. Of a healthy cluster
        nothing may be left unknown, but with ``unanswered`` what a host did not answer in time.
        """
        first = self.look()
        last = settled(_beginning_with(first, self.look), self.cluster.inventory.node_timeout)
        at_first = judge(first)
        seen = at_first if last is first else judge(last)
        found = {(each.rule, each.subject) for each in seen.findings}
        gone = [each for each in at_first.findings if (each.rule, each.subject) not in found]
        wrong = [f"found, and not true: {rule} {subject}" for rule, subject in sorted(found - {*true, *perhaps})]
        wrong += [f"true, and not found: {rule} {subject}" for rule, subject in sorted({*true} - found)]
        wrong += [f"found at first, and then not any more: {each}" for each in gone if not RULES[each.rule].transient]
        lacking = [] if true else [each for each in seen.not_collected if not (unanswered and NO_ANSWER in each[1])]
        wrong += [f"not collected: {rule}: {why}" for rule, why in lacking]
        assert not wrong, "\n".join([*wrong, "", told(seen)])
        self.passing.update(each.rule for each in gone)
        self.passing["undecided"] += bool(at_first.not_collected and not seen.not_collected)
        self.passing["unanswered"] += bool(seen.not_collected and not true)
        return seen

    def __str__(self) -> str:
        passed = ", ".join(f"{what} {count} x" for what, count in self.passing.most_common() if count)
        return f"{self.looks} looks; at first and then not any more: {passed or 'nothing'}"


def _beginning_with(first: Evidence, look: Callable[[], Evidence]) -> Callable[[], Evidence]:
    waiting = [first]
    return lambda: waiting.pop() if waiting else look()
