"""The servers of one real host: killed together, and started again by us or, if we are gone, by the host itself."""

from __future__ import annotations

import math
import re
import shlex
import time
from collections.abc import Collection, Mapping

from provisioning.errors import FaultError
from provisioning.hosts.remote import RemoteHost
from provisioning.hosts.remote_container import COMMAND_SECONDS

UNIT = "redis-gauntlet-harm"
"""The timer, and what it starts: there is one a host, as a host is claimed by one run."""

DISARM = f"""\
if [ -d /run/systemd/system ]; then
    systemctl stop {UNIT}.timer {UNIT}.service 2>/dev/null
    systemctl reset-failed {UNIT}.service 2>/dev/null
fi"""

KILL = f"""\
read entered _ </proc/uptime
{DISARM}
if [ -d /run/systemd/system ]; then
    systemd-run --collect --unit={UNIT} --on-active={{seconds}} --timer-property=AccuracySec=1s \\
        --property=Restart=on-failure --property=RestartSec=5 "$(command -v docker)" start {{names}} || exit 1
fi
read now _ </proc/uptime
echo "from $entered to $now"
docker kill {{names}}"""
"""First the dead man's switch, then the kill. It tries until all are up; where there is no systemd there is none.

The host's uptime tells how long the first took (proc(5): in hundredths of a second).
"""

ARMED = re.compile(r"^from ([0-9.]+) to ([0-9.]+)$", re.MULTILINE)
UPTIME_SECONDS = 0.01
"""What the difference of two such uptimes may be too long."""

START = """\
docker start {names}
docker inspect --type container --format 'up={{{{.State.Running}}}} {{{{.Name}}}}' {names}
true"""


class RemoteServers:
    """``containers``: the name of each node's container by the node's full name."""

    def __init__(self, host: RemoteHost, containers: Mapping[str, str]) -> None:
        self.host = host
        self.containers = containers

    def kill(self, seconds: float) -> float:
        """SIGKILL to all of them, in one command; after ``seconds`` the host starts them by itself.

        Docker takes a container that was killed by its command as stopped by hand: no restart policy
        starts it again before somebody does. Returns the monotonic second before which none was killed;
        the login, which may take seconds, and what comes before the kill are over then. Raises
        FaultError, HostUnreachable.
        """
        script = KILL.format(names=self._names(self.containers), seconds=math.ceil(seconds))
        entered = [time.monotonic()]
        ended = self.host.run(script, COMMAND_SECONDS, lambda: entered.append(time.monotonic()))
        if ended.code:
            raise FaultError(
                f"the servers of {self.host.host.name} cannot be killed",
                expected="the right to ask the host's engine and, where it has systemd, for a timer that starts them",
                observed=ended.output.strip()[-300:] or f"exit code {ended.code}",
                advice="set ansible_become",
            )
        return entered[-1] + _armed_in(ended.output)

    def start(self, nodes: Collection[str]) -> dict[str, str]:
        """Start these, or let them run on; return why by full name for those that are still down.

        Where none is, the host need not start anything by itself any more. Raises HostUnreachable.
        """
        said = self.host.run(START.format(names=self._names(nodes)), COMMAND_SECONDS).output
        up = {line.removeprefix("up=true /") for line in said.splitlines() if line.startswith("up=true /")}
        down = {name: said.strip()[-300:] for name in nodes if self.containers[name] not in up}
        if not down:
            self.host.run(DISARM, COMMAND_SECONDS)
        return down

    def by_hand(self, nodes: Collection[str]) -> str:
        """Return the command that starts these, on their host."""
        return f"on {self.host.host.name}: docker start {self._names(nodes)}"

    def _names(self, nodes: Collection[str]) -> str:
        return shlex.join(self.containers[name] for name in nodes)


def _armed_in(output: str) -> float:
    """Return how many seconds at least the dead man's switch took, before the kill."""
    said = ARMED.search(output)
    return max(0.0, float(said[2]) - float(said[1]) - UPTIME_SECONDS) if said else 0.0
