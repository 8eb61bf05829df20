"""Attacks on downloads: each must end in a typed error with nothing of it in the store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.faults import altered, cut, endless, redirect, short, silent_after
from tests.support.index import LoopbackIndex, certificate, loopback_index
from tests.support.nightly import make_wheel

from millcert.errors import HashMismatchError
from millcert.index import (
    AbsentError,
    ClientConfiguration,
    IndexClient,
    InsecureAddressError,
    MalformedPageError,
    OversizeError,
    Transport,
    UnavailableError,
    fetch,
)
from millcert.lock import LockedFile, Pin
from millcert.model import digest_of
from millcert.names import normalize
from millcert.store import Store

Wanted = tuple[Pin, LockedFile]


@pytest.fixture
def index() -> Iterator[LoopbackIndex]:
    with loopback_index() as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def client_of(address: str, ca_bundle: Path | None = None) -> IndexClient:
    configuration = ClientConfiguration(address, str(ca_bundle) if ca_bundle else None, timeout=1.0)
    return IndexClient(configuration, Transport(configuration, sleep=lambda _: None))


def silent(filename: str, received: int, size: int) -> None:
    """No progress."""


def wanted_from(index: LoopbackIndex, folder: Path, **page: object) -> Wanted:
    listed = index.add(make_wheel(folder / "wheels", "thing", "1.0", content=os.urandom(200_000)), **page)
    file = LockedFile(listed.filename, digest_of(listed.data), len(listed.data))
    return Pin(normalize("thing"), "1.0", "pypi", (file,)), file


def nothing_kept(store: Store) -> None:
    assert [path for path in (store.root / "blobs").rglob("*") if path.is_file()] == []


def test_altered_bytes(index: LoopbackIndex, store: Store, tmp_path: Path) -> None:
    _, file = wanted = wanted_from(index, tmp_path)
    index.fail(f"/files/{file.filename}", altered, always=True)
    with pytest.raises(HashMismatchError, match="not the locked file") as caught:
        client_of(index.url).fetch([wanted], store, silent)
    assert caught.value.evidence["expected"] == file.digest
    assert caught.value.exit_code == 6
    nothing_kept(store)
    assert list((store.root / "tmp").iterdir()) == []  # nor kept to be continued


def test_a_poisoned_partial_file(index: LoopbackIndex, store: Store, tmp_path: Path) -> None:
    _, file = wanted = wanted_from(index, tmp_path)
    (store.root / "tmp" / f"partial-{file.digest}").write_bytes(os.urandom(100_000))
    client_of(index.url).fetch([wanted], store, silent)
    assert digest_of(store.read(file.digest)) == file.digest


@pytest.mark.parametrize("size", [0, 1])
def test_a_poisoned_partial_file_of_full_length(index: LoopbackIndex, store: Store, tmp_path: Path, size: int) -> None:
    _, file = wanted = wanted_from(index, tmp_path)
    (store.root / "tmp" / f"partial-{file.digest}").write_bytes(os.urandom(file.size + size))
    client_of(index.url).fetch([wanted], store, silent)
    assert store.has(file.digest)


def test_truncated_for_ever(index: LoopbackIndex, store: Store, tmp_path: Path) -> None:
    _, file = wanted = wanted_from(index, tmp_path)
    index.ranges = False
    index.fail(f"/files/{file.filename}", cut(50_000), always=True)
    with pytest.raises(UnavailableError):
        client_of(index.url).fetch([wanted], store, silent)
    index.fail(f"/files/{file.filename}", short(50_000), always=True)
    with pytest.raises(UnavailableError, match="cut off"):
        client_of(index.url).fetch([wanted], store, silent)
    nothing_kept(store)


def test_an_endless_file(index: LoopbackIndex, store: Store, tmp_path: Path) -> None:
    _, file = wanted = wanted_from(index, tmp_path)
    index.fail(f"/files/{file.filename}", endless, always=True)
    with pytest.raises(OversizeError, match="more bytes than the locked file"):
        client_of(index.url).fetch([wanted], store, silent)
    nothing_kept(store)


def test_an_endless_page(index: LoopbackIndex, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millcert.index.client._PAGE_LIMIT", 1 << 20)
    wanted = wanted_from(index, tmp_path)
    index.fail("/simple/thing/", endless, always=True)
    with pytest.raises(OversizeError, match="too long"):
        client_of(index.url).fetch([wanted], store, silent)


def test_a_truncated_page(index: LoopbackIndex, store: Store, tmp_path: Path) -> None:
    wanted = wanted_from(index, tmp_path)
    page = index.json_page("thing")

    def half(handler: object) -> None:
        handler.send_whole(200, "application/vnd.pypi.simple.v1+json", page[: len(page) // 2])  # type: ignore[attr-defined]

    index.fail("/simple/thing/", half, always=True)
    with pytest.raises(MalformedPageError):
        client_of(index.url).fetch([wanted], store, silent)


def test_a_server_that_falls_silent(index: LoopbackIndex, store: Store, tmp_path: Path) -> None:
    _, file = wanted = wanted_from(index, tmp_path)
    configuration = ClientConfiguration(index.url, timeout=0.1)
    client = IndexClient(configuration, Transport(configuration, sleep=lambda _: None))
    index.fail(f"/files/{file.filename}", silent_after(0), always=True)
    with pytest.raises(UnavailableError):
        client.fetch([wanted], store, silent)
    nothing_kept(store)


def test_a_listing_with_other_bytes_under_a_locked_name(index: LoopbackIndex, store: Store, tmp_path: Path) -> None:
    _, file = wanted = wanted_from(index, tmp_path, sha256="0" * 64)
    with pytest.raises(HashMismatchError, match="lists other bytes"):
        client_of(index.url).fetch([wanted], store, silent)
    assert index.file_requests(file.filename) == []


def test_a_file_that_vanished_is_not_looked_for_elsewhere(index: LoopbackIndex, store: Store, tmp_path: Path) -> None:
    pin, file = wanted_from(index, tmp_path)
    index.projects["thing"].clear()
    with loopback_index() as other:
        elsewhere = wanted_from(other, tmp_path)
        assert elsewhere[1].filename == file.filename
        environ = {"MILLCERT_INDEX_OTHER": other.url}
        client = IndexClient(ClientConfiguration(index.url, environ=environ))
        with pytest.raises(AbsentError, match="no longer lists"):
            client.fetch([(pin, file)], store, silent)
        assert other.requests == []


def test_a_redirect_from_https_to_http(store: Store, tmp_path: Path) -> None:
    tls = certificate(tmp_path / "tls")
    with loopback_index(tls=tls) as index, loopback_index() as plain:
        _, file = wanted = wanted_from(index, tmp_path)
        plain.add(tmp_path / "wheels" / file.filename)
        client_of(index.url, tls[0]).fetch([wanted], Store(tmp_path / "honest"), silent)
        index.fail(f"/files/{file.filename}", redirect(f"{plain.base}/files/{file.filename}"), always=True)
        with pytest.raises(InsecureAddressError, match="redirect from https"):
            client_of(index.url, tls[0]).fetch([wanted], store, silent)
        assert plain.requests == []


def test_a_page_that_links_to_plain_http(index: LoopbackIndex, store: Store, tmp_path: Path) -> None:
    wanted = wanted_from(index, tmp_path, url="http://192.0.2.1/thing-1.0-py3-none-any.whl")
    with pytest.raises(InsecureAddressError, match="only https"):
        client_of(index.url).fetch([wanted], store, silent)


def test_a_redirect_to_plain_http(index: LoopbackIndex, store: Store, tmp_path: Path) -> None:
    _, file = wanted = wanted_from(index, tmp_path)
    index.fail(f"/files/{file.filename}", redirect("http://192.0.2.1/x"), always=True)
    with pytest.raises(InsecureAddressError, match="only https"):
        client_of(index.url).fetch([wanted], store, silent)


def test_a_redirect_to_a_local_file(index: LoopbackIndex, store: Store, tmp_path: Path) -> None:
    _, file = wanted = wanted_from(index, tmp_path)
    index.fail(f"/files/{file.filename}", redirect("file:///etc/passwd"), always=True)
    with pytest.raises(InsecureAddressError):
        client_of(index.url).fetch([wanted], store, silent)


def test_a_redirect_in_circles(index: LoopbackIndex, store: Store, tmp_path: Path) -> None:
    _, file = wanted = wanted_from(index, tmp_path)
    index.fail(f"/files/{file.filename}", redirect(f"/files/{file.filename}"), always=True)
    with pytest.raises(Exception, match="too many redirects"):
        client_of(index.url).fetch([wanted], store, silent)


def test_a_certificate_of_nobody(store: Store, tmp_path: Path) -> None:
    tls = certificate(tmp_path / "tls")
    with loopback_index(tls=tls) as index:
        wanted = wanted_from(index, tmp_path)
        with pytest.raises(InsecureAddressError, match="certificate is not trusted"):
            client_of(index.url).fetch([wanted], store, silent)
        assert index.requests == []


def test_an_index_configured_over_plain_http(store: Store, index: LoopbackIndex, tmp_path: Path) -> None:
    wanted = wanted_from(index, tmp_path)
    with pytest.raises(InsecureAddressError, match="only https"):
        client_of("http://192.0.2.1/simple/").fetch([wanted], store, silent)


def test_a_complete_store_asks_nobody(
    index: LoopbackIndex, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = wanted_from(index, tmp_path)
    store.add_bytes(index.projects["thing"][0].data)
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    fetch([wanted], store)
    assert index.requests == []


def test_a_blob_altered_in_the_store_is_not_handed_out(index: LoopbackIndex, store: Store, tmp_path: Path) -> None:
    _, file = wanted = wanted_from(index, tmp_path)
    client_of(index.url).fetch([wanted], store, silent)
    blob = store.path(file.digest)
    blob.chmod(0o644)
    blob.write_bytes(b"another")
    with pytest.raises(HashMismatchError, match="altered"):
        store.path(file.digest)
    client_of(index.url).fetch([wanted], store, silent)
    assert digest_of(store.read(file.digest)) == file.digest
