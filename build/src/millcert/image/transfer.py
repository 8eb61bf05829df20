"""Images to and from registries: digests kept, nothing under a tag before all of it is there, breaks continued."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from millcert.errors import UsageError
from millcert.image.errors import DigestError, RegistryError
from millcert.image.layout import Layout, TaggedManifest
from millcert.image.manifest import EMPTY, EMPTY_DIGEST, INDEX, MANIFEST, NAME, Descriptor, parts_of
from millcert.image.referrers import Artifact, pull_artifacts
from millcert.image.registry import Registry
from millcert.model import parse_digest
from millcert.tree import check_path
from millcert.wheel.release import place

__all__ = ["Progress", "PulledImage", "Pushed", "name_of", "pull", "push", "resolve"]

Progress = Callable[[str, int, int], None]  # a blob, the bytes of it that are there, its size


@dataclass(frozen=True)
class Pushed:
    """An image in a registry: bytes that were sent, and how referrers were recorded."""

    descriptor: Descriptor
    tag: str
    sent: int
    referrers: int
    by_fallback: bool


@dataclass(frozen=True)
class PulledImage:
    """An image's manifest and all that refers to it, every digest checked."""

    name: str
    descriptor: Descriptor
    manifest: bytes
    artifacts: tuple[Artifact, ...]


def push(
    layout: Layout, image: TaggedManifest, artifacts: Sequence[Artifact], registry: Registry, tag: str,
    progress: Progress,
) -> Pushed:  # fmt: skip
    """Push an image with what refers to it; the tag moves last, when everything else was read back.

    Raises RegistryError, DigestError; the tag is then as it was before.
    """
    manifest = layout.json(image.descriptor)
    sent = 0
    for part in parts_of(manifest):
        fresh = registry.push_blob(layout.path(part), part, partial(_report, progress, part))
        sent += part.size if fresh else 0
    data = layout.read(image.descriptor)
    registry.push_manifest(data, MANIFEST)
    fallback = _push_artifacts(registry, artifacts, name_of(manifest), image.descriptor)
    _read_back(registry, image.descriptor, artifacts)
    registry.push_manifest(data, MANIFEST, tag)
    return Pushed(image.descriptor, tag, sent, len(artifacts), fallback)


def _push_artifacts(registry: Registry, artifacts: Sequence[Artifact], name: str, subject: Descriptor) -> bool:
    empty = Descriptor(EMPTY, EMPTY_DIGEST, 2)
    fallback = False
    for artifact in artifacts:
        registry.push_blob(b"{}", empty, _unseen)
        registry.push_blob(artifact.data, artifact.blob(name), _unseen)
        if not registry.push_manifest(artifact.manifest(name, subject), MANIFEST):
            registry.add_to_fallback(subject.digest, artifact.entry(name, subject))
            fallback = True
    return fallback


def _report(progress: Progress, part: Descriptor, sent: int) -> None:
    progress(part.digest, sent, part.size)


def _unseen(sent: int) -> None:
    """Artifacts are small; their progress is not shown."""


def _read_back(registry: Registry, image: Descriptor, artifacts: Sequence[Artifact]) -> None:
    registry.manifest(f"sha256:{image.digest}")
    found = {(artifact.kind, artifact.data) for artifact in pull_artifacts(registry, image.digest)}
    if lost := [artifact.kind for artifact in artifacts if (artifact.kind, artifact.data) not in found]:
        raise RegistryError(
            "the registry took what refers to the image and does not list it",
            lost=", ".join(lost), fix="push again; no tag was moved",
        )  # fmt: skip


def resolve(registry: Registry, wanted: str) -> tuple[Descriptor, bytes]:
    """An image's own manifest by tag or digest, through an index where there is one; amd64 is what we build."""
    descriptor, data = registry.manifest(wanted)
    if descriptor.media_type != INDEX:
        return descriptor, data
    for entry in json.loads(data)["manifests"]:
        platform = entry.get("platform", {})
        if (platform.get("os"), platform.get("architecture")) == ("linux", "amd64"):
            return registry.manifest(f"sha256:{parse_digest(entry['digest'])}")
    raise RegistryError("the index has no image for linux/amd64", index=f"sha256:{descriptor.digest}")


def pull(registry: Registry, wanted: str, into: Path | None = None, progress: Progress | None = None) -> PulledImage:
    """An image's manifest and what refers to it; with ``into``, its blobs too, as ``into/NAME`` with files beside.

    The folder then holds what ``dist/images`` held, and can be verified without a network.
    """
    descriptor, data = resolve(registry, wanted)
    manifest = _manifest(data)
    name = name_of(manifest)
    pulled = PulledImage(name, descriptor, data, tuple(pull_artifacts(registry, descriptor.digest)))
    if into is not None:
        layout = Layout(into / name.removesuffix(".manifest.json"))
        for part in parts_of(manifest):
            layout.add_chunks(_shown(registry, part, progress), part)
        layout.add_bytes(data, MANIFEST)
        layout.finish([TaggedManifest(wanted if ":" not in wanted else "", descriptor)])
        place(into / name, data)
    return pulled


def _shown(registry: Registry, part: Descriptor, progress: Progress | None) -> Iterator[bytes]:
    done = 0
    for piece in registry.blob(part):
        done += len(piece)
        if progress:
            progress(part.digest, done, part.size)
        yield piece


def name_of(manifest: Mapping[str, Any]) -> str:
    """The file name an image's manifest has in ``dist/images``; UsageError for an image that millcert did not make."""
    name = manifest.get("annotations", {}).get(NAME, "")
    if not isinstance(name, str) or not name.endswith(".manifest.json") or "/" in name:
        raise UsageError("not an image that millcert made: it has no name to verify", annotation=NAME)
    return check_path(name)


def _manifest(data: bytes) -> Mapping[str, Any]:
    try:
        document: Mapping[str, Any] = json.loads(data)
        parts_of(document)
    except (ValueError, KeyError, TypeError) as error:
        raise DigestError("not the manifest of an image", reason=error) from error
    return document
