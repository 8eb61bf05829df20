"""The same bytes whatever surrounds the build; and a build that depends on its surroundings is found and named."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.repro.conftest import REUSE, Built
from tests.support.hermetic import run_millcert, sample_project

from millcert.cli import main
from millcert.model import digest_of, digest_of_file
from millcert.rebuild.comparison import compare, first_cause
from millcert.rebuild.outside import VARIATIONS, Outside, alone, pairwise
from millcert.rebuild.run import Request, Run

CPU = ("cpu", "--arch", "x86_64")


def test_two_rebuilds_under_every_variation_give_the_same_bytes(built: Built) -> None:
    done = run_millcert("repro", *CPU, *REUSE, "--project", str(built.project), "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [one["identical"] for one in report["files"]] == [True] * 3  # wheel, SBOM, provenance
    (wheel,) = (one for one in report["files"] if one["file"].endswith(".whl"))
    assert set(wheel["sha256"].values()) == {digest_of_file(built.wheel)}
    first, second = report["rebuilds"]
    changed = {name for name, setting in second["settings"].items() if first["settings"][name] != setting}
    assert changed | set(second["skipped"]) == {variation.name for variation in VARIATIONS}
    assert {"directory", "umask", "locale", "time zone", "hash seed", "processors", "order of variants"} <= changed


def test_a_build_that_differs_is_reported_with_its_first_cause(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two rebuilds that gave other bytes, as the command reports them; that builds differ is made up here."""

    def build(name: str, request: Request, outside: Outside, scratch: Path) -> Run:
        members = {**BASE, "a/lib.so": name.encode(), "a-1.dist-info/RECORD": digest_of(name.encode()).encode()}
        path = wheel(scratch / "a-1-py3-none-any.whl", members)
        return Run(name, scratch, {path.name: digest_of_file(path)}, 1.0)

    monkeypatch.setattr("millcert.rebuild.run.build_again", build)
    project = sample_project(tmp_path / "project")
    with pytest.raises(SystemExit) as caught:
        main(["repro", "cpu", "--project", str(project)])
    assert caught.value.code == 12
    printed = capsys.readouterr()
    assert "a/lib.so at byte 0" in printed.err
    assert "DIFFERS" in printed.out
    kept = list((project / "dist/repro").rglob("*.whl"))
    assert len({digest_of_file(path) for path in kept}) == 2


def test_each_variation_has_a_build_of_its_own_or_a_reason() -> None:
    (_, first, settings), (_, second, other) = pairwise()
    assert [varied.name for varied in settings] == [varied.name for varied in other]
    for varied, before in zip(other, settings, strict=True):
        assert varied.setting
        assert varied.skipped or varied.setting != before.setting
    assert first != second
    for name, outside, _ in alone()[1:]:
        assert outside != first, name


def wheel(path: Path, members: dict[str, bytes], *, change: Callable[[zipfile.ZipInfo], None] | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (2026, 11, 23, 0, 0, 0))
            if change:
                change(info)
            archive.writestr(info, data)
    return path


BASE = {"a/__init__.py": b"import x\n", "a/lib.so": b"\x7fELF" + bytes(64), "a-1.dist-info/RECORD": b"a,,\n"}
CAUSES: list[tuple[dict[str, bytes], Callable[[zipfile.ZipInfo], None] | None, str]] = [
    ({**BASE, "a/lib.so": b"\x7fELF" + bytes(63) + b"\x01"}, None, "a/lib.so at byte 67"),
    ({**BASE, "a/more.py": b""}, None, "members in only one of them: a/more.py"),
    (dict(reversed(BASE.items())), None, "the order of the members"),
    (BASE, lambda info: setattr(info, "date_time", (2026, 11, 23, 0, 0, 2)), "a/__init__.py: date_time"),
    (BASE, lambda info: setattr(info, "external_attr", 0o755 << 16), "a/__init__.py: external_attr"),
    (BASE, lambda info: setattr(info, "compress_type", zipfile.ZIP_DEFLATED), "a/__init__.py: compress_type"),
    (BASE, lambda info: setattr(info, "comment", b"x"), "the archive itself, at byte"),
]


@pytest.mark.parametrize(("members", "change", "cause"), CAUSES)
def test_the_first_cause_of_two_wheels(
    tmp_path: Path, members: dict[str, bytes], change: Callable[[zipfile.ZipInfo], None] | None, cause: str
) -> None:
    one, other = wheel(tmp_path / "one.whl", BASE), wheel(tmp_path / "other.whl", members, change=change)
    assert first_cause(one, other).startswith(cause)


def test_a_file_that_one_build_lacks_is_not_identical() -> None:
    from millcert.model import Digest

    both, lacking = {"a.whl": Digest("1" * 64), "b.whl": Digest("2" * 64)}, {"a.whl": Digest("1" * 64)}
    first, second = compare({"first": both, "second": lacking})
    assert first.identical
    assert not second.identical
    assert second.odd == "second"
