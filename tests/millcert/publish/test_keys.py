"""Keys in encrypted files, on a PKCS#11 token, and behind an agent; each signs what a TUF client accepts."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from securesystemslib.signer import Signer
from tests.support.nightly import NOW, Nightly, build_wheel, client, serve

from millcert.errors import UsageError
from millcert.keys import (
    DEFAULT_LIFETIMES,
    KeyRefusedError,
    create_key,
    external_key,
    open_signer,
    read_key,
    token_key,
    write_key,
)
from millcert.keys.keyfile import unlock
from millcert.publish.ceremony import change_role

CHEAP = 1 << 10  # scrypt's cost, so that tests are quick
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")


def no_secret(what: str) -> str:
    raise AssertionError(f"nothing should ask for the {what}")


def use_for_pages(nightly: Nightly, signer: Signer, tmp_path: Path) -> None:
    """Make a key the only publisher, publish with it, and let a client judge."""
    old = nightly.keys["publisher"]
    draft = change_role(
        nightly.state(), "nightly-cpu-pages", add=[signer.public_key], remove=[key.public_key.keyid for key in old],
        now=NOW, lifetimes=DEFAULT_LIFETIMES,
    )  # fmt: skip
    nightly.keys["publisher"] = [signer]
    nightly.commit(draft)
    nightly.publish(build_wheel(tmp_path / "dist"))
    with serve(nightly.site.root) as (address, _):
        assert client(address, tmp_path / "cache", nightly.root)["versions"] == ["0.1.0.dev20261123+cpu"]


def test_a_key_in_an_encrypted_file(nightly: Nightly, tmp_path: Path) -> None:
    path = tmp_path / "alice.key"
    write_key(create_key("alice", "correct horse", cost=CHEAP), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document = read_key(path)
    assert document.name == "alice"
    use_for_pages(nightly, open_signer(document, lambda _: "correct horse"), tmp_path)


def test_the_private_half_is_nowhere_in_the_clear(tmp_path: Path) -> None:
    document = create_key("alice", "correct horse", cost=CHEAP)
    private = unlock(document, "correct horse")._private_key  # the test looks inside on purpose
    raw = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())  # type: ignore[union-attr]  # Ed25519
    for form in (raw.hex(), b64encode(raw).decode(), "correct horse"):
        assert form.encode() not in document.to_bytes()
    assert document.card.secret is None
    with pytest.raises(KeyRefusedError, match="cannot sign"):
        open_signer(document.card, no_secret)


def test_wrong_password_and_altered_documents(tmp_path: Path) -> None:
    document = create_key("alice", "correct horse", cost=CHEAP)
    other = create_key("mallory", "correct horse", cost=CHEAP)
    with pytest.raises(KeyRefusedError, match="password"):
        open_signer(document, lambda _: "wrong")
    fields = json.loads(document.to_bytes())
    swapped = fields | {"public": json.loads(other.to_bytes())["public"], "keyid": other.keyid}
    (tmp_path / "swapped.key").write_text(json.dumps(swapped))
    with pytest.raises(KeyRefusedError, match="altered"):
        open_signer(read_key(tmp_path / "swapped.key"), lambda _: "correct horse")
    (tmp_path / "alias.key").write_text(json.dumps(fields | {"keyid": "f" * 64}))
    with pytest.raises(KeyRefusedError, match="not a key document"):
        read_key(tmp_path / "alias.key")


@pytest.mark.parametrize("cost", [0, 3, -8, 1 << 30, "x", None])
def test_a_document_cannot_ask_for_gigabytes(tmp_path: Path, cost: object) -> None:
    document = create_key("alice", "correct horse", cost=CHEAP)
    assert document.secret is not None
    fields = json.loads(document.to_bytes())
    fields["secret"]["n"] = cost
    (tmp_path / "a.key").write_text(json.dumps(fields))
    with pytest.raises(KeyRefusedError):
        open_signer(read_key(tmp_path / "a.key"), lambda _: "correct horse")


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"null", b'{"format": "millcert-key/1", "public": {}}', b"\xff"])
def test_a_file_that_is_no_key(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(KeyRefusedError):
        read_key(tmp_path / "x")


def test_a_good_key_document_of_another_kind(tmp_path: Path) -> None:
    """Neither a later format nor another cipher is guessed at."""
    path = tmp_path / "alice.key"
    document = create_key("alice", "correct horse", cost=CHEAP)
    fields = json.loads(document.to_bytes())
    path.write_text(json.dumps(fields | {"format": "millcert-key/2"}))
    with pytest.raises(KeyRefusedError, match="not a key document"):
        read_key(path)
    for change in ({"kdf": "pbkdf2"}, {"cipher": "none"}, {"r": 1}, {"p": 2}):
        path.write_text(json.dumps(fields | {"secret": fields["secret"] | change}))
        with pytest.raises(KeyRefusedError, match="not an encrypted key"):
            open_signer(read_key(path), lambda _: "correct horse")


def test_no_private_key_in_a_repository_and_none_overwritten(tmp_path: Path) -> None:
    document = create_key("alice", "correct horse", cost=CHEAP)
    repository = tmp_path / "repository"
    (repository / ".git").mkdir(parents=True)
    (repository / "keys").mkdir()
    with pytest.raises(UsageError, match="repository"):
        write_key(document, repository / "keys/alice.key")
    write_key(document.card, repository / "keys/alice.pub")
    write_key(document, tmp_path / "alice.key")
    with pytest.raises(UsageError, match="already"):
        write_key(document, tmp_path / "alice.key")
    with pytest.raises(UsageError, match="password"):
        create_key("alice", "")


@pytest.fixture
def agent(tmp_path: Path) -> tuple[bytes, list[str]]:
    """A public key in PEM, and the command of an agent that signs with its private half."""
    private = Ed25519PrivateKey.generate()
    raw = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()).hex()
    script = tmp_path / "agent.py"
    script.write_text(
        "import sys\n"
        "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey\n"
        f"key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex('{raw}'))\n"
        "print(key.sign(sys.stdin.buffer.read()).hex())\n"
    )
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return public, [sys.executable, str(script)]


def test_a_key_behind_an_agent(nightly: Nightly, tmp_path: Path, agent: tuple[bytes, list[str]]) -> None:
    public, command = agent
    write_key(external_key("robot", public, tuple(command)), tmp_path / "robot.key")
    use_for_pages(nightly, open_signer(read_key(tmp_path / "robot.key"), no_secret), tmp_path)


@pytest.mark.parametrize("script", ["print('00' * 64)", "print('not hex')", "import sys; sys.exit(3)", ""])
def test_an_agent_that_does_not_sign(tmp_path: Path, agent: tuple[bytes, list[str]], script: str) -> None:
    signer = open_signer(external_key("robot", agent[0], (sys.executable, "-c", script)), no_secret)
    with pytest.raises(KeyRefusedError):
        signer.sign(b"payload")


def test_an_agent_that_is_missing(agent: tuple[bytes, list[str]]) -> None:
    with pytest.raises(KeyRefusedError, match="did not sign"):
        open_signer(external_key("robot", agent[0], ("/nonexistent/agent",)), no_secret).sign(b"payload")


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SoftHSM2 token with an ECDSA key, its PIN 1234; skips where the software is missing."""
    pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
    tool = shutil.which("softhsm2-util")
    if tool is None or not MODULE.is_file():
        pytest.skip("Debian's softhsm2 is not installed")
    folder = tmp_path_factory.mktemp("token")
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}\nobjectstore.backend = file\n")
    patch = pytest.MonkeyPatch()
    patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
    patch.setenv("PYKCS11LIB", str(MODULE))
    label = "millcert-test"
    create = [tool, "--init-token", "--free", "--label", label, "--pin", "1234", "--so-pin", "5678"]
    subprocess.run(create, check=True, capture_output=True)
    found = pkcs11.lib(str(MODULE)).get_token(token_label=label)
    with found.open(rw=True, user_pin="1234") as session:
        curve = pkcs11.util.ec.encode_named_curve_parameters("secp256r1")
        parameters = session.create_domain_parameters(
            pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: curve}, local=True
        )
        parameters.generate_keypair(store=True, id=b"\x02", label="pages")
    return label


def test_a_key_on_a_pkcs11_token(nightly: Nightly, tmp_path: Path, token: str) -> None:
    document = token_key("vault", 2, token, "1234")
    write_key(document, tmp_path / "vault.key")
    assert "1234" not in (tmp_path / "vault.key").read_text()
    use_for_pages(nightly, open_signer(read_key(tmp_path / "vault.key"), lambda _: "1234"), tmp_path)


def test_a_token_that_refuses(token: str) -> None:
    signer = open_signer(token_key("vault", 2, token, "1234"), lambda _: "wrong")
    with pytest.raises(KeyRefusedError, match="did not sign"):
        signer.sign(b"payload")
    with pytest.raises(KeyRefusedError, match="no such key"):
        token_key("vault", 7, token, "1234")
    with pytest.raises(KeyRefusedError, match="no such key"):
        token_key("vault", 2, "another token", "1234")
