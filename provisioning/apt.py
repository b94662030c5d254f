"""Debian packages on this machine: may we install them, and from which mirror."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache

from provisioning.errors import GauntletError

DEBIAN_MIRROR = "http://deb.debian.org/debian"
"""Debian's own mirror network, used where the machine has no Debian mirror configured."""

INSTALL_SECONDS = 900


class PackageError(GauntletError):
    """A Debian package cannot be installed here."""


@cache
def root_prefix() -> tuple[str, ...] | None:
    """Return what a command as root starts with: nothing, or ``sudo -n``; None without the right."""
    if os.geteuid() == 0:
        return ()
    sudo = shutil.which("sudo")
    if sudo and run([sudo, "-n", "true"], 10).returncode == 0:
        return (sudo, "-n")
    return None


def can_install() -> bool:
    """Return whether this is an apt-based system on which we are root or may be without a password."""
    return bool(shutil.which("apt-get")) and root_prefix() is not None


def install(*packages: str) -> None:
    """Install the packages and what they need, without recommendations; bounded by 15 minutes.

    Raises PackageError: no apt, no right, no network, no such package.
    """
    advice = f"install {' '.join(packages)} yourself, then run this again"
    prefix = root_prefix()
    if prefix is None or not shutil.which("apt-get"):
        raise PackageError(
            f"{' '.join(packages)} cannot be installed",
            expected="an apt-based system, as root or with passwordless sudo",
            observed=f"uid {os.geteuid()}, {'no passwordless sudo' if prefix is None else 'no apt-get'}",
            advice=advice,
        )
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    updated = run([*apt, "update"])
    installed = run([*apt, "-y", "install", "--no-install-recommends", *packages])
    if installed.returncode:
        said = [line for line in (installed.stderr + updated.stderr).splitlines() if line.startswith("E:")]
        raise PackageError(
            f"{' '.join(packages)} cannot be installed",
            expected=f"apt-get install {' '.join(packages)} succeeds",
            observed=said[0] if said else f"exit status {installed.returncode}",
            advice=advice,
        )


def available(package: str) -> bool:
    """Return whether apt knows a package of that name that it could install."""
    policy = run(["apt-cache", "policy", package]).stdout
    return "Candidate:" in policy and "Candidate: (none)" not in policy


def debian_mirror() -> str:
    """Return the URL of the Debian mirror that this machine's apt uses, else of Debian's own."""
    if shutil.which("apt-get"):
        listed = run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(SITE)", "Created-By: Packages"]).stdout
        for line in listed.splitlines():
            origin, _, site = line.partition(" ")
            if origin == "Debian" and site.startswith(("http://", "https://")) and "security" not in site:
                return site
    return DEBIAN_MIRROR


def run(command: Sequence[str], seconds: float = INSTALL_SECONDS) -> subprocess.CompletedProcess[str]:
    """Run a command without input, for at most that long; one that does not end has failed."""
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"E: {command[0]} did not end within {seconds:.0f} s")
