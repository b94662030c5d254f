"""The two images of a simulation: the user's server image, unmodified, and our host image."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Literal

import docker.errors
import requests
from docker.models.containers import Container

from provisioning import debian_images
from provisioning.debian_images import RECIPE_LABEL, RECIPES, SIMULATED, DebianImage, HostKind
from provisioning.docker_engine import Engine, Report
from provisioning.errors import ImageError
from provisioning.ownership import Run
from provisioning.registry import pull
from provisioning.server_identity import PROBE, ServerIdentity, parse_identity
from provisioning.state import held, state_dir

DEFAULT_SERVER_IMAGE = "redis:8.0.2"
"""The official image that is tested where nobody asks for another."""

FALLBACK_SERVER_IMAGE = "redis-gauntlet/redis:trixie"
"""The same from Debian's packages (trixie has Redis 8.0.2), for where no registry answers."""

SUITES = {"redis": ("bullseye", "bookworm", "trixie"), "valkey": ("trixie", "sid")}
"""Suites that have the server: redis 6.0, 7.0, 8.0; valkey 8.1, 9.1."""

PROBE_SECONDS = 30

Origin = Literal["already present", "pulled", "built from Debian packages"]


@dataclass(frozen=True)
class ServerImage:
    """A server image on the engine: what is in it, and how it came there.

    ``version`` is the server's own exact word. ``uid`` and ``gid`` are those the server runs with.
    ``why`` says why an image was built instead of pulled; else it is empty.
    """

    reference: str
    image_id: str = field(repr=False)
    origin: Origin
    server: str
    version: str
    uid: int
    gid: int
    why: str = ""

    def __str__(self) -> str:
        return f"{self.server} {self.version} from {self.reference}, {self.origin}{self.why and ': ' + self.why}"


def server_image(engine: Engine, requested: str | None, report: Report, *, ask_registry: bool = False) -> ServerImage:
    """Return the image to be tested: the one requested, else the default; pulled or built if missing.

    An image that is present is used as it is, without network. Where the default is missing and no
    registry answers, it is built from Debian packages; that one is then used until ``ask_registry``
    tries the registry again. ``redis-gauntlet/<server>:<suite>`` is always built here.

    Raises ImageError: unknown, or neither pullable nor buildable. An explicit image has no fallback.
    """
    wanted = requested or DEFAULT_SERVER_IMAGE
    if match := re.fullmatch(r"redis-gauntlet/(\w+):(\w+)", wanted):
        return _built(engine, wanted, _recipe(*match.groups()), report, "")
    if not ask_registry and (image_id := find(engine, wanted)):
        return _described(engine, wanted, image_id, "already present", "")
    fallback = _recipe("redis", "trixie") if wanted == DEFAULT_SERVER_IMAGE else None
    if fallback and not ask_registry and _is_built(engine, FALLBACK_SERVER_IMAGE, fallback):
        return _built(
            engine, FALLBACK_SERVER_IMAGE, fallback, report, f"{wanted} was not pulled (`make setup PULL=1` asks again)"
        )
    report(f"server   pulling {wanted}")
    try:
        pull(engine, wanted, report)
    except ImageError as error:
        if image_id := find(engine, wanted):
            return _described(engine, wanted, image_id, "already present", f"not pulled again: {error.observed}")
        if fallback is None:
            raise
        try:
            return _built(engine, FALLBACK_SERVER_IMAGE, fallback, report, f"{wanted} not pulled: {error.observed}")
        except ImageError as no_build:
            raise _neither(wanted, error, no_build) from None
    return _described(engine, wanted, _require(engine, wanted), "pulled", "")


def host_image(engine: Engine, report: Report, kind: HostKind = SIMULATED, *, base: str = "") -> str:
    """Return the reference of our image for that kind of host, made if missing.

    Made with the Dockerfile where a registry has its base (``base`` names another), else from Debian
    packages. The tag is a hash of the recipe. Raises ImageError with both reasons.
    """
    recipe = debian_images.host(kind)
    dockerfile = (RECIPES / "host.Dockerfile").read_text()
    digest = hashlib.sha256(f"{recipe.recipe}{dockerfile}{base}".encode()).hexdigest()[:12]
    reference = f"redis-gauntlet/{kind.name}:{digest}"
    if find(engine, reference):
        return reference
    with held("images", lambda: report("host     another set-up is building it: waiting")):
        if find(engine, reference):
            return reference
        base = base or kind.base
        try:
            if not find(engine, base):
                report(f"{kind.name:<8} pulling {base}")
                pull(engine, base, report)
            report(f"{kind.name:<8} building from {base}")
            _build(engine, reference, base, kind)
        except ImageError as no_registry:
            report(f"{kind.name:<8} {no_registry.observed}: building from Debian packages")
            try:
                recipe.build(engine, reference)
            except ImageError as no_build:
                raise _neither("host", no_registry, no_build) from None
    return reference


