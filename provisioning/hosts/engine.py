"""A host with an engine of its own: a container with systemd, sshd and Docker inside, entered over SSH."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from provisioning.hosts.simulated import SimulatedHost

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

ENTRY = "\n".join(
    [
        "for each in /sys/fs/cgroup/*; do mount -o remount,bind,rw $each 2>/dev/null; done",  # cgroup v1
        "mkdir -p /var/lib/kernel",
        *(
            f"f=/var/lib/kernel/{path.rpartition('/')[2]}; [ -f $f ] || echo '{value}' > $f; mount --bind $f {path}"
            for path, value in KERNEL_SETTINGS.items()
        ),
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

    @cached_property
    def host_key(self) -> str:
        """Its public SSH key as it stands in known_hosts behind the address."""
        return " ".join(self.read("/etc/ssh/ssh_host_ed25519_key.pub").split()[:2])
