"""What a ``.in`` file may ask for, and which index a name belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest

from millcert.errors import ConfigError, ConfusionError, LockError
from millcert.lock.namespaces import Namespaces, parse_namespaces, read_namespaces
from millcert.lock.requirements import parse_requirements, read_requirements
from millcert.names import normalize


def test_names_versions_extras_markers_and_includes(tmp_path: Path) -> None:
    (tmp_path / "lockfiles").mkdir()
    (tmp_path / "lockfiles/a.in").write_text("-r b.in\nThing.One[x]>=1 ; python_version > '3'  # why\n\n# comment\n")
    (tmp_path / "lockfiles/b.in").write_text("other==1.*\n")
    wanted = read_requirements(tmp_path / "lockfiles/a.in", tmp_path)
    assert [(item.name, item.origin) for item in wanted] == [
        ("other", "lockfiles/b.in"),
        ("thing-one", "lockfiles/a.in"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "thing @ https://x.example/thing.whl",
        "https://x.example/thing.whl",
        "git+https://x.example/thing",
        "-e .",
        "--editable .",
        "./thing",
        "thing.whl",
        "--index-url https://x.example/simple",
        "-i https://x.example/simple",
        "--extra-index-url=https://x.example/simple",
        "--find-links /tmp",
        "--trusted-host x.example",
        "--pre",
        "-c constraints.txt",
        "thing==1.0 --hash=sha256:00",
        "thing==1.0 \\",
        "$THING",
    ],
)
def test_everything_else_is_refused(line: str) -> None:
    with pytest.raises(LockError, match=r"any\.in"):
        list(parse_requirements(f"fine\n{line}\n", "lockfiles/tools/any.in"))


def test_includes_stay_inside_and_end(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "outside.in").write_text("thing\n")
    (tmp_path / "project/a.in").write_text("-r ../outside.in\n")
    (tmp_path / "project/b.in").write_text("-r b.in\n")
    (tmp_path / "project/c.in").write_text("-r absent.in\n")
    for name, problem in (("a", "outside the project"), ("b", "includes itself"), ("c", "no such")):
        with pytest.raises(LockError, match=problem):
            read_requirements(tmp_path / f"project/{name}.in", tmp_path / "project")


@pytest.fixture
def namespaces() -> Namespaces:
    return parse_namespaces(b'upstream = "pypi"\n[owned.ours]\nnames = ["wootz"]\nprefixes = ["wootz-"]\n')


@pytest.mark.parametrize(
    ("name", "index"),
    [("wootz", "ours"), ("Wootz", "ours"), ("wootz_cuda", "ours"), ("wootzcuda", "pypi"), ("numpy", "pypi")],
)
def test_every_name_has_one_index(namespaces: Namespaces, name: str, index: str) -> None:
    assert namespaces.index_of(normalize(name)) == index
    namespaces.check_origin(normalize(name), index)
    with pytest.raises(ConfusionError, match="does not belong"):
        namespaces.check_origin(normalize(name), "elsewhere")


@pytest.mark.parametrize("name", ["w00tz", "wo-otz", "W0OTZ"])
def test_a_look_alike_of_an_owned_name_is_refused(namespaces: Namespaces, name: str) -> None:
    with pytest.raises(ConfusionError, match="looks like one of ours"):
        namespaces.index_of(normalize(name))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "upstream = 1\n[owned.a]\nnames=[]\nprefixes=[]\n",
        'upstream = "a"\n[owned.a]\nnames=[]\nprefixes=[]\n',
        'upstream = "pypi"\n[owned.a]\nnames=["-"]\nprefixes=[]\n',
        'upstream = "pypi"\n[owned.a]\nnames=[]\nprefixes=["wootz"]\n',
        'upstream = "pypi"\n[owned.a]\nnames=[]\n',
        "\x00",
    ],
)
def test_a_broken_map_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a namespace map"):
        parse_namespaces(text.encode())


def test_the_map_of_this_project() -> None:
    path = Path(__file__).resolve().parents[3] / "lockfiles/namespaces.toml"
    namespaces = read_namespaces(path)
    assert {namespaces.index_of(normalize(name)) for name in ("wootz", "millcert", "wootz-extra")} == {"wootz"}
    assert namespaces.index_of(normalize("numpy")) == "pypi"
    with pytest.raises(ConfigError, match="no namespace map"):
        read_namespaces(path.with_name("absent.toml"))
