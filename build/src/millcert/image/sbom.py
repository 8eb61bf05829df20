"""The SBOM of an image: CycloneDX JSON with every package, the layer it is in, what it weighs and why it is there."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType, Pedigree
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from millcert.hermetic.derivation import Material
from millcert.model import Digest

__all__ = ["Packaged", "image_sbom"]


@dataclass(frozen=True)
class Packaged:
    """A package in an image; ``size`` is the bytes of its files, ``pruned`` says what was left out."""

    material: Material
    layer: str
    files: int
    size: int
    pruned: tuple[int, int]  # files, bytes
    why: str


def image_sbom(name: str, tag: str, digest: Digest, created: int, packages: Sequence[Packaged]) -> bytes:
    """CycloneDX 1.6 JSON about one image; equal images give equal bytes."""
    purl = PackageURL("oci", name=name, version=f"sha256:{digest}", qualifiers={"tag": tag})
    subject = Component(
        name=name, version=tag, type=ComponentType.CONTAINER, bom_ref=str(purl), purl=purl,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )  # fmt: skip
    bom = Bom(components=[_component(package) for package in packages])
    bom.metadata.component = subject
    bom.metadata.timestamp = datetime.fromtimestamp(created, UTC)
    bom.serial_number = uuid.UUID(digest[:32])
    bom.register_dependency(subject, bom.components)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def _component(package: Packaged) -> Component:
    material = package.material
    facts: dict[str, object] = {
        "layer": package.layer,
        "files": package.files,
        "bytes": package.size,
        "why": package.why,
    }
    files, size = package.pruned
    if files:
        facts |= {"pruned_files": files, "pruned_bytes": size}
    return Component(
        name=material.name,
        version=material.version,
        type=ComponentType.LIBRARY,
        bom_ref=material.uri,
        purl=PackageURL.from_string(material.uri),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=material.digest)],
        pedigree=Pedigree(notes=f"{files} files ({size} bytes) of it are left out, none is changed") if files else None,
        properties=[Property(name=f"millcert:{key}", value=str(value)) for key, value in facts.items()],
    )
