"""Images to and from registries: digests kept, nothing under a tag before all of it is there, breaks continued."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from millcert.errors import ConfigError
from millcert.files import place
from millcert.image.errors import DigestError, RegistryError
from millcert.image.index import ImageIndex, Member
from millcert.image.layout import Layout, TaggedManifest
from millcert.image.manifest import EMPTY, EMPTY_DIGEST, INDEX, MANIFEST, Descriptor, name_of, parts_of
from millcert.image.referrers import Artifact, pull_artifacts
from millcert.image.registry import Registry
from millcert.model import parse_digest

__all__ = [
    "Progress",
    "PulledImage",
    "Pushed",
    "Resolved",
    "pull",
    "pull_records",
    "push",
    "push_index",
    "resolve",
]

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
    """The manifest of an image, or an index, and all that refers to it, every digest checked."""

    name: str
    descriptor: Descriptor
    manifest: bytes
    artifacts: tuple[Artifact, ...]


@dataclass(frozen=True)
class Resolved:
    """What a tag or digest names: the manifests of images, and the index that lists them where there is one."""

    images: tuple[tuple[Descriptor, bytes], ...]
    index: tuple[Descriptor, bytes] | None = None


def push(
    layout: Layout, image: TaggedManifest, artifacts: Sequence[Artifact], registry: Registry, tag: str,
    progress: Progress,
) -> Pushed:  # fmt: skip
    """Push an image with what refers to it; the tag moves last, when everything else was read back.

    Without a tag it is there by its digest alone, for an index to list. Raises RegistryError, DigestError; the tag is
    then as it was before.
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
    if tag:
        registry.push_manifest(data, MANIFEST, tag)
    return Pushed(image.descriptor, tag, sent, len(artifacts), fallback)


def push_index(index: ImageIndex, artifacts: Sequence[Artifact], registry: Registry, tag: str) -> Pushed:
    """Put one tag over images of several architectures that are in the registry already, with what refers to the index.

    The tag moves last. Raises RegistryError, DigestError as ``push`` does.
    """
    registry.push_manifest(index.data, INDEX)
    fallback = _push_artifacts(registry, artifacts, index.name, index.descriptor)
    _read_back(registry, index.descriptor, artifacts)
    registry.push_manifest(index.data, INDEX, tag)
    return Pushed(index.descriptor, tag, len(index.data), len(artifacts), fallback)


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


def resolve(registry: Registry, wanted: str, architecture: str = "") -> Resolved:
    """The manifests of images by tag or digest: one, or those of an index, of one architecture where that is named.

    Raises RegistryError where the index has none, DigestError where an image is for another platform than it says.
    """
    descriptor, data = registry.manifest(wanted)
    if descriptor.media_type != INDEX:
        return Resolved(((descriptor, data),))
    found = []
    for member in _members(data):
        if member.platform[0] == "linux" and architecture in ("", member.platform[1]):
            found.append(registry.manifest(f"sha256:{member.descriptor.digest}"))
            _check_platform(registry, found[-1][1], member.platform)
    if not found:
        raise RegistryError(
            "the index has no image for this platform", wanted=f"linux/{architecture or '*'}",
            found=", ".join("/".join(m.platform) for m in _members(data)), index=f"sha256:{descriptor.digest}",
        )  # fmt: skip
    return Resolved(tuple(found), (descriptor, data))


def _members(data: bytes) -> list[Member]:
    try:
        entries = json.loads(data)["manifests"]
        return [
            Member(
                Descriptor(entry["mediaType"], parse_digest(entry["digest"]), int(entry["size"])),
                (str(entry["platform"]["os"]), str(entry["platform"]["architecture"])),
            )
            for entry in entries
            if "platform" in entry
        ]
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise DigestError("not an index of images", reason=error) from error


def _check_platform(registry: Registry, manifest: bytes, platform: tuple[str, str]) -> None:
    config = json.loads(registry.small_blob(parts_of(_manifest(manifest))[0]))
    found = (str(config.get("os")), str(config.get("architecture")))
    if found != platform:
        raise DigestError(
            "the index lists an image under another platform", expected="/".join(platform), found="/".join(found)
        )


def pull_records(registry: Registry, descriptor: Descriptor, data: bytes) -> PulledImage:
    """The manifest of an image, or an index, with everything that refers to it; no blobs of an image."""
    if descriptor.media_type == INDEX:
        name = name_of(json.loads(data), ".index.json")
    else:
        name = name_of(_manifest(data))
    return PulledImage(name, descriptor, data, tuple(pull_artifacts(registry, descriptor.digest)))


def pull(
    registry: Registry, wanted: str, into: Path | None = None, progress: Progress | None = None,
    architecture: str = "amd64",
) -> PulledImage:  # fmt: skip
    """An image's manifest and what refers to it; with ``into``, its blobs too, as ``into/NAME`` with files beside.

    The folder then holds what ``dist/images`` held, and can be verified without a network. ``architecture`` chooses
    where the registry has an index.
    """
    pulled = pull_records(registry, *resolve(registry, wanted, architecture).images[0])
    if into is not None:
        layout = Layout(into / pulled.name.removesuffix(".manifest.json"))
        for part in parts_of(json.loads(pulled.manifest)):
            layout.add_chunks(_shown(registry, part, progress), part)
        layout.add_bytes(pulled.manifest, MANIFEST)
        layout.finish([TaggedManifest(wanted if ":" not in wanted else "", pulled.descriptor)])
        place(into / pulled.name, pulled.manifest)
    return pulled


def _shown(registry: Registry, part: Descriptor, progress: Progress | None) -> Iterator[bytes]:
    done = 0
    for piece in registry.blob(part):
        done += len(piece)
        if progress:
            progress(part.digest, done, part.size)
        yield piece


def _manifest(data: bytes) -> Mapping[str, Any]:
    try:
        document: Mapping[str, Any] = json.loads(data)
        parts_of(document)
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise DigestError("not the manifest of an image", reason=error) from error
    return document
