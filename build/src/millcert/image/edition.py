"""Which images a project has: each variant on each of its architectures, whole or without its heaviest library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from millcert.errors import UsageError
from millcert.targets import Targets, Variant

__all__ = ["PLATFORMS", "Edition", "editions_of"]

# what Debian and OCI call the architectures of wheels
PLATFORMS: Mapping[str, str] = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Edition:
    """One image: its variant, the architecture as wheels call it, and whether cuBLAS is left out (``slim``)."""

    variant: Variant
    architecture: str = "x86_64"
    slim: bool = False

    @property
    def platform(self) -> str:
        """The architecture as Debian and OCI call it."""
        return PLATFORMS[self.architecture]

    @property
    def family(self) -> str:
        """What its images of all architectures are called together: ``cpu``, ``cu130-slim``."""
        return f"{self.variant.name}-slim" if self.slim else self.variant.name

    @property
    def name(self) -> str:
        """How commands, files and tables call it: ``cpu``, ``cpu-arm64``, ``cu130-slim``."""
        return self.family if self.platform == "amd64" else f"{self.family}-{self.platform}"


def editions_of(targets: Targets, names: Iterable[str]) -> list[Edition]:
    """The named editions, a variant's name standing for all of its; all for no names. UsageError for an unknown one."""
    budgets = targets.images.totals if targets.images else {}
    known = [
        Edition(variant, architecture, slim)
        for variant in targets.variants.values()
        for slim in (False, True)
        for architecture in variant.architectures
        if not slim or f"{variant.name}-slim" in budgets
    ]
    wanted = set(names)
    found = [edition for edition in known if not wanted or wanted & {edition.variant.name, edition.name}]
    if unknown := sorted(wanted - {name for edition in found for name in (edition.variant.name, edition.name)}):
        raise UsageError(
            f"there is no image {unknown[0]!r}",
            expected=", ".join(edition.name for edition in known), found=unknown[0],
            fix="name one of these or a variant, or none for all of them",
        )  # fmt: skip
    return found
