"""A project at a folder: its targets, locks and sources, and the one function that takes them to wheels in dist/."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from millcert import debian, index, lock
from millcert.errors import ConfigError
from millcert.hermetic.build import Builder, Built, Observer, Unpacker
from millcert.hermetic.native import load_native
from millcert.hermetic.revision import Revision, read_revision
from millcert.hermetic.toolchain import Toolchain, toolchain_of
from millcert.hermetic.unpack import unpack_wheel
from millcert.index.shared import Wanted, bring
from millcert.sandbox import Bubblewrap, Sandbox
from millcert.store import Store
from millcert.targets import Targets, Variant, load_targets
from millcert.wheel.plan import Plan, plan_wheels
from millcert.wheel.release import ReleasedWheel, release_wheel

__all__ = ["BuildResult", "Project"]


def _unpack_deb(deb: Path, into: Path, exclude: Sequence[str]) -> None:
    if exclude:
        raise ConfigError("Debian packages are unpacked whole", found=", ".join(exclude))
    debian.unpack(deb, into)


UNPACKERS: Mapping[str, Unpacker] = {"wheels": unpack_wheel, "debian": _unpack_deb}


@dataclass(frozen=True)
class BuildResult:
    """A finished build: the plan, how each node came about, the wheels in dist/, and the sources they are of."""

    plan: Plan
    built: Mapping[str, Built]
    wheels: Sequence[ReleasedWheel]
    revision: Revision


class Project:
    """The project whose ``ci/targets.toml`` is below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.targets: Targets = load_targets(root / "ci" / "targets.toml")
        self.dist = root / "dist"

    def variants(self, names: Iterable[str]) -> list[Variant]:
        """The named variants, all for no names; UsageError for an unknown one."""
        return self.targets.choose(names)

    def locks(self, variants: Iterable[Variant]) -> tuple[debian.DebianLock, dict[str, lock.Lock]]:
        """The Debian lock of the build root and the toolchain locks that some variants need."""
        names = ["any", "checks", *(variant.name for variant in variants if variant.cuda)]
        folder = self.root / "lockfiles"
        locks = {name: lock.read_lock(folder / "toolchain" / f"{name}.txt") for name in names}
        return debian.read_lock(folder / "debian" / "base.lock"), locks

    def fetch(self, store: Store, variants: Iterable[Variant], progress: index.Progress, shared: str = "") -> Toolchain:
        """Bring every pinned input of some variants into the store; the only step that uses the network.

        ``shared`` is a shared store, folder or address, that is asked first.
        """
        chosen = list(variants)
        packages, locks = self.locks(chosen)
        wanted = [item for pinned in locks.values() for item in lock.select(pinned, "x86_64")]
        if shared:
            files = [Wanted(file.filename, file.digest, file.size) for _, file in wanted]
            files += [Wanted(package.filename, package.digest, package.size) for package in packages.packages]
            bring(shared, files, store, progress)
        index.fetch(wanted, store, progress)
        debian.fetch(packages, store, progress)
        return toolchain_of(packages, locks, chosen)

    def plan(
        self, store: Store, toolchain: Toolchain, variants: Iterable[Variant], architectures: Iterable[str]
    ) -> tuple[Plan, Revision]:
        """The graph of derivations for some variants of the sources as they are now."""
        revision = read_revision(self.root)
        native = load_native(self.root / self.targets.source)
        plan = plan_wheels(self.targets, native, toolchain, variants, architectures, revision, store)
        return plan, revision

    def build(
        self, store: Store, toolchain: Toolchain, variants: Iterable[Variant], architectures: Iterable[str],
        observer: Observer, *, jobs: int, fresh: bool = False, dist: Path | None = None,
        sandbox: Callable[[], Sandbox] = Bubblewrap,
    ) -> BuildResult:  # fmt: skip
        """Build wheels into ``dist``; every wheel is checked by auditwheel and abi3audit before it gets there."""
        plan, revision = self.plan(store, toolchain, variants, architectures)
        builder = Builder(store, sandbox, UNPACKERS, self.targets.limits, observer, jobs=jobs, fresh=fresh)
        built = builder.build(plan.nodes.values())
        wheels = [release_wheel(store, planned, built[planned.node], dist or self.dist) for planned in plan.wheels]
        return BuildResult(plan, built, wheels, revision)
