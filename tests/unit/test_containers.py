"""What a command in a container says arrives whole, however late this machine comes to read it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.client import HTTPResponse

import pytest

from provisioning.docker_engine import Engine
from provisioning.errors import SimulationError
from provisioning.hosts.engine import MORE_INSTANCES, EngineHost
from provisioning.hosts.simulated import Container, Exit
from tests.unit.conftest import Starting

pytestmark = pytest.mark.unit

LATE_SECONDS = 0.4
"""Long enough for a command that has begun to end: what it says is then there with the head of the answer."""


@pytest.fixture(scope="module")
def container(started: Starting) -> Iterator[Container]:
    """A container that does nothing."""
    with started("-c", "exec sleep 120", entrypoint=["sh"]) as made:
        yield made


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of the engine are read late, as on a busy machine."""
    begin = HTTPResponse.begin

    def begin_late(response: HTTPResponse) -> None:
        threading.Event().wait(LATE_SECONDS)
        begin(response)

    monkeypatch.setattr(HTTPResponse, "begin", begin_late)


@pytest.mark.usefixtures("late")
def test_what_a_command_says_at_once_is_not_lost(container: Container) -> None:
    """docker-py drops what comes in one piece with the head of an answer: nothing may be said before that is read."""
    assert container.run("echo", "said at once") == Exit(0, "said at once\n")


def test_how_a_command_ends_is_known(container: Container) -> None:
    """Both streams in their order, nothing to read, the environment, an exit code that is not 0."""
    command = 'echo "$SECRET"; echo trouble >&2; cat; printf "no end of line"; exit 3'
    assert container.run("sh", "-c", command, environment={"SECRET": "hidden"}) == Exit(
        3, "hidden\ntrouble\nno end of line"
    )


def test_a_command_that_is_killed_with_its_shell_is_known(container: Container) -> None:
    """What it has said until then is returned, with the engine's exit code."""
    assert container.run("sh", "-c", "echo before; kill -KILL $PPID") == Exit(137, "before\n")


@pytest.mark.parametrize(
    ("last_words", "advice"),
    [("no init found", ""), ("Failed to allocate manager object: Too many open files", MORE_INSTANCES)],
)
def test_a_host_that_goes_down_while_it_starts_says_why(
    engine: Engine, started: Starting, last_words: str, advice: str
) -> None:
    """It is not waited for, its last words are told, and where systemd lacks something of the kernel, what to do."""
    script = f"echo begins; printf '\\033[0;1;31m{last_words}\\033[0m\\n'"
    with started("-c", script, entrypoint=["sh"]) as container:
        host = EngineHost(engine, container.name)
        with pytest.raises(SimulationError) as told:
            host.wait_booted(lambda: host.run("true").code > 255, "the host is up")
    assert (told.value.observed, told.value.advice) == (f"begins / {last_words}", advice)
