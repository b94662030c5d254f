"""The mark on a real host that says which run may harm it: one at a time, whatever machine it is on."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from provisioning.errors import FaultError
from provisioning.hosts.remote import RemoteHost
from provisioning.hosts.remote_container import COMMAND_SECONDS

MARK = "/run/redis-gauntlet.harm"
"""On the host. Gone after a reboot, as whoever it was then harms nothing any more. The playbook looks for it too."""

CHANGING = "/opt/redis/.changing"
"""Of the playbook: there while it changes the cluster, and after a run that was cut short."""

CHANGES = 3
"""Exit code of TAKE where the playbook changes the cluster: looked for once the mark is there; that does likewise."""

TAKE = f"""\
[ -z {{stale}} ] || [ "$(cat {MARK} 2>/dev/null)" != {{stale}} ] || rm {MARK}
printf '%s\\n' {{who}} > {MARK}.$$ || exit 1
ln {MARK}.$$ {MARK} 2>/dev/null
rm {MARK}.$$
cat {MARK}
[ ! -e {CHANGING} ] || exit {CHANGES}"""
"""A link is made whole or not at all: whoever comes second reads who was first."""

GIVE_UP = f'[ "$(cat {MARK} 2>/dev/null)" != {{who}} ] || rm {MARK}'


@contextmanager
def claimed(host: RemoteHost) -> Iterator[None]:
    """Claim the host for the length of the block. What a dead run of this machine and user has left is taken over.

    Raises FaultError where somebody else has it or the playbook changes nodes there, HostUnreachable.
    """
    who = f"{_ourselves()} process {os.getpid()} since {datetime.now(UTC).isoformat(timespec='seconds')}"
    try:
        holder = _take(host, who)
        if holder != who and _is_dead(holder):
            holder = _take(host, who, stale=holder)
    except FaultError:
        _give_up(host, who)
        raise
    if holder != who:
        raise FaultError(
            f"{host.host.name} is claimed by another run with --allow-faults",
            expected="one run at a time harms these hosts",
            observed=holder,
            advice=f"wait for its end; if it is gone: rm {MARK} on {host.host.name}",
        )
    try:
        yield
    finally:
        _give_up(host, who)


def _give_up(host: RemoteHost, who: str) -> None:
    host.run(GIVE_UP.format(who=shlex.quote(who)), COMMAND_SECONDS)


def _take(host: RemoteHost, who: str, stale: str = "") -> str:
    """Return who has the host then: ``who`` if nobody had it, or if that was ``stale``."""
    ended = host.run(TAKE.format(who=shlex.quote(who), stale=shlex.quote(stale)), COMMAND_SECONDS)
    if ended.code == CHANGES:
        raise FaultError(
            f"the nodes of {host.host.name} are being changed",
            expected=f"no {CHANGING} there",
            observed="the playbook runs, or was cut short",
            advice="let it end, or run it again: it finishes what was begun",
        )
    if ended.code:
        raise FaultError(
            f"{host.host.name} cannot be claimed",
            expected=f"the right to write {MARK} there, so that no two runs harm the same hosts",
            observed=ended.output.strip()[-300:],
            advice="faults need root on the hosts: set ansible_become",
        )
    return ended.output.strip()


def _ourselves() -> str:
    """Return user, machine, and what tells its processes from those of a clone or of another container."""
    world = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    told = "".join(os.readlink(each) if each.is_symlink() else each.read_text() for each in world if each.exists())
    return f"{getpass.getuser()}@{socket.gethostname()}/{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def _is_dead(holder: str) -> bool:
    """True for a run of this user on this machine whose process is gone."""
    found = re.fullmatch(re.escape(_ourselves()) + r" process (\d+) since \S+", holder)
    if found is None:
        return False
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
