"""Sign built files: the unsigned statement beside a file becomes a Sigstore bundle beside it.

The hermetic build writes ``NAME.provenance.json`` next to ``NAME``. Signing adds nothing to it: the statement is
checked against the file's real bytes and signed as it stands, so that two builders who got the same bytes from
the same inputs sign the same statement.

Nothing is signed that came from a source tree with uncommitted changes, and nothing is written that does not
verify.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from millcert.attest.bundle import SUFFIX, read_bundle
from millcert.attest.errors import SigningError, printable
from millcert.attest.policy import BuilderRule, Policy
from millcert.attest.statement import MAX_STATEMENT, parse_statement
from millcert.attest.trust import TrustRoot
from millcert.attest.verify import Verifier
from millcert.errors import MillcertError, VerificationError
from millcert.files import place
from millcert.model import Digest, digest_of_file

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import IdentityToken

__all__ = ["PROVENANCE_SUFFIX", "Request", "SignStatement", "Signed", "bundle_path", "prepare", "session", "sign"]

PROVENANCE_SUFFIX = ".provenance.json"

SignStatement = Callable[[bytes], bytes]  # statement → bundle
OpenSession = Callable[[], contextlib.AbstractContextManager[SignStatement]]


@dataclass(frozen=True)
class Request:
    """A file that may be signed: its digest, the statement about it, and where the bundle goes."""

    path: Path
    digest: Digest
    statement: bytes
    bundle: Path


@dataclass(frozen=True)
class Signed:
    """What became of one file."""

    path: Path
    digest: Digest
    bundle: Path
    outcome: Literal["signed", "already signed", "signed anew"]
    identity: str
    issuer: str
    log_index: int

    def as_dict(self) -> dict[str, object]:
        """The result as JSON has it."""
        return {
            "file": str(self.path),
            "sha256": self.digest,
            "bundle": str(self.bundle),
            "outcome": self.outcome,
            "identity": self.identity,
            "issuer": self.issuer,
            "log_index": self.log_index,
        }


def bundle_path(path: Path, builder: str = "") -> Path:
    """Where a file's bundle goes: ``NAME.sigstore.json``, or ``NAME.BUILDER.sigstore.json`` for a further builder."""
    if not builder:
        return path.with_name(path.name + SUFFIX)
    if not builder.replace("-", "").isalnum() or not builder.isascii():
        raise SigningError("a builder's label is letters, digits and hyphens", found=printable(builder))
    return path.with_name(f"{path.name}.{builder}{SUFFIX}")


def prepare(path: Path, *, builder: str = "") -> Request:
    """Check that a file may be signed; SigningError says why not.

    The statement must be strictly readable provenance about exactly this file, and neither the file's version
    nor the statement may say that the source tree was dirty.
    """
    _refuse_dirty_name(path)
    statement_path = path.with_name(path.name + PROVENANCE_SUFFIX)
    try:
        with statement_path.open("rb") as stream:
            data = stream.read(MAX_STATEMENT + 1)
        digest = digest_of_file(path)
    except OSError as error:
        raise SigningError(
            "a file to sign, or the statement beside it, cannot be read",
            file=error.filename, reason=error.strerror, fix="build it with `nox -s build_wheels`, which writes both",
        ) from error  # fmt: skip
    try:
        statement = parse_statement(data)
    except MillcertError as error:
        error.evidence = {"statement": str(statement_path), **error.evidence}
        raise
    if statement.build is None:
        raise SigningError(
            "the statement is not SLSA provenance", statement=statement_path, found=printable(statement.predicate_type)
        )
    if statement.build.dirty:
        raise SigningError(
            "the statement says that the source tree had uncommitted changes",
            statement=statement_path, fix="commit, build again, then sign",
        )  # fmt: skip
    found = [(one.name, one.digest) for one in statement.subjects]
    if found != [(path.name, digest)]:
        raise SigningError(
            "the statement is not about exactly this file",
            file=path, sha256=digest, statement_says=printable("; ".join(f"{name} {sha256}" for name, sha256 in found)),
            fix="build again: the file or its statement was changed after the build",
        )  # fmt: skip
    return Request(path, digest, data, bundle_path(path, builder))


