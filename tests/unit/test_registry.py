"""Where a registry answers, images are pulled: tried with a real registry on loopback."""

from __future__ import annotations

import io
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import docker.errors
import pytest

from provisioning import apt, docker_engine
from provisioning.debian_images import BARE, SIMULATED, WITH_ENGINE, DebianImage, HostKind
from provisioning.docker_engine import Engine
from provisioning.images import find, host_image, server_image
from provisioning.waiting import wait_until

pytestmark = [pytest.mark.unit, pytest.mark.slow]


@pytest.fixture(scope="module")
def engine() -> Engine:
    engine = docker_engine.connect()
    if not engine.local:
        pytest.skip("the engine does not share this machine's loopback")
    return engine


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``127.0.0.1:port`` of an empty registry that ends with the tests."""
    if not shutil.which("docker-registry"):
        if not apt.can_install():
            pytest.skip("needs Debian's docker-registry, and may not install it")
        apt.install("docker-registry")
    folder = tmp_path_factory.mktemp("registry")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: '{folder}/data'}}}}\nhttp: {{addr: '{address}'}}\n"
    )
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(["docker-registry", "serve", config], stdout=output, stderr=output) as process,
    ):
        try:
            wait_until(lambda: answers(address), "the registry listens", 10, shown=log.read_text)
            yield address
        finally:
            process.terminate()


def answers(address: str) -> bool:
    host, port = address.split(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def push(engine: Engine, reference: str) -> None:
    """Push an image and remove it from the engine. Raises AssertionError with what the engine said."""
    said = engine.client.images.push(reference)
    assert "errorDetail" not in said, said
    engine.client.images.remove(reference)


def test_server_image_is_pulled(engine: Engine, registry: str) -> None:
    """An explicit image that a registry has is pulled; the second time it is there."""
    reference = f"{registry}/redis:8.0.2"
    base = server_image(engine, None, print)
    dockerfile = f"FROM {base.image_id}\nLABEL pushed=yes\n"
    engine.client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=reference, rm=True)
    try:
        push(engine, reference)
        pulled = server_image(engine, reference, print)
        assert (pulled.origin, pulled.server, pulled.version) == ("pulled", base.server, base.version)
        assert (pulled.uid, pulled.gid) == (base.uid, base.gid)
        again = server_image(engine, reference, print)
        assert (again.origin, again.image_id) == ("already present", pulled.image_id)
    finally:
        remove(engine, reference)


@pytest.mark.parametrize(
    ("kind", "tools"),
    [
        (SIMULATED, "ss tc iptables ps"),
        (WITH_ENGINE, "dockerd docker systemctl sshd python3"),
        (BARE, "systemctl sshd python3 apt-get"),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_host_image_is_built_on_a_pulled_base(engine: Engine, registry: str, kind: HostKind, tools: str) -> None:
    """Where a registry has the base, a host's image is built from the Dockerfile, and has its tools."""
    if not shutil.which("mmdebstrap") and not apt.can_install():
        pytest.skip("needs mmdebstrap to make a base")
    base, made, progress = f"{registry}/debian:{kind.suite}", "", list[str]()
    DebianImage(kind.suite, ("apt",)).build(engine, base)
    try:
        push(engine, base)
        made = host_image(engine, progress.append, kind, base=base)
        if any("building from Debian packages" in line for line in progress):
            pytest.skip(f"containers do not reach a Debian mirror here: {progress[-1]}")
        assert f"{kind.name:<8} building from {base}" in progress
        shown = engine.client.containers.run(made, ["bash", "-c", f"type -P {tools}"], remove=True)
        assert len(shown.split()) == len(tools.split())
    finally:
        remove(engine, base)
        if made:
            remove(engine, made)


def remove(engine: Engine, reference: str) -> None:
    if find(engine, reference):
        with suppress(docker.errors.APIError):
            engine.client.images.remove(reference)
