"""What those unit tests share that need an engine: it, the default server image, and containers for one look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from secrets import token_hex

import pytest

from provisioning import docker_engine
from provisioning.docker_engine import Engine
from provisioning.hosts.simulated import Container
from provisioning.images import ServerImage, server_image
from provisioning.ownership import Run

Starting = Callable[..., AbstractContextManager[Container]]


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine below."""
    return docker_engine.connect()


@pytest.fixture(scope="session")
def server(engine: Engine) -> ServerImage:
    """The default server image."""
    return server_image(engine, None, print)


@pytest.fixture(scope="session")
def started(engine: Engine, server: ServerImage) -> Iterator[Starting]:
    """Starts a container of the server image with a command, and removes it; of a run, so that none stays for good."""
    run = Run.begin()

    @contextmanager
    def start(*command: str, entrypoint: list[str] | None = None) -> Iterator[Container]:
        name = f"redis-gauntlet-{run.id}-{token_hex(4)}"
        made = engine.client.containers.create(
            server.reference,
            list(command),
            name=name,
            entrypoint=entrypoint,
            labels=run.labels(name),
            network_disabled=True,
        )
        try:
            made.start()
            yield Container(engine, name)
        finally:
            made.remove(force=True, v=True)

    yield start
    run.end(engine)
