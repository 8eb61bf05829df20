"""The provenance of a wheel that this tool built: its derivation's key and every pinned input, as SLSA provenance."""

from __future__ import annotations

from collections.abc import Mapping

from millcert import __version__
from millcert.attest.statement import BuildDefinition, Dependency, Subject, provenance
from millcert.hermetic.build import Built
from millcert.hermetic.revision import Revision
from millcert.wheel.release import ReleasedWheel

__all__ = ["BUILD_TYPE", "wheel_provenance"]

BUILD_TYPE = "urn:millcert:build-type:hermetic-wheel:v1"


def wheel_provenance(
    project: str, wheel: ReleasedWheel, built: Mapping[str, Built], revision: Revision, builder_id: str
) -> bytes:
    """The unsigned statement about one wheel and its SBOM: equal builds give equal bytes."""
    planned = wheel.planned
    source = Dependency(
        uri=f"git+{revision.remote}@{revision.commit}" if revision.remote else f"git:{project}@{revision.commit}",
        digest={"gitCommit": revision.commit},
        name=project,
    )
    pinned = [Dependency(m.uri, {"sha256": m.digest}, m.name) for m in planned.materials]
    step = built[planned.node]
    definition = BuildDefinition(
        build_type=BUILD_TYPE,
        builder_id=builder_id,
        external_parameters={
            "project": project, "variant": planned.variant, "architecture": planned.architecture,
            "commit": revision.commit, "version": planned.version, "dirty": revision.dirty,
        },
        internal_parameters={"derivation": step.key, "output": step.tree},
        dependencies=[source, *pinned],
        builder_version={"millcert": __version__},
        invocation_id=step.key,
    )  # fmt: skip
    return provenance([Subject(planned.filename, wheel.digest)], definition)
