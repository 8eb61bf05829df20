"""apt as the resolver: the machine's mirrors and proxies, a private state, an empty system, signatures checked.

The mirror's address comes from the machine's own apt configuration and goes nowhere but apt; the keyring is Debian's
as the machine has it. ``MILLCERT_DEBIAN_MIRROR``, ``…_SECURITY_MIRROR`` and ``…_KEYRING`` name others.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from millcert.debian.control import stanzas
from millcert.debian.lockfile import DebianPackage
from millcert.errors import ConfigError, FetchError, LockError, MillcertError
from millcert.model import parse_digest

__all__ = ["Archive", "Wanted", "find_archive", "parse_wanted", "resolve"]

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_URI = re.compile(r"'(?P<base>https?://[^' ]+/)dists/(?P<suite>[^/' ]+)/(?:InRelease|Release)'")
_INSTALL = re.compile(r"Inst (?P<name>\S+) \((?P<version>\S+) ")
_LABELS = {"bookworm": "MILLCERT_DEBIAN_MIRROR", "bookworm-security": "MILLCERT_DEBIAN_SECURITY_MIRROR"}


@dataclass(frozen=True)
class Archive:
    """One suite of the machine's mirror; the address ends with a slash."""

    suite: str
    address: str


@dataclass(frozen=True)
class Wanted:
    """What a ``.in`` file asks for: packages, and packages taken as present so that nothing pulls them in."""

    packages: tuple[str, ...]
    present: tuple[str, ...]
    suites: tuple[str, ...]
    architectures: tuple[str, ...] = ("amd64",)


def parse_wanted(text: str, origin: str) -> Wanted:
    """One package a line; ``!name`` for one that is not needed; ``suite: name`` for one more suite than bookworm;
    ``architectures: name name`` for others than amd64 alone."""
    packages: list[str] = []
    present: list[str] = []
    suites = ["bookworm"]
    architectures = ["amd64"]
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].strip()
        if not line:
            continue
        if match := re.fullmatch(r"suite: (bookworm-security)", line):
            suites.append(match[1])
        elif match := re.fullmatch(r"architectures: ((?:amd64|arm64)(?: (?:amd64|arm64))*)", line):
            architectures = sorted(set(match[1].split()))
        elif match := re.fullmatch(r"(!?)([a-z0-9][a-z0-9+.-]+)", line):
            (present if match[1] else packages).append(match[2])
        else:
            raise LockError("not a package name", file=origin, line=number, found=line[:120])
    if not packages:
        raise LockError("the file asks for no package", file=origin)
    return Wanted(tuple(sorted(packages)), tuple(sorted(present)), tuple(suites), tuple(architectures))


def find_archive(suite: str, environ: Mapping[str, str]) -> Archive:
    """Where this machine gets a suite from: its variable if set, else apt's configuration.

    Raises ConfigError where neither knows it.
    """
    variable = _LABELS[suite]
    if chosen := environ.get(variable):
        return Archive(suite, chosen.rstrip("/") + "/")
    listing = _run(["apt-get", "update", "--print-uris"], dict(environ), "apt cannot say where its mirrors are")
    for match in _URI.finditer(listing):
        if match["suite"] == suite:
            return Archive(suite, match["base"])
    raise ConfigError(
        "this machine's apt configuration has no mirror for the suite",
        suite=suite, fix=f"add it to the machine's apt sources, or set {variable}",
    )  # fmt: skip


def resolve(wanted: Wanted, archives: Sequence[Archive], environ: Mapping[str, str]) -> list[DebianPackage]:
    """The packages empty systems of the wanted architectures would install, without recommendations, from ``main``.

    Raises FetchError where the mirror or its signature fails, LockError where no set of packages fits.
    """
    each = [_resolve(wanted, architecture, archives, environ) for architecture in wanted.architectures]
    return sorted(set(chain.from_iterable(each)))


