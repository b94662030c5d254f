"""A host with an engine of its own: a container with systemd, sshd and Docker inside, entered over SSH."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

import docker.errors

from provisioning.errors import SimulationError
from provisioning.hosts.simulated import SimulatedHost
from provisioning.waiting import wait_until

BOOT_SECONDS = 300.0
"""From the start of a host until sshd and its engine answer: 4 s on an idle machine, 100 s at load 20 on two cores."""

CAPABILITIES = {"cap_add": ["ALL"], "cap_drop": ["SYS_RESOURCE"]}
"""All but the one that not every machine may give; `--privileged` would ask for it."""

CONFINEMENT = ["seccomp=unconfined", "apparmor=unconfined"]
UNMASKED: dict[str, list[str]] = {"MaskedPaths": [], "ReadonlyPaths": []}
"""An engine mounts, remounts, makes namespaces and writes below /proc/sys (docker run: systempaths=unconfined)."""

DEVICES = ["a *:* rwm"]
"""systemd and runc make device nodes."""

KERNEL_SETTINGS = {
    "/proc/sys/vm/overcommit_memory": "0",
    "/sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never",
}
"""Settings of the one kernel that all hosts share. Each host gets a file of its own in place of each, with the value
of an untuned machine: tuning a host is seen there, and changes nothing on the machine below."""

UNWANTED = (
    "console-getty.service",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
)
"""Nobody sits at a console here: the first three take 3 of the 9 inotify instances of a host, and all hosts share the
128 that a machine has for root. The timers would take the lock of apt at a time that nobody chose."""

NO_INSTANCE = "Too many open files"
"""What systemd says when root has no inotify instance left."""

MORE_INSTANCES = "run fewer at a time (WORKERS=2), or as root: sysctl fs.inotify.max_user_instances=512"

ENTRY = "\n".join(
    [
        "for each in /sys/fs/cgroup/*; do mount -o remount,bind,rw $each 2>/dev/null; done",  # cgroup v1
        "mkdir -p /var/lib/kernel",
        *(
            f"f=/var/lib/kernel/{path.rpartition('/')[2]}; [ -f $f ] || echo '{value}' > $f; mount --bind $f {path}"
            for path, value in KERNEL_SETTINGS.items()
        ),
        "mkdir -p /run/systemd/system",
        *(f"ln -s /dev/null /run/systemd/system/{unit}" for unit in UNWANTED),
        "[ -f /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -A",
        "exec /sbin/init",
    ]
)
"""What runs before systemd."""


ENVIRONMENT = {"container": "docker", "SYSTEMD_PROC_CMDLINE": "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"}
"""systemd 256 and later refuses a machine with cgroup v1 unless its kernel's command line says this."""


class EngineHost(SimulatedHost):
    """The container that is the host, known to Ansible and testinfra by its address and keys alone."""

    def options(self, api: Any, *, docker_volume: str, network: str = "none") -> dict[str, Any]:
        """Return what the engine below is asked for when the container is made.

        Not on Docker's default bridge: the engine inside would then take another subnet for its own.
        """
        return {
            "command": ["sh", "-c", ENTRY],
            "environment": ENVIRONMENT,
            "tty": True,
            "stop_signal": "SIGRTMIN+3",
            "host_config": {
                **api.create_host_config(
                    **CAPABILITIES,
                    network_mode=network,
                    security_opt=CONFINEMENT,
                    device_cgroup_rules=DEVICES,
                    tmpfs={"/run": "", "/run/lock": ""},
                    binds={docker_volume: {"bind": "/var/lib/docker", "mode": "rw"}},
                ),
                **UNMASKED,
            },
        }

    def wait_booted(self, ready: Callable[[], bool], expected: str) -> None:
        """Wait until the host, once started, is ready.

        Raises WaitTimeout with what it still waits for, or SimulationError when it went down.
        """

        def look() -> bool:
            try:
                return ready()
            except docker.errors.APIError:
                if self.running:
                    raise
                raise self._down(expected) from None

        wait_until(look, expected, BOOT_SECONDS, shown=self._unfinished, poll=0.2)

    def _down(self, expected: str) -> SimulationError:
        lines = re.sub(r"\x1b\[[0-9;]*m", "", self.log()).splitlines()
        observed = " / ".join(line.partition(" ")[2].strip() for line in lines[-4:])
        advice = MORE_INSTANCES if NO_INSTANCE in observed else ""
        return SimulationError(
            f"{self.name} went down while it started", expected=expected, observed=observed, advice=advice
        )

    def _unfinished(self) -> str:
        """What its systemd has not done yet, and what it complains of."""
        jobs = self.run("systemctl", "list-jobs", "--no-pager").output[-500:]
        errors = self.run("journalctl", "--boot", "--quiet", "--no-pager", "--priority=err", "--lines=5").output[-500:]
        return f"{jobs}{errors}{MORE_INSTANCES if NO_INSTANCE in errors else ''}"

    @cached_property
    def host_key(self) -> str:
        """Its public SSH key as it stands in known_hosts behind the address."""
        return " ".join(self.read("/etc/ssh/ssh_host_ed25519_key.pub").split()[:2])
