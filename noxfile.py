"""Sessions for maintainers: `ci/nox -s NAME [-- ARGUMENTS]`. Each calls millcert or a test runner and decides nothing.

Every environment is installed from a hash-pinned lock in lockfiles/, and only when that lock changed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
SOURCES = {"PYTHONPATH": str(ROOT / "build" / "src")}
PYTHON_FILES = ["noxfile.py", "build", "framework", "tests", "benchmarks", "docs"]

nox.needs_version = ">=2024.4.15"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["build_wheels", "tests"]


def isolated() -> dict[str, str | None]:
    """The environment for pip: of the machine's configuration only index, proxy and certificates count."""
    kept = {"index-url": "PIP_INDEX_URL", "proxy": "PIP_PROXY", "cert": "PIP_CERT"}
    environment: dict[str, str | None] = {name: None for name in os.environ if name.startswith("PIP_")}
    for setting, variable in kept.items():
        configured = [sys.executable, "-m", "pip", "config", "get", f"global.{setting}"]
        value = os.environ.get(variable) or subprocess.run(configured, capture_output=True, text=True).stdout.strip()
        environment[variable] = value or None
    return environment | {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def install(session: nox.Session, purpose: str) -> None:
    """Bring the session's environment to what lockfiles/<purpose>/any.txt says."""
    lock = ROOT / "lockfiles" / purpose / "any.txt"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = Path(session.virtualenv.location) / f"{purpose}.sha256"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    session.log(f"installing {lock.relative_to(ROOT)}")
    pip = ["python", "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:", "--no-deps"]
    session.run(*pip, "-r", str(lock), env=isolated(), silent=True)
    stamp.write_text(digest)


def millcert(session: nox.Session, *arguments: str) -> None:
    """Run the millcert command of this checkout."""
    install(session, "millcert")
    session.run("python", "-m", "millcert", *arguments, env=SOURCES)


def with_wootz(session: nox.Session) -> None:
    """The test environment with the hermetically built CPU wheel in it: what is tested is what ships."""
    install(session, "tests")
    dist = Path(session.virtualenv.location) / "dist"
    build = ["python", "-m", "millcert", "build", "cpu", "--arch", "x86_64", "--dist", str(dist)]
    session.run(*build, env=SOURCES)
    wheel = max(dist.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    pip = ["python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall", str(wheel)]
    session.run(*pip, env=isolated(), silent=True)


@nox.session(venv_location=".nox/millcert")
def lock(session: nox.Session) -> None:
    """Resolve every lock anew: `-- --upgrade`, `-- runtime/cpu`, `-- --check`."""
    millcert(session, "lock", *session.posargs)


@nox.session(venv_location=".nox/millcert")
def fetch(session: nox.Session) -> None:
    """Bring every pinned input into the store; the only step that uses the network."""
    millcert(session, "fetch", *session.posargs)


@nox.session(venv_location=".nox/millcert")
def build_wheels(session: nox.Session) -> None:
    """Build the wheels of every variant, or of `-- cpu cu129`, into dist/."""
    millcert(session, "build", *session.posargs)


@nox.session(venv_location=".nox/millcert")
def sign(session: nox.Session) -> None:
    """Sign what is in dist/ with Sigstore: `-- --trust-config FILE` for another instance than the public one."""
    wheels = [argument for argument in session.posargs if argument.endswith(".whl")]
    millcert(session, "sign", *session.posargs, *([] if wheels else map(str, sorted((ROOT / "dist").glob("*.whl")))))


@nox.session(venv_location=".nox/millcert")
def verify(session: nox.Session) -> None:
    """Verify wheels against their bundles, offline: `-- dist/*.whl --identity … --issuer …`."""
    millcert(session, "verify", *session.posargs)


@nox.session(venv_location=".nox/millcert")
def repro(session: nox.Session) -> None:
    """Build again elsewhere, from nothing, and compare every byte."""
    millcert(session, "repro", *session.posargs)


@nox.session(venv_location=".nox/tests")
def tests(session: nox.Session) -> None:
    """Run the test suite against the hermetically built CPU wheel; `-- PYTEST ARGUMENTS` to choose."""
    with_wootz(session)
    session.run("python", "-m", "pytest", *(session.posargs or ["-n", "2", "--dist", "loadgroup"]), env=SOURCES)


@nox.session(venv_location=".nox/lint")
def lint(session: nox.Session) -> None:
    """Check style: ruff over every Python file."""
    install(session, "lint")
    session.run("ruff", "check", *PYTHON_FILES)
    session.run("ruff", "format", "--check", *PYTHON_FILES)


@nox.session(venv_location=".nox/lint")
def types(session: nox.Session) -> None:
    """Check types: mypy --strict over both packages."""
    install(session, "lint")
    session.run("mypy")


@nox.session(venv_location=".nox/tests")
def bench(session: nox.Session) -> None:
    """Print every benchmark, each as a ratio to its peer in the same run; `-- NAME` for one of benchmarks/."""
    with_wootz(session)
    chosen = session.posargs or sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))
    for name in chosen:
        session.run("python", f"benchmarks/{name}.py", env=SOURCES)
