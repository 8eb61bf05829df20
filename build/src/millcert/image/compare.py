"""Two images side by side: which packages, layers and files differ, and by how many bytes."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from millcert.errors import UsageError
from millcert.image.manifest import LAYERS

__all__ = ["Change", "ImageContents", "compare", "package_facts", "read_layer"]

What = Literal["package", "layer", "file"]


@dataclass(frozen=True)
class Change:
    """One thing that differs; ``before`` or ``after`` is empty where it exists on one side only. Sizes in bytes."""

    what: What
    name: str
    before: str
    after: str
    size_before: int
    size_after: int

    def as_dict(self) -> dict[str, object]:
        """The change as JSON has it."""
        return {key: getattr(self, key) for key in ("what", "name", "before", "after", "size_before", "size_after")}


@dataclass(frozen=True)
class ImageContents:
    """What is compared: packages from the SBOM, layers from the manifest, files of the layers that differ."""

    packages: Mapping[str, tuple[str, int]]
    layers: Mapping[str, tuple[str, int]]
    files: Mapping[str, tuple[str, int]]


def compare(before: ImageContents, after: ImageContents) -> list[Change]:
    """Every difference: packages first, then layers, then files, each in the order of their names."""
    found: list[Change] = []
    pairs: list[tuple[What, Mapping[str, tuple[str, int]], Mapping[str, tuple[str, int]]]] = [
        ("package", before.packages, after.packages),
        ("layer", before.layers, after.layers),
        ("file", before.files, after.files),
    ]
    for what, old, new in pairs:
        for name in sorted(old.keys() | new.keys()):
            first, second = old.get(name, ("", 0)), new.get(name, ("", 0))
            if first[0] != second[0]:
                found.append(Change(what, name, first[0], second[0], first[1], second[1]))
    return found


def package_facts(sbom: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Each package of an image's SBOM: version, layer, files, bytes and why it is there."""
    found = {}
    for component in sbom.get("components", ()):
        facts = {p["name"].removeprefix("millcert:"): p["value"] for p in component.get("properties", ())}
        found[component["name"]] = {"version": component["version"], **facts}
    return found


def read_layer(path: Path, media_type: str) -> dict[str, tuple[str, int]]:
    """Each file and link of a layer with a short description of its content and its size, read as a stream."""
    files: dict[str, tuple[str, int]] = {}
    with path.open("rb") as stream, tarfile.open(fileobj=_unpacked(stream, media_type), mode="r|") as archive:
        for member in archive:
            if member.isreg():
                content = archive.extractfile(member)
                assert content is not None
                files[member.name] = (hashlib.file_digest(content, "sha256").hexdigest()[:16], member.size)  # type: ignore[arg-type]
            elif member.issym():
                files[member.name] = (f"→ {member.linkname}", 0)
    return files


def _unpacked(stream: IO[bytes], media_type: str) -> IO[bytes]:
    if media_type == LAYERS["gzip"]:
        return gzip.GzipFile(fileobj=stream)  # type: ignore[return-value]  # reads as one
    raise UsageError("only gzip layers can be looked into", found=media_type, fix="name the image without -zstd")
