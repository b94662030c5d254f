"""What ansible-vault encrypted is read as Ansible reads it, or refused in one message that gives nothing away."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from shutil import which

import pytest

from provisioning import vault
from provisioning.ansible_inventory import DEFAULT_INVENTORY, read_inventory
from provisioning.errors import InventoryError
from provisioning.inventory import Inventory
from provisioning.vault import HEADER, Encrypted, Vault, VaultError
from tests.unit.test_command_line import run_pytest

pytestmark = pytest.mark.unit

SECRET = 'S3CRET "pw" { é\\'
VAULT_PASSWORD = "vault-hunter2"

SETTINGS = (
    "ANSIBLE_CONFIG",
    "ANSIBLE_VAULT_PASSWORD_FILE",
    "ANSIBLE_VAULT_IDENTITY_LIST",
    "REDIS_GAUNTLET_PASSWORD",
)
"""Environment variables of the machine that must not reach these tests."""


@pytest.fixture(scope="module")
def tool() -> str:
    """ansible-vault; the tests that use it are skipped where there is none."""
    command = vault._command()
    if command is None:
        pytest.skip("there is no ansible-vault beside this Python nor on PATH (make ansible)")
    return command


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the vault password, and no other settings of Ansible than that; HOME is empty."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "vault-password"
    file.write_text(VAULT_PASSWORD, encoding="ascii")
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(file))
    return file


@cache
def encrypted(tool: str, text: str) -> str:
    """Return what ansible-vault makes of the text with the password that is set; it is the same in all tests."""
    made = subprocess.run([tool, "encrypt"], input=text, capture_output=True, text=True, timeout=60, check=True)
    assert made.stdout.startswith(HEADER)
    assert text not in made.stdout
    return made.stdout


def tagged(value: str) -> str:
    """Return cipher text as a value of the group in an inventory."""
    return "!vault |\n" + "".join(f"          {line}\n" for line in value.splitlines())


def inventory_with(folder: Path, variables: str) -> Path:
    """Write the seed's inventory with further variables of the group, and return its path."""
    text = DEFAULT_INVENTORY.read_text(encoding="utf-8")
    first = "        redis_appendonly: true\n"
    assert first in text
    file = folder / "hosts.yaml"
    file.write_text(text.replace(first, first + variables), encoding="utf-8")
    return file


def passwords(inventory: Inventory) -> set[str]:
    return {node.password for node in inventory.nodes}


def test_an_encrypted_password_is_read(tool: str, tmp_path: Path) -> None:
    """``!vault |`` in the inventory is what was encrypted, to the letter."""
    file = inventory_with(tmp_path, f"        redis_password: {tagged(encrypted(tool, SECRET))}")
    assert passwords(read_inventory(file)) == {SECRET}


def test_encrypted_settings_are_read(tool: str, tmp_path: Path) -> None:
    """Also inside of a mapping; Ansible's own passwords stay encrypted, nobody here wants them."""
    damaged = tagged(f"{HEADER}1.1;AES256\n6162")
    value = tagged(encrypted(tool, "pw")).replace("\n", "\n    ").rstrip(" ")
    variables = (
        f"        ansible_become_password: {damaged}        redis_settings:\n          tls-key-file-pass: {value}"
    )
    inventory = read_inventory(inventory_with(tmp_path, variables))
    assert inventory.settings == {"tls-key-file-pass": "pw"}
    assert isinstance(inventory.hosts[0].variables["ansible_become_password"], Encrypted)


def test_an_encrypted_template_is_refused(tool: str, tmp_path: Path) -> None:
    """As one that is not encrypted; what was encrypted is not shown."""
    file = inventory_with(tmp_path, f"        redis_password: {tagged(encrypted(tool, '{{ S3CRET }}'))}")
    with pytest.raises(InventoryError, match="template") as caught:
        read_inventory(file)
    assert "S3CRET" not in str(caught.value)


def test_a_whole_inventory_is_read(tool: str, tmp_path: Path) -> None:
    """A file that is encrypted from beginning to end."""
    file = inventory_with(tmp_path, "        redis_password: pw\n")
    plain = read_inventory(file)
    file.write_text(encrypted(tool, file.read_text(encoding="utf-8")), encoding="utf-8")
    assert read_inventory(file) == plain