def sign(
    requests: Sequence[Request], root: TrustRoot, open_session: OpenSession, *, force: bool = False
) -> Iterator[Signed]:
    """Sign what is not signed yet, one result at a time.

    A file whose bundle already verifies with ``root`` and holds the same statement is skipped, unless ``force``.
    ``open_session`` is called only when something has to be signed: a second run asks nobody to log in. Each
    bundle is verified before it is written, and is written whole or not at all.
    """
    with contextlib.ExitStack() as stack:
        signer: SignStatement | None = None
        for request in requests:
            existing = None if force else _existing(request, root)
            if existing is not None:
                yield existing
                continue
            signer = signer or stack.enter_context(open_session())
            replaced = request.bundle.exists()
            data = signer(request.statement)
            try:
                result = _verified(request, data, root, "signed anew" if replaced else "signed")
            except VerificationError as error:
                raise SigningError(
                    "the new bundle would not verify; it was not written", file=request.path,
                    reason=error.message, check=type(error).__name__, trusted_root=root.source,
                    fix="update millcert: the root it verifies with may be older than the instance's keys",
                ) from error  # fmt: skip
            _write(request.bundle, data)
            yield result


@contextlib.contextmanager
def session(
    trust_config: bytes | None = None, *, token: str | None = None, interactive: bool = False
) -> Iterator[SignStatement]:
    """A signing session with a Sigstore instance: public-good, or the one a trust configuration describes.

    The identity is ``token``, else the CI job's own, else (``interactive``) a person's through their browser.
    SigningError where there is none, or where a service refuses.
    """
    with _services("the signing session could not be opened"):
        from sigstore.dsse import Statement
        from sigstore.models import ClientTrustConfig
        from sigstore.sign import SigningContext

        config = (
            ClientTrustConfig.production()
            if trust_config is None
            else ClientTrustConfig.from_json(trust_config.decode())
        )
        identity = _identity(config, token, interactive)
        context = SigningContext.from_trust_config(config)
    with contextlib.ExitStack() as stack:
        with _services("no signing certificate was issued"):
            signer = stack.enter_context(context.signer(identity))

        def sign_statement(statement: bytes) -> bytes:
            with _services("the statement was not signed"):
                return signer.sign_dsse(Statement(statement)).to_json().encode()

        yield sign_statement


def _identity(config: ClientTrustConfig, token: str | None, interactive: bool) -> IdentityToken:
    from sigstore.oidc import IdentityToken, Issuer, detect_credential

    found = token or detect_credential()
    if found:
        return IdentityToken(found)
    if not interactive:
        raise SigningError(
            "nobody to sign as: no token, no CI identity, and no terminal to log in from",
            fix="run in a terminal, in CI with `id-token: write`, or pass --identity-token",
        )
    return Issuer(config.signing_config.get_oidc_url()).identity_token()


@contextlib.contextmanager
def _services(message: str) -> Iterator[None]:
    """Turn whatever the library and its services raise into a SigningError."""
    from sigstore.oidc import ExpiredIdentity

    try:
        yield
    except MillcertError:
        raise
    except ExpiredIdentity:
        raise SigningError(
            message, reason="the identity token has expired", fix="run the same command again: it continues"
        ) from None
    except Exception as error:
        raise SigningError(
            message,
            reason=printable(f"{type(error).__name__}: {error}"), cause=printable(error.__cause__ or "") or None,
            fix="check the identity token and the connection, then run the same command again: it continues",
        ) from error  # fmt: skip


def _existing(request: Request, root: TrustRoot) -> Signed | None:
    """The bundle that is there already, if it verifies and holds this very statement."""
    try:
        data = request.bundle.read_bytes()
        if read_bundle(data).payload != request.statement:
            return None
        return _verified(request, data, root, "already signed")
    except (OSError, VerificationError):
        return None


def _verified(
    request: Request, data: bytes, root: TrustRoot, outcome: Literal["signed", "already signed", "signed anew"]
) -> Signed:
    """Verify a bundle as its users will, for whoever it says signed it."""
    claims = read_bundle(data).claims
    policy = Policy((BuilderRule(issuer=claims.issuer, identity=claims.identity),))
    attestation = Verifier(root, policy).attestation(data, request.path.name, request.digest)
    identity, issuer = printable(claims.identity), printable(claims.issuer)
    log_index = attestation.claimed.log_index
    return Signed(request.path, request.digest, request.bundle, outcome, identity, issuer, log_index)


def _refuse_dirty_name(path: Path) -> None:
    """A wheel says in its version that its source tree was dirty; other files say it in their statement alone."""
    if path.suffix != ".whl":
        return
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        version = parse_wheel_filename(path.name)[1]
    except InvalidWheelFilename as error:
        raise SigningError("not the name of a wheel", file=path, reason=printable(error)) from None
    if "dirty" in (version.local or ""):
        raise SigningError(
            "the wheel was built from a source tree with uncommitted changes",
            file=path, version=version, fix="commit, build again, then sign",
        )  # fmt: skip


def _write(path: Path, data: bytes) -> None:
    try:
        place(path, data)
    except OSError as error:
        raise SigningError("the bundle cannot be written", file=path, reason=error.strerror) from error
