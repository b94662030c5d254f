"""Images made from Debian packages, for where no registry answers: mmdebstrap, then import."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from provisioning import apt
from provisioning.docker_engine import Engine
from provisioning.errors import ImageError

RECIPES = Path(__file__).with_name("recipes")

IMAGE_LABEL = "redis-gauntlet=image"
"""On every image that this project makes."""

RECIPE_LABEL = "redis-gauntlet.recipe"
"""Label with the hash of the recipe: an image of another recipe is made anew."""

SERVER_ID = 999
"""uid and gid of the server's user, as in the official images."""

BUILD_SECONDS = 900

SLIM = tuple(
    f"--dpkgopt=path-exclude=/usr/share/{path}/*"
    for path in ("doc", "man", "info", "locale", "lintian", "bash-completion", "zoneinfo")
)


@dataclass(frozen=True)
class DebianImage:
    """What goes into an image: packages of a suite, shell hooks, and the image's configuration."""

    suite: str
    packages: tuple[str, ...]
    essential_hooks: tuple[str, ...] = ()
    customize_hooks: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    @property
    def recipe(self) -> str:
        """Hash of all that decides the content, Debian's own changes aside."""
        return hashlib.sha256(repr((self, SLIM)).encode()).hexdigest()[:12]

    def build(self, engine: Engine, reference: str) -> None:
        """Make the image and give it the tag ``reference``, which exists only once it is complete.

        Measured 12 s as root. Raises ImageError: mmdebstrap missing and not installable, or failed.
        """
        self._require_mmdebstrap()
        repository, _, tag = reference.rpartition(":")
        with tempfile.TemporaryDirectory(prefix="redis-gauntlet-") as folder:
            tar = Path(folder) / "image.tar"
            self._make(tar)
            labels = (f"LABEL {IMAGE_LABEL}", f"LABEL {RECIPE_LABEL}={self.recipe}")
            answer = engine.client.api.import_image_from_file(
                str(tar), repository=repository, tag=tag, changes=[*self.changes, *labels]
            )
        if "errorDetail" in answer:
            raise ImageError(f"the engine does not import {reference}", observed=answer.strip()[-300:])
        engine.client.images.prune(filters={"dangling": True, "label": IMAGE_LABEL})

    def _make(self, tar: Path) -> None:
        with (
            tar.open("wb") as output,
            subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, text=True
            ) as process,
        ):
            try:
                said = process.communicate(timeout=BUILD_SECONDS)[1]
            except subprocess.TimeoutExpired:
                _end(process)
                raise self._failed(f"E: mmdebstrap did not end within {BUILD_SECONDS} s") from None
            except KeyboardInterrupt:
                _end(process)
                raise
        if process.returncode:
            raise self._failed(said)

    def _command(self) -> Sequence[str]:
        return [
            *(apt.root_prefix() or ()),
            "mmdebstrap",
            "--quiet",
            "--variant=essential",
            f"--include={','.join(self.packages)}",
            '--aptopt=Acquire::Languages "none"',
            *(('--aptopt=Acquire::Check-Valid-Until "false"',) if self.suite == "sid" else ()),
            *SLIM,
            *(f"--essential-hook={hook}" for hook in self.essential_hooks),
            *(f"--customize-hook={hook}" for hook in self.customize_hooks),
            self.suite,
            "-",
            apt.debian_mirror(),
        ]

    def _require_mmdebstrap(self) -> None:
        if shutil.which("mmdebstrap"):
            return
        try:
            apt.install("mmdebstrap", "debian-archive-keyring")
        except apt.PackageError as error:
            raise ImageError(
                f"an image cannot be built from the packages of Debian {self.suite}",
                expected="mmdebstrap on PATH, or the right to install it",
                observed=error.observed,
                advice="install mmdebstrap, or make a registry reachable",
            ) from None

    def _failed(self, said: str) -> ImageError:
        errors = [line for line in said.splitlines() if re.match(r"(E|Err|W):?", line)]
        return ImageError(
            f"an image cannot be built from the packages of Debian {self.suite}",
            expected=f"mmdebstrap installs {', '.join(self.packages)} from {apt.debian_mirror()}",
            observed=(errors or said.splitlines() or ["no message"])[0][:300],
            advice="see that the Debian mirror of this machine's apt can be reached, then run this again",
        )


def _end(process: subprocess.Popen[str]) -> None:
    """End mmdebstrap so that it removes the tree that it works in."""
    with suppress(PermissionError):  # under sudo it is not ours to signal; Ctrl-C has reached it itself
        process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()


def server(name: str, suite: str) -> DebianImage:
    """Return the recipe of a server image: ``redis`` or ``valkey`` of a Debian suite.

    It behaves like the official image where it matters: user of that name with uid and gid 999,
    /data, the same entry point and command.
    """
    script = (RECIPES / "server-entrypoint.sh").read_text().replace("@SERVER@", name)
    encoded = base64.b64encode(script.encode()).decode()
    entrypoint = "/usr/local/bin/docker-entrypoint.sh"
    ids = f"{SERVER_ID}:{SERVER_ID}"
    return DebianImage(
        suite=suite,
        packages=(f"{name}-server", f"{name}-tools"),
        # Before the package is configured: its script leaves a user that exists alone.
        essential_hooks=(
            f'echo "{name}:x:{ids}::/data:/usr/sbin/nologin" >> "$1/etc/passwd"',
            f'echo "{name}:x:{SERVER_ID}:" >> "$1/etc/group"',
        ),
        customize_hooks=(
            f'mkdir "$1/data" && chown {ids} "$1/data"',
            f'echo {encoded} | base64 -d > "$1{entrypoint}" && chmod 755 "$1{entrypoint}"',
        ),
        changes=(
            f'ENTRYPOINT ["{entrypoint}"]',
            f'CMD ["{name}-server"]',
            "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TZ=UTC",
            "WORKDIR /data",
            "VOLUME /data",
            "EXPOSE 6379",
        ),
    )


@dataclass(frozen=True)
class HostKind:
    """A kind of host: what its image is called, the Debian suite, and that suite's image in the registry."""

    name: str
    suite: str
    base: str

    @property
    def packages_file(self) -> str:
        """Which of the recipes' files lists its packages."""
        return f"{self.name}-packages.txt"


SIMULATED = HostKind("host", "trixie", "debian:trixie-20250908-slim")
"""A host without an engine: its nodes are containers beside it."""

WITH_ENGINE = HostKind("engine-host", "bookworm", "debian:bookworm-20250908-slim")
"""A host with systemd, sshd and a Docker engine of its own."""

BARE = HostKind("bare-host", "trixie", "debian:trixie-20250908-slim")
"""A host with systemd, sshd and Python: what a playbook begins with. Of the later suite, so that both are tested."""


def host(kind: HostKind = SIMULATED) -> DebianImage:
    """Return the recipe of a host image, with the packages that the Dockerfile installs too."""
    return DebianImage(
        suite=kind.suite,
        packages=tuple((RECIPES / kind.packages_file).read_text().split()),
        customize_hooks=('rm -f "$1"/etc/ssh/ssh_host_*',),  # no key that every host would have
        changes=(
            'CMD ["sleep", "infinity"]',
            "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TZ=UTC",
        ),
    )
