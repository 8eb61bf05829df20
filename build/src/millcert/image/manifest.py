"""The JSON of an OCI image (image-spec 1.1): descriptor, config, manifest, index, as canonical bytes."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from millcert.errors import UsageError
from millcert.model import Digest, canonical_json, parse_digest
from millcert.tree import check_path

__all__ = [
    "CONFIG",
    "EMPTY",
    "EMPTY_DIGEST",
    "INDEX",
    "LAYERS",
    "MANIFEST",
    "NAME",
    "Descriptor",
    "ImageFacts",
    "artifact_manifest",
    "image_config",
    "image_index",
    "image_manifest",
    "name_of",
    "parts_of",
    "timestamp",
]

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
NAME = "millcert.name"  # the annotation with a manifest's file name, which its provenance is about
EMPTY = "application/vnd.oci.empty.v1+json"
LAYERS = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
}


@dataclass(frozen=True)
class Descriptor:
    """Some bytes by media type, sha256 and size."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """The descriptor as JSON holds it."""
        fields: dict[str, object] = {"mediaType": self.media_type, "digest": f"sha256:{self.digest}", "size": self.size}
        return fields | {"annotations": dict(self.annotations)} if self.annotations else fields


@dataclass(frozen=True)
class ImageFacts:
    """What an image's config and annotations say; ``created`` in seconds since 1970."""

    title: str
    description: str
    licenses: str
    version: str
    revision: str
    source: str
    platform: str
    created: int
    environment: Mapping[str, str]
    entrypoint: Sequence[str]
    healthcheck: Sequence[str]
    user: str
    folder: str

    def labels(self) -> dict[str, str]:
        """The pre-defined OCI annotation keys, which are also the labels."""
        prefix = "org.opencontainers.image."
        known = {
            "title": self.title, "description": self.description, "licenses": self.licenses, "version": self.version,
            "revision": self.revision, "source": self.source, "created": timestamp(self.created),
        }  # fmt: skip
        return {f"{prefix}{key}": value for key, value in known.items() if value}


def timestamp(seconds: int) -> str:
    """A time as RFC 3339 in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def image_config(facts: ImageFacts, layers: Sequence[tuple[str, Digest]]) -> bytes:
    """The config of an image; ``layers`` are names with the digests of the uncompressed archives."""
    created = timestamp(facts.created)
    process = {
        "User": facts.user,
        "Env": [f"{name}={value}" for name, value in sorted(facts.environment.items())],
        "Entrypoint": list(facts.entrypoint),
        "WorkingDir": facts.folder,
        "Labels": facts.labels(),
        # Docker's field: the OCI specification reserves the name, dockerd honours it, others pass it on
        "Healthcheck": {"Test": ["CMD", *facts.healthcheck], "Interval": 60 * 10**9, "Timeout": 30 * 10**9},
    }
    return canonical_json(
        {
            "architecture": facts.platform,
            "os": "linux",
            "created": created,
            "config": process,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for _, digest in layers]},
            "history": [{"created": created, "created_by": f"millcert: {name}"} for name, _ in layers],
        }
    )


def image_manifest(config: Descriptor, layers: Sequence[Descriptor], annotations: Mapping[str, str]) -> bytes:
    """The manifest whose sha256 is the image's digest."""
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.as_dict(),
            "layers": [layer.as_dict() for layer in layers],
            "annotations": dict(annotations),
        }
    )


def artifact_manifest(kind: str, content: Descriptor, subject: Descriptor, annotations: Mapping[str, str]) -> bytes:
    """A manifest of one blob that refers to ``subject`` (image-spec 1.1, artifact with an empty config)."""
    empty = {"mediaType": EMPTY, "digest": f"sha256:{EMPTY_DIGEST}", "size": 2, "data": "e30="}
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": kind,
            "config": empty,
            "layers": [content.as_dict()],
            "subject": Descriptor(subject.media_type, subject.digest, subject.size).as_dict(),
            "annotations": dict(annotations),
        }
    )


def parts_of(manifest: Mapping[str, Any]) -> list[Descriptor]:
    """The blobs of an image, its config first; KeyError, TypeError or ConfigError where it is no manifest."""
    parts = [manifest["config"], *manifest["layers"]]
    return [Descriptor(part["mediaType"], parse_digest(part["digest"]), int(part["size"])) for part in parts]


def image_index(manifests: Sequence[Mapping[str, object]], annotations: Mapping[str, str] | None = None) -> bytes:
    """An index of manifests, of a layout, of architectures or of referrers."""
    document: dict[str, object] = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [dict(m) for m in manifests]}
    return canonical_json(document | ({"annotations": dict(annotations)} if annotations else {}))


def name_of(manifest: Mapping[str, Any], suffix: str = ".manifest.json") -> str:
    """The file name that a manifest or index has in ``dist/images``; UsageError for one that millcert did not make."""
    annotations = manifest.get("annotations")
    name = annotations.get(NAME) if isinstance(annotations, Mapping) else None
    if not isinstance(name, str) or not name.endswith(suffix) or "/" in name:
        raise UsageError("not an image that millcert made: it has no name to verify", annotation=NAME)
    return check_path(name)


EMPTY_DIGEST = Digest("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")  # sha256 of {}
