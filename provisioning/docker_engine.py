"""The Docker engine: found as the docker CLI finds it, the same one for CLI and SDK."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests
from docker.tls import TLSConfig

from provisioning.errors import EngineError

PROBE_SECONDS = 5.0
"""Seconds that an engine has for its first answer."""

CALL_SECONDS = 120
"""Seconds that an engine has for any later answer."""

OLDEST_API = "1.40"
"""Docker 19.03, the oldest engine that is accepted."""

Report = Callable[[str], None]
"""Shows one line of progress."""


@dataclass(frozen=True)
class Endpoint:
    """Where an engine is, and whose word that was."""

    url: str
    said_by: str
    cert_path: str = ""
    tls_verify: bool = False

    @property
    def chosen(self) -> bool:
        """True where somebody pointed to it; False for the default socket of this machine."""
        return self.said_by != "default"

    @property
    def tls(self) -> TLSConfig | bool:
        """What the SDK wants to know about TLS."""
        if not self.cert_path and not self.tls_verify:
            return False
        folder = Path(self.cert_path or Path.home() / ".docker")
        cert, key, ca = folder / "cert.pem", folder / "key.pem", folder / "ca.pem"
        return TLSConfig(
            client_cert=(str(cert), str(key)) if cert.exists() and key.exists() else None,
            ca_cert=str(ca) if ca.exists() else None,
            verify=self.tls_verify,
        )


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers, to CLI and SDK alike. ``client`` may be used by several threads."""

    client: docker.DockerClient = field(repr=False, compare=False)
    endpoint: str
    id: str
    version: str
    api_version: str = field(default="", repr=False)
    architecture: str = field(default="", repr=False)

    @property
    def local(self) -> bool:
        """True where the engine is reached through a socket of this machine."""
        return self.endpoint.startswith("unix://")

    def __str__(self) -> str:
        return f"Docker {self.version} at {self.endpoint}"


class EngineAbsent(EngineError):
    """Nothing answers at the default socket, or there is no docker CLI: installing or starting may help."""


def connect() -> Engine:
    """Return the engine that the docker CLI uses: DOCKER_HOST, else the current context, else the default.

    DOCKER_HOST and the TLS variables are set in ``os.environ``, so that child processes (testinfra's
    ``docker exec``) reach the same engine whatever becomes of the context. Takes at most about 15 s.

    Raises EngineError: no CLI, nobody answers, no permission, CLI and SDK on different engines, an
    engine too old or not for Linux containers.
    """
    endpoint = resolve()
    told = _ask_cli(endpoint)
    try:
        api_version = str(_client(endpoint, OLDEST_API).api.version(api_version=False)["ApiVersion"])
        client = _client(endpoint, api_version)
        info: dict[str, Any] = client.info()
    except (docker.errors.DockerException, requests.RequestException, OSError, ValueError) as error:
        raise _silent(endpoint, str(error)) from None
    client.api.timeout = CALL_SECONDS
    if info.get("ID") != told.get("ID"):
        raise EngineError(
            "the docker CLI and the Docker SDK reach different engines",
            expected=f"both reach the engine at {endpoint.url}",
            observed=f"CLI ({shutil.which('docker')}): {told.get('ID')}; SDK: {info.get('ID')}",
            advice="set DOCKER_HOST to the engine to be used, and see that `docker` is no wrapper for another engine",
        )
    if tuple(map(int, api_version.split("."))) < tuple(map(int, OLDEST_API.split("."))):
        raise EngineError(
            "the Docker engine is too old",
            expected=f"API {OLDEST_API} or later (Docker 19.03)",
            observed=f"API {api_version} (version {info.get('ServerVersion')}) at {endpoint.url}",
            advice="update the engine, or point DOCKER_HOST to another",
        )
    if info.get("OSType") != "linux":
        raise EngineError(
            "the Docker engine does not run Linux containers",
            expected="an engine for Linux containers",
            observed=f"containers for {info.get('OSType') or 'an unknown system'} at {endpoint.url}",
            advice="switch Docker Desktop to Linux containers, or point DOCKER_HOST to another engine",
        )
    _export(endpoint)
    return Engine(
        client=client,
        endpoint=endpoint.url,
        id=str(info.get("ID", "")),
        version=str(info.get("ServerVersion", "")),
        api_version=api_version,
        architecture=str(info.get("Architecture", "")),
    )


