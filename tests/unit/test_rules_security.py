"""Each rule on who is let in finds its planted defect, and lets alone what is closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fixtures.rules.finding import Severity
from fixtures.rules.judge import judge
from provisioning.evidence import Evidence
from provisioning.inventory import Node
from tests.unit.listing import M1, M2, M3, NAMES, R1, R2, R3, findings, node_changed, seen_by_all

pytestmark = pytest.mark.unit

OPEN = {"PING": "OK", "CONFIG GET": "OK"}
DENIED = (
    "DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the "
    "default user. In this mode connections are only accepted from the loopback interface. (...)"
)
NOPASS = "user default on nopass sanitize-payload ~* &* +@all"
LOCKED = "user default on sanitize-payload #1a2b3c4d ~* &* +@all"
ONE, OTHER = "masked:1a2b3c4d", "masked:99999999"
AT_M1 = "redis-cli -h 192.168.171.101 -p 6373"


def opened(acl: str = NOPASS, config: Mapping[str, str] | None = None, answers: Mapping[str, str] = OPEN) -> Evidence:
    """Return evidence in which the first master has no password."""
    settings = {"enable-debug-command": "no", "protected-mode": "no", **(config or {})}
    return node_changed(seen_by_all(), M1, acl=(acl,), anonymous=dict(answers), config=settings)


def with_logins(**each: dict[str, str]) -> Evidence:
    """Return evidence with equal passwords everywhere, but for the settings of the nodes that are given."""
    evidence = seen_by_all()
    for name in NAMES:
        config = {"requirepass": ONE, "masterauth": ONE, "masteruser": "", **each.get(name.replace("/", "_"), {})}
        evidence = node_changed(evidence, name, config=config, acl=(LOCKED,))
    return evidence


def named(name: str) -> str:
    return name.replace("/", "_")


def at_loopback(evidence: Evidence) -> Evidence:
    """Return the evidence as a look from the nodes' own machine would be."""
    assert evidence.wanted is not None

    def moved(node: Node) -> Node:
        return replace(node, outside=("127.0.0.1", node.port))

    wanted = evidence.wanted.with_nodes({node.full_name: moved(node) for node in evidence.wanted.nodes})
    return replace(evidence, wanted=wanted)


def test_node_that_answers_strangers_is_found() -> None:
    """A node that answers without a login is found with what it said and with the commands that close it."""
    (finding,) = findings(opened(), "no-authentication")
    assert finding.subject == M1
    assert finding.evidence == "PING: OK; CONFIG GET: OK"
    assert finding.repair.splitlines() == [
        f'{AT_M1} --user default CONFIG SET masterauth "${{REDISCLI_AUTH:?}}"',
        f'{AT_M1} --user default ACL SETUSER default resetpass ">${{REDISCLI_AUTH:?}}"',
        f'{AT_M1} --user default CONFIG SET requirepass "${{REDISCLI_AUTH:?}}"',
    ]


@pytest.mark.parametrize(
    ("answer", "acl", "found"),
    [
        ("NOAUTH Authentication required.", NOPASS, False),
        (DENIED, NOPASS, False),
        ("LOADING Redis is loading the dataset in memory", NOPASS, True),
        (
            "NOPERM this user has no permissions to run the 'ping' command",
            "user default on nopass ~* -@all +@read",
            True,
        ),
        ("NOPERM this user has no permissions to run the 'ping' command", "user default on nopass -@all", False),
        ("ERR unknown command 'PING'", LOCKED, False),
    ],
)
def test_what_counts_as_being_let_in(answer: str, acl: str, found: bool) -> None:
    """The login comes before all else, so only its own refusals keep out; NOPERM is for whoever is in already."""
    evidence = opened(acl, answers={"PING": answer, "CONFIG GET": answer})
    assert bool(findings(evidence, "no-authentication")) is found


def test_what_cannot_be_told_is_unknown() -> None:
    """NOPERM and no ACL: perhaps nothing is open, perhaps everything but the two commands; it is not called closed."""
    evidence = node_changed(opened(answers={"PING": "NOPERM x"}), M1, acl=None, not_collected={"acl": "NOPERM"})
    evidence = node_changed(evidence, M1, anonymous={"CONFIG GET": "NOPERM x"})
    judgement = judge(evidence)
    assert judgement.of("no-authentication") == ()
    assert "no-authentication" in {rule for rule, _ in judgement.not_collected}


