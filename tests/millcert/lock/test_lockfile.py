"""The text of a lock: what it holds, and what it must never hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millcert.errors import LockError
from millcert.lock import Lock, LockedFile, Pin, parse_lock, read_lock, render_lock
from millcert.model import Digest
from millcert.names import normalize

HERE = Path("lockfiles/tools/any.txt")
GOOD = f"""\
# a comment
thing==1.0 \\
    --hash=sha256:{"a" * 64} \\
    --hash=sha256:{"b" * 64}
    # index: pypi
    # file: {"a" * 64} 10 thing-1.0-cp311-abi3-manylinux_2_17_x86_64.whl
    # file: {"b" * 64} 12 thing-1.0-cp311-abi3-manylinux_2_17_aarch64.whl
    # via app
    # via -r lockfiles/tools/any.in
"""

digests = st.text("0123456789abcdef", min_size=64, max_size=64).map(Digest)


@st.composite
def pins(draw: st.DrawFn) -> list[Pin]:
    names = draw(
        st.lists(st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,4})?", fullmatch=True), unique=True, max_size=4)
    )
    made = []
    for name in names:
        version = draw(st.from_regex(r"[1-9]\.[0-9]{1,2}(\.post1)?(\+cpu)?", fullmatch=True))
        tags = draw(st.lists(st.sampled_from(["py3-none-any", "cp311-cp311-linux_x86_64"]), min_size=1, unique=True))
        files = [
            LockedFile(f"{name.replace('-', '_')}-{version}-{tag}.whl", draw(digests), draw(st.integers(0, 10**9)))
            for tag in tags
        ]
        via = draw(st.lists(st.sampled_from(["app", "-r lockfiles/tools/any.in"]), unique=True))
        index = draw(st.sampled_from(["pypi", "wootz"]))
        made.append(Pin(normalize(name), version, index, tuple(sorted(files)), tuple(sorted(via))))
    return sorted(made)


@given(pins())
def test_what_is_written_is_read_back(made: list[Pin]) -> None:
    data = render_lock(made, "header")
    assert parse_lock(data, HERE) == Lock(HERE, tuple(made))
    assert render_lock(list(reversed(made)), "header") == data


def test_every_field_is_read() -> None:
    (pin,) = parse_lock(GOOD.encode(), HERE).pins
    assert (pin.name, pin.version, pin.index) == ("thing", "1.0", "pypi")
    assert [(file.digest[0], file.size) for file in pin.files] == [("b", 12), ("a", 10)]
    assert pin.via == ("app", "-r lockfiles/tools/any.in")


def replaced(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("thing==1.0\n", "without a hash", id="missing hash"),
        pytest.param("thing==1.0 \\\n    # index: pypi\n", "without a hash", id="missing hash with a backslash"),
        pytest.param(replaced(f"--hash=sha256:{'a' * 64}", "--hash=sha256:abc"), "no lock has", id="short hash"),
        pytest.param(replaced("sha256:a", "md5:a"), "no lock has", id="weak hash"),
        pytest.param(replaced(f"sha256:{'a' * 64}", f"sha256:{'c' * 64}"), "belongs to no file", id="foreign hash"),
        pytest.param(replaced(f"    --hash=sha256:{'a' * 64} \\\n", ""), "without its hash", id="file without a hash"),
        pytest.param(replaced("    # index: pypi\n", ""), "exactly one index", id="no index"),
        pytest.param(replaced("pypi\n", "pypi\n    # index: other\n"), "exactly one index", id="two indexes"),
        pytest.param(GOOD + GOOD, "locked twice", id="locked twice"),
        pytest.param(GOOD + GOOD.replace("pypi", "other"), "on two indexes", id="name on two indexes"),
        pytest.param(GOOD + GOOD.replace("thing==1.0", "Thing==1.0"), "locked twice", id="one name, two spellings"),
        pytest.param(replaced("-cp311-abi3-manylinux_2_17_x86_64.whl", ".tar.gz"), "only wheels", id="sdist"),
        pytest.param(replaced("10 thing-1.0-cp311", "10 other-1.0-cp311"), "another project", id="another project"),
        pytest.param(replaced("10 thing-1.0-cp311", "10 thing-1.1-cp311"), "another project", id="another version"),
        pytest.param("thing @ https://x.example/thing-1.0-py3-none-any.whl\n", "other than", id="address"),
        pytest.param("git+https://x.example/thing\n", "other than", id="version control"),
        pytest.param("-e .\n", "other than", id="editable"),
        pytest.param("--index-url https://x.example/simple\n", "other than", id="index option"),
        pytest.param("--extra-index-url https://x.example/simple\n" + GOOD, "other than", id="extra index"),
        pytest.param("-r other.txt\n", "other than", id="include"),
        pytest.param("thing>=1.0\n", "other than", id="no exact version"),
        pytest.param("thing==1.0 ; sys_platform == 'win32'\n", "other than", id="marker"),
        pytest.param(GOOD + "    --trusted-host=x.example\n", "no lock has", id="option behind hashes"),
        pytest.param(GOOD + f"    --hash=sha256:{'c' * 64}\n", "pip would not read", id="hash behind comments"),
    ],
)
def test_what_must_never_be_locked_is_refused(text: str, problem: str) -> None:
    with pytest.raises(LockError, match=problem) as caught:
        parse_lock(text.encode(), HERE)
    assert str(HERE) in str(caught.value)


def test_not_even_text(tmp_path: Path) -> None:
    with pytest.raises(LockError, match="not text"):
        parse_lock(b"\xff\xfe\x00", HERE)
    with pytest.raises(LockError, match="no such lock") as caught:
        read_lock(tmp_path / "absent.txt")
    assert "millcert lock" in caught.value.fix


@given(st.text(max_size=300))
def test_any_text_is_a_lock_or_a_typed_error(text: str) -> None:
    try:
        assert parse_lock(text.encode(), HERE).pins is not None
    except LockError as error:
        assert error.message


def test_the_locks_of_this_project_are_sound() -> None:
    folder = Path(__file__).resolve().parents[3] / "lockfiles"
    locks = sorted(folder.glob("*/*.txt"))
    assert len(locks) >= 10
    for path in locks:
        lock = read_lock(path)
        assert lock.pins
        assert path.with_suffix(".in").is_file()
        assert "://" not in path.read_text()
