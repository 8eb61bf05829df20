"""Ask pip-tools which versions fit together: one index at a time, nothing of the machine's configuration."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from millcert.errors import LockError
from millcert.index.configuration import ClientConfiguration
from millcert.lock.requirements import Wanted
from millcert.lock.selection import Target
from millcert.names import NormalizedName, normalize

__all__ = ["Resolution", "isolated", "parse_resolution", "resolve"]

_KEPT = ("PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
_OPTIONS = (
    "--quiet", "--no-header", "--annotate", "--strip-extras", "--allow-unsafe", "--no-emit-index-url",
    "--no-emit-find-links", "--no-emit-trusted-host", "--no-emit-options", "--resolver=backtracking",
    "--pip-args=--only-binary=:all:", "--output-file=requirements.txt", "requirements.in",
)  # fmt: skip
# a marker was decided for the target already, or the pin would not be here
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;]+)(?: ; .*)?")
_VIA = re.compile(r"    #(?: via|  )(?: (?P<via>\S.*))?")


@dataclass(frozen=True)
class Resolution:
    """One project's chosen version, and the projects that need it (none for a direct requirement)."""

    name: NormalizedName
    version: str
    via: tuple[NormalizedName, ...]


def isolated(environ: Mapping[str, str], configuration: ClientConfiguration, index: str) -> dict[str, str]:
    """The environment of a resolution: proxies and certificates of the machine, and exactly one index."""
    kept = {name: environ[name] for name in _KEPT if name in environ}
    kept |= {name: value for name, value in environ.items() if name.upper() in _PROXIES}
    kept |= {
        "PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        # not an argument: an address may hold a credential, and arguments are public
        "PIP_INDEX_URL": configuration.address(index), "PIP_DEFAULT_TIMEOUT": f"{configuration.timeout:.0f}",
        "PIP_RETRIES": "2", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    return kept | ({"PIP_CERT": configuration.ca_bundle} if configuration.ca_bundle else {})


def resolve(
    wanted: Iterable[Wanted],
    previous: Mapping[NormalizedName, str],
    target: Target,
    *,
    index: str,
    configuration: ClientConfiguration,
) -> list[Resolution]:
    """Versions for all requirements of one index; those of ``previous`` are kept where they still fit.

    Raises LockError where no set of versions fits.
    """
    environ = isolated(configuration.environ, configuration, index)
    with tempfile.TemporaryDirectory(prefix="millcert-lock-") as name:
        folder = Path(name)
        lines = sorted({str(item.requirement) for item in wanted})
        (folder / "requirements.in").write_text("".join(f"{line}\n" for line in lines))
        if previous:
            (folder / "requirements.txt").write_text("".join(f"{n}=={v}\n" for n, v in sorted(previous.items())))
        program = Path(__file__).with_name("pip_compile.py")
        command = [sys.executable, "-I", str(program), json.dumps(_description(target)), *_OPTIONS]
        command.append(f"--cache-dir={folder / 'cache'}")
        result = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
        if result.returncode:
            reason = result.stderr.replace(configuration.address(index).rstrip("/"), index).strip()
            raise LockError("no set of versions fits the requirements", index=index, reason=reason[-1500:])
        return parse_resolution((folder / "requirements.txt").read_text())


def parse_resolution(text: str) -> list[Resolution]:
    """What pip-compile wrote, as pins; LockError for a line that is not one (an address, an option)."""
    found: list[tuple[str, str, list[NormalizedName]]] = []
    for line in text.splitlines():
        if match := _PIN.fullmatch(line):
            found.append((match["name"], match["version"], []))
        elif (match := _VIA.fullmatch(line)) and found:
            via = match["via"]
            if via and not via.startswith("-r "):
                found[-1][2].append(normalize(via))
        elif line.strip() and not line.startswith("# "):
            raise LockError("the resolver chose something that is not a name and a version", found=line[:120])
    return [Resolution(normalize(name), version, tuple(via)) for name, version, via in found]


def _description(target: Target) -> dict[str, object]:
    major, minor = target.python
    return {
        "version": [major, minor],
        "platforms": list(target.platforms()),
        "markers": {
            "implementation_name": "cpython",
            "implementation_version": f"{major}.{minor}.0",
            "os_name": "posix",
            "platform_machine": target.architecture,
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{major}.{minor}.0",
            "platform_python_implementation": "CPython",
            "python_version": f"{major}.{minor}",
            "sys_platform": "linux",
        },
    }
