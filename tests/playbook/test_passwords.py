"""The password comes from ansible-vault and shows nowhere; a changed one is rolled without an outage."""

from __future__ import annotations

import secrets
import subprocess
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from provisioning.cluster import Cluster
from provisioning.inventory import Inventory, Node
from provisioning.resp import Connection, Refused
from tests.launched import Launched, launched
from tests.playbook.ansible import COMMAND, Played, play
from tests.playbook.command_lines import watched_command_lines
from tests.playbook.conftest import Building, Site, run_ids
from tests.playbook.ledger import assert_none_lost, writing_steadily

pytestmark = [pytest.mark.destructive, pytest.mark.slow]

FIRST, SECOND, NEVER = (secrets.token_urlsafe(12) for _ in range(3))
"""The cluster's first password, the one that it gets then, and one that it never had."""

VAULT_SECONDS = 60


@dataclass
class Vaulted:
    """A site whose passwords stand in its inventory, encrypted, and nowhere else. ``passwords`` are by variable."""

    site: Site
    key_file: Path
    passwords: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> Mapping[str, str]:
        """What opens the vault; no password of Redis."""
        return {"ANSIBLE_VAULT_PASSWORD_FILE": str(self.key_file)}

    @property
    def file(self) -> Path:
        """The inventory, with the passwords of now."""
        marked: dict[str, Any] = {name: f"<{name}>" for name in self.passwords}
        file = self.site.hosts.write_inventory(**self.site.variables, **marked)
        text = file.read_text(encoding="utf-8")
        for name, password in self.passwords.items():
            text = text.replace(
                f"        {name}: <{name}>\n", textwrap.indent(self._encrypted(name, password), " " * 8)
            )
        file.write_text(text, encoding="utf-8")
        return file

    def _encrypted(self, name: str, password: str) -> str:
        """Return what `ansible-vault encrypt_string` makes of it; the password goes there by standard input."""
        key = ("--vault-password-file", str(self.key_file))
        command = [str(COMMAND.with_name("ansible-vault")), "encrypt_string", *key, "--stdin-name", name]
        made = subprocess.run(
            command, input=password, capture_output=True, text=True, timeout=VAULT_SECONDS, check=True
        )
        assert made.stdout.startswith(f"{name}: !vault |")
        assert password not in made.stdout
        return made.stdout.rstrip("\n") + "\n"

    def play(self, *arguments: str, **passwords: str) -> Played:
        """Run the playbook, from now on with these passwords."""
        self.passwords |= passwords
        return play(self.file, "", *arguments, environment=self.environment)

    def judged(self, folder: Path) -> Launched:
        """Return what the gate says, with the same inventory and the same key."""
        return launched(folder, "--inventory", self.file, "-m", "not destructive", environment=self.environment)


@pytest.fixture(scope="module")
def vaulted(building: Building, tmp_path_factory: pytest.TempPathFactory) -> Vaulted:
    """Hosts, and an inventory with a password that ansible-vault has encrypted."""
    key_file = tmp_path_factory.mktemp("vault") / "key"
    key_file.write_text(secrets.token_urlsafe(12), encoding="ascii")
    return Vaulted(building(redis_network_mode="host"), key_file, {"redis_password": FIRST})


def with_password(vaulted: Vaulted, password: str) -> Inventory:
    """Return the inventory with that password for every node."""
    found = vaulted.site.inventory
    return found.with_nodes({node.full_name: replace(node, password=password) for node in found.nodes})


def takes(node: Node) -> bool:
    """True where the node lets us in."""
    try:
        with Connection.to(node) as link:
            return bool(link.call("PING"))
    except Refused:
        return False


def shows_hosts(vaulted: Vaulted, seen: set[str]) -> bool:
    """True where the command lines of the hosts' own processes are among those that were seen."""
    return all(any(f"{node.lan}:{node.port} [cluster]" in line for line in seen) for node in vaulted.site.nodes)


