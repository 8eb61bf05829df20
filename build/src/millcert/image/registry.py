"""A repository of an OCI registry (distribution-spec 1.1); no digest is taken on trust."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin

import requests

from millcert.errors import ConfigError
from millcert.image.errors import DigestError, RegistryError
from millcert.image.manifest import INDEX, MANIFEST, Descriptor, image_index
from millcert.image.reference import Reference
from millcert.image.session import RegistrySession, Unavailable
from millcert.index.transport import redacted
from millcert.model import Digest, digest_of, parse_digest

__all__ = ["Registry", "Sent"]

_CHUNK = 8 << 20
_MOST_MANIFEST = 4 << 20
_ACCEPT = f"{MANIFEST}, {INDEX}"

Sent = Callable[[int], None]  # called with the bytes of a blob that have gone


class Registry:
    """One repository; every answer is held against the digest that was asked for."""

    def __init__(self, reference: Reference, session: RegistrySession) -> None:
        self._reference, self._http = reference, session
        self._base = reference.base

    # -- reading

    def manifest(self, wanted: str) -> tuple[Descriptor, bytes]:
        """A manifest or index by tag or digest.

        Raises RegistryError where there is none, DigestError where the bytes are not what was asked for.
        """
        response = self._http.retrying(lambda: self._manifest_response(wanted))
        if response.status_code == 404:
            raise RegistryError("the registry has no such image", image=self._name(wanted))
        self._expect(response, 200)
        data = self._body(response, _MOST_MANIFEST)
        digest = digest_of(data)
        if wanted.startswith("sha256:") and digest != parse_digest(wanted):
            raise DigestError("the registry answered with another manifest", expected=wanted, found=f"sha256:{digest}")
        announced = response.headers.get("Docker-Content-Digest", f"sha256:{digest}")
        if announced != f"sha256:{digest}":
            raise DigestError("the registry's digest is not that of its bytes", announced=announced, found=digest)
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        return Descriptor(kind, digest, len(data)), data

    def _manifest_response(self, wanted: str) -> requests.Response:
        address = f"{self._base}/manifests/{wanted}"
        return self._http.request("GET", address, headers={"Accept": _ACCEPT}, stream=True)

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """A blob's bytes as they come, continued after a break; DigestError at the end if they are not the blob's."""
        hasher, received, attempts = hashlib.sha256(), 0, 0
        while received < descriptor.size:
            try:
                for piece in self._blob_from(descriptor, received):
                    hasher.update(piece)
                    received += len(piece)
                    if received > descriptor.size:
                        raise DigestError("a blob is longer than its manifest says", sha256=descriptor.digest)
                    yield piece
                    attempts = 0
                if received < descriptor.size:
                    raise Unavailable("the registry broke off in the middle of a blob", sha256=descriptor.digest)
            except Unavailable:
                attempts += 1
                if attempts > 3:
                    raise
        if hasher.hexdigest() != descriptor.digest:
            raise DigestError(
                "the registry answered with another blob", expected=descriptor.digest, found=hasher.hexdigest()
            )

    def _blob_from(self, descriptor: Descriptor, offset: int) -> Iterator[bytes]:
        address = f"{self._base}/blobs/sha256:{descriptor.digest}"
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        response = self._http.retrying(lambda: self._http.request("GET", address, headers=headers, stream=True))
        if response.status_code == 404:
            raise RegistryError("the registry lacks a blob of the image", sha256=descriptor.digest)
        self._expect(response, 206 if offset and response.status_code != 200 else 200)
        skip = offset if response.status_code == 200 else 0
        try:
            for piece in response.iter_content(1 << 20):
                yield piece[skip:] if skip < len(piece) else b""
                skip = max(0, skip - len(piece))
        except (requests.RequestException, OSError) as error:
            raise Unavailable("the registry broke off in the middle of a blob", sha256=descriptor.digest) from error

    def small_blob(self, descriptor: Descriptor) -> bytes:
        """A blob of at most 16 MiB, checked."""
        if descriptor.size > 16 << 20:
            raise DigestError("a blob that should be small is not", sha256=descriptor.digest, size=descriptor.size)
        return b"".join(self.blob(descriptor))

    def referrers(self, digest: Digest) -> list[Mapping[str, Any]]:
        """The entries of what refers to a manifest: by the API, else by the fallback tag; none is an empty list."""
        address = f"{self._base}/referrers/sha256:{digest}"
        response = self._http.retrying(lambda: self._http.request("GET", address, stream=True))
        if response.status_code == 200:
            return _entries(self._body(response, _MOST_MANIFEST))
        response = self._http.retrying(lambda: self._manifest_response(f"sha256-{digest}"))
        if response.status_code == 404:
            return []
        self._expect(response, 200)
        return _entries(self._body(response, _MOST_MANIFEST))

    # -- writing

    def push_blob(self, source: Path | bytes, descriptor: Descriptor, sent: Sent) -> bool:
        """Bring a blob unless it is there; whether anything was sent. A broken upload goes on where it stopped."""
        if self._has_blob(descriptor):
            sent(descriptor.size)
            return False
        response = self._http.retrying(lambda: self._http.request("POST", f"{self._base}/blobs/uploads/"))
        self._expect(response, 202)
        location = self._location(response)
        with _opened(source) as stream:
            location = self._upload(stream, descriptor, location, sent)
        done = self._http.retrying(lambda: self._finish_upload(location, descriptor))
        if done.status_code not in (201, 204) and not self._has_blob(descriptor):
            self._expect(done, 201)
        announced = done.headers.get("Docker-Content-Digest", f"sha256:{descriptor.digest}")
        if announced != f"sha256:{descriptor.digest}":
            raise DigestError("the registry stored another blob", expected=descriptor.digest, found=announced)
        return True

    def _upload(self, stream: IO[bytes], descriptor: Descriptor, location: str, sent: Sent) -> str:
        offset, attempts = 0, 0
        while offset < descriptor.size:
            stream.seek(offset)
            chunk = stream.read(_CHUNK)
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{offset}-{offset + len(chunk) - 1}",
            }
            try:
                response = self._http.request("PATCH", location, data=chunk, headers=headers)
                self._expect(response, 202)
                location, offset, attempts = self._location(response), offset + len(chunk), 0
            except Unavailable:
                attempts += 1
                if attempts > 3:
                    raise
                location, offset = self._resume(location)
            sent(offset)
        return location

    def _resume(self, location: str) -> tuple[str, int]:
        """Where an upload stands, as the registry sees it."""
        response = self._http.retrying(lambda: self._http.request("GET", location))
        self._expect(response, 204)
        last = response.headers.get("Range", "").rpartition("-")[2]
        return self._location(response), int(last) + 1 if last.isdigit() and int(last) else 0

    def _finish_upload(self, location: str, descriptor: Descriptor) -> requests.Response:
        joint = "&" if "?" in location else "?"
        address = f"{location}{joint}digest=sha256%3A{descriptor.digest}"
        return self._http.request("PUT", address, headers={"Content-Type": "application/octet-stream"})

    def _has_blob(self, descriptor: Descriptor) -> bool:
        address = f"{self._base}/blobs/sha256:{descriptor.digest}"
        response = self._http.retrying(lambda: self._http.request("HEAD", address, allow_redirects=True))
        if response.status_code not in (200, 404):
            self._expect(response, 200)
        return bool(response.status_code == 200 and response.headers.get("Content-Length") == str(descriptor.size))

    def push_manifest(self, data: bytes, media_type: str, tag: str = "") -> bool:
        """Put a manifest by its digest, or by a tag; whether the registry itself records what it refers to.

        Raises DigestError where the registry says that it stored something else.
        """
        wanted = tag or f"sha256:{digest_of(data)}"
        address = f"{self._base}/manifests/{wanted}"
        response = self._http.retrying(
            lambda: self._http.request("PUT", address, data=data, headers={"Content-Type": media_type})
        )
        self._expect(response, 201)
        announced = response.headers.get("Docker-Content-Digest", f"sha256:{digest_of(data)}")
        if announced != f"sha256:{digest_of(data)}":
            raise DigestError("the registry stored another manifest", expected=digest_of(data), found=announced)
        return "OCI-Subject" in response.headers

    def add_to_fallback(self, subject: Digest, entry: Mapping[str, Any]) -> None:
        """Add an entry to the index at the fallback tag (distribution-spec, "Referrers Tag Schema")."""
        tag = f"sha256-{subject}"
        response = self._http.retrying(lambda: self._manifest_response(tag))
        entries = _entries(self._body(response, _MOST_MANIFEST)) if response.status_code == 200 else []
        if entry["digest"] not in [other["digest"] for other in entries]:
            self.push_manifest(image_index([*entries, entry]), INDEX, tag)

    # -- answers

    def _expect(self, response: requests.Response, status: int) -> None:
        if response.status_code == status:
            return
        raise RegistryError(
            "the registry refuses", address=redacted(response.url), expected=status,
            found=f"{response.status_code} {response.reason or ''}".strip(), says=_reason(response),
            fix="log in with `podman login` or `docker login`" if response.status_code in (401, 403) else "",
        )  # fmt: skip

    def _location(self, response: requests.Response) -> str:
        return urljoin(response.url, response.headers.get("Location", ""))

    def _body(self, response: requests.Response, limit: int) -> bytes:
        body = bytearray()
        try:
            for piece in response.iter_content(1 << 16):
                body += piece
                if len(body) > limit:
                    raise RegistryError("an answer that is too long", address=redacted(response.url), limit=limit)
        except (requests.RequestException, OSError) as error:
            raise Unavailable(
                "the registry broke off in the middle of an answer", address=redacted(response.url)
            ) from error
        return bytes(body)

    def _name(self, wanted: str) -> str:
        return f"{self._reference.host}/{self._reference.repository}{'@' if ':' in wanted else ':'}{wanted}"


def _entries(data: bytes) -> list[Mapping[str, Any]]:
    try:
        entries = json.loads(data)["manifests"]
        for entry in entries:
            parse_digest(entry["digest"])
        return list(entries)
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise RegistryError("the list of referrers is not an index", reason=error) from error


def _reason(response: requests.Response) -> str | None:
    try:
        return str(response.json()["errors"][0]["message"])[:200]
    except (ValueError, KeyError, IndexError, TypeError):
        return None


def _opened(source: Path | bytes) -> IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
