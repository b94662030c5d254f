"""The engine is the one that the docker CLI means, and a missing one is one clear message."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioning import docker_engine
from provisioning.docker_engine import Engine, EngineAbsent
from provisioning.errors import EngineError

pytestmark = pytest.mark.unit

NO_HANG_SECONDS = 60
"""The probe gives up after 5 s; the rest is for a loaded machine. A hang would last for ever."""

ROOT = Path(__file__).parents[2]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The engine of this machine; what connecting sets in the environment is undone afterwards."""
    for name in ("DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    return docker_engine.connect()


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CLI configuration of its own, and no DOCKER_HOST."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"):
        monkeypatch.setenv(name, "")
    return tmp_path


def set_up(*prefix: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, sys.executable, "-m", "provisioning.setup"],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def one_message(result: subprocess.CompletedProcess[str]) -> str:
    """Return standard error after checking that it is one message of the house and an exit status."""
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    labels = [line.split(":")[0].strip() for line in result.stderr.splitlines()[1:]]
    assert labels == ["expected", "observed", "what to do"]
    return result.stderr


@contextmanager
def silent_listener() -> Iterator[int]:
    """Yield a loopback port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def fake_engine(info: Mapping[str, object], api_version: str, guard: ssl.SSLContext | None = None) -> Iterator[str]:
    """Yield the endpoint of an HTTP server on loopback that answers what an engine would."""
    version = {"ApiVersion": api_version, "Version": "1", "Os": "linux", "MinAPIVersion": "1.12"}

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"OK"
            if self.path.endswith("/info"):
                body = json.dumps(info).encode()
            elif self.path.endswith("/version"):
                body = json.dumps(version).encode()
            self.send_response(200)
            self.send_header("Api-Version", api_version)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        if guard:
            server.socket = guard.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"tcp://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:1", "unix:///nonexistent/docker.sock", "nonsense://x"])
def test_dead_docker_host(host: str) -> None:
    """A DOCKER_HOST that leads nowhere is one message that names it, within 10 s."""
    began = time.monotonic()
    assert host in one_message(set_up(DOCKER_HOST=host))
    assert time.monotonic() - began < NO_HANG_SECONDS


def test_silent_docker_host() -> None:
    """A DOCKER_HOST that accepts connections and never answers does not hang the set-up."""
    began = time.monotonic()
    with silent_listener() as port:
        assert f"127.0.0.1:{port}" in one_message(set_up(DOCKER_HOST=f"tcp://127.0.0.1:{port}"))
    assert time.monotonic() - began < NO_HANG_SECONDS


def test_unknown_context() -> None:
    """A context that does not exist is one message that names it."""
    assert "no-such-context" in one_message(set_up(DOCKER_HOST="", DOCKER_CONTEXT="no-such-context"))


def test_no_permission(engine: Engine) -> None:
    """A user who may not open the socket is told about the group and sudo, and nothing is installed."""
    if os.geteuid() != 0 or engine.endpoint != "unix:///var/run/docker.sock":
        pytest.skip("needs root, to become another user, and the engine at the default socket")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with tempfile.TemporaryDirectory() as home:
        os.chown(home, 65534, 65534)
        can = subprocess.run([*nobody, sys.executable, "-c", "import docker"], cwd=ROOT, check=False)
        if can.returncode:
            pytest.skip("another user cannot read this tree")
        message = one_message(
            set_up(*nobody, DOCKER_HOST="", HOME=home, DOCKER_CONFIG=home, XDG_STATE_HOME=f"{home}/state")
        )
    assert "no permission" in message
    assert "usermod" in message


def test_no_docker_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a docker CLI the message says that testinfra needs it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineAbsent, match="there is no docker command") as caught:
        docker_engine.connect()
    assert "testinfra" in caught.value.expected


def test_context_decides(engine: Engine, docker_config: Path) -> None:
    """The current context of the CLI is followed, and child processes get its endpoint in DOCKER_HOST."""
    if not engine.local:
        pytest.skip("the engine is not at a socket of this machine")
    with tempfile.TemporaryDirectory() as folder:  # a socket's path is short
        another_way = f"{folder}/s"
        Path(another_way).symlink_to(engine.endpoint.removeprefix("unix://"))
        docker("context", "create", "roundabout", "--docker", f"host=unix://{another_way}")
        docker("context", "use", "roundabout")
        found = docker_engine.connect()
        assert found.endpoint == f"unix://{another_way}"
        assert os.environ["DOCKER_HOST"] == found.endpoint
        assert docker("info", "--format", "{{.ID}}") == found.id == engine.id


def test_docker_host_overrides_context(engine: Engine, docker_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DOCKER_HOST is stronger than a context, as for the CLI."""
    docker("context", "create", "dead", "--docker", "host=tcp://127.0.0.1:1")
    docker("context", "use", "dead")
    monkeypatch.setenv("DOCKER_HOST", engine.endpoint)
    assert docker_engine.connect().id == engine.id


def test_context_with_tls(docker_config: Path) -> None:
    """An engine behind TLS is reached with the files of the context, which child processes get too."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    cert, key = make_certificate(docker_config)
    guard = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(cert))
    guard.load_cert_chain(cert, key)
    guard.verify_mode = ssl.CERT_REQUIRED
    with fake_engine({"ID": "GUARDED", "ServerVersion": "1", "OSType": "linux"}, "1.41", guard) as endpoint:
        docker("context", "create", "guarded", "--docker", f"host={endpoint},ca={cert},cert={cert},key={key}")
        docker("context", "use", "guarded")
        found = docker_engine.connect()
        assert (found.id, found.endpoint) == ("GUARDED", endpoint)
        assert docker("info", "--format", "{{.ID}}") == "GUARDED"
    assert (Path(os.environ["DOCKER_CERT_PATH"]) / "key.pem").read_text() == key.read_text()
    assert os.environ["DOCKER_TLS_VERIFY"] == "1"


def test_cli_on_another_engine(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A docker command that reaches another engine than the SDK is refused, with both ids."""
    wrapper = tmp_path / "docker"
    wrapper.write_text("""#!/bin/sh\necho '{"ID": "SOMEBODY-ELSE", "ServerVersion": "1"}'\n""")
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(EngineError, match="different engines") as caught:
        docker_engine.connect()
    assert "SOMEBODY-ELSE" in caught.value.observed
    assert engine.id in caught.value.observed


@pytest.mark.parametrize(
    ("os_type", "api_version", "said"),
    [("linux", "1.30", "API 1.30"), ("windows", "1.41", "containers for windows")],
)
def test_unfit_engine(monkeypatch: pytest.MonkeyPatch, os_type: str, api_version: str, said: str) -> None:
    """An engine too old, or for other than Linux containers, is refused with what it said of itself."""
    info = {"ID": "X", "ServerVersion": "1", "OSType": os_type}
    with fake_engine(info, api_version) as endpoint:
        monkeypatch.setenv("DOCKER_HOST", endpoint)
        with pytest.raises(EngineError) as caught:
            docker_engine.connect()
    assert said in caught.value.observed


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that is its own authority, and its key."""
    cert, key = folder / "made-cert.pem", folder / "made-key.pem"
    options = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=engine"
    subprocess.run(
        ["openssl", "req", *options.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        capture_output=True,
        check=True,
        timeout=10,
    )
    return cert, key


def docker(*arguments: str) -> str:
    command = shutil.which("docker") or "docker"
    return subprocess.run([command, *arguments], capture_output=True, text=True, check=True, timeout=10).stdout.strip()
