"""Severities decide a run's exit code: a change of one is a change of what the gate promises, and is made here too."""

from __future__ import annotations

from fixtures.rules.catalogue import catalogue
from fixtures.rules.finding import Severity

WARNINGS = {
    *("failed-but-connected", "hostname-in-ip-field", "myself-without-ip", "node-loading", "node-timeout-too-low"),
    *("nofailover-flag", "nonstandard-bus-port", "replicas-same-host", "restarted-empty", "role-differs"),
    *("shards-disagree", "uneven-slots", "version-mix"),
}
NOTICES = {"backlog-too-small", "eviction-unset", "open-files-limit", "overcommit-memory", "transparent-huge-pages"}


def test_what_is_no_warning_and_no_notice_is_an_error() -> None:
    """Every rule not named here rejects a cluster by itself."""
    by_severity: dict[Severity, set[str]] = {severity: set() for severity in Severity}
    for rule in catalogue():
        by_severity[rule.severity].add(rule.id)
    assert by_severity[Severity.WARNING] == WARNINGS
    assert by_severity[Severity.NOTICE] == NOTICES
    assert len(by_severity[Severity.ERROR]) == len(catalogue()) - len(WARNINGS) - len(NOTICES)
