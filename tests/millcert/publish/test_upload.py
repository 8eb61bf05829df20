"""A site brought to where it is served: what readers see when it is cut off anywhere, and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from urllib.parse import unquote, urljoin

import pytest
from click.testing import CliRunner
from tests.support.bucket import SECRET, bucket
from tests.support.nightly import NOW, Nightly, build_wheel, client, hours, lock_of, make_wheel, serve

from millcert.cli.publish import index_group
from millcert.errors import FetchError
from millcert.index import ClientConfiguration, Transport
from millcert.publish import NameTakenError, SiteStateError
from millcert.publish.upload import FolderPlace, HttpPlace, phases, upload

OLD, NEW = "0.1.0.dev20261123+cpu", "0.1.0.dev20261124+cpu"


class Cut(Exception):
    """The network is gone, or somebody pressed a key."""


class _Cut(FolderPlace):
    """A place that is gone after some writes."""

    left = 10**9

    def create(self, path: str, source: Path) -> None:
        self._count()
        super().create(path, source)

    def replace(self, path: str, source: Path) -> None:
        self._count()
        super().replace(path, source)

    def _count(self) -> None:
        if not self.left:
            raise Cut
        self.left -= 1


@pytest.fixture
def nights(nightly: Nightly, quick_path: Path) -> tuple[Nightly, Path]:
    """An index with two nights, the second with another lock; and where the first of them is served."""
    served = quick_path / "served"
    for version, third in ((OLD, "1.0"), (NEW, "2.0")):
        lock = lock_of(nightly.store, make_wheel(quick_path / "third", "anvil", third))
        nightly.publish(build_wheel(quick_path / "dist", version, requires=["anvil"]), lock=lock, now=NOW + hours(1))
        if version == OLD:
            send(nightly, served)
    return nightly, served


def send(nightly: Nightly, place: Path | FolderPlace | HttpPlace, **how: bool) -> int:
    place = FolderPlace(place) if isinstance(place, Path) else place
    return upload(nightly.site, nightly.root, place, lambda *_: None, **how).files


def seen_by_pip(root: Path) -> list[str]:
    """The versions on the page that pip reads; every file of every page that it can reach is there and whole."""
    for page in (root / "nightly/cpu").glob("*/index.json"):
        for file in json.loads(page.read_bytes())["files"]:
            path = root / unquote(urljoin(f"/nightly/cpu/{page.parent.name}/", file["url"])).lstrip("/")
            assert hashlib.sha256(path.read_bytes()).hexdigest() == file["hashes"]["sha256"]
    return list(json.loads((root / "nightly/cpu/wootz/index.json").read_bytes())["versions"])


def test_cut_off_at_every_write(nights: tuple[Nightly, Path], quick_path: Path) -> None:
    nightly, served = nights
    seen: list[list[str]] = []
    for count in range(100):
        place = _Cut(quick_path / f"place{count}")
        shutil.copytree(served, quick_path / f"place{count}", dirs_exist_ok=True)
        place.left = count
        try:
            send(nightly, place)
        except Cut:
            pass
        else:
            break
        with serve(quick_path / f"place{count}") as (address, _):
            signed = client(address, quick_path / "cache" / str(count), nightly.root)["versions"]
        seen.append(signed)
        assert seen_by_pip(quick_path / f"place{count}") in ([OLD], signed)
        place.left = 10**9
        send(nightly, place)
        assert seen_by_pip(quick_path / f"place{count}") == [OLD, NEW]
    assert count > 10, "files, pages, metadata, the switch and the views were each cut off"
    assert seen == sorted(seen)
    assert [OLD] in seen
    assert [OLD, NEW] in seen


def test_the_order_is_a_plan_for_other_tools(nights: tuple[Nightly, Path], quick_path: Path) -> None:
    nightly, _ = nights
    fixed, views = phases(nightly.site.root)
    root = quick_path / "root.json"
    root.write_bytes(nightly.root)
    common = ["--site", str(nightly.site.root), "--root", str(root)]
    told = CliRunner().invoke(index_group, ["sync", "--plan", *common]).stdout.splitlines()
    rows = [line.split("\t") for line in told]
    assert [path for _, path in rows] == [*fixed, "tuf/timestamp.json", *views]
    assert [phase for phase, _ in rows] == sorted(phase for phase, _ in rows)
    assert not [path for _, path in rows if path.startswith(".publish")]
    assert {path.rpartition("/")[2] for path in views} == {"index.json", "index.html", "pylock.toml"}
    done = CliRunner().invoke(index_group, ["sync", str(quick_path / "to"), *common, "--json"])
    assert json.loads(done.stdout) == {"files": len(fixed), "views": len(views), "timestamp": 4}
    assert seen_by_pip(quick_path / "to") == [OLD, NEW]
    assert CliRunner().invoke(index_group, ["sync", *common]).exit_code != 0


def test_a_site_that_was_put_back_in_time_or_altered_goes_nowhere(
    nights: tuple[Nightly, Path], quick_path: Path
) -> None:
    nightly, served = nights
    shutil.copytree(nightly.site.root, quick_path / "copy")
    send(nightly, served)
    nightly.publisher().refresh(NOW + hours(2))
    send(nightly, served)
    before = (served / "tuf/timestamp.json").read_bytes()
    older = Nightly(quick_path / "older", nightly.keys, nightly.root)
    shutil.copytree(quick_path / "copy", older.site.root, dirs_exist_ok=True)
    with pytest.raises(SiteStateError, match="put back in time"):
        send(older, served)
    timestamp = older.site.root / "tuf" / "timestamp.json"
    timestamp.write_bytes(timestamp.read_bytes().replace(b'"expires":"20', b'"expires":"21'))
    with pytest.raises(SiteStateError):
        send(older, quick_path / "elsewhere")
    (served / "tuf/timestamp.json").write_bytes(b"<html>")
    with pytest.raises(SiteStateError, match="no index"):
        send(nightly, served)
    assert before != timestamp.read_bytes()


# -- a bucket


def at(address: str, headers: dict[str, str] | None = None) -> HttpPlace:
    transport = Transport(ClientConfiguration("", timeout=5.0), sleep=lambda seconds: None)
    return HttpPlace(address, transport, SECRET if headers is None else headers)


def test_a_bucket_gets_every_file_once_and_the_switch_in_between(
    nights: tuple[Nightly, Path], quick_path: Path
) -> None:
    nightly, _ = nights
    with bucket() as (address, handler):
        send(nightly, at(address))
        fixed, views = phases(nightly.site.root)
        assert handler.log == [f"/site/{path}" for path in (*fixed, "tuf/timestamp.json", *views)]
        served = {path.removeprefix("/site/"): data for path, (data, _) in handler.files.items()}
        assert served == {path: (nightly.site.root / path).read_bytes() for path in served}
        kinds = {path.rpartition("/")[2]: kind for path, (_, kind) in handler.files.items()}
        assert kinds["index.json"] == "application/vnd.pypi.simple.v1+json"
        del handler.log[:]
        assert send(nightly, at(address)) == 0
        assert handler.log == ["/site/tuf/timestamp.json"]
        nightly.publish(build_wheel(quick_path / "dist", "0.1.0.dev20261125+cpu"), now=NOW + hours(3))
        del handler.log[:]
        send(nightly, at(address))
        assert "/site/files/wootz/wootz-0.1.0.dev20261125+cpu-py3-none-any.whl" in handler.log
        assert not [path for path in handler.log if OLD in path], "what is there is not sent again"
        del handler.files["/site/" + fixed[0]]
        assert send(nightly, at(address)) == 0
        assert send(nightly, at(address), recheck=True) == 1


def test_a_bucket_that_tears_refuses_or_holds_other_bytes(nights: tuple[Nightly, Path]) -> None:
    nightly, _ = nights
    wheel = f"files/wootz/wootz-{OLD}-py3-none-any.whl"
    with bucket() as (address, handler):
        with pytest.raises(FetchError, match="refuses"):
            send(nightly, at(address, {}))
        assert not handler.files
        handler.torn.append(f"/site/{wheel}")
        send(nightly, at(address))
        handler.torn.clear()
        assert send(nightly, at(address), recheck=True) == 1, "a torn file is sent again"
        assert handler.files[f"/site/{wheel}"][0] == (nightly.site.root / wheel).read_bytes()

    class Lost(HttpPlace):
        """Another publisher puts other bytes there between the question and the sending."""

        def _put(self, path: str, source: Path, headers: object) -> bool:
            if path == wheel:
                handler.files[f"/site/{wheel}"] = b"other bytes", ""
            return super()._put(path, source, headers)  # type: ignore[arg-type]  # passed through

    with bucket() as (address, handler):
        place = at(address)
        place.__class__ = Lost
        with pytest.raises(NameTakenError):
            send(nightly, place)
        assert "/site/tuf/timestamp.json" not in handler.files


def test_no_secret_is_an_option_and_no_address_is_plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = {option for parameter in index_group.commands["sync"].params for option in parameter.opts}
    assert options == {"target", "--plan", "--recheck", "--site", "--root", "--json"}
    monkeypatch.setenv("MILLCERT_SYNC_HEADER", "no header")
    (tmp_path / "root.json").write_text("{}")
    common = ["--site", str(tmp_path / "site"), "--root", str(tmp_path / "root.json")]
    told = CliRunner().invoke(index_group, ["sync", "https://bucket.example/", *common])
    assert "no header" in str(told.exception)
