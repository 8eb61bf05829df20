"""What must never come onto an index: each attempt is refused, and what is served does not change by a byte."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.attacker import page_role
from tests.support.nightly import (
    NOW,
    OWNED,
    Nightly,
    build_wheel,
    client,
    hours,
    lock_of,
    make_wheel,
    memory_folder,
    serve,
    trusting,
)  # fmt: skip
from tuf.api.metadata import TargetFile

from millcert.errors import ConfigError, ConfusionError, HashMismatchError, MillcertError, UsageError, VerificationError
from millcert.keys import DEFAULT_LIFETIMES, Draft, renew, role_of
from millcert.lock import Lock, LockedFile, Pin
from millcert.model import Digest, canonical_json, digest_of
from millcert.names import normalize
from millcert.publish import (
    Artifact,
    Builder,
    DependencyError,
    FolderSite,
    NameTakenError,
    ReleaseRefusedError,
    Request,
    SiteStateError,
    write_all_views,
)  # fmt: skip
from millcert.publish.page import Page
from millcert.publish.views import stored_path

VERSION = "0.1.0.dev20261123+cpu"


@pytest.fixture
def nightly(tmp_path: Path) -> Iterator[Nightly]:
    """An index with a dependency and one night on it."""
    with memory_folder(tmp_path) as folder:
        nightly = Nightly.start(folder)
        nightly.publish(build_wheel(folder / "dist", VERSION, requires=["anvil"]), lock=locked(nightly))
        yield nightly


def locked(nightly: Nightly) -> Lock:
    return lock_of(nightly.store, make_wheel(nightly.folder / "third", "anvil", "2.0"))


def served(nightly: Nightly) -> dict[str, bytes]:
    root = nightly.site.root
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def refused(
    nightly: Nightly, error: type[MillcertError], match: str | None, attempt: Callable[[], object]
) -> MillcertError:
    before = served(nightly)
    with pytest.raises(error, match=match) as refusal:
        attempt()
    assert served(nightly) == before
    return refusal.value


def night(nightly: Nightly, version: str = "0.1.0.dev20261124+cpu", **how: object) -> Path:
    return build_wheel(nightly.folder / "next", version, **how)  # type: ignore[arg-type]  # free keywords


def test_a_published_name_with_other_bytes(nightly: Nightly) -> None:
    other = night(nightly, VERSION, content=b"evil = True\n", requires=["anvil"])
    error = refused(nightly, NameTakenError, "other bytes", lambda: nightly.publish(other, lock=locked(nightly)))
    assert error.exit_code == 16
    assert error.evidence["refused"] == hashlib.sha256(other.read_bytes()).hexdigest()


def test_a_published_name_whose_file_was_removed_from_the_bucket(nightly: Nightly) -> None:
    """The signed page remembers its bytes."""
    for path in (nightly.site.root / "files/wootz").iterdir():
        path.unlink()
    other = night(nightly, VERSION, content=b"evil = True\n", requires=["anvil"])
    refused(nightly, NameTakenError, "other bytes", lambda: nightly.publish(other, lock=locked(nightly)))


def test_a_name_is_written_once(tmp_path: Path) -> None:
    site = FolderSite(tmp_path / "site")
    site.create("files/a", [b"one"], digest_of(b"one"))
    site.create("files/a", [b"one"], digest_of(b"one"))
    with pytest.raises(NameTakenError):
        site.create("files/a", [b"two"], digest_of(b"two"))
    assert site.read("files/a") == b"one"


def test_a_name_claimed_by_a_run_that_died(nightly: Nightly, tmp_path: Path) -> None:
    """Its wheel never came into view, yet its bytes may be in somebody's cache: the name stays bound to them."""
    wheel = night(nightly)
    folder = nightly.site.root / "files/wootz"
    (folder / f"{wheel.name}.sha256").write_text(f"{'0' * 64}  {wheel.name}\n")
    refused(nightly, NameTakenError, "taken by other bytes", lambda: nightly.publish(wheel))


@pytest.mark.parametrize(
    ("requirement", "match"),
    [
        ("torchtriton", "neither owned nor locked"),
        ("torchtriton; extra == 'test'", "neither owned nor locked"),
        ("torchtriton; sys_platform == 'win32'", "neither owned nor locked"),
        ("anvil @ https://evil.example/anvil-2.0-py3-none-any.whl", "by address"),
        ("anvil>=3", "does not satisfy"),
    ],
)
def test_a_requirement_that_could_reach_another_index(nightly: Nightly, requirement: str, match: str) -> None:
    wheel = night(nightly, requires=["anvil", requirement])
    refused(nightly, DependencyError, match, lambda: nightly.publish(wheel, lock=locked(nightly)))


