"""Images: what is present is used, the default has a fallback, an explicit image has none."""

from __future__ import annotations

import io
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import docker.errors
import pytest

from provisioning import debian_images, images, registry
from provisioning.debian_images import RECIPE_LABEL, DebianImage
from provisioning.docker_engine import Engine
from provisioning.errors import ImageError
from provisioning.images import ServerImage, host_image, server_image
from provisioning.server_identity import ServerIdentity, parse_identity
from tests.unit.conftest import Starting

pytestmark = pytest.mark.unit

NOWHERE = "127.0.0.1:1/nobody/nothing:1"
"""A reference to a registry that nobody runs."""


@pytest.fixture
def own_tag(engine: Engine) -> Iterator[str]:
    """A reference of this test's own; images with it are removed afterwards."""
    reference = f"redis-gauntlet-test/{uuid.uuid4().hex[:12]}:1"
    yield reference
    with suppress(docker.errors.ImageNotFound):
        engine.client.images.remove(reference)


@pytest.fixture
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("REDIS_GAUNTLET_STATE", str(tmp_path))
    return tmp_path


def test_default_that_is_present(
    engine: Engine, server: ServerImage, own_tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default image is used as it is where it is present: no pull, no build."""
    engine.client.images.get(server.image_id).tag(*own_tag.split(":"))
    monkeypatch.setattr(images, "DEFAULT_SERVER_IMAGE", own_tag)
    monkeypatch.setattr(images, "pull", None)
    found = server_image(engine, None, print)
    assert (found.reference, found.origin, found.image_id) == (own_tag, "already present", server.image_id)
    assert (found.server, found.version) == (server.server, server.version)


def test_default_falls_back_and_remembers(
    engine: Engine, server: ServerImage, own_tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no registry answers the default is built, once: the next time neither pull nor build is tried."""
    built: list[str] = []

    def build(self: DebianImage, engine: Engine, reference: str) -> None:
        built.append(reference)
        dockerfile = f"FROM {server.image_id}\nLABEL {RECIPE_LABEL}={self.recipe}\n"
        engine.client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=reference, rm=True)

    monkeypatch.setattr(images, "DEFAULT_SERVER_IMAGE", NOWHERE)
    monkeypatch.setattr(images, "FALLBACK_SERVER_IMAGE", own_tag)
    monkeypatch.setattr(DebianImage, "build", build)
    first = server_image(engine, None, print)
    assert (first.reference, first.origin) == (own_tag, "built from Debian packages")
    assert "connection refused" in first.why
    assert built == [own_tag]
    monkeypatch.setattr(images, "pull", None)
    second = server_image(engine, None, print)
    assert (second.reference, second.origin, second.image_id) == (own_tag, first.origin, first.image_id)
    assert built == [own_tag]


