"""ci/targets.toml: the real file reads, and each kind of mistake is named with its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from millcert.errors import ConfigError, UsageError
from millcert.targets import load_targets

REAL = Path(__file__).parents[3] / "ci" / "targets.toml"


def written(tmp_path: Path, old: str, new: str) -> Path:
    text = REAL.read_text()
    assert old in text
    path = tmp_path / "targets.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_the_real_file_names_the_variants_in_order() -> None:
    targets = load_targets(REAL)
    assert [v.name for v in targets.choose([])] == ["cpu", "cu126", "cu129", "cu130", "cu135"]
    assert [v.name for v in targets.choose(["cu129", "cpu", "cu129"])] == ["cpu", "cu129"]
    assert targets.variants["cpu"].cuda is None
    cuda = targets.variants["cu126"].cuda
    assert cuda is not None
    assert cuda.gpu[0] == 50
    assert cuda.newest == 90


def test_an_unknown_variant_is_named_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as error:
        load_targets(REAL).choose(["cpu", "cu199"])
    assert error.value.evidence["found"] == "cu199"
    assert "cu129" in error.value.evidence["expected"]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('cuda = "12.6"', "cuda = 12.6", "variants.cu126.cuda"),
        ("gpu = [50, 60,", "gpu = [60, 50,", "variants.cu126.gpu"),
        ("gpu = [50, 60,", "gpu = [50, '60',", "variants.cu126.gpu"),
        ('architectures = ["x86_64", "aarch64"]', 'architectures = ["riscv"]', "variants.cpu.architectures"),
        ("wall_seconds = 900", "wall_seconds = 0", "limits.wall_seconds"),
        ("wall_seconds = 900", "wall_second = 900", "limits.wall_seconds"),
        ("memory_mib = 8192", "memory_mib = true", "limits.memory_mib"),
        ('name = "wootz"', "nam = 'wootz'", "project.name"),
        ('cupy = "cupy-cuda12x"', 'cupy = "cupy-cuda12x"\ncupyy = "x"', "variants.cu126.cupyy"),
    ],
)
def test_a_wrong_value_is_named_by_its_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_targets(written(tmp_path, old, new))
    assert error.value.evidence["key"] == key
    assert error.value.evidence["file"].endswith("targets.toml")


@pytest.mark.parametrize("text", ["variants = [", "\xff"])
def test_what_is_not_toml_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "targets.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match="not TOML"):
        load_targets(path)


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no targets file") as error:
        load_targets(tmp_path / "targets.toml")
    assert "root" in error.value.fix