def test_a_password_from_the_vault_shows_nowhere(vaulted: Vaulted) -> None:
    """Neither Ansible's output, however much it is asked to say, nor any command line shows it."""
    with watched_command_lines() as seen:
        formed = vaulted.play("-vvv", "--diff")
    assert formed.code == 0, formed.output
    assert {takes(node) for node in with_password(vaulted, FIRST).nodes} == {True}
    assert shows_hosts(vaulted, seen)
    assert [line for line in seen if FIRST in line] == []
    assert FIRST not in formed.output
    assert (again := vaulted.play()).idle, again.output


def test_the_gate_opens_the_same_vault(vaulted: Vaulted, tmp_path: Path) -> None:
    """The same file and the same key are enough for the gate too, and its report does not show the password."""
    run = vaulted.judged(tmp_path)
    assert (run.code, run.document["verdict"], run.found) == (0, "holds", set()), run.said
    assert run.holding(FIRST) == []


@pytest.mark.parametrize("further", [{}, {"redis_previous_password": NEVER}], ids=["no previous", "wrong previous"])
def test_a_password_that_nodes_do_not_have_changes_nothing(vaulted: Vaulted, further: dict[str, str]) -> None:
    """Without the previous password, or with a wrong one, one message says what is wrong, before anything is done."""
    cluster = Cluster(with_password(vaulted, FIRST), read_only=False)
    before = run_ids(cluster)
    kept = dict(vaulted.passwords)
    run = vaulted.play(redis_password=SECOND, **further)
    vaulted.passwords = kept
    assert run.code != 0
    assert (run.changed, sum(each["failed"] for each in run.recap.values())) == (0, 1), run.output
    assert "do not take the inventory's password" in run.output
    assert not [each for each in (FIRST, SECOND, NEVER) if each in run.output]
    assert run_ids(cluster) == before
    assert {takes(node) for node in with_password(vaulted, SECOND).nodes} == {False}


def restart_a_master(site: Site, cluster: Cluster) -> None:
    """Restart one, which then takes the old password alone; it is followed as before."""
    master = cluster.inventory.masters[0]
    site.docker(master.host, "restart", master.name)
    cluster.wait_ready(cluster.rejoin_budget + cluster.inventory.node_timeout)


def test_a_changed_password_is_rolled_without_an_outage(vaulted: Vaulted, tmp_path: Path) -> None:
    """Who logs in with the new one from when nodes take it loses nothing; the old one is then refused."""
    old, new = with_password(vaulted, FIRST), with_password(vaulted, SECOND)
    pretended = vaulted.play("--check", redis_password=SECOND, redis_previous_password=FIRST)
    assert pretended.code == 0, pretended.output
    assert {takes(node) for node in new.nodes} == {False}
    with watched_command_lines() as seen:
        prepared = vaulted.play("-vvv", "--diff", "--tags", "password")
        assert (prepared.code, prepared.rolled) == (0, []), prepared.output
        assert {takes(node) for node in (*old.nodes, *new.nodes)} == {True}
        restart_a_master(vaulted.site, Cluster(old, read_only=False))
        prepared = vaulted.play("-vvv", "--diff", "--tags", "password")
        assert {takes(node) for node in (*old.nodes, *new.nodes)} == {True}, prepared.output
        with writing_steadily(Cluster(new, read_only=False)) as ledgers:
            run = vaulted.play("-vvv", "--diff")
    assert run.code == 0, run.output
    assert sorted(run.rolled) == sorted(node.full_name for node in new.nodes)
    assert_none_lost(Cluster(new, read_only=False), ledgers)
    assert {takes(node) for node in old.nodes} == {False}
    assert shows_hosts(vaulted, seen)
    for secret in (FIRST, SECOND):
        assert [line for line in seen if secret in line] == []
        assert secret not in pretended.output + prepared.output + run.output
    assert (again := vaulted.play()).idle, again.output
    del vaulted.passwords["redis_previous_password"]
    judged = vaulted.judged(tmp_path)
    assert (judged.code, judged.document["verdict"], judged.found) == (0, "holds", set()), judged.said