def test_neither_pulled_nor_built(engine: Engine, own_tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the default can be neither pulled nor built, the message has both reasons."""

    def build(self: DebianImage, engine: Engine, reference: str) -> None:
        raise ImageError("no", observed="the mirror is down")

    monkeypatch.setattr(images, "DEFAULT_SERVER_IMAGE", NOWHERE)
    monkeypatch.setattr(images, "FALLBACK_SERVER_IMAGE", own_tag)
    monkeypatch.setattr(DebianImage, "build", build)
    with pytest.raises(ImageError, match="neither be pulled nor built") as caught:
        server_image(engine, None, print)
    assert "connection refused" in caught.value.observed
    assert "the mirror is down" in caught.value.observed


def test_unknown_image_has_no_fallback(engine: Engine) -> None:
    """An explicit image that cannot be had is an error with the engine's own words, not another image."""
    with pytest.raises(ImageError, match=NOWHERE) as caught:
        server_image(engine, NOWHERE, print)
    assert "connection refused" in caught.value.observed
    assert caught.value.advice


def test_invalid_reference(engine: Engine) -> None:
    """What is no image reference is said to be none."""
    with pytest.raises(ImageError, match="no image reference"):
        server_image(engine, "No Reference", print)


def test_unknown_suite(engine: Engine) -> None:
    """An image of ours that has no recipe is refused with those that have one."""
    with pytest.raises(ImageError) as caught:
        server_image(engine, "redis-gauntlet/redis:potato", print)
    assert "redis-gauntlet/valkey:sid" in caught.value.expected


def test_image_without_server(engine: Engine, own_tag: str) -> None:
    """An image that holds no server is refused."""
    engine.client.images.get(host_image(engine, print)).tag(*own_tag.split(":"))
    with pytest.raises(ImageError, match="holds no server"):
        server_image(engine, own_tag, print)


def test_silent_registry_is_given_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that accepts connections and says nothing is given up after the time to decide."""
    if not engine.local:
        pytest.skip("the engine does not share this machine's loopback")
    monkeypatch.setattr(registry, "DECIDE_SECONDS", 0.5)
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(ImageError, match="cannot be pulled") as caught:
            registry.pull(engine, f"127.0.0.1:{listener.getsockname()[1]}/redis:1", print)
    assert caught.value.observed.startswith("no progress")
    assert time.monotonic() - began < 60  # a hang would last for ever


@pytest.mark.parametrize(
    ("said", "identity"),
    [
        (
            "server=redis Redis server v=8.0.2 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64\nuid=999 gid=1000\n",
            ServerIdentity("redis", "8.0.2", 999, 1000),
        ),
        ("server=valkey Server v=7.2.5 sha=0:0 malloc=libc\n", ServerIdentity("valkey", "7.2.5", 0, 0)),
        ("server=valkey Valkey server v=9.1.2 sha=0\nuid=1001 gid=0\n", ServerIdentity("valkey", "9.1.2", 1001, 0)),
    ],
)
def test_identity_is_what_the_image_says(said: str, identity: ServerIdentity) -> None:
    """Server, exact version and user are read from what the image says of itself; no user means root."""
    assert parse_identity("x", said) == identity


def test_identity_is_asked_once(
    engine: Engine, server: ServerImage, own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image is asked once, its container is removed, and the answer is remembered by image id."""
    before = {each.id for each in engine.client.containers.list(all=True, filters={"ancestor": server.image_id})}
    first = images.identify(engine, server.reference, server.image_id)
    after = {each.id for each in engine.client.containers.list(all=True, filters={"ancestor": server.image_id})}
    assert not {each for each in after - before if is_probe(engine, each)}
    monkeypatch.setattr(images, "_ask", None)
    assert images.identify(engine, server.reference, server.image_id) == first
    assert (first.server, first.version) == (server.server, server.version)


def is_probe(engine: Engine, container_id: str | None) -> bool:
    try:
        return bool(engine.client.containers.get(str(container_id)).attrs["Config"]["Entrypoint"][:2] == ["sh", "-c"])
    except docker.errors.NotFound:
        return False


def test_host_image_has_the_tools(engine: Engine) -> None:
    """The host image has every tool that looking at a host and breaking it needs, and no Redis."""
    tools = "ss ip tc iptables ps bash sh kill stat id sha256sum timeout nc ping find"
    script = f"for each in {tools}; do command -v $each >/dev/null || echo no $each; done; command -v redis-cli || true"
    said = engine.client.containers.run(
        host_image(engine, print), ["sh", "-c", script], remove=True, labels={"redis-gauntlet": "1"}
    )
    assert said == b""


def test_recipe_decides_the_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another recipe is another image: whatever goes in changes the hash, and nothing else does."""
    assert debian_images.host().recipe == debian_images.host().recipe
    assert debian_images.server("redis", "trixie").recipe != debian_images.server("redis", "bookworm").recipe
    monkeypatch.setattr(debian_images, "SERVER_ID", 998)
    changed = debian_images.server("redis", "trixie").recipe
    monkeypatch.undo()
    assert changed != debian_images.server("redis", "trixie").recipe


def test_debian_image_behaves_like_the_official(started: Starting, server: ServerImage) -> None:
    """The image from Debian packages runs the server as uid 999 without capabilities, and owns /data."""
    if server.origin != "built from Debian packages":
        pytest.skip("the official image is used here")
    assert (server.uid, server.gid) == (999, 999)
    look = "sed -n 's/^Uid:\\t//p; s/^CapEff:\\t//p' /proc/1/status; stat -c %u:%g /data"
    with started("--port", "7000", "--save", "") as container:
        assert container.run("sh", "-c", look).output == "999\t999\t999\t999\n0000000000000000\n999:999\n"