@pytest.mark.parametrize(
    ("acl", "config", "commands"),
    [
        (NOPASS, {}, "CONFIG, FLUSHALL, SHUTDOWN"),
        (NOPASS, {"enable-debug-command": "local"}, "CONFIG, FLUSHALL, SHUTDOWN"),
        (NOPASS, {"enable-debug-command": "yes"}, "CONFIG, DEBUG, FLUSHALL, SHUTDOWN"),
        ("user default on nopass ~* +@all -@admin", {}, "FLUSHALL"),
        ("user default on nopass ~* +@all -@dangerous +config|get", {}, "CONFIG GET"),
        ("user default on nopass ~* +@all -@dangerous (-@all +shutdown)", {}, "SHUTDOWN"),
        ("user default on nopass ~* +@all -@dangerous", {}, ""),
    ],
)
def test_dangerous_commands_for_strangers(acl: str, config: dict[str, str], commands: str) -> None:
    """Those are named that the default user may send and that the server does not refuse to everybody."""
    found = findings(opened(acl, config), "dangerous-commands-open")
    assert [each.message for each in found] == (
        [f"lets callers who did not log in send {commands}"] if commands else []
    )
    assert all(each.severity is Severity.ERROR for each in found)


def test_debug_is_open_where_nothing_can_close_it() -> None:
    """Redis before 7.0 has no enable-debug-command; a renamed command does not count."""
    renamed = node_changed(opened(), M1, commands={"CONFIG": False, "SHUTDOWN": False, "FLUSHALL": True, "DEBUG": True})
    nodes = [
        replace(node, config={key: value for key, value in (node.config or {}).items() if "debug" not in key})
        for node in renamed.nodes
    ]
    (finding,) = findings(replace(renamed, nodes=tuple(nodes)), "dangerous-commands-open")
    assert finding.message.endswith("send DEBUG, FLUSHALL")


def test_config_that_was_answered_is_open_without_any_acl() -> None:
    """Where no ACL can be read the answer to CONFIG GET is enough."""
    evidence = node_changed(opened(), M1, acl=None, not_collected={"acl": "ERR unknown command 'ACL'"})
    (finding,) = findings(evidence, "dangerous-commands-open")
    assert finding.message.endswith("send CONFIG")


def test_dangerous_commands_for_the_application_are_a_warning() -> None:
    """The user that the inventory names is told what it should not have, with the command that takes it."""
    evidence = seen_by_all()
    assert evidence.wanted is not None
    evidence = replace(evidence, wanted=replace(evidence.wanted, application_user="app"))
    for name in NAMES:
        evidence = node_changed(evidence, name, acl=(LOCKED, "user app on # ~app:* +@all -@admin"))
    found = findings(evidence, "dangerous-commands-open")
    assert {each.subject for each in found} == set(NAMES)
    assert {each.severity for each in found} == {Severity.WARNING}
    assert found[0].repair == f"{AT_M1} ACL SETUSER app -flushall"
    harmless = (LOCKED, "user app on # ~app:* +@all -@dangerous", "user admin on # ~* +@all")
    for name in NAMES:
        evidence = node_changed(evidence, name, acl=harmless)
    assert findings(evidence, "dangerous-commands-open") == ()
    unknown = judge(node_changed(evidence, M1, acl=None, not_collected={"acl": "NOPERM"}))
    assert ("dangerous-commands-open", f"{M1}: what app may send: NOPERM") in unknown.not_collected


@pytest.mark.parametrize(
    ("node", "settings", "subjects", "words"),
    [
        (R1, {"masterauth": OTHER}, {R1}, f"has another masterauth than {M2} asks for: once its link breaks"),
        (R1, {"masterauth": ""}, {R1}, f"has no masterauth, and {M2} asks for a password: once its link breaks"),
        (M1, {"masterauth": OTHER}, {M1}, f"has another masterauth than {R3} asks for: after a failover"),
        (R1, {"masteruser": "repl"}, {R1}, f"logs in to {M2} as repl, whom that one does not let in"),
        (R1, {"masteruser": "default"}, set(), ""),
    ],
)
def test_replication_login_that_would_fail_is_found(
    node: str, settings: dict[str, str], subjects: set[str], words: str
) -> None:
    """Whoever would be refused is named, with whom it would have to follow; other shards are nobody's affair."""
    found = findings(with_logins(**{named(node): settings}), "replication-password-differs")
    assert {each.subject for each in found} == subjects
    assert all(words in each.message for each in found)


