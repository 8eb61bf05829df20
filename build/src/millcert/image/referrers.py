"""What refers to an image (signatures, SBOM, provenance), as files beside its manifest and as OCI artifacts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from millcert.errors import ConfigError
from millcert.files import place
from millcert.image.errors import ReferrerError
from millcert.image.manifest import MANIFEST, Descriptor, artifact_manifest
from millcert.image.registry import Registry
from millcert.model import Digest, digest_of, parse_digest

__all__ = [
    "ALL_KINDS",
    "INDEX_KINDS",
    "Artifact",
    "Kind",
    "artifacts_beside",
    "check_artifacts",
    "place_artifacts",
    "pull_artifacts",
]

Kind = Literal["sbom", "provenance", "signature"]

ALL_KINDS: tuple[Kind, ...] = ("sbom", "provenance", "signature")
INDEX_KINDS: tuple[Kind, ...] = ("provenance", "signature")  # of an index: its images have the packages
_TYPES: Mapping[Kind, str] = {
    "sbom": "application/vnd.cyclonedx+json",
    "provenance": "application/vnd.in-toto+json",
    "signature": "application/vnd.dev.sigstore.bundle.v0.3+json",
}
_SUFFIXES: Mapping[Kind, str] = {"sbom": ".cdx.json", "provenance": ".provenance.json", "signature": ".sigstore.json"}
_TITLE = "org.opencontainers.image.title"
_MOST_REFERRERS = 256


@dataclass(frozen=True)
class Artifact:
    """One thing that refers to an image."""

    kind: Kind
    data: bytes

    def blob(self, name: str) -> Descriptor:
        """The descriptor of its bytes."""
        return Descriptor(
            _TYPES[self.kind], digest_of(self.data), len(self.data), {_TITLE: name + _SUFFIXES[self.kind]}
        )

    def manifest(self, name: str, subject: Descriptor) -> bytes:
        """The artifact manifest that refers to ``subject``."""
        return artifact_manifest(_TYPES[self.kind], self.blob(name), subject, {_TITLE: name + _SUFFIXES[self.kind]})

    def entry(self, name: str, subject: Descriptor) -> dict[str, object]:
        """Its entry in a list of referrers."""
        data = self.manifest(name, subject)
        described = Descriptor(MANIFEST, digest_of(data), len(data)).as_dict()
        return {**described, "artifactType": _TYPES[self.kind], "annotations": {_TITLE: name + _SUFFIXES[self.kind]}}


def artifacts_beside(manifest: Path) -> list[Artifact]:
    """The files beside a manifest that are about it, in a fixed order."""
    found = []
    for kind in ALL_KINDS:
        single = manifest.with_name(manifest.name + _SUFFIXES[kind])
        further = manifest.parent.glob(f"{manifest.name}.*{_SUFFIXES[kind]}") if kind == "signature" else ()
        found += [Artifact(kind, path.read_bytes()) for path in [single, *sorted(further)] if path.is_file()]
    return found


def place_artifacts(artifacts: Iterable[Artifact], manifest: Path) -> list[Path]:
    """Write artifacts beside a manifest, so that it can be verified offline; the signature files are returned."""
    bundles: list[Path] = []
    for artifact in artifacts:
        label = f".{len(bundles) + 1}" if artifact.kind == "signature" and bundles else ""
        path = manifest.with_name(f"{manifest.name}{label}{_SUFFIXES[artifact.kind]}")
        place(path, artifact.data)
        bundles += [path] if artifact.kind == "signature" else []
    return bundles


def pull_artifacts(registry: Registry, digest: Digest) -> list[Artifact]:
    """Everything of a known kind that refers to an image.

    Raises ReferrerError for an artifact about another image, DigestError for bytes that are not its own.
    """
    kinds = {media_type: kind for kind, media_type in _TYPES.items()}
    found = []
    for entry in registry.referrers(digest)[:_MOST_REFERRERS]:
        if entry.get("artifactType") not in kinds:
            continue
        descriptor, data = registry.manifest(f"sha256:{parse_digest(entry['digest'])}")
        found.append(Artifact(kinds[entry["artifactType"]], registry.small_blob(_content(data, descriptor, digest))))
    return found


def _content(data: bytes, descriptor: Descriptor, digest: Digest) -> Descriptor:
    try:
        document: Mapping[str, Any] = json.loads(data)
        about = parse_digest(document["subject"]["digest"])
        (layer,) = document["layers"]
        content = Descriptor(layer["mediaType"], parse_digest(layer["digest"]), int(layer["size"]))
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise ReferrerError("a referrer that is not an artifact", sha256=descriptor.digest, reason=error) from error
    if about != digest:
        raise ReferrerError("a referrer is about another image", expected=digest, found=about)
    return content


def check_artifacts(artifacts: Iterable[Artifact], digest: Digest, wanted: Sequence[Kind] = ALL_KINDS) -> None:
    """That all wanted kinds are there, SBOM and provenance about this very image; ReferrerError if not."""
    kinds: dict[Kind, list[Artifact]] = {"sbom": [], "provenance": [], "signature": []}
    for artifact in artifacts:
        kinds[artifact.kind].append(artifact)
    if missing := [kind for kind in wanted if not kinds[kind]]:
        raise ReferrerError(
            f"nothing of this kind refers to the image: {', '.join(missing)}",
            image=f"sha256:{digest}", found=", ".join(kind for kind, some in kinds.items() if some) or "nothing",
            fix="push the image again with its files beside it, or ask the registry's operator where they went",
        )  # fmt: skip
    for artifact in [*kinds["sbom"], *kinds["provenance"]]:
        about = _subject(artifact)
        if about != digest:
            raise ReferrerError(f"the {artifact.kind} is about another image", expected=digest, found=about)


def _subject(artifact: Artifact) -> object:
    try:
        document = json.loads(artifact.data)
        if artifact.kind == "sbom":
            return document["metadata"]["component"]["hashes"][0]["content"]
        (subject,) = document["subject"]
        return subject["digest"]["sha256"]
    except (ValueError, KeyError, TypeError, IndexError, ConfigError) as error:
        raise ReferrerError(f"the {artifact.kind} cannot be read", reason=error) from error
