"""Debian locks made by the real apt from a signed mirror on loopback, and fetched from there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.mirror import Mirror, mirror

from millcert import debian
from millcert.debian import SupersededError
from millcert.debian.relock import relock
from millcert.errors import ConfigError, FetchError, HashMismatchError, LockError
from millcert.lock.purposes import LockSource, find_sources
from millcert.store import Store

pytestmark = pytest.mark.skipif(
    not (shutil.which("apt-get") and shutil.which("gpg")), reason="needs apt, and gpg to sign a mirror of its own"
)


@pytest.fixture
def main(tmp_path: Path) -> Iterator[Mirror]:
    """``thing`` needs ``bash``, which this machine has too, and ``scripts``; it recommends ``docs``."""
    with mirror(tmp_path / "main") as made:
        made.add("thing", Depends="bash (>= 0.1), scripts (= 1.0)", Recommends="docs")
        made.add("bash", "0.5")
        made.add("scripts", Depends="interpreter")
        made.add("interpreter")
        made.add("docs")
        made.publish()
        yield made


@pytest.fixture
def environ(main: Mirror, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    chosen = {
        "MILLCERT_DEBIAN_MIRROR": main.address, "MILLCERT_DEBIAN_KEYRING": str(main.keyring), "PATH": "/usr/bin:/bin",
    }  # fmt: skip
    for name, value in chosen.items():
        if name != "PATH":
            monkeypatch.setenv(name, value)
    return chosen


def source(folder: Path, text: str) -> LockSource:
    (folder / "lockfiles/debian").mkdir(parents=True, exist_ok=True)
    (folder / "lockfiles/debian/base.in").write_text(text)
    (found,) = find_sources(folder / "lockfiles", ("debian/base",))
    return found


def test_apts_choice_for_an_empty_system(main: Mirror, environ: dict[str, str], tmp_path: Path) -> None:
    wanted = source(tmp_path, "thing\n")
    changed, moves = relock(wanted, environ)
    assert changed
    assert moves == (
        ("bash", None, "0.5"), ("interpreter", None, "1.0"), ("scripts", None, "1.0"), ("thing", None, "1.0"),
    )  # fmt: skip
    text = wanted.lock.read_text()
    assert "127.0.0.1" not in text
    assert relock(wanted, environ) == (False, ())
    assert wanted.lock.read_text() == text


def test_what_is_taken_as_present_brings_nothing_along(main: Mirror, environ: dict[str, str], tmp_path: Path) -> None:
    _, moves = relock(source(tmp_path, "thing\n!scripts\n"), environ)
    assert [name for name, _, _ in moves] == ["bash", "thing"]


def test_the_security_suite_is_preferred(main: Mirror, environ: dict[str, str], tmp_path: Path) -> None:
    with mirror(tmp_path / "security", "bookworm-security", "pool/updates/main") as security:
        security.add("bash", "0.6")
        security.publish()
        keys = tmp_path / "both.gpg"
        keys.write_bytes(main.keyring.read_bytes() + security.keyring.read_bytes())
        both = {**environ, "MILLCERT_DEBIAN_SECURITY_MIRROR": security.address, "MILLCERT_DEBIAN_KEYRING": str(keys)}
        wanted = source(tmp_path, "thing\nsuite: bookworm-security\n")
        relock(wanted, both)
        lock = debian.read_lock(wanted.lock)
        assert {package.name: package.security for package in lock.packages}["bash"]
        assert {package.name: package.version for package in lock.packages}["bash"] == "0.6"


def test_a_failure_leaves_the_old_lock(main: Mirror, environ: dict[str, str], tmp_path: Path) -> None:
    wanted = source(tmp_path, "thing\n")
    relock(wanted, environ)
    before = wanted.lock.read_bytes()
    for text in ("thing\nabsent\n", "thing\n!absent\n"):
        with pytest.raises(LockError):
            relock(source(tmp_path, text), environ)
    main.add("bash", "0.7")
    main.publish()
    with pytest.raises(LockError, match=r"bash 0\.5 -> 0\.7"):
        relock(source(tmp_path, "thing\n"), environ, check=True)
    assert wanted.lock.read_bytes() == before
    assert sorted(path.name for path in wanted.lock.parent.iterdir()) == ["base.in", "base.lock"]


def test_another_key_an_altered_list_and_no_signature_are_refused(
    main: Mirror, environ: dict[str, str], tmp_path: Path
) -> None:
    wanted = source(tmp_path, "thing\n")
    with mirror(tmp_path / "stranger") as stranger, pytest.raises(FetchError, match="could not read the mirror"):
        relock(wanted, {**environ, "MILLCERT_DEBIAN_KEYRING": str(stranger.keyring)})
    main.publish(sign=False)
    with pytest.raises(FetchError):
        relock(wanted, environ)
    main.publish()
    main.add("bash", "6.6")
    signed = (main.folder / "dists/bookworm/InRelease").read_bytes()
    main.publish()
    (main.folder / "dists/bookworm/InRelease").write_bytes(signed)
    with pytest.raises(FetchError):
        relock(wanted, environ)
    assert not wanted.lock.exists()


def test_fetching_and_a_superseded_pin(main: Mirror, environ: dict[str, str], tmp_path: Path) -> None:
    wanted = source(tmp_path, "thing\n")
    relock(wanted, environ)
    lock = debian.read_lock(wanted.lock)
    store = Store(tmp_path / "store")
    debian.fetch(lock, store)
    assert all(store.has(package.digest) for package in lock.packages)

    bash = next(package for package in lock.packages if package.name == "bash")
    (main.folder / bash.pool).write_bytes(b"x" * bash.size)
    with pytest.raises(HashMismatchError, match=r"bash_0\.5"):
        debian.fetch(lock, Store(tmp_path / "second"))
    (main.folder / bash.pool).unlink()
    with pytest.raises(SupersededError, match=r"bash_0\.5_amd64\.deb") as caught:
        debian.fetch(lock, Store(tmp_path / "third"))
    assert "millcert lock debian/base" in caught.value.fix
    debian.fetch(lock, store)  # what the store has, the mirror is not asked for


def test_a_machine_without_the_suite_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "apt.conf").write_text(f'Dir::Etc "{tmp_path}";\n')
    environ = {"PATH": "/usr/bin:/bin", "APT_CONFIG": str(tmp_path / "apt.conf")}
    with pytest.raises(ConfigError, match="MILLCERT_DEBIAN_MIRROR"):
        relock(source(tmp_path, "thing\n"), environ)
    with pytest.raises(ConfigError, match="apt is not on this machine"):
        relock(source(tmp_path, "thing\n"), {"PATH": str(tmp_path)})
