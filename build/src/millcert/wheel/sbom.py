"""The SBOM inside a wheel (PEP 770): CycloneDX JSON, a pure function of what went into the build."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from millcert.hermetic.derivation import Material
from millcert.hermetic.revision import Revision
from millcert.model import canonical_json, digest_of

__all__ = ["sbom_of"]

_COMPILED_IN = {"ziglang"}  # its libc++, libunwind and compiler-rt are linked statically


def sbom_of(project: str, version: str, revision: Revision, materials: Sequence[Material]) -> bytes:
    """CycloneDX 1.6 JSON; serial number and time come from the inputs, so equal inputs give equal bytes."""
    subject = Component(
        name=project, version=version, type=ComponentType.LIBRARY, bom_ref=f"pkg:pypi/{project}@{version}",
        purl=PackageURL("pypi", name=project, version=version),
    )  # fmt: skip
    bom = Bom(components=[_component(material) for material in materials])
    bom.metadata.component = subject
    bom.metadata.timestamp = datetime.fromtimestamp(revision.time, UTC)
    identity = digest_of(canonical_json([project, version, revision.commit, [m.digest for m in materials]]))
    bom.serial_number = uuid.UUID(identity[:32])
    bom.register_dependency(subject, [c for c in bom.components if c.scope is ComponentScope.REQUIRED])
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def _component(material: Material) -> Component:
    # build tools are listed as excluded: they made the wheel and are not in it
    scope = ComponentScope.REQUIRED if material.name in _COMPILED_IN else ComponentScope.EXCLUDED
    return Component(
        name=material.name,
        version=material.version,
        type=ComponentType.LIBRARY,
        bom_ref=material.uri,
        purl=PackageURL.from_string(material.uri),
        scope=scope,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=material.digest)],
    )