def test_a_requirement_of_a_dependency_that_nobody_locked(nightly: Nightly) -> None:
    hungry = make_wheel(nightly.folder / "third", "hungry", "1.0", requires=["unlocked-thing>=1"])
    lock = lock_of(nightly.store, hungry)
    refused(nightly, DependencyError, "neither owned nor locked", lambda: nightly.publish(night(nightly), lock=lock))
    harmless = make_wheel(
        nightly.folder / "third", "harmless", "1.0",
        requires=["unlocked-thing; extra == 'all'", "win; sys_platform == 'win32'", "old; python_version < '3.11'"],
    )  # fmt: skip
    nightly.publish(night(nightly), lock=lock_of(nightly.store, harmless))


@pytest.mark.parametrize("name", ["wootz", "w00tz", "woo_tz", "Wootz"])
def test_a_lock_that_takes_an_owned_name_from_elsewhere(nightly: Nightly, name: str) -> None:
    poisoned = make_wheel(nightly.folder / "third", name, "99.0")
    lock = lock_of(nightly.store, poisoned)
    error = refused(nightly, ConfusionError, "owned name", lambda: nightly.publish(night(nightly), lock=lock))
    assert error.exit_code == 15


def test_a_lock_that_names_other_bytes_than_were_published(nightly: Nightly) -> None:
    poisoned = make_wheel(nightly.folder / "evil", "anvil", "2.0", content=b"evil = True\n")
    lock = lock_of(nightly.store, poisoned)
    refused(nightly, NameTakenError, "other bytes", lambda: nightly.publish(night(nightly), lock=lock))


def test_a_lock_that_names_another_size(nightly: Nightly) -> None:
    wheel = make_wheel(nightly.folder / "third", "hammer", "1.0")
    (pin,) = lock_of(nightly.store, wheel).pins
    lock = Lock(Path("lock.txt"), (replace(pin, files=(replace(pin.files[0], size=1),)),))
    refused(nightly, HashMismatchError, "another size", lambda: nightly.publish(night(nightly), lock=lock))


def test_a_locked_file_that_is_another_project_inside(nightly: Nightly) -> None:
    inner = make_wheel(nightly.folder / "third", "inner", "1.0")
    digest = nightly.store.add_file(inner)
    file = LockedFile("hammer-1.0-py3-none-any.whl", digest, inner.stat().st_size)
    lock = Lock(Path("lock.txt"), (Pin(normalize("hammer"), "1.0", "pypi", (file,)),))
    refused(nightly, ReleaseRefusedError, "cannot be read", lambda: nightly.publish(night(nightly), lock=lock))


@pytest.mark.parametrize(
    ("version", "index", "match"),
    [
        ("0.1.0.dev20261124+cpu.dirty", "nightly/cpu", "does not belong"),
        ("0.1.0.dev20261124+cu129", "nightly/cpu", "does not belong"),
        ("0.1.0.dev20261124", "nightly/cpu", "does not belong"),
        ("0.1.0+cpu", "nightly/cpu", "does not belong"),
        ("0.1.0.dev20261124+cpu", "stable/cpu", "does not belong"),
    ],
)
def test_a_wheel_on_the_wrong_index(nightly: Nightly, version: str, index: str, match: str) -> None:
    wheel = night(nightly, version)
    refused(nightly, ReleaseRefusedError, match, lambda: nightly.publish(wheel, index=index))


def test_a_wheel_of_a_project_that_is_not_ours(nightly: Nightly) -> None:
    wheel = night(nightly, name="numpy")
    error = refused(nightly, ReleaseRefusedError, "does not belong", lambda: nightly.publish(wheel))
    assert "a project we own: wootz" in str(error)


def test_an_index_that_nobody_delegated(nightly: Nightly) -> None:
    wheel = night(nightly, "0.1.0.dev20261124+cu129")
    refused(nightly, SiteStateError, "no such role", lambda: nightly.publish(wheel, index="nightly/cu129"))
    for name in ("nightly", "../cpu", "nightly/cpu/x", "nightly/CPU", ""):
        refused(nightly, UsageError, "not the name of an index", lambda name=name: nightly.publish(wheel, index=name))


