"""The plan: from a project's native.toml and the variants to the graph of derivations that gives their wheels."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from millcert.errors import ConfigError, UnsafeArchiveError
from millcert.hermetic import steps
from millcert.hermetic.derivation import Command, Import, Material, Node, Output
from millcert.hermetic.native import Includes, Kernels, Native, Translation
from millcert.hermetic.revision import Revision, ignored_files, version_of
from millcert.hermetic.toolchain import Toolchain
from millcert.model import Digest
from millcert.store import Store
from millcert.targets import Architecture, Cuda, Targets, Variant
from millcert.tree import Entry, check_path
from millcert.wheel.metadata import WheelFacts, metadata_files

__all__ = ["Plan", "PlannedWheel", "plan_wheels"]

_STEPS = Path(steps.__file__).parent
_PYTHON = "/usr/bin/python3.11"
_ZIG = "/zig/ziglang/zig"
_CACHE = {"ZIG_GLOBAL_CACHE_DIR": "/tmp/zig", "ZIG_LOCAL_CACHE_DIR": "/tmp/zig"}


@dataclass(frozen=True)
class PlannedWheel:
    """A wheel of the plan: the node that packs it, the node that checks it, and what it is made from."""

    variant: str
    architecture: str
    node: str
    check: str
    filename: str
    version: str
    sbom: bytes
    materials: tuple[Material, ...]


@dataclass
class Plan:
    """Nodes in an order in which each comes after what it needs, and the wheels they give."""

    nodes: dict[str, Node] = field(default_factory=dict)
    wheels: list[PlannedWheel] = field(default_factory=list)

    def add(self, node: Node) -> Output:
        """Add a node once; a second one of that name must be equal."""
        before = self.nodes.setdefault(node.name, node)
        if before != node:
            raise ConfigError("two different steps of one name", step=node.name)
        return Output(node.name)

    def materials(self, name: str) -> tuple[Material, ...]:
        """Every pinned archive that a node depends on, however far up, each once, by its address."""
        seen: set[str] = set()
        found: dict[str, Material] = {}
        todo = [name]
        while todo:
            node = self.nodes[todo.pop()]
            if node.name in seen:
                continue
            seen.add(node.name)
            todo += node.needs
            if isinstance(node, Import):
                found |= {material.uri: material for material in node.materials}
        return tuple(found[uri] for uri in sorted(found))


def plan_wheels(
    targets: Targets, native: Native, toolchain: Toolchain, variants: Iterable[Variant],
    architectures: Iterable[str], revision: Revision, store: Store,
) -> Plan:  # fmt: skip
    """Plan the wheels of some variants; sources are put into the store, nothing is run."""
    wanted = set(architectures)
    plan = Plan()
    planner = _Planner(plan, native, toolchain, store)
    for variant in variants:
        kernels = planner.kernels(variant) if variant.cuda else None
        for name in variant.architectures:
            if name in wanted:
                library = planner.library(targets.architectures[name])
                planner.wheel(targets, variant, targets.architectures[name], library, kernels, revision)
    return plan


class _Planner:
    def __init__(self, plan: Plan, native: Native, toolchain: Toolchain, store: Store) -> None:
        self._plan, self._native, self._toolchain, self._store = plan, native, toolchain, store
        self._includes = Includes(native)
        self._entries: dict[Path, Entry] = {}  # files are read and stored once, however many steps they go into
        self._trees: dict[tuple[Entry, ...], Digest] = {}
        self._libraries: dict[str, Output] = {}
        self._inside = native.folder.resolve()
        self._base = plan.add(toolchain.root)
        self._zig = plan.add(toolchain.zig)
        self._generated = [self._generate(index) for index in range(len(native.generate))]

    # -- the native library

    def library(self, target: Architecture) -> Output:
        """The native library for one architecture, which all variants share."""
        if target.name not in self._libraries:
            self._libraries[target.name] = self._link(target)
        return self._libraries[target.name]

    def _link(self, target: Architecture) -> Output:
        headers = self._script(
            "python-headers", "python_headers.py", [], {}, ("include/Python.h", "include/pyconfig.h")
        )
        runtime = self._script(
            f"runtime-{target.name}", "zig_runtime.py", [_ZIG, target.zig_target], {"/zig": self._zig}
        )
        objects = [self._object(target, item, headers) for item in self._native.translations(target.name)]
        paths = [f"/objects/{index}/{name}" for index, (name, _) in enumerate(objects)]
        emulation = {"x86_64": "elf_x86_64", "aarch64": "aarch64linux"}[target.name]
        output = f"/out/{Path(self._native.library).name}"
        arguments = [
            _ZIG, "/runtime", output, "-m", emulation, "--build-id=none", "--eh-frame-hdr", "-s", "-z", "now",
            "--gc-sections", "--exclude-libs", "ALL", *paths,
        ]  # fmt: skip
        inputs: dict[str, Digest | Output] = {"/zig": self._zig, "/runtime": runtime}
        inputs |= {f"/objects/{index}": made for index, (_, made) in enumerate(objects)}
        outputs = (Path(output).name,)
        return self._script(f"link-{target.name}", "link.py", arguments, inputs, outputs, environment=_CACHE)

    def _object(self, target: Architecture, item: Translation, headers: Output) -> tuple[str, Output]:
        own = self._includes.of(item.source, self._native.include)
        includes = [f"-I/src/{path}" for path in self._native.include]
        sources = self._sources([item.source, *own.files])
        inputs: dict[str, Digest | Output] = {"/src": sources, "/zig": self._zig, "/python": headers}
        for index, generated in enumerate(self._generated if own.generated else ()):
            inputs[f"/generated/{index}"] = generated
            includes.append(f"-I/generated/{index}")
        argv = (
            _ZIG, "c++", "-target", target.zig_target, *item.flags, "-fno-sanitize=undefined", *includes,
            "-I/python/include", "-c", item.source, "-o", f"/out/{item.name}",
        )  # fmt: skip
        name = f"compile-{target.name}-{item.name}"
        made = Command(name, argv, self._base, inputs, (item.name,), _CACHE, "/src")
        return item.name, self._plan.add(made)

    def _generate(self, index: int) -> Output:
        made = self._native.generate[index]
        inputs = {"/src": self._sources([made.script, *made.inputs])}
        argv = (_PYTHON, made.script, "/out")
        return self._plan.add(Command(f"generate-{index}", argv, self._base, inputs, made.outputs, {}, "/src"))

    # -- CUDA

    def kernels(self, variant: Variant) -> Output:
        """The folder of fat binaries: every unit compiled alone for every GPU, then packed and listed together."""
        cuda, native = variant.cuda, self._native.cuda
        assert cuda is not None
        if native is None:
            raise ConfigError("a CUDA variant needs a [cuda] table in native.toml", variant=variant.name)
        compiler = self._plan.add(self._toolchain.cuda[cuda.version])
        compiled: dict[str, Digest | Output] = {}
        for unit, source in native.units.items():
            for number in cuda.gpu:
                kinds = ["cubin", "ptx"] if number == cuda.newest else ["cubin"]
                compiled[f"/kernels/{unit}/sm_{number}"] = self._cubin(native, cuda, source, number, kinds, compiler)
        limits = self._sources([native.limits])
        listed = self._script(
            f"kernels-{variant.name}", "kernels.py", ["/kernels", f"/limits/{native.limits}", "/out/kernels.json"],
            {"/limits": limits, **compiled}, ("kernels.json",),
        )  # fmt: skip
        outputs = [f"{native.install}/{name}" for name in ("kernels.json", *map("{}.fatbin".format, native.units))]
        arguments = ["/cuda", f"/out/{native.install}", "/kernels", "/listed/kernels.json"]
        inputs = {"/cuda": compiler, "/listed": listed, **compiled}
        return self._script(f"fatbin-{variant.name}", "fatbin.py", arguments, inputs, tuple(outputs))

    def _cubin(
        self, native: Kernels, cuda: Cuda, source: str, number: int, kinds: Sequence[str], compiler: Output
    ) -> Output:
        sources = self._sources([source, *self._includes.of(source, native.include).files])
        options = [*native.flags, *(f"--include-path=/src/{path}" for path in native.include)]
        outputs = [f"sm_{number}.cubin", f"sm_{number}.json"]
        if "ptx" in kinds:
            outputs.append(f"compute_{number}.ptx")
        return self._script(
            f"{'-'.join(kinds)}-{cuda.version}-{number}-{PurePosixPath(source).stem}", "nvrtc.py",
            ["/cuda", source, str(number), "/out", ",".join(kinds), *options],
            {"/cuda": compiler, "/src": sources}, tuple(outputs), directory="/src",
        )  # fmt: skip

    # -- the wheel

    def wheel(
        self, targets: Targets, variant: Variant, target: Architecture, library: Output, kernels: Output | None,
        revision: Revision,
    ) -> None:  # fmt: skip
        tag = f"{targets.python_tag}-{targets.abi_tag}-{target.platform_tag}"
        pyproject = tomllib.loads((self._native.folder / "pyproject.toml").read_text(encoding="utf-8"))
        version = version_of(pyproject["project"]["version"], variant.name, revision)
        made_from = {m.uri: m for node in (library, kernels) if node for m in self._plan.materials(node.node)}
        materials = tuple(made_from[uri] for uri in sorted(made_from))
        facts = WheelFacts(targets.project, version, tag, variant, revision, materials)
        meta = metadata_files(pyproject, self._native.folder, facts)
        package = self._native.module.rpartition(".")[0].replace(".", "/")
        inputs: dict[str, Digest | Output] = {
            "/python": self._python_tree(),
            "/meta": self._bytes_tree(meta.files),
            "/library": library,
        }
        pairs = ["/python=", "/meta=", f"/library={package}"]
        for index, made in enumerate(self._native.generate):
            if any(name.endswith(".pyi") for name in made.outputs):
                generated: dict[str, Digest | Output] = {"/generated": self._generated[index]}
                inputs[f"/stubs/{index}"] = self._script(f"stubs-{index}", "stubs.py", ["/generated"], generated)
                pairs.append(f"/stubs/{index}={package}")
        if kernels:
            inputs["/cuda"] = kernels
            pairs.append("/cuda=")
        filename = f"{targets.project}-{version}-{tag}.whl"
        arguments = [f"/out/{filename}", meta.dist_info, *pairs]
        clock = {"SOURCE_DATE_EPOCH": str(revision.time)}
        name = f"wheel-{variant.name}-{target.name}"
        packed = self._script(name, "pack_wheel.py", arguments, inputs, (filename,), environment=clock)
        check = self._check(name, filename, target, packed)
        self._plan.wheels.append(PlannedWheel(
            variant.name, target.name, name, check, filename, version, meta.sbom, materials,
        ))  # fmt: skip

    def _check(self, name: str, filename: str, target: Architecture, packed: Output) -> str:
        checks = self._plan.add(self._toolchain.checks)
        arguments = [f"/wheel/{filename}", target.platform_tag, "/out/report.json"]
        inputs: dict[str, Digest | Output] = {"/checks": checks, "/wheel": packed}
        checker = {"PYTHONPATH": "/checks"}
        outputs = ("report.json",)
        return self._script(f"check-{name}", "check_wheel.py", arguments, inputs, outputs, environment=checker).node

    def _script(
        self, name: str, script: str, arguments: Sequence[str], inputs: Mapping[str, Digest | Output],
        outputs: tuple[str, ...] = (), *, environment: Mapping[str, str] | None = None, directory: str = "/",
    ) -> Output:  # fmt: skip
        # each script is an input of its own, so that changing one rebuilds only what it makes
        step = self._tree({script: _STEPS / script})
        argv = (_PYTHON, f"/steps/{script}", *arguments)
        mounted = {"/steps": step, **inputs}
        return self._plan.add(Command(name, argv, self._base, mounted, outputs, environment or {}, directory))

    # -- trees of sources

    def _python_tree(self) -> Digest:
        base = self._native.folder / self._native.python
        ignored = ignored_files(base)
        kept = [p for p in sorted(base.rglob("*")) if p.is_file() and _is_source(p) and p not in ignored]
        return self._project_tree({path.relative_to(base).as_posix(): path for path in kept})

    def _sources(self, files: Iterable[str]) -> Digest:
        return self._project_tree({name: self._native.folder / name for name in files})

    def _project_tree(self, files: Mapping[str, Path]) -> Digest:
        """A tree of the project's files; a link or path that leads out of it would build in files of the machine."""
        for name, path in files.items():
            if path not in self._entries and not path.resolve().is_relative_to(self._inside):
                raise UnsafeArchiveError(
                    "a source that lies outside the project", path=name, found=path.resolve(), project=self._inside
                )
            check_path(name)
        return self._tree(files)

    def _tree(self, files: Mapping[str, Path]) -> Digest:
        return self._stored(self._entry(name, path) for name, path in sorted(files.items()))

    def _entry(self, name: str, path: Path) -> Entry:
        entry = self._entries.get(path)
        if entry is None:
            entry = Entry(name, "file", self._store.ensure_file(path), path.stat().st_size)
            self._entries[path] = entry
        return entry if entry.path == name else replace(entry, path=name)

    def _stored(self, entries: Iterable[Entry]) -> Digest:
        tree = tuple(entries)
        if tree not in self._trees:
            self._trees[tree] = self._store.add_entries(tree)
        return self._trees[tree]

    def _bytes_tree(self, files: Mapping[str, bytes]) -> Digest:
        return self._stored(
            Entry(name, "file", self._store.add_bytes(data), len(data)) for name, data in sorted(files.items())
        )


def _is_source(path: Path) -> bool:
    # what a contributor's own build leaves beside the sources is not part of a release
    built = "__pycache__" in path.parts or path.suffix in (".so", ".pyc")
    return not built and path.name not in ("_core.pyi", "_build.json")
