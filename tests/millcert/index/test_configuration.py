"""Addresses come from pip's configuration as pip itself reads it, and nothing else of it counts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from millcert.errors import ConfigError
from millcert.index import read_configuration


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An account without any pip configuration."""
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "PYTHONPATH")}
    return {**kept, "HOME": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}


def configure(environ: dict[str, str], folder: Path, text: str) -> dict[str, str]:
    (folder / "pip.conf").write_text(text)
    return {**environ, "PIP_CONFIG_FILE": str(folder / "pip.conf")}


def test_the_default_is_the_one_pip_documents(environ: dict[str, str]) -> None:
    help_text = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--help"], env={**environ, "COLUMNS": "500"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert f"(default {read_configuration(environ).upstream})" in " ".join(help_text.split())


def test_the_environment_beats_the_file(environ: dict[str, str], tmp_path: Path) -> None:
    configured = configure(environ, tmp_path, "[global]\nindex-url = https://file.example/simple\n")
    assert read_configuration(configured).address("pypi") == "https://file.example/simple/"
    configured["PIP_INDEX_URL"] = "https://variable.example/simple/"
    assert read_configuration(configured).address("pypi") == "https://variable.example/simple/"


def test_a_section_for_install_beats_global(environ: dict[str, str], tmp_path: Path) -> None:
    text = "[install]\nindex-url = https://install.example/\n[global]\nindex-url = https://global.example/\n"
    assert read_configuration(configure(environ, tmp_path, text)).upstream == "https://install.example/"


def test_what_would_mix_indexes_is_named(environ: dict[str, str], tmp_path: Path) -> None:
    text = "[global]\nextra-index-url = https://x.example\nfind-links = /tmp\n[install]\ntrusted-host = x.example\n"
    assert read_configuration(configure(environ, tmp_path, text)).ignored == (
        "extra-index-url", "find-links", "trusted-host",
    )  # fmt: skip
    assert read_configuration(environ).ignored == ()


def test_certificate_authorities_come_from_pip_then_the_environment(environ: dict[str, str], tmp_path: Path) -> None:
    assert read_configuration({**environ, "SSL_CERT_FILE": "/a.pem"}).ca_bundle == "/a.pem"
    both = configure({**environ, "SSL_CERT_FILE": "/a.pem"}, tmp_path, "[global]\ncert = /b.pem\n")
    assert read_configuration(both).ca_bundle == "/b.pem"


def test_an_own_index_has_its_own_variable(environ: dict[str, str]) -> None:
    configuration = read_configuration({**environ, "MILLCERT_INDEX_OUR_INDEX": "https://own.example/simple"})
    assert configuration.address("our-index") == "https://own.example/simple/"
    with pytest.raises(ConfigError, match="MILLCERT_INDEX_OTHER"):
        configuration.address("other")


def test_a_broken_configuration_is_a_typed_error(environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="its own configuration"):
        read_configuration(configure(environ, tmp_path, "index-url without a section\n"))


def test_a_file_called_pip_in_the_current_folder_is_not_run(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    assert read_configuration({**environ, "PYTHONPATH": "."}).upstream
