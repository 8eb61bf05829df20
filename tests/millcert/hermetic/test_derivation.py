"""The key of a derivation: everything that a step reads is in it, so that no step is given what another one made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest

from millcert.hermetic.derivation import Command, Import, Material, Output
from millcert.model import Digest

A, B = Digest("a" * 64), Digest("b" * 64)
STEP = Command(
    "step", ("cc", "x.c"), Output("root"), {"/src": A, "/made": Output("made")}, ("x.o",), {"K": "v"}, "/src"
)
GIVEN = {"root": Digest("1" * 64), "made": Digest("2" * 64)}

STEPS: dict[str, Mapping[str, Any]] = {
    "argument": {"argv": ("cc", "y.c")},
    "order of arguments": {"argv": ("x.c", "cc")},
    "sources": {"inputs": {"/src": B, "/made": Output("made")}},
    "place of an input": {"inputs": {"/source": A, "/made": Output("made")}},
    "further input": {"inputs": {**STEP.inputs, "/more": B}},
    "expected output": {"outputs": ("y.o",)},
    "variable": {"environment": {"K": "w"}},
    "further variable": {"environment": {"K": "v", "L": "w"}},
    "folder": {"directory": "/"},
}


@pytest.mark.parametrize("change", sorted(STEPS))
def test_a_step_that_differs_in_anything_has_another_key(change: str) -> None:
    assert replace(STEP, **STEPS[change]).key(GIVEN) != STEP.key(GIVEN)


@pytest.mark.parametrize("need", sorted(GIVEN))
def test_a_step_that_reads_other_bytes_has_another_key(need: str) -> None:
    """Another root, another compiler, another variant's object: their own keys are of no matter, their bytes are."""
    assert STEP.key({**GIVEN, need: B}) != STEP.key(GIVEN)


def test_the_names_of_steps_are_no_part_of_keys() -> None:
    renamed = replace(STEP, name="other", root=Output("base"), inputs={"/src": A, "/made": Output("built")})
    assert renamed.key({"base": GIVEN["root"], "built": GIVEN["made"]}) == STEP.key(GIVEN)


def test_every_field_of_a_step_is_tried() -> None:
    tried = {name for change in STEPS.values() for name in change}
    assert tried | {"name", "root"} == {field.name for field in fields(Command)}  # these two have tests of their own


def material(digest: Digest, name: str = "zig") -> Material:
    return Material(name, "1.0", f"pkg:pypi/{name}@1.0", digest)


UNPACKED = Import("tools", "wheels", (material(A), material(B)), ("*.exe",))
IMPORTS: dict[str, Mapping[str, Any]] = {
    "kind": {"kind": "debian"},
    "archive": {"materials": (material(A), material(A))},
    "order of archives": {"materials": (material(B), material(A))},
    "further archive": {"materials": (*UNPACKED.materials, material(A))},
    "what is left out": {"exclude": ("*.dll",)},
}


@pytest.mark.parametrize("change", sorted(IMPORTS))
def test_archives_that_differ_in_anything_have_another_key(change: str) -> None:
    assert replace(UNPACKED, **IMPORTS[change]).key() != UNPACKED.key()


def test_only_the_bytes_of_archives_count() -> None:
    renamed = replace(UNPACKED, name="other", materials=(material(A, "gcc"), material(B, "gcc")))
    assert renamed.key() == UNPACKED.key()
