"""A witness: rebuilds a published wheel from what its provenance names, and says under its own name what it got.

The provenance is believed in nothing. It says where to look; the commit, the locks at that commit and the rebuilt bytes
say whether it told the truth.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from millcert.attest.statement import BuildDefinition, parse_statement
from millcert.attest.wheel import BUILD_TYPE
from millcert.errors import ConfigError, NotReproducibleError, VerificationError
from millcert.model import Digest, digest_of_file
from millcert.rebuild.comparison import first_cause
from millcert.rebuild.outside import Outside
from millcert.rebuild.run import Builds, Request, Run
from millcert.store import Store
from millcert.wheel.project import Project

__all__ = ["Claim", "Testimony", "read_claim", "testify"]

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SOURCE = re.compile(r"git\+(https://[^@\s]+)@([0-9a-f]{40,64})")


@dataclass(frozen=True)
class Claim:
    """What a provenance says of a wheel, as far as a rebuild needs it; every field has been checked for its form."""

    wheel: Path
    digest: Digest
    project: str
    variant: str
    architecture: str
    commit: str
    repository: str
    pinned: frozenset[str]
    tool: str


@dataclass(frozen=True)
class Testimony:
    """What the rebuild gave: its digest, its folder, and the first cause where it is not the published wheel."""

    claim: Claim
    digest: Digest
    run: Run
    cause: str

    @property
    def agrees(self) -> bool:
        """Whether the rebuild has the published bytes."""
        return self.digest == self.claim.digest


def read_claim(wheel: Path, provenance: bytes) -> Claim:
    """What the provenance of a wheel claims; VerificationError where it is about other bytes, or nothing to rebuild."""
    statement = parse_statement(provenance)
    digest = digest_of_file(wheel)
    subject = next((subject for subject in statement.subjects if subject.name == wheel.name), None)
    if subject is None or subject.digest != digest:
        raise VerificationError(
            "the provenance is not about this wheel", file=wheel.name, found=digest,
            expected=subject.digest if subject else "no subject of this name",
        )  # fmt: skip
    build = statement.build
    if build is None or build.build_type != BUILD_TYPE:
        found = build.build_type if build else statement.predicate_type
        raise VerificationError("not a build that can be repeated", expected=BUILD_TYPE, found=found)
    if build.dirty:
        raise VerificationError("the wheel is of uncommitted sources, which nobody else has", file=wheel.name)
    return _claim(wheel, digest, build)


def _claim(wheel: Path, digest: Digest, build: BuildDefinition) -> Claim:
    named = {key: build.external_parameters.get(key) for key in ("project", "variant", "architecture", "commit")}
    if missing := sorted(key for key, value in named.items() if not isinstance(value, str) or value.startswith("-")):
        raise VerificationError("the provenance lacks what a rebuild needs", missing=", ".join(missing))
    commit = str(named["commit"])
    if not _COMMIT.fullmatch(commit) or build.commits != {commit}:
        raise VerificationError("the provenance names no one commit", found=f"{commit}, {sorted(build.commits)}")
    sources = [_SOURCE.fullmatch(dependency.uri) for dependency in build.dependencies]
    addresses = [source[1] for source in sources if source and source[2] == commit]
    pinned = frozenset(one.digest["sha256"] for one in build.dependencies if "sha256" in one.digest)
    return Claim(
        wheel, digest, str(named["project"]), str(named["variant"]), str(named["architecture"]), commit,
        addresses[0] if addresses else "", pinned, str(build.builder_version.get("millcert", "")),
    )  # fmt: skip


def testify(
    claim: Claim, repository: str, store: Store, fetch: Callable[[Project, str], Sequence[Digest]], builder: str,
    scratch: Path, reused: Sequence[str] = (),
) -> Testimony:  # fmt: skip
    """Rebuild in ``scratch`` and compare. ``fetch`` brings the inputs of a variant and returns their digests.

    Raises VerificationError where the commit's locks are not what the provenance names, ConfigError where the sources
    cannot be had, BuildError where the build fails.
    """
    clone = scratch / "checkout"
    _clone(repository, claim.commit, clone)
    project = Project(clone)
    pinned = fetch(project, claim.variant)
    if project.targets.project != claim.project:
        raise VerificationError(
            "the commit is of another project", expected=claim.project, found=project.targets.project
        )
    if claim.pinned - set(pinned):
        unknown = sorted(claim.pinned - set(pinned))
        raise VerificationError(
            "the provenance names inputs that the locks of its commit do not pin", count=len(unknown), first=unknown[0]
        )
    request = Request(
        clone, claim.commit, [claim.variant], [claim.architecture], store, pinned, reused, claim.repository, builder
    )
    run = Builds(request).build("rebuild", Outside(), scratch)
    digest = run.files.get(claim.wheel.name)
    if digest is None:
        raise NotReproducibleError(
            "the rebuild gave a wheel of another name", expected=claim.wheel.name,
            found=", ".join(name for name in run.files if name.endswith(".whl")),
        )  # fmt: skip
    same = digest == claim.digest
    return Testimony(claim, digest, run, "" if same else first_cause(claim.wheel, run.dist / claim.wheel.name))


def _clone(repository: str, commit: str, into: Path) -> None:
    environment = {**os.environ, "GIT_ALLOW_PROTOCOL": "https:file:ssh", "GIT_TERMINAL_PROMPT": "0"}
    for words in (
        ["clone", "--quiet", "--no-checkout", "--", repository, str(into)],
        ["-C", str(into), "checkout", "--quiet", "--detach", commit, "--"],
    ):
        command = ["git", "-c", "safe.directory=*", "-c", "core.autocrlf=false", *words]
        result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if result.returncode:
            raise ConfigError(
                "the sources that the provenance names cannot be had", repository=repository, commit=commit,
                git=result.stderr.strip(), fix="name another copy of the repository with --repository",
            )  # fmt: skip
