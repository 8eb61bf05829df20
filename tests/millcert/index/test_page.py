"""Project pages: both forms say the same, and what is not a page is refused."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.index import LoopbackIndex
from tests.support.nightly import make_wheel

from millcert.errors import FetchError
from millcert.index import MalformedPageError, ProjectPage, parse_page
from millcert.names import normalize

JSON = "application/vnd.pypi.simple.v1+json"
THING = normalize("thing")
ADDRESS = "https://index.example/simple/thing/"


def page(data: bytes, kind: str = JSON) -> ProjectPage:
    return parse_page(data, kind, name=THING, index="pypi", address=ADDRESS)


def document(**changes: object) -> bytes:
    file = {"filename": "thing-1.0.tar.gz", "url": "../../files/thing-1.0.tar.gz", "hashes": {"sha256": "ab" * 32}}
    whole = {"meta": {"api-version": "1.1"}, "name": "thing", "files": [{**file, **changes}]}
    return json.dumps(whole).encode()


def test_both_forms_say_the_same(tmp_path: Path) -> None:
    index = LoopbackIndex()
    index.add(make_wheel(tmp_path, "thing", "1.0+local.1"), size=None)
    index.add(make_wheel(tmp_path, "thing", "1.1"), size=None, yanked=True)
    index.add(make_wheel(tmp_path, "thing", "1.2"), size=None, sha256=None)
    as_json = page(index.json_page("thing"))
    assert as_json == page(index.html_page("thing"), "text/html; charset=utf-8")
    assert [file.yanked for file in as_json.files] == [False, True, False]
    assert as_json.files[0].url == "https://index.example/files/thing-1.0+local.1-py3-none-any.whl"
    assert as_json.files[2].sha256 is None


def test_a_base_element_moves_relative_links() -> None:
    html = b'<base href="https://files.example/a/"><a href="b/thing-1.0.tar.gz">x</a>'
    assert page(html, "text/html").files[0].url == "https://files.example/a/b/thing-1.0.tar.gz"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", JSON),
        (b"[]", JSON),
        (b"{}", JSON),
        (b"[" * 100_000, JSON),
        (document(), "application/octet-stream"),
        (document(), ""),
        (document().replace(b'"1.1"', b'"2.0"'), JSON),
        (document().replace(b'"name": "thing"', b'"name": "other"'), JSON),
        (document(hashes={"sha256": "ab"}), JSON),
        (document(hashes=["sha256"]), JSON),
        (document(size=-1), JSON),
        (document(size="12"), JSON),
        (document(url="file:///etc/passwd"), JSON),
        (document(url="javascript:alert(1)"), JSON),
        (document(filename="../../x"), JSON),
        (document(filename=".bashrc"), JSON),
        (document(filename="a\nb"), JSON),
        (b'<a href="ftp://x.example/thing-1.0.tar.gz">x</a>', "text/html"),
        (b'<a href="thing-1.0.tar.gz#sha256=zz">x</a>', "text/html"),
        (b'<a href="..%2F..%2Fthing">x</a>', "text/html"),
        (b"\xff\xfe", "text/html"),
    ],
)
def test_what_is_not_a_page_is_refused(data: bytes, kind: str) -> None:
    with pytest.raises(MalformedPageError):
        page(data, kind)


def test_one_name_with_two_hashes_is_refused() -> None:
    html = b"".join(b'<a href="thing-1.0.tar.gz#sha256=%s">x</a>' % (digit * 64) for digit in (b"1", b"2"))
    with pytest.raises(MalformedPageError, match="two hashes"):
        page(html, "text/html")


@given(st.binary(max_size=200), st.sampled_from([JSON, "text/html"]))
def test_any_bytes_give_a_page_or_a_typed_error(data: bytes, kind: str) -> None:
    with contextlib.suppress(FetchError):
        assert isinstance(page(data, kind), ProjectPage)


def test_reading_a_page_needs_no_resolver() -> None:
    # the offline layers must stay usable where neither pip-tools nor a network is
    code = "import sys, millcert.lock, millcert.index; sys.exit('piptools' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
