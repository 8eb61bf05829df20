"""One tag over a variant's images of all architectures: the OCI index, a file to sign beside their manifests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from millcert.errors import UsageError
from millcert.image.edition import Edition
from millcert.image.layout import Layout, replace_signed
from millcert.image.manifest import INDEX, MANIFEST, NAME, Descriptor, image_index, name_of
from millcert.image.plan import Compression
from millcert.model import digest_of

__all__ = ["ImageIndex", "Member", "index_of", "member_of", "refresh_indexes"]


@dataclass(frozen=True)
class Member:
    """An image as an index lists it: its manifest with its annotations; operating system and architecture."""

    descriptor: Descriptor
    platform: tuple[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """The index's entry."""
        system, architecture = self.platform
        described = Descriptor(MANIFEST, self.descriptor.digest, self.descriptor.size).as_dict()
        return {**described, "platform": {"os": system, "architecture": architecture}}


@dataclass(frozen=True)
class ImageIndex:
    """An index: the file name that its provenance is about, its bytes, and the images it lists."""

    name: str
    data: bytes
    members: tuple[Member, ...]

    @property
    def descriptor(self) -> Descriptor:
        """Its descriptor."""
        return Descriptor(INDEX, digest_of(self.data), len(self.data))


def member_of(layout: Layout, image: Descriptor) -> Member:
    """An image of a layout as an index lists it."""
    runs_on = layout.platform(image)
    return Member(image, (runs_on["os"], runs_on["architecture"]), layout.json(image)["annotations"])


def index_of(members: Sequence[Member]) -> ImageIndex:
    """The index of some images: equal images give equal bytes. UsageError for two of one platform.

    It says of itself what all its images say of themselves.
    """
    platforms = [member.platform for member in members]
    if twice := [platform for platform in platforms if platforms.count(platform) > 1]:
        raise UsageError("two images for one platform under one tag", platform="/".join(twice[0]))
    ordered = sorted(members, key=lambda member: member.platform)
    first = ordered[0]
    shared = {k: v for k, v in first.annotations.items() if all(m.annotations.get(k) == v for m in ordered)}
    bare = name_of({"annotations": first.annotations}).replace(f"-{first.platform[1]}", "", 1)
    name = bare.removesuffix(".manifest.json") + ".index.json"
    data = image_index([member.as_dict() for member in ordered], {**shared, NAME: name})
    return ImageIndex(name, data, tuple(ordered))


def refresh_indexes(folder: Path, editions: Iterable[Edition]) -> list[ImageIndex]:
    """Write the index of each variant whose images of all architectures lie in ``folder``, from one revision.

    One that lists other images than those is removed, with what was signed about it.
    """
    families: dict[str, list[str]] = {}
    for edition in editions:
        families.setdefault(edition.family, []).append(edition.name)
    found = []
    for family, names in families.items():
        for compression in get_args(Compression) if len(names) > 1 else ():
            label = "" if compression == "gzip" else f".{compression}"
            members = [member for name in names for member in _members(folder, name, f"{name}{label}.manifest.json")]
            whole = len(members) == len(names) and len({_revision(member) for member in members}) == 1
            index = index_of(members) if whole else None
            replace_signed(folder / f"{family}{label}.index.json", index.data if index else None)
            found += [index] if index else []
    return found


def _members(folder: Path, name: str, manifest: str) -> list[Member]:
    """The image of a layout that has this manifest, if there is one."""
    if not (folder / name / "index.json").is_file():
        return []
    layout = Layout(folder / name)
    members = [member_of(layout, image.descriptor) for image in layout.images()]
    return [member for member in members if member.annotations.get(NAME) == manifest]


def _revision(member: Member) -> tuple[str, ...]:
    """What images of one build agree in."""
    version = member.annotations.get("org.opencontainers.image.version", "").replace(f"-{member.platform[1]}", "", 1)
    return version, member.annotations.get("org.opencontainers.image.revision", "")