def find(engine: Engine, reference: str) -> str:
    """Return the id of a local image, or an empty string. Raises ImageError if that is no reference."""
    try:
        return str(engine.client.images.get(reference).id)
    except docker.errors.ImageNotFound:
        return ""
    except docker.errors.APIError as error:
        if error.status_code != 400:
            raise
        raise ImageError(
            f"{reference!r} is no image reference",
            expected="repository:tag, repository@digest or an image id",
            observed=str(error.explanation or error),
            advice="correct --server-image",
        ) from None


def _require(engine: Engine, reference: str) -> str:
    if image_id := find(engine, reference):
        return image_id
    raise ImageError(f"{reference} was pulled and is not there", advice=f"look at `docker image inspect {reference}`")


def _described(engine: Engine, reference: str, image_id: str, origin: Origin, why: str) -> ServerImage:
    identity = identify(engine, reference, image_id)
    return ServerImage(reference, image_id, origin, identity.server, identity.version, identity.uid, identity.gid, why)


def _recipe(server: str, suite: str) -> DebianImage:
    if suite not in SUITES.get(server, ()):
        known = " ".join(f"redis-gauntlet/{name}:{each}" for name, suites in SUITES.items() for each in suites)
        raise ImageError(
            f"the image redis-gauntlet/{server}:{suite} cannot be built",
            expected=known,
            observed=f"no Debian suite {suite} with packages of {server} is known here",
            advice="use one of these, or an image of a registry",
        )
    return debian_images.server(server, suite)


def _is_built(engine: Engine, reference: str, recipe: DebianImage) -> bool:
    try:
        return bool(engine.client.images.get(reference).labels.get(RECIPE_LABEL) == recipe.recipe)
    except docker.errors.ImageNotFound:
        return False


def _built(engine: Engine, reference: str, recipe: DebianImage, report: Report, why: str) -> ServerImage:
    if not _is_built(engine, reference, recipe):
        with held("images", lambda: report("server   another set-up is building it: waiting")):
            if not _is_built(engine, reference, recipe):
                report(f"server   {why + ': ' if why else ''}building {reference} from Debian packages")
                recipe.build(engine, reference)
    return _described(engine, reference, _require(engine, reference), "built from Debian packages", why)


def _neither(image: str, no_pull: ImageError, no_build: ImageError) -> ImageError:
    return ImageError(
        f"the {image} image can neither be pulled nor built from Debian packages",
        expected=f"{no_pull.expected}; or: {no_build.expected}",
        observed=f"{no_pull.observed}; and: {no_build.observed}",
        advice=no_build.advice,
    )


def _build(engine: Engine, reference: str, base: str, kind: HostKind) -> None:
    try:
        engine.client.images.build(
            path=str(RECIPES),
            dockerfile="host.Dockerfile",
            tag=reference,
            buildargs={"BASE": base, "PACKAGES": kind.packages_file},
            rm=True,
            forcerm=True,
        )
    except (docker.errors.BuildError, docker.errors.APIError) as error:
        raise ImageError(
            f"the host image cannot be built on {base}",
            expected=f"the packages of {kind.packages_file} install in a container",
            observed=" ".join(str(error).split())[:300],
        ) from None


def identify(engine: Engine, reference: str, image_id: str) -> ServerIdentity:
    """Return what the image holds; the first time a container of it is asked, which is then removed.

    Raises ImageError if there is no server in it, or it does not run.
    """
    remembered = state_dir() / "images" / f"{image_id.removeprefix('sha256:')}.json"
    with suppress(OSError, ValueError, TypeError):
        return ServerIdentity(**json.loads(remembered.read_text()))
    identity = parse_identity(reference, _ask(engine, reference, image_id))
    remembered.parent.mkdir(exist_ok=True)
    unfinished = remembered.with_suffix(".new")
    unfinished.write_text(json.dumps(asdict(identity)) + "\n")
    unfinished.replace(remembered)
    return identity


def _ask(engine: Engine, reference: str, image_id: str) -> str:
    container: Container | None = None
    run = Run.begin()  # so that the container is reaped if this process is killed
    try:
        container = engine.client.containers.create(
            image_id,
            entrypoint=["sh", "-c", PROBE],
            command=[],
            labels=run.labels("server-identity"),
            network_disabled=True,
        )
        container.start()
        container.wait(timeout=PROBE_SECONDS)
        return container.logs().decode(errors="replace")
    except (docker.errors.APIError, requests.RequestException) as error:
        raise ImageError(
            f"the image {reference} does not run",
            expected="a container of it starts and says the server's version",
            observed=" ".join(str(getattr(error, "explanation", None) or error).split())[:300],
            advice="see that it is made for this engine's architecture and holds sh",
        ) from None
    finally:
        if container is not None:
            with suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)
        run.leave()
