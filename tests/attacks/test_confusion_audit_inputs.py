"""Attacks on the audit itself: whatever bytes a file holds, the audit ends, soon, and says what it did not read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.confusion import AUDIT_DAY, ROOT

from millcert.errors import UsageError
from millcert.guard import Report, Scene, audit
from millcert.guard.address import parse_address
from millcert.guard.machine import LocalMachine, gather
from millcert.guard.options import read_environment
from millcert.guard.reading import LARGEST, read_input
from millcert.guard.sarif import render_sarif
from millcert.lock.namespaces import read_namespaces

MAP = read_namespaces(ROOT / "lockfiles" / "namespaces.toml")
NAMES = (
    "requirements.txt", "constraints.in", "pip.conf", "uv.toml", "pyproject.toml", "uv.lock", "poetry.lock", "pdm.lock",
    "pylock.toml", "Dockerfile", "ci.yml",
)  # fmt: skip
FORMATS = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "pyproject.toml", "uv.toml")


def audited(name: str, data: bytes) -> Report:
    report = audit(Scene(read_input(name, data), MAP, AUDIT_DAY), [name])
    render_sarif(report)
    return report


def refused(name: str, data: bytes) -> str:
    (finding,) = [finding for finding in audited(name, data).findings if finding.rule == "MG001"]
    return finding.message


@given(st.sampled_from(NAMES), st.binary(max_size=400))
def test_any_bytes(name: str, data: bytes) -> None:
    audited(name, data)


lines = st.lists(
    st.sampled_from([
        "wootz==1.0", "--extra-index-url", "-i", "-r", "--hash=sha256:00", "\\", "'", "[global]", "[[package]]",
        "# index: x",
        "extra-index-url = http://[::1", "name = \"w00tz\"", "source = 3", "files = [1, {}]", "wootz @ http://x:y@h:99999/",
        "pip install --index-url", "ÿ", "\x00", "-e git+ssh://a@b/c#egg=wootz", "[tool.uv]", "index = [[]]",
        "sources = []",
    ]),
    max_size=12,
)  # fmt: skip


@given(st.sampled_from(NAMES), lines)
def test_any_order_of_telling_lines(name: str, text: list[str]) -> None:
    audited(name, "\n".join(text).encode())


KEYS = st.sampled_from([
    "package", "packages", "name", "version", "source", "registry", "url", "files", "wheels", "sdist", "hash", "hashes",
    "tool", "uv", "index", "explicit", "default", "sources", "project", "dependencies", "poetry", "group", "pdm", "pip",
    "metadata", "archive", "optional-dependencies", "dependency-groups", "build-system", "requires", "find-links",
])  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(FORMATS), st.dictionaries(KEYS, values, max_size=5))
@settings(max_examples=300)
def test_tables_of_any_shape(name: str, document: dict[str, object]) -> None:
    audited(name, _toml(document).encode())


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key} = {_inline(item)}" for key, item in value.items())
    return ""


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value % 10**9)
    return '"' + "".join(c for c in str(value) if c.isalnum() and c.isascii()) + '"'


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_too_large(name: str) -> None:
    assert "MiB" in refused(name, b"#" * (LARGEST + 1))


@pytest.mark.parametrize("name", NAMES)
def test_bytes_that_are_no_text(name: str) -> None:
    assert "utf-8" in refused(name, b"wootz==1.0\n\xff\n")
    assert "utf-16" in refused(name, b"\xff\xfe\x00")


def test_text_with_a_byte_order_mark_is_read_as_pip_reads_it() -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        (facts,) = read_input("requirements.txt", "w00tz==1.0\n".encode(encoding))
        assert [entry.name for entry in facts.entries] == ["w00tz"]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 100_000, "a = " + "{a=" * 50_000, ".".join(["a"] * 200_000) + " = 1", "a" * 4_000_000,
     "'" + "'.'".join(["a"] * 100_000) + "' = 1", '"a".' * 100_000 + "b = 1", r'"\"". ' * 100_000 + "b = 1"],
    ids=["arrays", "tables", "dotted key", "long word", "literal key", "quoted key", "escaped key"],
)  # fmt: skip
def test_toml_that_is_made_to_be_slow_or_deep(name: str, text: str) -> None:
    assert "TOML" in refused(name, text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "\\\n" * 300_000,
        "a" * 1_000_000,
        "-r " * 4_000,
        "--hash=" * 500_000,
        "- " * 200_000,
        "x==1 " + "--hash=a:" * 900,
    ],
    ids=["continued for ever", "long line", "includes", "hashes", "dashes", "many hashes"],
)
@pytest.mark.parametrize("name", ["requirements.txt", "Dockerfile", "pip.conf"])
def test_lines_that_are_made_to_be_slow(name: str, text: str) -> None:
    audited(name, text.encode())


def test_a_line_that_is_not_read_is_a_finding() -> None:
    found = audited("requirements.txt", b"x" * 100_000 + b"\nwootz==1.0\n").findings
    assert [(item.rule, item.place.line) for item in found if item.rule == "MG002"] == [("MG002", 1)]


@given(st.text(max_size=60))
def test_any_text_as_an_address(text: str) -> None:
    address = parse_address(text)
    assert address.shown.isprintable()
    assert address.plain in (True, False)


@pytest.mark.parametrize(
    "text",
    ["https://me:hunter2@a.example/x?token=hunter2#hunter2", "git+https://hunter2@a.example/x", "https://u:hunter2@[::1",
     "https://u:hunter2@a.example:99999/"],
)  # fmt: skip
def test_a_credential_is_never_shown(text: str) -> None:
    assert "hunter2" not in parse_address(text).shown
    (facts,) = read_input("requirements.txt", f"--extra-index-url {text}\nwootz\n".encode())
    report = audit(Scene([facts], MAP, AUDIT_DAY), ["requirements.txt"])
    assert report.findings
    assert "hunter2" not in str(report.as_dict()) + str(render_sarif(report))


# -- the file system


def test_pipes_devices_and_links_out_of_the_folder(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    os.mkfifo(project / "requirements.txt")
    (tmp_path / "secret-requirements.txt").write_text("secret==1\n")
    (project / "linked-requirements.txt").symlink_to(tmp_path / "secret-requirements.txt")
    (project / "loop").symlink_to(project)
    facts, inputs = gather(LocalMachine({}), [str(project)], whole_machine=False)
    assert inputs == [str(project / "requirements.txt")]
    assert [item.problems[0].message for item in facts] == ["not a regular file"]


def test_files_that_include_one_another(tmp_path: Path) -> None:
    (tmp_path / "a-requirements.txt").write_text(
        "-r b-requirements.txt\n-r gone.txt\n-r https://u:hunter2@x.example/r\n"
    )
    (tmp_path / "b-requirements.txt").write_text("-r a-requirements.txt\nw00tz\n")
    facts, inputs = gather(LocalMachine({}), [str(tmp_path)], whole_machine=False)
    report = audit(Scene(facts, MAP, AUDIT_DAY), inputs)
    assert {finding.rule for finding in report.findings} >= {"MG001", "MG002", "MG203"}  # gone.txt is not passed over
    assert "hunter2" not in str(report.as_dict())


def test_an_included_file_of_any_name_is_read(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-r more.list\n")
    (tmp_path / "more.list").write_text("--extra-index-url https://b.example/\n")
    facts, inputs = gather(LocalMachine({}), [str(tmp_path)], whole_machine=False)
    assert "MG101" in {finding.rule for finding in audit(Scene(facts, MAP, AUDIT_DAY), inputs).findings}


def test_the_configuration_of_the_machine_is_found_where_pip_and_uv_look(tmp_path: Path) -> None:
    for place in (
        "home/.config/pip/pip.conf",
        "home/.pip/pip.conf",
        "xdg/pip/pip.conf",
        "venv/pip.conf",
        "chosen.conf",
    ):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("[global]\ntrusted-host = a.example\n")
    (tmp_path / "home/.config/uv").mkdir()
    (tmp_path / "home/.config/uv/uv.toml").write_text('allow-insecure-host = ["a.example"]\n')
    environ = {
        "HOME": str(tmp_path / "home"), "XDG_CONFIG_DIRS": str(tmp_path / "xdg"), "VIRTUAL_ENV": str(tmp_path / "venv"),
        "PIP_CONFIG_FILE": str(tmp_path / "chosen.conf"), "PIP_TRUSTED_HOST": "a.example",
    }  # fmt: skip
    facts, inputs = gather(LocalMachine(environ), [], whole_machine=True)
    found = audit(Scene(facts, MAP, AUDIT_DAY), inputs).findings
    here = {finding.place.file for finding in found if finding.place.file.startswith(str(tmp_path))}
    assert len(here) == 6
    assert "environment" in {finding.place.file for finding in found}
    facts, inputs = gather(LocalMachine({**environ, "PIP_CONFIG_FILE": os.devnull}), [], whole_machine=True)
    assert [name for name in inputs if name.endswith("pip.conf")] == []


def test_a_path_that_is_not_there() -> None:
    with pytest.raises(UsageError):
        gather(LocalMachine({}), ["no-such-file"], whole_machine=False)


def test_an_environment_of_any_text() -> None:
    keys = ("INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "INDEX", "TRUSTED_HOST", "INDEX_STRATEGY")
    hostile = {f"{tool}_{key}": "\udcff http://[ ,=\x00" for tool in ("PIP", "UV") for key in keys}
    report = audit(Scene(read_environment(hostile), MAP, AUDIT_DAY), [])
    assert str(render_sarif(report)).isprintable()
