"""An SSH server on a simulated host, with keys and users of its own, for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from provisioning.hosts.simulated import File, SimulatedHost
from provisioning.inventory import Host
from provisioning.waiting import wait_until

FOLDER = "/run/redis-gauntlet-ssh"
SUDOERS = "/etc/sudoers.d/redis-gauntlet"
PORT = 22

START_SECONDS = 10.0
"""Budget of its start; it takes a tenth of a second."""

MAY_SUDO, MAY_NOT_SUDO = "deploy", "visitor"
"""Users beside root: sudo lets the first do everything without a password, and asks the second for one."""

SSHD_CONFIG = f"""\
Port {PORT}
HostKey {FOLDER}/host_key
AuthorizedKeysFile {FOLDER}/key.pub
PidFile {FOLDER}/sshd.pid
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
PerSourcePenalties no
"""

# `*` as a password: none fits, and the account is not locked.
BEGIN = f"""\
set -e
mkdir -p /run/sshd /run/sudo {FOLDER}
for name in key wrong_key host_key other_host_key
do ssh-keygen -q -t ed25519 -N '' -C $name -f {FOLDER}/$name
done
for user in {MAY_SUDO} {MAY_NOT_SUDO}
do useradd --create-home --shell /bin/bash --password '*' $user
done
echo 'echo noise of the login' > /home/{MAY_SUDO}/.bashrc
"""
END = f"""\
pkill -KILL -x 'sshd|sshd-session|sshd-auth'
for user in {MAY_SUDO} {MAY_NOT_SUDO}; do userdel --force --remove $user; done
rm -rf /run/sshd /run/sudo {FOLDER} {SUDOERS}
true
"""


@dataclass(frozen=True)
class SshServer:
    """The server of a simulated host, and in ``folder`` on this machine the files of those who log in to it.

    ``key`` is let in, ``wrong_key`` is not. The server's key is in ``known_hosts``, another one for
    its address in ``other_known_hosts``, and none in ``empty_known_hosts``.
    """

    host: SimulatedHost
    wanted: Host
    folder: Path

    def real(self, known: str = "known_hosts", **variables: Any) -> Host:
        """Return the host as a real one of an inventory, with these variables of Ansible beside root and its key."""
        checked = f"-F none -o UserKnownHostsFile={self.folder / known} -o GlobalKnownHostsFile=none"
        login = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.folder / "key"),
            "ansible_ssh_common_args": f"{checked} -o StrictHostKeyChecking=yes -o IdentityAgent=none",
        }
        return replace(self.wanted, connection="ssh", variables=login | variables)


@contextmanager
def serving_ssh(host: SimulatedHost, wanted: Host, folder: Path) -> Iterator[SshServer]:
    """Start sshd on the host, dialled at ``wanted.ansible_host``, with keys made now; it is all gone afterwards."""
    try:
        host.sure("sh", "-c", BEGIN)
        sudoers = f"{MAY_SUDO} ALL=(ALL) NOPASSWD: ALL\n{MAY_NOT_SUDO} ALL=(ALL) ALL\n"
        host.put([File(f"{FOLDER}/sshd_config", SSHD_CONFIG), File(SUDOERS, sudoers, mode=0o440)])
        host.sure("/usr/sbin/sshd", "-f", f"{FOLDER}/sshd_config")
        # It goes into the background before it listens.
        wait_until(lambda: "[listener]" in host.sure("ps", "-ww", "-eo", "args"), "a listening sshd", START_SECONDS)
        for name in ("key", "wrong_key"):
            _write(folder / name, host.read(f"{FOLDER}/{name}"))
        for name, key in (("known_hosts", "host_key"), ("other_known_hosts", "other_host_key")):
            _write(folder / name, f"{wanted.ansible_host} {host.sure('cat', f'{FOLDER}/{key}.pub')}")
        _write(folder / "empty_known_hosts", "")
        yield SshServer(host, wanted, folder)
    finally:
        host.run("sh", "-c", END)


def _write(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text, encoding="ascii")