@pytest.mark.parametrize("suffix", [".sigstore.json", ".provenance.json", ".cdx.json"])
def test_a_stripped_file_beside_the_wheel(nightly: Nightly, suffix: str) -> None:
    wheel = night(nightly)
    wheel.with_name(wheel.name + suffix).unlink()
    refused(nightly, ReleaseRefusedError, "not signed|missing", lambda: nightly.publish(wheel))


def test_a_wheel_that_is_not_there(nightly: Nightly) -> None:
    absent = nightly.folder / "wootz-9-py3-none-any.whl"
    refused(nightly, ReleaseRefusedError, "no such wheel", lambda: nightly.publish(absent))


def test_a_wheel_with_the_metadata_of_two(nightly: Nightly) -> None:
    wheel = night(nightly)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("numpy-1.0.dist-info/METADATA", "Metadata-Version: 2.4\nName: numpy\nVersion: 1.0\n")
    refused(nightly, ReleaseRefusedError, "cannot be read", lambda: nightly.publish(wheel))


@pytest.mark.parametrize("limit", ["_MOST_METADATA", "_MOST_SIDECAR"])
def test_files_beyond_a_limit(nightly: Nightly, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    wheel = night(nightly)
    monkeypatch.setattr(f"millcert.publish.artifact.{limit}", 10)
    error = refused(nightly, ReleaseRefusedError, None, lambda: nightly.publish(wheel))
    assert "too large" in str(error)


def test_provenance_of_other_bytes(nightly: Nightly) -> None:
    wheel = night(nightly)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("evil.pth", "import os")
    refused(nightly, ReleaseRefusedError, "other bytes", lambda: nightly.publish(wheel))


def test_an_sbom_that_is_not_the_wheels(nightly: Nightly) -> None:
    wheel = night(nightly)
    wheel.with_name(f"{wheel.name}.cdx.json").write_text('{"bomFormat": "CycloneDX", "components": []}')
    refused(nightly, ReleaseRefusedError, "SBOM", lambda: nightly.publish(wheel))


@pytest.mark.parametrize("ending", ["METADATA", "wootz.py"])
def test_a_wheel_with_two_entries_of_one_name(nightly: Nightly, ending: str) -> None:
    wheel = night(nightly)
    with zipfile.ZipFile(wheel, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        name = next(entry for entry in archive.namelist() if entry.endswith(ending))
        archive.writestr(name, "Metadata-Version: 2.4\nName: wootz\nVersion: 0.1.0.dev20261124+cpu\n")
    refused(nightly, ReleaseRefusedError, "cannot be read", lambda: nightly.publish(wheel))


def test_a_wheel_that_the_verifier_refuses_or_nobody_attests(nightly: Nightly) -> None:
    def publish(verify: Callable[[Artifact], dict[str, Builder]]) -> object:
        request = Request("nightly/cpu", [night(nightly)], locked(nightly), OWNED)
        return nightly.publisher().publish(request, nightly.store, verify, NOW)

    def forged(artifact: Artifact) -> dict[str, Builder]:
        raise VerificationError("signed by somebody else", file=artifact.filename)

    refused(nightly, VerificationError, "somebody else", lambda: publish(forged))
    refused(nightly, ReleaseRefusedError, "nobody", lambda: publish(lambda artifact: {}))


def test_bytes_that_change_between_check_and_copy(nightly: Nightly) -> None:
    wheel = night(nightly)

    def swap(artifact: Artifact) -> dict[str, Builder]:
        wheel.write_bytes(wheel.read_bytes() + b"\0")  # after it was hashed and verified
        return dict(trusting(artifact))

    before = nightly.site.read("tuf/timestamp.json")
    with pytest.raises(HashMismatchError, match="changed on their way"):
        nightly.publisher().publish(Request("nightly/cpu", [wheel], locked(nightly), OWNED), nightly.store, swap, NOW)
    assert nightly.site.read("tuf/timestamp.json") == before
    assert not (nightly.site.root / "files/wootz" / wheel.name).exists()


def test_a_page_altered_in_the_bucket_is_not_signed_by_the_next_night(nightly: Nightly, tmp_path: Path) -> None:
    stored = nightly.site.root / nightly.state().target("nightly/cpu/wootz/index.json").get_prefixed_paths()[0]
    page = json.loads(stored.read_bytes())
    page["files"].append(
        page["files"][0] | {"filename": "wootz-99.0+cpu-py3-none-any.whl", "hashes": {"sha256": "0" * 64}}
    )
    stored.write_bytes(canonical_json(page))
    wheel = night(nightly)
    refused(nightly, SiteStateError, "not the signed one", lambda: nightly.publish(wheel, lock=locked(nightly)))


def test_views_are_never_read_back(nightly: Nightly, tmp_path: Path) -> None:
    """Somebody edits what pip sees; the next night puts the signed content back instead of taking it over."""
    view = nightly.site.root / "nightly/cpu/wootz/index.json"
    view.write_bytes(view.read_bytes().replace(b"wootz-0.1.0", b"wootz-9.9.9"))
    nightly.publish(night(nightly), lock=locked(nightly), now=NOW + hours(24))
    assert b"9.9.9" not in view.read_bytes()
    with serve(nightly.site.root) as (address, _):
        assert client(address, tmp_path / "cache", nightly.root) == json.loads(view.read_bytes())


@pytest.mark.parametrize("name", ["timestamp.json", "snapshot", "targets", "nightly-cpu", "bin"])
def test_metadata_altered_in_the_bucket_stops_the_publisher(nightly: Nightly, name: str) -> None:
    state = nightly.state()
    role = state.page_role("nightly/cpu/wootz/index.json") if name == "bin" else name
    path = nightly.site.root / "tuf" / (name if name == "timestamp.json" else f"{state.version(role)}.{role}.json")
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"expires":"20', b'"expires":"21', 1))
    assert path.read_bytes() != data
    wheel = night(nightly)
    refused(nightly, SiteStateError, "signed|verify", lambda: nightly.publish(wheel, lock=locked(nightly)))


def test_a_lock_altered_in_the_bucket_is_not_shown_again(nightly: Nightly) -> None:
    locks = (nightly.site.root / "nightly/cpu/wootz").glob("*/pylock.toml")
    (lock,) = (path for path in locks if len(path.parent.name) == 64)  # the folder is named by the digest
    lock.write_bytes(lock.read_bytes().replace(b"anvil", b"4nvil"))
    refused(nightly, SiteStateError, "missing or altered", lambda: write_all_views(nightly.site, nightly.root))


def test_nothing_to_publish(nightly: Nightly) -> None:
    refused(nightly, UsageError, "no wheels", nightly.publish)


@pytest.mark.parametrize("name", ["snapshot", "targets", "bin"])
def test_metadata_that_is_gone_from_the_bucket_stops_the_publisher(nightly: Nightly, name: str) -> None:
    state = nightly.state()
    role = state.page_role("nightly/cpu/wootz/index.json") if name == "bin" else name
    (nightly.site.root / "tuf" / f"{state.version(role)}.{role}.json").unlink()
    wheel = night(nightly)
    refused(nightly, SiteStateError, "is missing", lambda: nightly.publish(wheel, lock=locked(nightly)))


def test_a_root_that_was_slipped_in(nightly: Nightly, tmp_path: Path) -> None:
    stranger = Nightly.start(tmp_path / "stranger")
    wheel = night(nightly)
    publisher = nightly.publisher(trusted_root=stranger.root)
    refused(nightly, SiteStateError, "keys of the root", lambda: nightly.publish(wheel, publisher=publisher))
    (nightly.site.root / "tuf/2.root.json").write_bytes(stranger.root.replace(b'"version":1', b'"version":2'))
    refused(nightly, SiteStateError, "root is not signed by enough keys", lambda: nightly.publish(wheel))


@pytest.mark.parametrize("path", ["../outside", "/etc/x", "a/../../x", "a//b", "", "a\\b", "a\nb"])
def test_a_site_writes_nothing_outside_itself(tmp_path: Path, path: str) -> None:
    site = FolderSite(tmp_path / "site")
    for attempt in (lambda: site.create(path, [b"x"], Digest("0" * 64)), lambda: site.replace(path, b"x")):
        with pytest.raises(MillcertError):
            attempt()
    assert not (tmp_path / "outside").exists()


def test_a_site_removes_nothing_that_was_published(nightly: Nightly) -> None:
    with pytest.raises(SiteStateError):
        nightly.site.remove("tuf/timestamp.json")
    assert nightly.site.exists("tuf/timestamp.json")


@pytest.mark.parametrize(
    "template",
    ["http://mirror.example/{filename}", "https://mirror.example/", "/files/{filename}", "javascript:{filename}",
     "https://mirror.example/{evil}", "https://mirror.example/{filename.__class__}{0}"],
)  # fmt: skip
def test_files_are_referred_to_over_tls_and_one_by_one(nightly: Nightly, template: str) -> None:
    wheel = night(nightly)
    refused(nightly, UsageError, "refer to", lambda: nightly.publish(wheel, lock=locked(nightly), refer=template))


def test_a_yanked_dependency_is_not_locked_again(nightly: Nightly) -> None:
    publisher = nightly.publisher()
    publisher.yank("nightly/cpu", normalize("anvil"), ["anvil-2.0-py3-none-any.whl"], "malware", NOW + hours(1))
    lock = lock_of(
        nightly.store, make_wheel(nightly.folder / "third", "anvil", "2.0"),
        make_wheel(nightly.folder / "third", "hammer", "1.0"),
    )  # fmt: skip
    refused(nightly, DependencyError, "yanked", lambda: nightly.publish(night(nightly), lock=lock))
    same = locked(nightly)
    refused(nightly, DependencyError, "yanked", lambda: nightly.publish(night(nightly), lock=same))


def test_a_quarantined_dependency_is_not_let_out_by_the_next_night(nightly: Nightly) -> None:
    publisher = nightly.publisher()
    publisher.set_status("nightly/cpu", normalize("anvil"), "quarantined", "malware", NOW + hours(1))
    newer = lock_of(nightly.store, make_wheel(nightly.folder / "third", "anvil", "3.0"))
    for lock in (locked(nightly), newer):
        refused(nightly, DependencyError, "quarantined", lambda lock=lock: nightly.publish(night(nightly), lock=lock))


@pytest.mark.parametrize("status", ["archived", "quarantined"])
def test_an_archived_or_quarantined_project_gets_no_release(nightly: Nightly, status: str) -> None:
    nightly.publisher().set_status("nightly/cpu", normalize("wootz"), status, "", NOW + hours(1))
    wheel = night(nightly)
    refused(nightly, ReleaseRefusedError, status, lambda: nightly.publish(wheel, lock=locked(nightly)))
    with pytest.raises(ConfigError, match="not a project status"):
        nightly.publisher().set_status("nightly/cpu", normalize("wootz"), "retired", "", NOW)


def test_a_reason_or_a_name_cannot_break_out_of_the_html(nightly: Nightly) -> None:
    reason = '"><script>alert(1)</script><a href="https://evil.example/wootz-99-py3-none-any.whl'
    filename = build_wheel(nightly.folder / "dist", VERSION, requires=["anvil"]).name
    nightly.publisher().yank("nightly/cpu", normalize("wootz"), [filename], reason, NOW + hours(1))
    html = (nightly.site.root / "nightly/cpu/wootz/index.html").read_text()
    assert "<script>" not in html
    assert html.count("<a ") == 1


def test_a_draft_cannot_sign_what_is_not_there_or_not_its_own(nightly: Nightly) -> None:
    state = nightly.state()
    role = page_role(nightly)
    elsewhere = next(
        path for path in (f"nightly/cpu/p{n}/index.json" for n in range(99)) if state.page_role(path) != role
    )  # fmt: skip
    page = Page(normalize("p")).to_bytes()
    nightly.site.create(stored_path(elsewhere, page), [page], digest_of(page))
    for path in ("nightly/cpu/wootz/index.json", "nightly/cu129/wootz/index.json", "x", elsewhere):
        document = renew(state.role(role), role, NOW, DEFAULT_LIFETIMES)
        document.signed.targets[path] = TargetFile.from_data(path, page, ["sha256"])
        authority = role_of(state.role("nightly-cpu").signed, role)
        draft = Draft({role: document}, {role: state.version(role)}, {role: (authority,)})
        refused(nightly, MillcertError, None, lambda draft=draft: nightly.commit(draft))


def test_a_draft_or_a_journal_cannot_overwrite_what_was_published(nightly: Nightly) -> None:
    """The journal lies in the tree: whoever can write to it names pages at most, and those are verified."""
    wheel = "files/wootz/" + build_wheel(nightly.folder / "dist", VERSION, requires=["anvil"]).name
    timestamp = digest_of(nightly.site.read("tuf/timestamp.json") or b"")
    for pages in ([wheel], ["tuf/1.root.json"], ["nightly/cpu/absent/index.json"], ["../x"], "x", None):
        journal = canonical_json({"timestamp": timestamp, "pages": pages})
        nightly.site.replace(".publish/journal.json", journal)
        refused(nightly, MillcertError, None, lambda: nightly.publisher().refresh(NOW))
    nightly.site.replace(".publish/journal.json", canonical_json({"timestamp": "0" * 64, "pages": [wheel]}))
    nightly.publisher().refresh(NOW)
    assert not nightly.site.exists(".publish/journal.json")
