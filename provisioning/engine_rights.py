"""Whether hosts with engines of their own can be built here: tried, not guessed."""

from __future__ import annotations

from contextlib import suppress
from secrets import token_hex
from typing import Any

import docker.errors

from provisioning.debian_images import WITH_ENGINE
from provisioning.docker_engine import Engine, Report
from provisioning.engine_data import COPY_SECONDS
from provisioning.hosts.engine import EngineHost
from provisioning.images import host_image
from provisioning.ownership import Run

PROBE = "mount -t tmpfs none /mnt && unshare --mount --net --pid --fork true && iptables --list >/dev/null"
"""What an engine in a container needs to be allowed."""


def why_not(engine: Engine, run: Run, report: Report = lambda _: None) -> str:
    """Return in one line why they cannot, empty where they can."""
    api: Any = engine.client.api
    image = host_image(engine, report, WITH_ENGINE)
    host = EngineHost(engine, f"redis-gauntlet-{run.id}-probe-{token_hex(4)}")  # every worker of a run tries
    volume, labels = f"{host.name}-docker", run.labels(host.name)
    options = host.options(api, docker_volume=volume) | {"command": ["sh", "-c", PROBE]}
    try:
        api.create_volume(volume, labels=labels)
        api.create_container(name=host.name, image=image, labels=labels, **options)
        api.start(host.name)
        code = api.wait(host.name, timeout=COPY_SECONDS)["StatusCode"]
        return "" if code == 0 else f"in such a container: {' '.join(host.log().split())[-200:] or f'exit code {code}'}"
    except docker.errors.APIError as problem:
        return f"the engine refuses such a container: {problem.explanation}"
    finally:
        with suppress(docker.errors.APIError):
            api.remove_container(host.name, force=True, v=True)
            api.remove_volume(volume)
