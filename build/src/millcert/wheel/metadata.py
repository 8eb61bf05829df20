"""A wheel's metadata as bytes: METADATA, WHEEL, licences, SBOM and the build facts the package reads at run time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version
from pyproject_metadata import ConfigurationError, StandardMetadata

from millcert import __version__
from millcert.errors import ConfigError, UnsafeArchiveError
from millcert.hermetic.derivation import Material
from millcert.hermetic.revision import Revision
from millcert.targets import Variant
from millcert.wheel.sbom import sbom_of

__all__ = ["MetadataFiles", "WheelFacts", "metadata_files"]


@dataclass(frozen=True)
class WheelFacts:
    """What distinguishes one wheel: its version and tag, its variant, and what went into it."""

    project: str
    version: str
    tag: str
    variant: Variant
    revision: Revision
    materials: Sequence[Material]


@dataclass(frozen=True)
class MetadataFiles:
    """Files by their path in the wheel, the name of its ``.dist-info`` folder, and the SBOM among the files."""

    dist_info: str
    files: Mapping[str, bytes]
    sbom: bytes


def metadata_files(pyproject: Mapping[str, Any], folder: Path, facts: WheelFacts) -> MetadataFiles:
    """All generated files of a wheel; ConfigError where the project table breaks PEP 621 or PEP 639."""
    try:
        metadata = StandardMetadata.from_pyproject(dict(pyproject), folder)
    except ConfigurationError as error:
        raise ConfigError(
            "pyproject.toml: wrong project table", file=folder / "pyproject.toml", reason=error
        ) from error
    _check_inside(folder, [metadata.readme.file if metadata.readme else None, *(metadata.license_files or ())])
    metadata.version = Version(facts.version)
    requirements = sorted(str(requirement) for requirement in metadata.dependencies)
    if facts.variant.cuda:
        requirements.append(facts.variant.cuda.cupy)
    message = metadata.as_rfc822()
    del message["Requires-Dist"]
    for requirement in sorted(requirements):
        message["Requires-Dist"] = requirement
    dist_info = f"{facts.project}-{facts.version}.dist-info"
    package = facts.project.replace("-", "_")
    sbom = sbom_of(facts.project, facts.version, facts.revision, facts.materials)
    files = {
        f"{dist_info}/METADATA": bytes(message),
        f"{dist_info}/WHEEL": _wheel_file(facts.tag),
        f"{dist_info}/sboms/{facts.project}.cdx.json": sbom,
        f"{package}/_build.json": _build_facts(facts),
    }
    for path in metadata.license_files or ():
        files[f"{dist_info}/licenses/{path.as_posix()}"] = (folder / path).read_bytes()
    return MetadataFiles(dist_info, files, sbom)


def _check_inside(folder: Path, files: Iterable[Path | None]) -> None:
    for path in files:
        if path and not (folder / path).resolve().is_relative_to(folder.resolve()):
            raise UnsafeArchiveError("a file of the metadata that lies outside the project", path=path, project=folder)


def _wheel_file(tag: str) -> bytes:
    return f"Wheel-Version: 1.0\nGenerator: millcert {__version__}\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()


def _build_facts(facts: WheelFacts) -> bytes:
    cuda = facts.variant.cuda
    document = {
        "version": facts.version,
        "variant": facts.variant.name,
        "commit": facts.revision.commit,
        "dirty": facts.revision.dirty,
        "cuda": cuda and {"version": cuda.version, "architectures": list(cuda.gpu), "cupy": cuda.cupy},
    }
    return (json.dumps(document, indent=2) + "\n").encode()
