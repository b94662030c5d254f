"""The mark on a real host that says which run may harm it: one at a time, whatever machine it is on."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from provisioning.errors import FaultError
from provisioning.hosts.remote import RemoteHost
from provisioning.hosts.remote_container import COMMAND_SECONDS

MARK = "/run/redis-gauntlet.harm"
"""On the host. Gone after a reboot, as whoever it was then harms nothing any more."""

TAKE = f"""\
[ -z {{stale}} ] || [ "$(cat {MARK} 2>/dev/null)" != {{stale}} ] || rm {MARK}
printf '%s\\n' {{who}} > {MARK}.$$ || exit 1
ln {MARK}.$$ {MARK} 2>/dev/null
rm {MARK}.$$
cat {MARK}"""
"""A link is made whole or not at all: whoever comes second reads who was first."""

GIVE_UP = f'[ "$(cat {MARK} 2>/dev/null)" != {{who}} ] || rm {MARK}'


@contextmanager
def claimed(host: RemoteHost) -> Iterator[None]:
    """Claim the host for the length of the block. What a dead run of this machine and user has left is taken over.

    Raises FaultError where somebody else has it, HostUnreachable.
    """
    who = f"{_ourselves()} process {os.getpid()} since {datetime.now(UTC).isoformat(timespec='seconds')}"
    holder = _take(host, who)
    if holder != who and _is_dead(holder):
        holder = _take(host, who, stale=holder)
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
        host.run(GIVE_UP.format(who=shlex.quote(who)), COMMAND_SECONDS)


def _take(host: RemoteHost, who: str, stale: str = "") -> str:
    """Return who has the host then: ``who`` if nobody had it, or if that was ``stale``."""
    ended = host.run(TAKE.format(who=shlex.quote(who), stale=shlex.quote(stale)), COMMAND_SECONDS)
    if ended.code:
        raise FaultError(
            f"{host.host.name} cannot be claimed",
            expected=f"the right to write {MARK} there, so that no two runs harm the same hosts",
            observed=ended.output.strip()[-300:],
            advice="faults need root on the hosts: set ansible_become",
        )
    return ended.output.strip()


def _ourselves() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


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