def _client(endpoint: Endpoint, api_version: str) -> docker.DockerClient:
    client = docker.DockerClient(
        base_url=endpoint.url,
        version=api_version,
        timeout=int(PROBE_SECONDS),
        tls=endpoint.tls,
        max_pool_size=32,
        use_ssh_client=endpoint.url.startswith("ssh://"),
    )
    if endpoint.tls:  # else REQUESTS_CA_BUNDLE would replace the engine's own authority
        client.api.trust_env = False
    return client


def resolve() -> Endpoint:
    """Return the endpoint that the docker CLI would use now, without asking whether it answers.

    Raises EngineError: no CLI, or a context that does not exist.
    """
    if url := os.environ.get("DOCKER_HOST"):
        cert_path = os.environ.get("DOCKER_CERT_PATH", "")
        return Endpoint(url, f"DOCKER_HOST={url}", cert_path, bool(os.environ.get("DOCKER_TLS_VERIFY")))
    inspected = _cli("context", "inspect")
    try:
        context = json.loads(inspected.stdout)[0]
        docker_endpoint = context["Endpoints"]["docker"]
        url = str(docker_endpoint["Host"])
    except (ValueError, LookupError, TypeError):
        raise EngineError(
            "the current docker context cannot be used",
            expected="`docker context inspect` shows its endpoint",
            observed=_last_line(inspected.stderr) or "no endpoint of kind docker",
            advice="choose another with `docker context use NAME` or DOCKER_CONTEXT (`docker context ls` lists them)",
        ) from None
    name = str(context.get("Name"))
    said_by = "default" if name == "default" else f"docker context {name}"
    if not context.get("TLSMaterial", {}).get("docker"):
        return Endpoint(url, said_by)
    folder = Path(context["Storage"]["TLSPath"]) / "docker"
    return Endpoint(url, said_by, str(folder), not docker_endpoint.get("SkipTLSVerify"))


def _ask_cli(endpoint: Endpoint) -> dict[str, Any]:
    """Return ``docker info`` of the CLI. Raises EngineError if its engine does not answer."""
    asked = _cli("info", "--format", "{{json .}}")
    try:
        info: dict[str, Any] = json.loads(asked.stdout)
    except ValueError:
        info = {}
    if not info.get("ServerVersion"):
        errors = info.get("ServerErrors") or [_last_line(asked.stderr)]
        raise _silent(endpoint, str(errors[0]))
    return info


def _cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = shutil.which("docker")
    if command is None:
        raise EngineAbsent(
            "there is no docker command",
            expected="`docker` on PATH: testinfra looks into containers with it",
            observed="none",
            advice="install Docker (Debian and Ubuntu: apt-get install docker.io, on Debian 13 docker-cli too)",
        )
    try:
        return subprocess.run(
            [command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PROBE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {PROBE_SECONDS:.0f} s")


def _silent(endpoint: Endpoint, said: str) -> EngineError:
    """Return the error for an engine that gave no usable answer but said that."""
    said = re.sub(r"\s+", " ", said).strip()
    said_by = f" ({endpoint.said_by})" if endpoint.chosen else ""
    if "permission denied" in said.lower() or "errno 13" in said.lower():
        return EngineError(
            "no permission to use the Docker engine",
            expected=f"uid {os.geteuid()} may open {endpoint.url}{said_by}",
            observed=said[:300],
            advice="join the group of the socket (sudo usermod -aG docker $USER, then log in again), or use sudo",
        )
    kind = EngineError if endpoint.chosen else EngineAbsent
    return kind(
        "no Docker engine answers",
        expected=f"an engine at {endpoint.url}{said_by}, within {PROBE_SECONDS:.0f} s",
        observed=said[:300] or "no answer",
        advice=(
            f"start that engine, or choose another: {endpoint.said_by} points there"
            if endpoint.chosen
            else "start Docker, or set DOCKER_HOST to an engine that runs"
        ),
    )


def _export(endpoint: Endpoint) -> None:
    os.environ["DOCKER_HOST"] = endpoint.url
    for name, value in (
        ("DOCKER_CERT_PATH", endpoint.cert_path),
        ("DOCKER_TLS_VERIFY", "1" if endpoint.tls_verify else ""),
    ):
        if value:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else ""
