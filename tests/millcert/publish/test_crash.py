"""A publisher killed at any point leaves a served index, and the same command finishes the work."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urljoin

import pytest
from securesystemslib.signer import CryptoSigner
from tests.support.nightly import NOW, Nightly, build_wheel, client, hours, lock_of, make_wheel, serve

from millcert.keys import DEFAULT_LIFETIMES
from millcert.model import Digest
from millcert.publish import BusyError, FolderSite, LostRaceError
from millcert.publish.ceremony import change_role

OLD, NEW = "0.1.0.dev20261123+cpu", "0.1.0.dev20261124+cpu"


class _Dying(FolderSite):
    """A site whose process is killed (as by kill -9) half-way through its n-th write."""

    def __init__(self, root: Path, writes: int) -> None:
        super().__init__(root)
        self.left = writes

    def create(self, path: str, chunks: Iterable[bytes], digest: Digest) -> None:
        self._die(lambda: super(_Dying, self).create(path, chunks, digest))

    def replace(self, path: str, data: bytes) -> None:
        self._die(lambda: super(_Dying, self).replace(path, data))

    def remove(self, path: str) -> None:
        self._die(lambda: super(_Dying, self).remove(path))

    def _die(self, write: Callable[[], None]) -> None:
        self.left -= 1
        if self.left == 0:
            (self.root / ".publish" / "1-half.part").write_bytes(b"half of it")
            os.kill(os.getpid(), signal.SIGKILL)
        write()


def _in_child(work: Callable[[], object]) -> int:
    """Run something in a process of its own; its exit code, or minus the signal that killed it."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _check_view(root: Path) -> list[str]:
    """The versions that a client without TUF sees; every file it could download is there and whole."""
    page = json.loads((root / "nightly/cpu/wootz/index.json").read_bytes())
    html = (root / "nightly/cpu/wootz/index.html").read_text()
    for file in page["files"]:
        path = root / unquote(urljoin("/nightly/cpu/wootz/", file["url"])).lstrip("/")
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file["hashes"]["sha256"]
    assert html.endswith("</html>\n")
    return list(page["versions"])


def test_killed_at_every_write(quick_path: Path) -> None:
    base = Nightly.start(quick_path / "base")
    third = [make_wheel(quick_path / "third", "anvil", version) for version in ("1.0", "2.0")]
    base.publish(build_wheel(quick_path / "dist", OLD, requires=["anvil"]), lock=lock_of(base.store, third[0]))
    wheel = build_wheel(quick_path / "dist", NEW, requires=["anvil"])
    lock = lock_of(base.store, third[1])
    seen: list[list[str]] = []
    for count in range(1, 100):
        shutil.copytree(base.folder, quick_path / str(count))
        nightly = replace(base, folder=quick_path / str(count))
        dying = _Dying(nightly.site.root, count)
        code = _in_child(lambda site=dying, at=nightly: at.publish(wheel, lock=lock, now=NOW + hours(1), site=site))
        if code == 0:
            break
        assert code == -signal.SIGKILL
        with serve(nightly.site.root) as (address, _):
            signed = client(address, quick_path / "cache" / str(count), nightly.root)["versions"]
            seen.append(signed)
            assert _check_view(nightly.site.root) in ([OLD], signed)
            nightly.publish(wheel, lock=lock, now=NOW + hours(2))
            again = client(address, quick_path / "cache" / str(count), nightly.root)["versions"]
        assert again == _check_view(nightly.site.root) == [OLD, NEW]
        assert not list((nightly.site.root / ".publish").glob("*.part"))
        assert not (nightly.site.root / ".publish/journal.json").exists()
        shutil.rmtree(nightly.folder)
    assert count > 20, "files, pages, metadata, the switch and the views were each interrupted"
    assert seen == sorted(seen), "one switch: once the new state is served, it stays"
    assert [OLD] in seen
    assert [OLD, NEW] in seen


def test_killed_in_the_middle_of_a_root_rotation(quick_path: Path) -> None:
    base = Nightly.start(quick_path / "base")
    base.publish(build_wheel(quick_path / "dist", OLD))
    new = CryptoSigner.generate_ed25519()
    old = base.keys["timestamp"][0].public_key.keyid
    draft = change_role(
        base.state(), "timestamp", add=[new.public_key], remove=[old], now=NOW, lifetimes=DEFAULT_LIFETIMES
    )
    signers = [*base.all_keys, new]
    for count in range(1, 20):
        shutil.copytree(base.folder, quick_path / str(count))
        nightly = replace(base, folder=quick_path / str(count))
        dying = _Dying(nightly.site.root, count)
        if _in_child(lambda site=dying, at=nightly: at.commit(draft, signers=signers, site=site)) == 0:
            break
        if nightly.site.read("tuf/timestamp.json") == base.site.read("tuf/timestamp.json"):
            nightly.commit(draft, signers=signers)  # the same draft finishes what was begun
        with serve(nightly.site.root) as (address, _):
            assert client(address, quick_path / "cache" / str(count), nightly.root)["versions"] == [OLD]
        assert nightly.state().version("root") == 2
    assert count > 3


def test_a_second_publisher_on_this_machine_is_told_to_wait(nightly: Nightly, tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path / "dist", OLD)
    with nightly.site.locked(), pytest.raises(BusyError) as refusal:
        nightly.publish(wheel)
    assert refusal.value.exit_code == 16
    nightly.publish(wheel)


class _Shared(FolderSite):
    """A site whose lock does not reach the other publisher, as on two machines; ``between`` runs before the pages."""

    between: Callable[[], object] | None = None

    def locked(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def create(self, path: str, chunks: Iterable[bytes], digest: Digest) -> None:
        work, self.between = (self.between, None) if path.startswith(("nightly/", "tuf/")) else (None, self.between)
        if work is not None:
            work()
        super().create(path, chunks, digest)


def test_the_loser_of_a_race_changes_nothing_and_can_run_again(nightly: Nightly, tmp_path: Path) -> None:
    first, second = (build_wheel(tmp_path / "dist", version) for version in (OLD, NEW))
    site = _Shared(nightly.site.root)
    site.between = lambda: nightly.publish(second, now=NOW + hours(1))
    with pytest.raises(LostRaceError):
        nightly.publish(first, site=site)
    with serve(nightly.site.root) as (address, _):
        assert client(address, tmp_path / "cache", nightly.root)["versions"] == [NEW]
        assert _check_view(nightly.site.root) == [NEW]
        assert nightly.publisher().refresh(NOW + hours(1)).pages == ()
        assert _check_view(nightly.site.root) == [NEW], "nothing of the loser's came into view"
        nightly.publish(first, now=NOW + hours(2))
        assert client(address, tmp_path / "cache", nightly.root)["versions"] == [OLD, NEW]


def test_two_processes_at_once_both_get_their_wheel_in(nightly: Nightly, tmp_path: Path) -> None:
    wheels = [build_wheel(tmp_path / "dist", f"0.1.0.dev2026112{day}+cpu") for day in range(4)]

    def keep_trying(wheel: Path) -> None:
        while True:
            try:
                nightly.publish(wheel, now=NOW + hours(1))
                return
            except (BusyError, LostRaceError):
                continue

    children = []
    for wheel in wheels:
        child = os.fork()
        if child == 0:
            try:
                keep_trying(wheel)
                os._exit(0)
            except BaseException:
                os._exit(1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * len(wheels)
    with serve(nightly.site.root) as (address, _):
        page = client(address, tmp_path / "cache", nightly.root)
    assert {file["filename"] for file in page["files"]} == {wheel.name for wheel in wheels}
