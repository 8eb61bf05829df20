"""A wheel of a build together with the files beside it, read and checked before anything is published.

``<wheel>.provenance.json`` SLSA provenance · ``<wheel>.cdx.json`` SBOM, the bytes inside the wheel ·
``<wheel>.sigstore.json`` and ``<wheel>.<n>.sigstore.json`` one Sigstore bundle a builder.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.metadata import InvalidMetadata, Metadata
from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from millcert.attest.errors import StatementError
from millcert.attest.statement import parse_statement
from millcert.errors import ConfigError
from millcert.model import Digest, digest_of, digest_of_file
from millcert.names import NormalizedName, normalize
from millcert.publish.errors import ReleaseRefusedError

__all__ = ["Artifact", "Builder", "CoreMetadata", "Verifier", "check_release", "read_artifact", "read_core_metadata"]

_MOST_METADATA = 4 << 20
_MOST_SIDECAR = 64 << 20


@dataclass(frozen=True)
class Builder:
    """Who attested a wheel: the issuer and subject of the signing certificate."""

    issuer: str
    subject: str


@dataclass(frozen=True)
class CoreMetadata:
    """A wheel's METADATA: its bytes, and what an index needs to know of it."""

    data: bytes
    name: NormalizedName
    version: Version
    requires_python: str
    requires: tuple[Requirement, ...]


@dataclass(frozen=True)
class Artifact:
    """A wheel and its evidence; ``bundles`` by file name."""

    path: Path
    digest: Digest
    size: int
    metadata: CoreMetadata
    provenance: bytes
    sbom: bytes
    bundles: dict[str, bytes]

    @property
    def filename(self) -> str:
        """The wheel's file name."""
        return self.path.name


Verifier = Callable[[Artifact], Mapping[str, Builder]]
"""Checks the bundles against policy and quorum: bundle file name → builder; VerificationError refuses the wheel."""


def read_artifact(path: Path) -> Artifact:
    """A wheel of a build and its sidecars; ReleaseRefusedError where one is missing or is about other bytes."""
    if not path.is_file():
        raise ReleaseRefusedError("there is no such wheel", file=path, fix="build it with `millcert build`")
    metadata = read_core_metadata(path, path.name)
    digest = digest_of_file(path)
    bundles = {found.name: _sidecar(found) for found in sorted(path.parent.glob(f"{path.name}*.sigstore.json"))}
    if not bundles:
        raise ReleaseRefusedError("the wheel is not signed", file=path.name, fix="sign it with `millcert sign`")
    provenance = _sidecar(path.with_name(f"{path.name}.provenance.json"))
    sbom = _sidecar(path.with_name(f"{path.name}.cdx.json"))
    _check_subject(provenance, path.name, digest)
    if digest_of(sbom) not in _sboms(path):
        raise ReleaseRefusedError("the SBOM beside the wheel is not the one inside it", file=path.name)
    return Artifact(path, digest, path.stat().st_size, metadata, provenance, sbom, bundles)


def check_release(artifact: Artifact, channel: str, variant: str, owned: frozenset[NormalizedName]) -> None:
    """ReleaseRefusedError for a wheel that does not belong on ``<channel>/<variant>``."""
    metadata = artifact.metadata
    expected: dict[str, bool] = {
        f"a project we own: {', '.join(sorted(owned))}": metadata.name in owned,
        "committed sources (no `dirty` in the version)": "dirty" not in (metadata.version.local or ""),
        f"the local version +{variant}": metadata.version.local == variant,
        "a development release, on nightly": channel != "nightly" or metadata.version.is_devrelease,
        "no development release, on stable": channel != "stable" or not metadata.version.is_devrelease,
    }
    for rule, holds in expected.items():
        if not holds:
            raise ReleaseRefusedError(
                "the wheel does not belong on this index",
                file=artifact.filename, index=f"{channel}/{variant}", expected=rule,
            )  # fmt: skip


def read_core_metadata(path: Path, filename: str) -> CoreMetadata:
    """METADATA of a wheel; ``filename`` is its published name, which must agree with it.

    Raises ReleaseRefusedError for an archive with duplicate entries, two dist-info folders, or another name.
    """
    try:
        name, version, _, _ = parse_wheel_filename(filename)
        with zipfile.ZipFile(path) as archive:
            data = _read_member(archive, ".dist-info/METADATA")
        metadata = Metadata.from_email(data, validate=False)
        found = (canonicalize_name(metadata.name), metadata.version)
        requires = tuple(metadata.requires_dist or ())
        requires_python = str(metadata.requires_python or "")
        if found != (name, version):
            raise ValueError(f"the metadata is of {metadata.name} {metadata.version}")
        return CoreMetadata(data, normalize(name), version, requires_python, requires)
    except (zipfile.BadZipFile, InvalidWheelFilename, InvalidVersion, InvalidMetadata, ConfigError) as error:
        raise ReleaseRefusedError("not a wheel", file=filename, reason=error) from error
    except (ValueError, ExceptionGroup, OSError, NotImplementedError, RuntimeError) as error:
        raise ReleaseRefusedError("the wheel cannot be read", file=filename, reason=error) from error


def _read_member(archive: zipfile.ZipFile, ending: str) -> bytes:
    names = [entry.filename for entry in archive.infolist()]
    if len(set(names)) != len(names):
        raise ValueError("two entries of one name")
    found = [name for name in names if name.endswith(ending) and name.count("/") == 1]
    if len(found) != 1:
        raise ValueError(f"{len(found)} entries *{ending}")
    if archive.getinfo(found[0]).file_size > _MOST_METADATA:
        raise ValueError(f"{found[0]} is too large")
    return archive.read(found[0])


def _sboms(path: Path) -> set[Digest]:
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if ".dist-info/sboms/" in entry.filename]
        return {digest_of(archive.read(entry)) for entry in entries if entry.file_size <= _MOST_SIDECAR}


def _sidecar(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_SIDECAR:
            raise ReleaseRefusedError("a file beside the wheel is too large", file=path.name)
        return path.read_bytes()
    except FileNotFoundError:
        raise ReleaseRefusedError(
            "a file that belongs beside the wheel is missing", file=path.name, fix="build it with `millcert build`"
        ) from None


def _check_subject(provenance: bytes, filename: str, digest: Digest) -> None:
    try:
        subjects = parse_statement(provenance).subjects
    except StatementError as error:
        raise ReleaseRefusedError("the provenance is not a statement", file=filename, reason=error) from error
    if (filename, digest) not in {(subject.name, subject.digest) for subject in subjects}:
        raise ReleaseRefusedError(
            "the provenance is about other bytes", file=filename, expected=digest,
            found=", ".join(f"{subject.name} {subject.digest}" for subject in subjects)[:400],
        )  # fmt: skip
