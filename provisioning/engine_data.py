"""What an engine in a container has on its disk: images, put there once and copied for every host."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from provisioning.docker_engine import Engine
from provisioning.errors import SimulationError
from provisioning.hosts.engine import EngineHost

COPY_SECONDS = 120
"""For an image into an engine, or for an engine's data into another volume; a second or two on an idle machine."""


def prepare_volume(
    volume: str, engine: Engine, labels: Mapping[str, str], host_image: str, server_images: Sequence[str]
) -> None:
    """Let one engine take the server images into a new volume, of which each host then gets a copy.

    Raises SimulationError or WaitTimeout.
    """
    api: Any = engine.client.api
    api.create_volume(volume, labels=dict(labels))
    host = EngineHost(engine, volume)
    options = host.options(api, docker_volume=volume)
    api.create_container(name=host.name, image=host_image, labels=dict(labels), **options)
    host.start()
    try:
        host.wait_booted(lambda: host.run("docker", "version").code == 0, "an engine in a container")
        for each in server_images:
            _load(each, host.name)
        host.sure("systemctl", "stop", "docker", "containerd")
    finally:
        api.remove_container(host.name, force=True)


def copy_volume(source: str, target: str, engine: Engine, labels: Mapping[str, str], image: str) -> None:
    """Copy all that is in a volume to another, by cp of that image. Raises SimulationError."""
    api: Any = engine.client.api
    binds = {source: {"bind": "/from", "mode": "ro"}, target: {"bind": "/to", "mode": "rw"}}
    made = api.create_container(
        image=image,
        command=["cp", "-a", "/from/.", "/to/"],
        labels=dict(labels),
        host_config=api.create_host_config(binds=binds),
    )
    api.start(made["Id"])
    code = api.wait(made["Id"], timeout=COPY_SECONDS)["StatusCode"]
    api.remove_container(made["Id"], force=True)
    if code:
        raise SimulationError(f"the volume {source} cannot be copied", observed=f"cp ended with {code}")


def _load(image: str, container: str) -> None:
    """Copy an image from the engine below into the one in that container. Raises SimulationError."""
    with _piped(["docker", "save", image]) as saved:
        loaded = subprocess.run(
            ["docker", "exec", "--interactive", container, "docker", "load", "--quiet"],
            stdin=saved.stdout,
            capture_output=True,
            text=True,
            timeout=COPY_SECONDS,
            check=False,
        )
    if loaded.returncode:
        raise SimulationError(f"{image} cannot be copied into an engine", observed=loaded.stderr.strip()[-300:])


@contextmanager
def _piped(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()