def test_the_password_may_come_from_where_ansible_looks(
    tool: str, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ansible.cfg, and identities by label, are Ansible's business and work as they do for Ansible."""
    file = inventory_with(tmp_path, f"        redis_password: {tagged(encrypted(tool, 'pw'))}")
    monkeypatch.delenv("ANSIBLE_VAULT_PASSWORD_FILE")
    monkeypatch.setenv("ANSIBLE_VAULT_IDENTITY_LIST", f"prod@{settings}")
    assert passwords(read_inventory(file)) == {"pw"}
    monkeypatch.delenv("ANSIBLE_VAULT_IDENTITY_LIST")
    (tmp_path / ".ansible.cfg").write_text(f"[defaults]\nvault_password_file = {settings}\n", encoding="utf-8")
    assert passwords(read_inventory(file)) == {"pw"}


def test_one_text_is_decrypted_once(tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password of a group is one for all of its hosts; each run of ansible-vault takes half a second."""
    text = encrypted(tool, "pw")
    opened = Vault("x.yaml")
    assert opened.opened([Encrypted(text), {"a": Encrypted(text)}, 1], "it") == ["pw", {"a": "pw"}, 1]
    monkeypatch.setattr(vault, "_command", lambda: None)
    assert opened.decrypted(text, "it") == "pw"


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("wrong", "the vault password does not decrypt it"),
        (None, "no vault password is set"),
        ("", "Invalid vault password was provided"),
        ("#!/bin/sh\necho NOISE >&2; exit 3", "returned non-zero"),
        ("gone", "was not found"),
    ],
    ids=["wrong", "none", "empty", "script that fails", "missing file"],
)
def test_what_cannot_be_decrypted_is_one_message(
    password: str | None, says: str, tool: str, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which variable, why, and what to do; neither the vault's password nor the cipher text, and no question."""
    file = inventory_with(tmp_path, f"        redis_password: {tagged(encrypted(tool, SECRET))}")
    settings.write_text(password or "", encoding="ascii")
    settings.chmod(0o700 if password and password.startswith("#!") else 0o600)
    if password is None:
        monkeypatch.delenv("ANSIBLE_VAULT_PASSWORD_FILE")
    elif password == "gone":
        settings.unlink()
    with pytest.raises(VaultError, match="redis_password of redis-host-1 cannot be decrypted") as caught:
        read_inventory(file)
    assert says in caught.value.observed
    assert "\n" not in caught.value.observed
    said = str(caught.value)
    assert caught.value.expected
    assert caught.value.advice
    for hidden in (SECRET, VAULT_PASSWORD, "NOISE", "AES256", "Traceback"):
        assert hidden not in said


def test_nobody_is_asked_at_a_terminal(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a vault password a run at a terminal ends as it does anywhere else, and waits for nobody."""
    if which("script") is None:
        pytest.skip("there is no script(1), which gives a command a terminal")
    file = inventory_with(tmp_path, f"        redis_password: {tagged(encrypted(tool, SECRET))}")
    monkeypatch.delenv("ANSIBLE_VAULT_PASSWORD_FILE")
    monkeypatch.setenv("PATH", f"{Path(tool).parent}:{os.environ['PATH']}")
    asked = "from provisioning.ansible_inventory import *; import sys; read_inventory(Path(sys.argv[1]))"
    command = shlex.join([sys.executable, "-c", asked, str(file)])
    with subprocess.Popen(
        ["script", "-qec", command, os.devnull], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        try:
            said = run.communicate(timeout=20)[0].decode()
        finally:
            run.kill()
    assert "no vault password is set" in said


@pytest.mark.parametrize("plain", [b"\xff\xfe", b"- a"], ids=["binary", "no inventory"])
def test_what_is_decrypted_may_be_no_inventory(plain: bytes, tool: str, tmp_path: Path) -> None:
    """Then it is refused like any other."""
    file = tmp_path / "hosts.yaml"
    made = subprocess.run([tool, "encrypt"], input=plain, capture_output=True, timeout=60, check=True)
    file.write_bytes(made.stdout)
    with pytest.raises(InventoryError, match="cannot be used"):
        read_inventory(file)


def test_without_ansible_vault_it_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the tool is missing: what was looked for, and how to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    file = inventory_with(tmp_path, f"        redis_password: {tagged(f'{HEADER}1.1;AES256')}")
    with pytest.raises(VaultError, match="no ansible-vault beside this Python nor on PATH") as caught:
        read_inventory(file)
    assert "make ansible" in caught.value.advice


def test_a_tool_that_cannot_be_run_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As little as one that never ends or says nothing."""
    (tmp_path / "ansible-vault").write_text("no program", encoding="ascii")
    (tmp_path / "ansible-vault").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    file = inventory_with(tmp_path, f"        redis_password: {tagged(f'{HEADER}1.1;AES256')}")
    with pytest.raises(VaultError, match="ansible-vault: "):
        read_inventory(file)
    (tmp_path / "ansible-vault").write_text("#!/bin/sh\necho NOISE >&2; exit 1", encoding="ascii")
    with pytest.raises(VaultError, match="failed without a word"):
        read_inventory(file)
    (tmp_path / "ansible-vault").write_text("#!/bin/sh\nexec tail -f /dev/null", encoding="ascii")
    monkeypatch.setattr(vault, "DECRYPT_SECONDS", 0.2)
    with pytest.raises(VaultError, match="did not end within"):
        read_inventory(file)


def test_a_run_with_a_wrong_vault_password_is_one_message(tool: str, settings: Path, tmp_path: Path) -> None:
    """pytest ends with its code for bad input, without a traceback, and nothing that it wrote has a secret."""
    file = inventory_with(tmp_path, f"        redis_password: {tagged(encrypted(tool, SECRET))}")
    settings.write_text("wrong-vault-pw", encoding="ascii")
    ended = run_pytest(tmp_path / "report", f"--inventory={file}", PATH=f"{Path(tool).parent}:{os.environ['PATH']}")
    said = ended.stdout + ended.stderr
    assert ended.returncode == 4, said
    assert "the vault password does not decrypt it" in said
    assert "Traceback" not in said
    for hidden in (SECRET, VAULT_PASSWORD, "wrong-vault-pw", "AES256"):
        assert hidden not in said


def test_plain_inventories_need_no_ansible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anything encrypted nothing is run."""
    monkeypatch.setattr(vault, "_command", pytest.fail)
    file = inventory_with(tmp_path, "        redis_password: pw\n")
    assert passwords(read_inventory(file)) == {"pw"}
