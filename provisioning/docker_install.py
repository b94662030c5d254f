"""Bring up a Docker engine where none answers: Debian's package, started with systemd or without."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from provisioning import apt, docker_engine
from provisioning.docker_engine import Engine, EngineAbsent, Report
from provisioning.errors import EngineError, WaitTimeout
from provisioning.state import held, state_dir
from provisioning.waiting import wait_until

START_SECONDS = 60.0
"""Seconds that a started engine has until it answers; measured 1 to 4."""

PID_FILES = {
    "dockerd": Path("/var/run/docker.pid"),
    "containerd": Path("/var/run/docker/containerd/containerd.pid"),
}
"""Where an engine that dockerd alone runs keeps the numbers of its processes."""

ADMIN_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where dockerd and iptables are; not on every user's PATH."""


def ensure(report: Report) -> Engine:
    """Return the engine that answers; else install the distribution's, start it, and return that.

    Only the default engine of an apt-based Linux machine is installed or started, as root or with
    passwordless sudo; a DOCKER_HOST or context that points elsewhere is never overridden. Of two
    calls at once one waits for the other.

    Raises EngineError saying what to do.
    """
    try:
        return docker_engine.connect()
    except EngineAbsent as error:
        absent = error
    with held("docker-engine", lambda: report("engine   another set-up is starting it: waiting")):
        try:
            return docker_engine.connect()
        except EngineAbsent:
            _require_rights(absent)
        if not shutil.which("docker"):
            _install_missing(report, cli=True)
            try:
                return docker_engine.connect()  # a CLI may have been all that was missing
            except EngineAbsent:
                pass
        if not dockerd():
            _install_missing(report, cli=False)
        return _start(report)


def _require_rights(absent: EngineError) -> None:
    may_start = apt.root_prefix() is not None and dockerd() and shutil.which("docker")
    if not may_start and not apt.can_install():
        raise EngineError(
            absent.summary,
            expected=absent.expected,
            observed=f"{absent.observed}; and neither root nor passwordless sudo on an apt-based system to install one",
            advice="install and start Docker (docs.docker.com/engine/install), or set DOCKER_HOST to an engine",
        )


def _install_missing(report: Report, *, cli: bool) -> None:
    packages = ["docker-cli"] if cli and apt.available("docker-cli") else ["docker.io", "iptables"]
    report(f"engine   installing {' '.join(packages)}")
    try:
        apt.install(*packages)
        if cli and not shutil.which("docker"):
            apt.install("docker.io", "iptables")
    except apt.PackageError as error:
        raise EngineError(
            error.summary, expected=error.expected, observed=error.observed, advice=error.advice
        ) from None


def dockerd() -> str | None:
    """Return the path of the installed engine, or None."""
    return shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:{ADMIN_PATH}")


def _start(report: Report) -> Engine:
    prefix = apt.root_prefix() or ()
    report("engine   starting")
    if under_systemd():
        started = apt.run([*prefix, "systemctl", "start", "docker"], START_SECONDS)
        if started.returncode:
            raise EngineError(
                "the Docker engine does not start",
                expected="systemctl start docker succeeds",
                observed=started.stderr.strip()[:300],
                advice="look at `journalctl -u docker`",
            )
        return _wait_for(None, "`journalctl -u docker`")
    if already_starting():  # the package's own init script did it
        return _wait_for(None, "/var/log/docker.log")
    if stale := stale_pid_files():
        apt.run([*prefix, "rm", "-f", *map(str, stale)], START_SECONDS)
    log = state_dir() / "dockerd.log"
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{ADMIN_PATH}"}
    with log.open("ab") as output:
        daemon = subprocess.Popen(
            [*prefix, dockerd() or "dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
            env=environment,
        )
    return _wait_for(daemon, str(log))


def _wait_for(daemon: subprocess.Popen[bytes] | None, log: str) -> Engine:
    prefix = apt.root_prefix() or ()
    reason = "no answer"

    def look() -> Engine | None:
        nonlocal reason
        try:
            return docker_engine.connect()
        except EngineAbsent as error:
            reason = error.observed
        except EngineError as error:
            if not prefix or "no permission" not in error.summary:
                raise
            # We started it, and may be root without a password: the socket is ours to hand out,
            # until the engine restarts.
            socket = docker_engine.resolve().url.removeprefix("unix://")
            subprocess.run([*prefix, "chown", str(os.geteuid()), socket], check=False, timeout=10)
        if daemon is not None and daemon.poll() is not None:
            raise EngineError(
                "the Docker engine does not start",
                expected="dockerd keeps running and answers",
                observed=_last_complaint(Path(log)) or f"dockerd ended with status {daemon.returncode}",
                advice=f"look at {log}",
            )
        return None

    try:
        return wait_until(look, "the engine that was started answers", START_SECONDS, shown=lambda: reason, poll=0.2)
    except WaitTimeout as error:
        raise EngineError(
            "the Docker engine was started and does not answer",
            expected=error.expected,
            observed=f"{error.observed} ({error.summary})",
            advice=f"look at {log}",
        ) from None


def under_systemd() -> bool:
    """Return whether systemd runs this machine."""
    return Path("/run/systemd/system").is_dir()


def already_starting() -> bool:
    """Return whether an engine's process is there already."""
    return _process_of(PID_FILES["dockerd"]) == "dockerd"


def stale_pid_files() -> list[Path]:
    """Return the pid files of an engine that died without removing them.

    Once another process has that number, dockerd refuses to start, or takes it for its containerd.
    """
    return [file for name, file in PID_FILES.items() if file.exists() and _process_of(file) != name]


def _process_of(pid_file: Path) -> str:
    """Return the name of the process with the number in that file, empty if there is none."""
    try:
        return Path(f"/proc/{int(pid_file.read_text())}/comm").read_text().strip()
    except (OSError, ValueError):
        return ""


def _last_complaint(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-50:]
    wrong = [line for line in lines if "failed to" in line or "level=fatal" in line or "rror" in line]
    return (wrong or lines or [""])[-1][:300]
