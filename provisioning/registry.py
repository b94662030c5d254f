"""Pull an image, with the decision that no registry answers made in seconds."""

from __future__ import annotations

import queue
import re
import threading
import time
from typing import Any

import docker.errors
import requests
from docker.utils import parse_repository_tag

from provisioning.docker_engine import Engine, Report
from provisioning.errors import ImageError

DECIDE_SECONDS = 8.0
"""Seconds a registry has for its first word."""

STALL_SECONDS = 60.0
"""Seconds a pull may go without any progress."""


def pull(engine: Engine, reference: str, report: Report) -> None:
    """Have the engine pull ``reference``; several seconds of silence end it.

    Raises ImageError with the engine's own words. An abandoned pull is ended by its read timeout
    or with this process, whichever is first.
    """
    events: queue.Queue[dict[str, Any] | None] = queue.Queue()
    threading.Thread(target=_stream, args=(engine, reference, events), daemon=True, name="pull").start()
    began, patience, layers = time.monotonic(), DECIDE_SECONDS, 0
    while True:
        try:
            event = events.get(timeout=patience)
        except queue.Empty:
            raise _refused(reference, "no progress", began) from None
        if event is None:
            return
        if "error" in event:
            raise _refused(reference, str(event["error"]), began)
        if event.get("status") == "Pull complete":
            layers += 1
            report(f"pull     {reference}: layer {layers} complete")
        patience = STALL_SECONDS


def _stream(engine: Engine, reference: str, events: queue.Queue[dict[str, Any] | None]) -> None:
    repository, tag = parse_repository_tag(reference)
    try:
        for event in engine.client.api.pull(repository, tag=tag or "latest", stream=True, decode=True):
            events.put(event)
        events.put(None)
    except docker.errors.APIError as error:
        events.put({"error": str(error.explanation or error)})
    except (docker.errors.DockerException, requests.RequestException, OSError, ValueError) as error:
        events.put({"error": str(error)})


def _refused(reference: str, said: str, began: float) -> ImageError:
    short = re.sub(r'^Get "[^"]*": (dial tcp: )?', "", " ".join(said.split()))[:300]
    return ImageError(
        f"the image {reference} cannot be pulled",
        expected=f"{reference} on this engine, or in a registry that the engine reaches",
        observed=f"{short} (after {time.monotonic() - began:.1f} s)",
        advice="check the name and tag; log in with `docker login` if it is private; or `docker load` it",
    )