def test_password_that_only_one_node_has_is_found_at_its_peers() -> None:
    """A master with a password of its own: its replica cannot come back, and with that of the ACL it is the same."""
    evidence = node_changed(
        with_logins(**{named(M2): {"requirepass": OTHER}}), M2, acl=(LOCKED.replace("1a2b3c4d", "99999999"),)
    )
    assert {each.subject for each in findings(evidence, "replication-password-differs")} == {R1}
    without_hashes = node_changed(evidence, M2, acl=("user default on # ~* +@all",))
    assert {each.subject for each in findings(without_hashes, "replication-password-differs")} == {R1}


def test_password_of_the_acl_counts_and_not_requirepass() -> None:
    """A default user whose password was set by ACL SETUSER: requirepass is stale, or empty, and means nothing."""
    evidence = with_logins(**{named(each): {"requirepass": ""} for each in NAMES})
    assert findings(evidence, "replication-password-differs") == ()


def test_password_sent_to_a_node_without_one_is_found() -> None:
    """Redis refuses a password that it does not ask for; the repair gives the node one."""
    evidence = node_changed(with_logins(), M1, acl=(NOPASS,), config={"requirepass": ""})
    (finding,) = findings(evidence, "replication-password-differs")
    assert finding.subject == R3
    assert f"{AT_M1} --user default ACL SETUSER default resetpass" in finding.repair
    with_user = node_changed(evidence, R3, config={"masteruser": "default"})
    assert findings(with_user, "replication-password-differs") == ()


def test_no_password_anywhere_is_no_difference() -> None:
    """Without passwords replicas need none: that is for another rule."""
    evidence = seen_by_all()
    for name in NAMES:
        evidence = node_changed(evidence, name, acl=(NOPASS,), config={"requirepass": "", "masterauth": ""})
    assert findings(evidence, "replication-password-differs") == ()


def test_replication_user_is_judged_by_its_own_password() -> None:
    """A masteruser's password is compared with that user's, where the ACL shows anything of it."""
    users = (LOCKED, "user repl on #99999999 +psync +replconf +ping")
    evidence = with_logins(**{named(R1): {"masteruser": "repl", "masterauth": OTHER}})
    assert findings(node_changed(evidence, M2, acl=users), "replication-password-differs") == ()
    stale = node_changed(evidence, M2, acl=(LOCKED, "user repl on #77777777 +psync"))
    assert {each.subject for each in findings(stale, "replication-password-differs")} == {R1}


@pytest.mark.parametrize("changes", [{"unreachable": DENIED}, {"anonymous": {"PING": DENIED, "CONFIG GET": DENIED}}])
def test_node_that_refuses_other_hosts_is_found(changes: dict[str, Any]) -> None:
    """DENIED is found under its name, in one sentence, with what to run on the host itself."""
    (finding,) = findings(node_changed(seen_by_all(), M1, **changes), "protected-mode-blocks")
    assert finding.subject == M1
    assert finding.evidence.endswith("no password is set for the default user")
    assert finding.repair.startswith(
        "printf '%s\\n' \"${REDISCLI_AUTH:?}\" | ssh redis-host-1 'docker exec -i redis_master sh -c "
    )


def test_protected_mode_is_seen_from_the_machine_itself() -> None:
    """Over loopback everything is answered, yet other hosts are kept out; before 7.0 a bind address lifted that."""
    evidence = at_loopback(opened(config={"protected-mode": "yes"}))
    assert findings(evidence, "no-authentication") == ()
    assert [each.subject for each in findings(evidence, "protected-mode-blocks")] == [M1]
    older = node_changed(evidence, M1, info={"redis_version": "6.0.16"}, config={"bind": "192.168.171.101"})
    assert findings(older, "protected-mode-blocks") == ()
    assert [each.subject for each in findings(older, "no-authentication")] == [M1]


def test_protected_mode_with_a_password_blocks_nobody() -> None:
    """It is on by default and means nothing once there is a password, nor to a node that other hosts can ask."""
    evidence = seen_by_all()
    for name in NAMES:
        evidence = node_changed(evidence, name, config={"protected-mode": "yes"})
    assert findings(evidence, "protected-mode-blocks") == ()
    assert findings(at_loopback(evidence), "protected-mode-blocks") == ()


def test_other_shards_are_left_alone() -> None:
    """A password that a whole shard shares may be another one than the next shard's."""
    own = {"requirepass": OTHER, "masterauth": OTHER}
    evidence = with_logins(**{named(M2): own, named(R1): own})
    for name in (M2, R1):
        evidence = node_changed(evidence, name, acl=(LOCKED.replace("1a2b3c4d", "99999999"),))
    assert findings(evidence, "replication-password-differs") == ()
    assert {R2, M3}.isdisjoint(each.subject for each in judge(evidence).findings)
