"""OCI image layouts on disk: written whole, read back only after every digest was checked."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millcert.errors import ConfigError, UsageError
from millcert.files import place
from millcert.image.errors import DigestError
from millcert.image.manifest import MANIFEST, Descriptor, image_index, parts_of
from millcert.model import Digest, digest_of, digest_of_file, parse_digest

__all__ = ["TAG", "Layout", "TaggedManifest", "link_or_copy", "replace_signed"]

TAG = "org.opencontainers.image.ref.name"
_VERSION = b'{"imageLayoutVersion":"1.0.0"}'
_MOST_JSON = 4 << 20


@dataclass(frozen=True)
class TaggedManifest:
    """An image of a layout: its tag and its manifest's descriptor."""

    tag: str
    descriptor: Descriptor


class Layout:
    """An OCI layout at a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add_bytes(self, data: bytes, media_type: str) -> Descriptor:
        """Write a blob and return its descriptor."""
        digest = digest_of(data)
        place(self._path(digest), data)
        return Descriptor(media_type, digest, len(data))

    def add_file(self, path: Path, digest: Digest, media_type: str) -> Descriptor:
        """Link (or copy) a file whose digest is known to be right."""
        target = self._path(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_file() or target.stat().st_size != path.stat().st_size:
            temporary = target.with_name(f".{digest}.{os.getpid()}")
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            link_or_copy(path, temporary)
            temporary.replace(target)
        return Descriptor(media_type, digest, path.stat().st_size)

    def add_chunks(self, chunks: Iterable[bytes], descriptor: Descriptor) -> None:
        """Write a blob as it comes; DigestError, and nothing kept, where it is not the one described."""
        target = self._path(descriptor.digest)
        if target.is_file() and digest_of_file(target) == descriptor.digest:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{descriptor.digest}.{os.getpid()}")
        try:
            with temporary.open("wb") as stream:
                stream.writelines(chunks)
            if (found := digest_of_file(temporary)) != descriptor.digest:
                raise DigestError("a blob is another one", expected=descriptor.digest, found=found)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def finish(self, images: Sequence[TaggedManifest]) -> None:
        """Write the index, which makes the images visible all at once, and drop blobs that no image has any more."""
        entries = [
            {**image.descriptor.as_dict(), "annotations": {TAG: image.tag}, "platform": self.platform(image.descriptor)}
            for image in images
        ]
        place(self.folder / "oci-layout", _VERSION)
        place(self.folder / "index.json", image_index(entries))
        kept = {digest for image in images for digest in [image.descriptor.digest, *self._parts(image.descriptor)]}
        for path in (self.folder / "blobs" / "sha256").iterdir():
            if path.name not in kept:
                path.unlink()

    def images(self) -> list[TaggedManifest]:
        """The images of the layout; UsageError where the folder is none."""
        try:
            index = json.loads((self.folder / "index.json").read_bytes())
            entries = index["manifests"]
            return [_tagged(entry) for entry in entries if entry["mediaType"] == MANIFEST]
        except FileNotFoundError:
            raise UsageError("not an OCI image layout", folder=self.folder, fix="run `millcert image build`") from None
        except (ValueError, KeyError, TypeError, ConfigError) as error:
            raise DigestError("the layout's index is not one", folder=self.folder, reason=error) from error

    def image(self, tag: str = "") -> TaggedManifest:
        """The image with a tag, or the first one."""
        images = self.images()
        chosen = next((image for image in images if tag in ("", image.tag)), None)
        if chosen is None:
            raise UsageError("the layout has no such tag", found=tag, known=", ".join(image.tag for image in images))
        return chosen

    def platform(self, descriptor: Descriptor) -> dict[str, str]:
        """What an image runs on, as its config says."""
        config = self.json(parts_of(self.json(descriptor))[0])
        return {"architecture": str(config.get("architecture", "")), "os": str(config.get("os", ""))}

    def json(self, descriptor: Descriptor) -> Mapping[str, Any]:
        """A JSON blob, its digest checked."""
        document: Mapping[str, Any] = json.loads(self.read(descriptor))
        return document

    def read(self, descriptor: Descriptor) -> bytes:
        """A small blob's bytes, checked."""
        path = self.path(descriptor)
        if path.stat().st_size > _MOST_JSON:
            raise DigestError("a blob that should be small is not", file=path.name, size=path.stat().st_size)
        return path.read_bytes()

    def path(self, descriptor: Descriptor) -> Path:
        """A blob's file, its size and digest checked."""
        path = self._path(descriptor.digest)
        if not path.is_file():
            raise DigestError("the layout lacks a blob", sha256=descriptor.digest, folder=self.folder)
        if path.stat().st_size != descriptor.size or (found := digest_of_file(path)) != descriptor.digest:
            found = digest_of_file(path)
            raise DigestError(
                "a blob of the layout was altered", expected=descriptor.digest, found=found, folder=self.folder,
                fix="run `millcert image build` again",
            )  # fmt: skip
        return path

    def _parts(self, descriptor: Descriptor) -> list[str]:
        return [part.digest for part in parts_of(self.json(descriptor))]

    def _path(self, digest: Digest) -> Path:
        return self.folder / "blobs" / "sha256" / digest


def replace_signed(path: Path, data: bytes | None) -> None:
    """Write a manifest or index beside layouts, or remove it; what was said and signed about another one goes."""
    if not path.is_file() or path.read_bytes() != data:
        for old in (path, *path.parent.glob(f"{path.name}.*")):
            old.unlink(missing_ok=True)
    if data is not None:
        place(path, data)


def link_or_copy(source: Path, target: Path) -> None:
    """The same bytes under another name, without taking space where the file system allows it."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _tagged(entry: Mapping[str, Any]) -> TaggedManifest:
    descriptor = Descriptor(entry["mediaType"], parse_digest(entry["digest"]), int(entry["size"]))
    return TaggedManifest(entry.get("annotations", {}).get(TAG, ""), descriptor)
