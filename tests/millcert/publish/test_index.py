"""What a published index serves: to pip and uv, to a TUF client, and to other parsers of the same formats."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from packaging.version import Version
from tests.support.nightly import (
    NOW,
    OWNED,
    Nightly,
    build_wheel,
    client,
    hours,
    installed,
    lock_of,
    make_wheel,
    pip,
    serve,
    trusting,
    uv,
)  # fmt: skip

from millcert.errors import StoreError
from millcert.lock import Lock
from millcert.names import normalize
from millcert.publish import Request
from millcert.store import Store

WOOTZ = normalize("wootz")


def release(nightly: Nightly, version: str = "0.1.0.dev20261123+cpu", **how: object) -> Path:
    """A wheel that requires a locked one, published."""
    wheel = build_wheel(nightly.folder / "dist", version, requires=["anvil>=1"], content=b"import anvil\n")
    nightly.publish(wheel, lock=lock_of(nightly.store, anvil(nightly)), **how)  # type: ignore[arg-type]  # free keywords
    return wheel


def anvil(nightly: Nightly, version: str = "2.0") -> Path:
    return make_wheel(nightly.folder / "third", "anvil", version, content=f"version = {version!r}\n".encode())


def page_of(nightly: Nightly, name: str = "wootz") -> dict[str, object]:
    page: dict[str, object] = json.loads((nightly.site.root / f"nightly/cpu/{name}/index.json").read_bytes())
    return page


@pytest.mark.parametrize("json_pages", [False, True], ids=["html", "json"])
def test_pip_installs_everything_from_one_index(nightly: Nightly, tmp_path: Path, json_pages: bool) -> None:
    release(nightly)
    with serve(nightly.site.root, json_pages=json_pages) as (address, sent):
        done = pip(
            "install", "--pre", "--no-cache-dir", "--target", str(tmp_path / "to"),
            "--index-url", f"{address}/nightly/cpu/", "wootz",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "to") == {"wootz-0.1.0.dev20261123+cpu", "anvil-2.0"}
    assert any(path.endswith(".whl.metadata") for path, _ in sent), "pip read the core metadata by itself (PEP 658)"


@pytest.mark.parametrize("json_pages", [False, True], ids=["html", "json"])
def test_uv_installs_everything_from_one_index(nightly: Nightly, tmp_path: Path, json_pages: bool) -> None:
    release(nightly)
    with serve(nightly.site.root, json_pages=json_pages) as (address, _):
        done = uv(
            "install", "--prerelease", "allow", "--target", str(tmp_path / "to"),
            "--default-index", f"{address}/nightly/cpu/", "wootz",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "to") == {"wootz-0.1.0.dev20261123+cpu", "anvil-2.0"}


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_a_hash_that_the_page_does_not_have_is_refused(nightly: Nightly, tmp_path: Path, tool: str) -> None:
    release(nightly)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"anvil==2.0 --hash=sha256:{'0' * 64}\n")
    with serve(nightly.site.root) as (address, _):
        index = f"{address}/nightly/cpu/"
        common = ["install", "--require-hashes", "--target", str(tmp_path / "to"), "-r", str(requirements)]
        done = pip(*common, "--index-url", index) if tool == "pip" else uv(*common, "--default-index", index)
    assert done.returncode != 0
    assert not installed(tmp_path / "to")


@pytest.mark.parametrize("tool", ["pip", "uv"])
@pytest.mark.parametrize("absolute", [False, True], ids=["relative", "absolute"])
def test_pylock_installs_the_release(nightly: Nightly, tmp_path: Path, tool: str, absolute: bool) -> None:
    with serve(nightly.site.root) as (address, _):
        release(nightly, base_url=address if absolute else "")
        lock = nightly.site.root / "nightly/cpu/wootz/latest/pylock.toml"
        if absolute:  # a lock with addresses works from anywhere
            (tmp_path / "pylock.toml").write_bytes(lock.read_bytes())
            lock = tmp_path / "pylock.toml"
        common = ["install", "--target", str(tmp_path / "to"), "-r", str(lock)]
        done = pip(*common) if tool == "pip" else uv(*common, "--preview")
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "to") == {"wootz-0.1.0.dev20261123+cpu", "anvil-2.0"}


def test_pip_installs_a_lock_by_its_address(nightly: Nightly, tmp_path: Path) -> None:
    release(nightly)
    with serve(nightly.site.root) as (address, _):
        done = pip("install", "--target", str(tmp_path / "to"), "-r", f"{address}/nightly/cpu/wootz/latest/pylock.toml")
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "to") == {"wootz-0.1.0.dev20261123+cpu", "anvil-2.0"}


def test_the_signed_page_is_the_served_one(nightly: Nightly, tmp_path: Path) -> None:
    release(nightly)
    with serve(nightly.site.root) as (address, _):
        assert client(address, tmp_path / "cache", nightly.root) == page_of(nightly)
        projects = client(address, tmp_path / "cache", nightly.root, "nightly/cpu/index.json")["projects"]
        with pytest.raises(LookupError):
            client(address, tmp_path / "cache", nightly.root, "nightly/cpu/hammer/index.json")
    assert projects == [{"name": "anvil"}, {"name": "wootz"}]


def test_the_page_pins_every_file_beside_the_wheel(nightly: Nightly) -> None:
    wheel = release(nightly)
    (file,) = page_of(nightly)["files"]  # type: ignore[misc]  # JSON
    folder = nightly.site.root / "nightly/cpu/wootz"
    assert file["size"] == wheel.stat().st_size
    assert file["hashes"]["sha256"] == hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert file["upload-time"] == NOW.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    evidence = file["_millcert"]
    pins = [*evidence["bundles"], evidence["provenance"], evidence["sbom"], evidence["pylock"]]
    assert len(pins) == 4
    for pin in pins:
        served = (folder / pin["url"].replace("%2B", "+")).resolve().read_bytes()
        assert (hashlib.sha256(served).hexdigest(), len(served)) == (pin["sha256"], pin["size"])
    metadata = (folder / file["url"].replace("%2B", "+")).resolve().with_name(f"{wheel.name}.metadata").read_bytes()
    assert file["core-metadata"]["sha256"] == hashlib.sha256(metadata).hexdigest()


def test_another_implementation_reads_both_forms_alike(nightly: Nightly) -> None:
    parser = pytest.importorskip("simple_repository.parser", reason="simple-repository is not installed")
    release(nightly)
    folder = nightly.site.root / "nightly/cpu/wootz"
    from_json = parser.parse_json_project_page((folder / "index.json").read_text())
    from_html = parser.parse_html_project_page((folder / "index.html").read_text(), "wootz")
    facts = [
        {
            (file.filename, file.url.partition("#")[0], file.hashes["sha256"], file.requires_python)
            for file in page.files
        }
        for page in (from_json, from_html)
    ]
    assert facts[0] == facts[1]
    assert len(facts[0]) == 1


def test_publishing_again_changes_nothing(nightly: Nightly) -> None:
    release(nightly)
    before = {path: path.read_bytes() for path in nightly.site.root.rglob("*") if path.is_file()}
    wheel = nightly.folder / "dist/wootz-0.1.0.dev20261123+cpu-py3-none-any.whl"
    outcome = nightly.publish(wheel, lock=lock_of(nightly.store, anvil(nightly)), now=NOW + hours(1))
    assert outcome.pages == ()
    assert {path: path.read_bytes() for path in nightly.site.root.rglob("*") if path.is_file()} == before


def test_a_further_architecture_and_bundle_join_the_release(nightly: Nightly) -> None:
    first = release(nightly)
    first.with_name(f"{first.name}.2.sigstore.json").write_text("{}")
    second = build_wheel(nightly.folder / "dist", requires=["anvil>=1"], tag="cp311-abi3-manylinux_2_17_aarch64")
    lock = lock_of(nightly.store, anvil(nightly))
    nightly.publish(first, second, lock=lock, now=NOW + hours(1))
    files = {file["filename"]: file for file in page_of(nightly)["files"]}  # type: ignore[attr-defined]  # JSON
    assert len(files) == 2
    assert len(files[first.name]["_millcert"]["bundles"]) == 2
    assert files[first.name]["upload-time"] < files[second.name]["upload-time"]
    assert "aarch64" in (nightly.site.root / "nightly/cpu/wootz/latest/pylock.toml").read_text()


def test_old_nights_leave_the_list_but_their_locks_still_install(nightly: Nightly, tmp_path: Path) -> None:
    versions = [f"0.1.0.dev2026112{day}+cpu" for day in range(5)]
    for day, version in enumerate(versions):
        release(nightly, version, retain=2, now=NOW + hours(day))
    page = page_of(nightly)
    assert page["versions"] == versions[-2:]
    retired = f"retired-{NOW:%Y-%m}"
    with serve(nightly.site.root) as (address, _):
        signed = client(address, tmp_path / "cache", nightly.root, f"nightly/cpu/wootz/{retired}.json")
        old = nightly.site.root / f"nightly/cpu/wootz/{versions[0]}/pylock.toml"
        by_lock = pip("install", "--target", str(tmp_path / "lock"), "-r", str(old))
        file = signed["files"][0]
        requirements = tmp_path / "requirements.txt"
        requirements.write_text(
            f"wootz=={versions[0]} --hash=sha256:{file['hashes']['sha256']}\n"
            f"anvil==2.0 --hash=sha256:{hashlib.sha256(anvil(nightly).read_bytes()).hexdigest()}\n"
        )
        links = [
            f"--find-links={address}/nightly/cpu/wootz/{retired}.html",
            "--require-hashes",
            "-r",
            str(requirements),
        ]
        index = f"{address}/nightly/cpu/"
        by_pip = pip("install", "--target", str(tmp_path / "pip"), "--index-url", index, *links)
        by_uv = uv("install", "--target", str(tmp_path / "uv"), "--default-index", index, *links)
    assert signed["versions"] == versions[:3]
    for done, folder in ((by_lock, "lock"), (by_pip, "pip"), (by_uv, "uv")):
        assert done.returncode == 0, done.stderr
        assert f"wootz-{versions[0]}" in installed(tmp_path / folder)


def test_a_new_lock_supersedes_but_keeps_pinned_installs(nightly: Nightly, tmp_path: Path) -> None:
    release(nightly)
    newer = build_wheel(nightly.folder / "dist", "0.1.0.dev20261124+cpu", requires=["anvil>=1"])
    nightly.publish(newer, lock=lock_of(nightly.store, anvil(nightly, "3.0")), now=NOW + hours(24))
    with serve(nightly.site.root) as (address, _):
        index = ("--index-url", f"{address}/nightly/cpu/")
        any_version = pip("install", *index, "--target", str(tmp_path / "any"), "--no-cache-dir", "anvil<3")
        pinned = pip("install", *index, "--target", str(tmp_path / "pin"), "--no-cache-dir", "anvil==2.0")
        newest = pip("install", *index, "--target", str(tmp_path / "new"), "--no-cache-dir", "anvil")
    assert any_version.returncode != 0, "a superseded version is not chosen"
    assert pinned.returncode == 0, pinned.stderr
    assert newest.returncode == 0
    assert installed(tmp_path / "new") == {"anvil-3.0"}


def test_a_yank_hides_a_file_from_resolvers_only(nightly: Nightly, tmp_path: Path) -> None:
    wheel = release(nightly)
    nightly.publisher().yank("nightly/cpu", WOOTZ, [wheel.name], "miscompiled softmax", NOW + hours(1))
    with serve(nightly.site.root) as (address, _):
        page = client(address, tmp_path / "cache", nightly.root)
        index = ("--index-url", f"{address}/nightly/cpu/", "--no-cache-dir")
        newest = pip("download", "--pre", *index, "-d", str(tmp_path / "a"), "wootz")
        pinned = pip("download", "--pre", *index, "-d", str(tmp_path / "b"), "wootz==0.1.0.dev20261123")
    assert page["files"][0]["yanked"] == "miscompiled softmax"
    assert newest.returncode != 0
    assert pinned.returncode == 0, pinned.stderr
    assert "miscompiled softmax" in pinned.stdout + pinned.stderr
    nightly.publisher().yank("nightly/cpu", WOOTZ, [wheel.name], "", NOW + hours(2))
    assert page_of(nightly)["files"][0]["yanked"] is False  # type: ignore[index]  # JSON


def test_a_quarantined_project_offers_no_files_until_it_is_cleared(nightly: Nightly, tmp_path: Path) -> None:
    release(nightly)
    publisher = nightly.publisher()
    publisher.set_status("nightly/cpu", WOOTZ, "quarantined", "stolen key", NOW + hours(1))
    page = page_of(nightly)
    assert page["project-status"] == {"status": "quarantined", "reason": "stolen key"}
    assert page["files"] == []
    html = (nightly.site.root / "nightly/cpu/wootz/index.html").read_text()
    assert '<meta name="pypi:project-status" content="quarantined">' in html
    assert "<a " not in html
    publisher.set_status("nightly/cpu", WOOTZ, "active", "", NOW + hours(2))
    assert len(page_of(nightly)["files"]) == 1  # type: ignore[arg-type]  # JSON


def test_only_files_that_the_index_lacks_are_needed(nightly: Nightly) -> None:
    first, second = (lock_of(nightly.store, anvil(nightly, version)) for version in ("2.0", "3.0"))
    publisher = nightly.publisher()

    def needed(lock: Lock) -> list[str]:
        return [file.filename for _, file in publisher.needed(Request("nightly/cpu", [], lock, OWNED), NOW)]

    assert needed(first) == ["anvil-2.0-py3-none-any.whl"]
    release(nightly)
    assert needed(first) == []
    assert needed(second) == ["anvil-3.0-py3-none-any.whl"]
    with pytest.raises(StoreError, match="--fetch"):
        nightly.publisher().publish(
            Request("nightly/cpu", [build_wheel(nightly.folder / "next", "0.1.0.dev20261125+cpu")], second, OWNED),
            Store(nightly.folder / "empty store"), trusting, NOW,
        )  # fmt: skip


def test_locked_files_can_be_referred_to_instead(nightly: Nightly, tmp_path: Path) -> None:
    third = anvil(nightly)
    with serve(third.parent) as (elsewhere, _), serve(nightly.site.root) as (address, _):
        release(nightly, refer=f"{elsewhere}/{{filename}}")
        done = pip(
            "install", "--pre", "--no-cache-dir", "--target", str(tmp_path / "to"),
            "--index-url", f"{address}/nightly/cpu/", "wootz",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        file = page_of(nightly, "anvil")["files"][0]  # type: ignore[index]  # JSON
    assert file["url"] == f"{elsewhere}/{third.name}"
    assert not (nightly.site.root / "files/anvil" / third.name).exists()
    assert "anvil-2.0" in installed(tmp_path / "to")


def test_stable_takes_releases_and_nightly_development_ones(nightly: Nightly) -> None:
    nightly.add_index("stable/cpu")
    wheel = build_wheel(nightly.folder / "dist", "0.1.0+cpu")
    nightly.publish(wheel, index="stable/cpu")
    state = nightly.state()
    assert state.page("stable/cpu/wootz/index.json") is not None
    assert state.page("nightly/cpu/wootz/index.json") is None
    assert max(Version("0.1.0+cpu"), Version("0.1.0.dev1+cpu")) == Version("0.1.0+cpu")


def test_what_is_added_costs_no_more_on_a_large_index(quick_path: Path) -> None:
    written = []
    for folder, others in (("small", 2), ("large", 60)):
        nightly = Nightly.start(quick_path / folder, bits=4)
        third = [make_wheel(nightly.folder / "third", f"part{number}", "1.0") for number in range(others)]
        nightly.publish(build_wheel(nightly.folder / "dist"), lock=lock_of(nightly.store, *third))
        before = {path for path in nightly.site.root.rglob("*") if path.is_file()}
        wheel = build_wheel(nightly.folder / "dist", "0.1.0.dev20261124+cpu")
        nightly.publish(wheel, lock=lock_of(nightly.store, *third), now=NOW + hours(24))
        new = {path for path in nightly.site.root.rglob("*") if path.is_file()} - before
        pages = [path for path in new if path.name.endswith(".index.json")]
        metadata = [path for path in new if path.parent.name == "tuf"]
        assert len(pages) == 1, "only the page of the project that changed"
        assert len(metadata) == 2, "one bin and the snapshot (the timestamp is replaced)"
        written.append(sum(path.stat().st_size for path in metadata))
    assert written[1] < written[0] + 60 * 200 / 8, "a bin holds a sixteenth of the pages, not all of them"
