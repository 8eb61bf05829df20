"""native.toml: expansion of globs and variants, and which headers an object depends on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from millcert.errors import ConfigError
from millcert.hermetic.native import Includes, load_native

SAMPLE = Path(__file__).parents[2] / "support" / "sample" / "native"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(SAMPLE, tmp_path / "native")
    return tmp_path / "native"


def test_each_source_is_one_object_a_variant(project: Path) -> None:
    native = load_native(project)
    names = [translation.name for translation in native.translations("x86_64")]
    assert names == ["csrc-module.o", "csrc-cpu-sum.avx2.o", "csrc-cpu-sum.baseline.o"]
    assert native.library == "sample/_native.abi3.so"
    avx2 = native.translations("x86_64")[1]
    assert avx2.flags[-3:] == ("-DISA=avx2", "-mavx2", "-mfma")


def test_an_architecture_without_flags_is_an_error(project: Path) -> None:
    with pytest.raises(ConfigError, match="no flags for this architecture"):
        load_native(project).translations("riscv64")


def test_headers_are_followed_through_headers_and_folders(project: Path) -> None:
    deep = project / "csrc" / "deep"
    deep.mkdir()
    (deep / "one.h").write_text('#include "../two.h"\n#  include "three.h"\n')
    (deep / "three.h").write_text('#include "one.h"\n// a circle\n')
    (project / "csrc" / "two.h").write_text("#include <vector>\n")
    (project / "csrc" / "a.cpp").write_text('#include "deep/one.h"\n')
    found = Includes(load_native(project)).of("csrc/a.cpp", ("csrc",))
    assert found.files == {"csrc/deep/one.h", "csrc/deep/three.h", "csrc/two.h"}
    assert not found.generated


def test_what_includes_a_generated_file_depends_on_every_header(project: Path) -> None:
    # the generated file may include any of them, and is not there to be read when the plan is made
    found = Includes(load_native(project)).of("csrc/module.cpp", ("csrc",))
    assert found.generated
    (project / "csrc" / "unseen.h").write_text("#pragma once\n")
    assert Includes(load_native(project)).of("csrc/module.cpp", ("csrc",)).files == found.files | {"csrc/unseen.h"}


def test_an_include_cannot_reach_outside_the_project(project: Path) -> None:
    (project.parent / "secret.h").write_text("secret\n")
    (project / "csrc" / "a.cpp").write_text('#include "../../secret.h"\n')
    assert Includes(load_native(project)).of("csrc/a.cpp", ("csrc",)).files == set()


def test_an_include_by_macro_is_refused_because_it_cannot_be_followed(project: Path) -> None:
    (project / "csrc" / "a.cpp").write_text("#define HEADER <vector>\n#include HEADER\n")
    with pytest.raises(ConfigError, match="spelt by a macro"):
        Includes(load_native(project)).of("csrc/a.cpp", ())


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('name = "sample._native"', "", "name"),
        ("[python]", "[pythons]", "python"),
        ('sources = ["csrc/module.cpp"]', 'sources = ["csrc/modul.cpp"]', "csrc/modul.cpp"),
        ("[module]", "[module", None),
    ],
)
def test_mistakes_are_named(project: Path, old: str, new: str, found: str | None) -> None:
    path = project / "native.toml"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError) as error:
        load_native(project).translations("x86_64")
    if found:
        assert found in error.value.evidence.values()
