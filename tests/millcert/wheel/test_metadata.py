"""A wheel's metadata and SBOM, read back by other tools' parsers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.metadata import Metadata

from millcert.errors import ConfigError
from millcert.hermetic.derivation import Material
from millcert.hermetic.revision import Revision, version_of
from millcert.model import digest_of
from millcert.targets import Cuda, Variant
from millcert.wheel.metadata import WheelFacts, metadata_files

FOLDER = Path(__file__).parents[3] / "framework"
REVISION = Revision("0123456789abcdef0123456789abcdef01234567", 1795392000, False, (), "")
MATERIALS = (
    Material("libc6", "2.36-9", "pkg:deb/debian/libc6@2.36-9?arch=amd64", digest_of(b"libc6")),
    Material("ziglang", "0.17.1", "pkg:pypi/ziglang@0.17.1", digest_of(b"zig")),
)
PYPROJECT = {
    "project": {
        "name": "wootz", "version": "0.1.0", "license": "Apache-2.0", "requires-python": ">=3.11",
        "dependencies": ["numpy>=1.26", "safetensors"], "license-files": ["LICENSE"],
    }
}  # fmt: skip


def facts(variant: Variant, materials: tuple[Material, ...] = MATERIALS) -> WheelFacts:
    version = version_of("0.1.0", variant.name, REVISION)
    return WheelFacts("wootz", version, "cp311-abi3-manylinux_2_17_x86_64", variant, REVISION, materials)


CPU = Variant("cpu", ("x86_64",), None)
CUDA = Variant("cu129", ("x86_64",), Cuda("12.9", (80, 90), "cupy-cuda12x"))


def test_metadata_is_valid_and_names_the_variants_cupy() -> None:
    files = metadata_files(PYPROJECT, FOLDER, facts(CUDA)).files
    metadata = Metadata.from_email(files["wootz-0.1.0.dev20261123+cu129.dist-info/METADATA"], validate=True)
    assert str(metadata.version) == "0.1.0.dev20261123+cu129"
    assert metadata.license_expression == "Apache-2.0"
    assert {str(r) for r in metadata.requires_dist or ()} == {"numpy>=1.26", "safetensors", "cupy-cuda12x"}
    assert (
        b"cupy"
        not in metadata_files(PYPROJECT, FOLDER, facts(CPU)).files["wootz-0.1.0.dev20261123+cpu.dist-info/METADATA"]
    )


def test_licence_and_build_facts_are_in_the_wheel() -> None:
    files = metadata_files(PYPROJECT, FOLDER, facts(CUDA)).files
    licence = files["wootz-0.1.0.dev20261123+cu129.dist-info/licenses/LICENSE"]
    assert licence == (FOLDER / "LICENSE").read_bytes()
    build = json.loads(files["wootz/_build.json"])
    assert build["cuda"] == {"version": "12.9", "architectures": [80, 90], "cupy": "cupy-cuda12x"}
    assert build["commit"] == REVISION.commit


def test_the_sbom_is_valid_cyclonedx_and_lists_every_material_with_its_hash() -> None:
    sbom = metadata_files(PYPROJECT, FOLDER, facts(CPU)).sbom
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom.decode()) is None
    components = {c["name"]: c for c in json.loads(sbom)["components"]}
    assert {n: c["hashes"][0]["content"] for n, c in components.items()} == {m.name: m.digest for m in MATERIALS}
    assert components["ziglang"]["scope"] == "required"  # its run-time libraries are linked in
    assert components["libc6"]["scope"] == "excluded"


def test_the_sbom_depends_on_inputs_alone() -> None:
    sbom = metadata_files(PYPROJECT, FOLDER, facts(CPU)).sbom
    assert sbom == metadata_files(PYPROJECT, FOLDER, facts(CPU)).sbom
    other = metadata_files(PYPROJECT, FOLDER, facts(CPU, MATERIALS[:1])).sbom
    assert json.loads(sbom)["serialNumber"] != json.loads(other)["serialNumber"]


@pytest.mark.parametrize(
    ("revision", "expected"),
    [
        (REVISION, "0.1.0.dev20261123+cpu"),
        (Revision("c", 1795392000, True, (), ""), "0.1.0.dev20261123+cpu.dirty"),
        (Revision("c", 1795392000, False, ("v0.1.0",), ""), "0.1.0+cpu"),
        (Revision("c", 1795392000, False, ("v0.2.0",), ""), "0.1.0.dev20261123+cpu"),
    ],
)
def test_versions_say_day_variant_and_dirt(revision: Revision, expected: str) -> None:
    assert version_of("0.1.0", "cpu", revision) == expected


def test_a_wrong_project_table_is_refused() -> None:
    with pytest.raises(ConfigError, match="project table"):
        metadata_files({"project": {"name": "wootz", "version": "0.1.0", "dependencies": "numpy"}}, FOLDER, facts(CPU))
