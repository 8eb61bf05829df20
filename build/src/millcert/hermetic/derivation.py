"""Derivations: build steps described so completely that the description's sha256 names the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from millcert.model import Digest, canonical_json, digest_of

__all__ = ["FIXED_ENVIRONMENT", "Command", "Import", "Material", "Node", "Output", "environment_of"]


FIXED_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC",
    "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "SOURCE_DATE_EPOCH": "315532800",
}  # fmt: skip


def environment_of(extra: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a step: what is the same for all of them, with what this one adds."""
    return FIXED_ENVIRONMENT | dict(extra)


@dataclass(frozen=True)
class Output:
    """The output tree of another node, as an input."""

    node: str


@dataclass(frozen=True)
class Material:
    """Something from outside that went into a build: what provenance and SBOM list."""

    name: str
    version: str
    uri: str
    digest: Digest


@dataclass(frozen=True)
class Import:
    """A node that unpacks pinned archives into one tree, without running anything from them.

    ``exclude`` are ``fnmatch`` patterns of paths that are left out.
    """

    name: str
    kind: str  # "debian" or "wheels"
    materials: tuple[Material, ...]
    exclude: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """An import depends on no other node."""
        return ()

    def key(self) -> Digest:
        """The cache key: kind, the digests in order, and what is left out."""
        archives = [material.digest for material in self.materials]
        description = {"import": 1, "kind": self.kind, "archives": archives, "exclude": list(self.exclude)}
        return digest_of(canonical_json(description))


@dataclass(frozen=True)
class Command:
    """A node that runs one command in the sandbox on the root tree; what it leaves in ``/out`` is its output.

    ``inputs`` maps a path inside the sandbox to a tree's digest or to another node's output.
    ``outputs`` are the paths below ``/out`` that the command must leave.
    """

    name: str
    argv: tuple[str, ...]
    root: Output
    inputs: Mapping[str, Digest | Output]
    outputs: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: str = "/"

    @property
    def needs(self) -> tuple[str, ...]:
        """The nodes whose outputs this one reads."""
        inputs = [source.node for source in self.inputs.values() if isinstance(source, Output)]
        return tuple(dict.fromkeys([self.root.node, *inputs]))

    def key(self, outputs: Mapping[str, Digest]) -> Digest:
        """The cache key, given the digests of the outputs it needs; the node's own name is no part of it."""
        return digest_of(canonical_json(self.description(outputs)))

    def description(self, outputs: Mapping[str, Digest]) -> dict[str, object]:
        """The whole step as plain data."""
        inputs = {
            path: outputs[source.node] if isinstance(source, Output) else source for path, source in self.inputs.items()
        }
        return {
            "derivation": 2,
            "argv": list(self.argv),
            "environment": environment_of(self.environment),
            "root": outputs[self.root.node],
            "inputs": inputs,
            "outputs": list(self.outputs),
            "directory": self.directory,
        }


Node = Import | Command
