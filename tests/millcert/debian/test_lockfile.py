"""Debian locks: their text, and the one that this project builds on."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millcert.debian import DebianPackage, parse_lock, read_lock, render_lock
from millcert.debian.apt import parse_wanted
from millcert.errors import LockError
from millcert.model import Digest

HERE = Path("lockfiles/debian/base.lock")
GOOD = f"libc6 2.36-9+deb12u14 amd64 2759320 {'a' * 64} pool/main/g/glibc/libc6_2.36-9+deb12u14_amd64.deb\n"

packages = st.builds(
    DebianPackage,
    st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,12}", fullmatch=True),
    st.from_regex(r"([0-9]:)?[0-9][A-Za-z0-9.+~]{0,8}(-[0-9]{1,2})?", fullmatch=True),
    st.sampled_from(["amd64", "arm64", "all"]),
    st.integers(0, 10**9),
    st.text("0123456789abcdef", min_size=64, max_size=64).map(Digest),
    st.from_regex(
        r"pool/(updates/)?main/[a-z]/[a-z]{2,8}/[a-z]{2,8}_[0-9]\.[0-9]~[a-z]{1,3}_amd64\.deb", fullmatch=True
    ),
)


@given(st.lists(packages, min_size=1, max_size=5, unique_by=lambda package: package.name))
def test_what_is_written_is_read_back(made: list[DebianPackage]) -> None:
    data = render_lock(made, "header")
    assert parse_lock(data, HERE).packages == tuple(sorted(made))
    assert render_lock(list(reversed(made)), "header") == data


def test_fields() -> None:
    (package,) = parse_lock(GOOD.encode(), HERE).packages
    assert package.filename == "libc6_2.36-9+deb12u14_amd64.deb"
    assert not package.security


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        GOOD.replace("a" * 64, "a" * 63),
        GOOD.replace("a" * 64, "A" * 64),
        GOOD.replace("a" * 64 + " ", ""),
        GOOD.replace("2759320", "-1"),
        GOOD.replace("amd64 27", "sparc 27"),
        GOOD.replace("pool/main", "https://mirror.example/pool/main"),
        GOOD.replace("pool/main", "pool/non-free"),
        GOOD.replace("pool/main/g", "pool/main/../../etc"),
        GOOD.replace("pool/main", "/pool/main"),
        GOOD.replace(".deb\n", ".exe\n"),
        GOOD.replace("libc6 ", "libc6; "),
        GOOD + GOOD,
        GOOD + GOOD.replace("amd64 27", "all 27"),
        GOOD.replace("amd64 27", "all 27") + GOOD.replace("amd64 27", "arm64 27"),
        "\x00\xff",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(LockError, match=r"base\.lock"):
        parse_lock(text.encode(), HERE)


def test_a_lock_of_several_architectures_is_read_one_at_a_time() -> None:
    arm = GOOD.replace("amd64 27", "arm64 27").replace("a" * 64, "b" * 64)
    data = GOOD.replace("libc6 ", "tzdata ").replace("amd64 27", "all 27")
    lock = parse_lock((GOOD + arm + data).encode(), HERE)
    assert [(p.name, p.digest[0]) for p in lock.for_architecture("arm64").packages] == [("libc6", "b"), ("tzdata", "a")]
    assert [package.label for package in lock.packages] == ["libc6", "libc6:arm64", "tzdata"]
    with pytest.raises(LockError, match="no package of this architecture") as caught:
        parse_lock((GOOD + data).encode(), HERE).for_architecture("arm64")
    assert "millcert lock debian/base" in caught.value.fix


def test_a_missing_lock_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(LockError) as caught:
        read_lock(tmp_path / "base.lock")
    assert "millcert lock debian/base" in caught.value.fix


def test_the_build_root_of_this_project() -> None:
    lock = read_lock(Path(__file__).resolve().parents[3] / "lockfiles/debian/base.lock")
    names = {package.name for package in lock.packages}
    assert {"libc6", "python3.11-minimal", "libpython3.11-stdlib", "libpython3.11-dev", "zlib1g"} <= names
    assert not any(package.security for package in lock.packages)  # main alone: its pins do not go stale
    assert not names & {"dash", "bash", "gcc-12", "apt", "perl-base"}


def test_what_is_asked_for() -> None:
    wanted = parse_wanted("# why\nlibc6\n!dpkg   # not used\nsuite: bookworm-security\n", "debian/x")
    assert (wanted.packages, wanted.present) == (("libc6",), ("dpkg",))
    assert wanted.suites == ("bookworm", "bookworm-security")
    assert wanted.architectures == ("amd64",)
    both = parse_wanted("architectures: arm64 amd64\nlibc6\n", "debian/x")
    assert (both.packages, both.architectures) == (("libc6",), ("amd64", "arm64"))
    for text in (
        "",
        "!dpkg\n",
        "libc6\narchitectures: sparc\n",
        "libc6=1\n",
        "libc6 zlib1g\n",
        "--force\n",
        "suite: sid\n",
        "https://x\n",
        "lib*\n",
    ):
        with pytest.raises(LockError, match="debian/x"):
            parse_wanted(text, "debian/x")