def _resolve(
    wanted: Wanted, architecture: str, archives: Sequence[Archive], environ: Mapping[str, str]
) -> list[DebianPackage]:
    with _private_apt(architecture, archives, environ) as (apt, status):
        _run(["apt-get", "update", "--quiet=2", "--error-on=any"], apt, "apt could not read the mirror", FetchError)
        if wanted.present:
            command = ["apt-cache", "show", "--no-all-versions", *wanted.present]
            status.write_text(_installed(_run(command, apt, "a package taken as present does not exist", LockError)))
        command = ["apt-get", "install", "--simulate", "--no-install-recommends", "--quiet=2", *wanted.packages]
        plan = _run(command, apt, "no set of packages fits", LockError)
        chosen = [f"{match['name'].partition(':')[0]}={match['version']}" for match in _INSTALL.finditer(plan)]
        if not chosen:
            raise LockError("apt chose no packages", found=plan[-400:])
        return _described(_run(["apt-cache", "show", *chosen], apt, "apt cannot describe its own choice", LockError))


def _described(text: str) -> list[DebianPackage]:
    packages: dict[str, DebianPackage] = {}
    for fields in stanzas(text):
        if "SHA256" not in fields:
            raise LockError("the mirror gives no sha256 for a package", name=fields.get("Package"))
        packages.setdefault(
            fields["Package"],
            DebianPackage(
                fields["Package"], fields["Version"], fields["Architecture"], int(fields["Size"]),
                parse_digest(fields["SHA256"]), fields["Filename"],
            ),
        )  # fmt: skip
    return list(packages.values())


@contextlib.contextmanager
def _private_apt(
    architecture: str, archives: Sequence[Archive], environ: Mapping[str, str]
) -> Iterator[tuple[dict[str, str], Path]]:
    """The environment that makes apt use a state of its own, and its list of installed packages (empty)."""
    with tempfile.TemporaryDirectory(prefix="millcert-apt-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for path in ("lists/partial", "cache/archives/partial", "etc"):
            (folder / path).mkdir(parents=True)
        lines = [f"deb{_signed_by(folder, environ)} {archive.address} {archive.suite} main\n" for archive in archives]
        (folder / "sources.list").write_text("".join(lines))
        (folder / "status").touch()
        (folder / "apt.conf").write_text(_settings(folder, architecture))
        yield {**environ, "APT_CONFIG": str(folder / "apt.conf"), "LC_ALL": "C.UTF-8"}, folder / "status"


def _signed_by(folder: Path, environ: Mapping[str, str]) -> str:
    """The option that names the keyring, copied to where apt's unprivileged user can read it."""
    keyring = Path(environ.get("MILLCERT_DEBIAN_KEYRING") or _KEYRING)
    if not keyring.exists():
        return ""  # then those count that apt trusts by itself
    copy = folder / f"keyring{keyring.suffix}"
    copy.write_bytes(keyring.read_bytes())
    return f" [signed-by={copy}]"


def _installed(text: str) -> str:
    """A dpkg status in which the described packages are installed: same version, no dependencies of their own."""
    kept = ("Package", "Version", "Architecture", "Multi-Arch", "Maintainer", "Provides", "Description")
    return "\n".join(
        "Status: install ok installed\n" + "".join(f"{key}: {fields[key]}\n" for key in kept if key in fields)
        for fields in stanzas(text)
    )


def _settings(folder: Path, architecture: str) -> str:
    # read after the machine's own apt.conf.d, so proxies stay; hooks and preferences of the machine do not
    return f"""
Dir::State "{folder}";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::State::extended_states "{folder}/extended";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Log "{folder}";
APT::Architecture "{architecture}";
#clear APT::Architectures;
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Install-Suggests "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
APT::Get::AllowUnauthenticated "false";
Acquire::Languages "none";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
"""


def _run(command: list[str], environ: dict[str, str], problem: str, error: type[MillcertError] = ConfigError) -> str:
    if shutil.which(command[0], path=environ.get("PATH")) is None:
        raise ConfigError(
            "apt is not on this machine", program=command[0], fix="make Debian locks on a Debian or Ubuntu machine"
        )
    result = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if result.returncode:
        # apt repeats addresses, which may hold a credential
        reason = re.sub(r"(https?://)[^/@\s]*@", r"\1", result.stderr.strip())
        raise error(problem, reason=reason[-800:])
    return result.stdout
