"""Sessions for maintainers: `ci/nox -s NAME [-- ARGUMENTS]`. Each calls millcert or a test runner and decides nothing.

Every environment is installed from a hash-pinned lock in lockfiles/, and only when that lock changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
SOURCES = {"PYTHONPATH": str(ROOT / "build" / "src")}
PYTHON_FILES = ["noxfile.py", "build", "framework", "tests", "benchmarks", "docs"]

nox.needs_version = ">=2024.4.15"
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


def environment(session: nox.Session, purpose: str) -> Path:
    """The environment of lockfiles/<purpose>/any.txt, shared by sessions and made anew when that lock changes."""
    lock = ROOT / "lockfiles" / purpose / "any.txt"
    home = ROOT / ".nox" / purpose
    stamp = home / "complete"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != digest:
        session.log(f"installing {lock.relative_to(ROOT)}")
        session.run(sys.executable, "-m", "virtualenv", "--quiet", "--clear", str(home), env=isolated(), external=True)
        pip = ["-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:", "--no-deps", "-r"]
        session.run(str(home / "bin" / "python"), *pip, str(lock), env=isolated(), external=True)
        stamp.write_text(digest)
    return home / "bin"


def run(session: nox.Session, purpose: str, program: str, *arguments: str, judges: str = "") -> None:
    """Run a program of an environment on this checkout's sources; ``judges``: a purpose whose programs it finds."""
    path = {"PATH": f"{os.environ['PATH']}:{environment(session, judges)}"} if judges else {}
    session.run(str(environment(session, purpose) / program), *arguments, env=SOURCES | path, external=True)


def millcert(session: nox.Session, *arguments: str, purpose: str = "millcert") -> None:
    """Run the millcert command of this checkout."""
    run(session, purpose, "python", "-m", "millcert", *arguments)


def install_wootz(session: nox.Session, purpose: str) -> None:
    """Put the hermetically built CPU wheel into an environment: what is tested and measured is what ships."""
    dist = environment(session, purpose).parent / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    millcert(session, "build", "cpu", "--arch", "x86_64", "--dist", str(dist), purpose=purpose)
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall"]
    run(session, purpose, "python", *pip, *map(str, dist.glob("*.whl")))


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Resolve every lock anew: `-- --upgrade`, `-- runtime/cpu`, `-- --check`."""
    millcert(session, "lock", *session.posargs)


@nox.session(venv_backend="none")
def fetch(session: nox.Session) -> None:
    """Bring every pinned input into the store; the only step that uses the network."""
    millcert(session, "fetch", *session.posargs)


@nox.session(venv_backend="none")
def build_wheels(session: nox.Session) -> None:
    """Build the wheels of every variant, or of `-- cpu cu129`, into dist/."""
    millcert(session, "build", *session.posargs)


@nox.session(venv_backend="none")
def sign(session: nox.Session) -> None:
    """Sign what is in dist/ with Sigstore: `-- --trust-config FILE` for another instance than the public one."""
    wheels = [argument for argument in session.posargs if argument.endswith(".whl")]
    millcert(session, "sign", *session.posargs, *([] if wheels else map(str, sorted((ROOT / "dist").glob("*.whl")))))


@nox.session(venv_backend="none")
def verify(session: nox.Session) -> None:
    """Verify wheels against their bundles, offline: `-- dist/*.whl --identity … --issuer …`."""
    millcert(session, "verify", *session.posargs)


@nox.session(venv_backend="none")
def build_images(session: nox.Session) -> None:
    """Assemble the slim images of every variant, or of `-- cpu`, into dist/images/."""
    millcert(session, "image", "build", *session.posargs)


@nox.session(venv_backend="none")
def publish(session: nox.Session) -> None:
    """Publish signed wheels to a static, signed index: `-- --help` says what it needs."""
    millcert(session, "publish", *session.posargs)


@nox.session(venv_backend="none")
def guard(session: nox.Session) -> None:
    """Audit this repository for dependency confusion, then perform the attacks against pip, uv and millcert."""
    millcert(session, "guard", "audit", "--no-machine", ".", purpose="tests")
    run(session, "tests", "python", "-m", "tests.support.contest")


@nox.session(venv_backend="none")
def docs(session: nox.Session) -> None:
    """Run the pages that are programs, and check every link between pages."""
    run(session, "tests", "python", "docs/architecture.py")
    run(session, "tests", "python", "-m", "pytest", "-q", "tests/test_docs.py")


@nox.session(venv_backend="none")
def repro(session: nox.Session) -> None:
    """Build again elsewhere, from nothing, and compare every byte."""
    millcert(session, "repro", *session.posargs)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run the suite against the hermetically built CPU wheel, and `kernels`; `-- PYTEST ARGUMENTS` to choose tests."""
    install_wootz(session, "tests")
    if not session.posargs:
        run(session, "tests", "python", "-m", "tests.support.kernels")
    arguments = session.posargs or ["-n", "2", "--dist", "loadfile"]
    judges = "judges" if os.environ.get("CI") == "true" else ""  # elsewhere the tests that want one are skipped
    run(session, "tests", "python", "-m", "pytest", *arguments, judges=judges)


@nox.session(venv_backend="none")
def kernels(session: nox.Session) -> None:
    """Compile the CUDA kernels for every GPU of every variant, or of `-- cu130`; all have to be tested ones."""
    run(session, "tests", "python", "-m", "tests.support.kernels", *session.posargs)


@nox.session(venv_backend="none")
def gpu(session: nox.Session) -> None:
    """Check this machine's GPU with a CUDA wheel of dist/, and print a table; `-- PART ...` for a part of it."""
    if not any((ROOT / "dist").glob("wootz-*+cu*.whl")):
        millcert(session, "build", "cu130")
    newest = max((ROOT / "dist").glob("wootz-*+cu*.whl"), key=lambda wheel: wheel.stat().st_mtime)
    python, home = os.environ.get("WOOTZ_GPU_PYTHON", sys.executable), ROOT / ".nox" / "gpu"
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--upgrade", "--target", str(home)]
    session.run(python, *pip, str(newest), env=isolated(), external=True)
    path = {"PYTHONPATH": os.pathsep.join([str(home), str(ROOT)])}
    session.run(python, "-m", "tests.support.gpu", *session.posargs, env=path, external=True)


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Check style: ruff over every Python file."""
    run(session, "lint", "ruff", "check", *PYTHON_FILES)
    run(session, "lint", "ruff", "format", "--check", *PYTHON_FILES)


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Check types: mypy --strict over both packages."""
    run(session, "lint", "mypy")


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """Print every benchmark, each as a ratio to its peer in the same run; `-- NAME` for one."""
    install_wootz(session, "bench")
    known = {
        path.stem: path for folder in ("framework/benchmarks", "benchmarks") for path in (ROOT / folder).glob("*.py")
    }
    for name in session.posargs or sorted(known):
        run(session, "bench", "python", str(known[name]))
