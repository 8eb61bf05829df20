"""How the parts fit together, as a program: read it from top to bottom; every claim in it is asserted when it runs.

ci/nox -s docs            (or: PYTHONPATH=build/src python docs/architecture.py)
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from millcert.errors import HashMismatchError, UsageError
from millcert.hermetic.derivation import Command, Import, Material, Output
from millcert.hermetic.native import Includes, load_native
from millcert.lock import read_lock, select
from millcert.model import digest_of
from millcert.names import look_alike_key, normalize
from millcert.store import Store
from millcert.targets import load_targets

ROOT = Path(__file__).parent.parent

# 1. Variants are named in one place, and an unknown one is an error that lists the known ones.
targets = load_targets(ROOT / "ci" / "targets.toml")
assert [variant.name for variant in targets.choose([])] == ["cpu", "cu126", "cu129", "cu130", "cu135"]
try:
    targets.choose(["cu99"])
except UsageError as error:
    assert error.exit_code == 2 and "cu129" in str(error)

# 2. What comes from outside is locked: name, version, index, and the sha256 and size of every file.
compiler = read_lock(ROOT / "lockfiles" / "toolchain" / "any.txt").pin("ziglang")
assert compiler.index == "pypi" and all(len(file.digest) == 64 and file.size > 0 for file in compiler.files)
[(pin, wheel)] = select(read_lock(ROOT / "lockfiles" / "toolchain" / "any.txt"), "x86_64")

# 3. Names are compared in one form only; look-alikes are told apart from the names they imitate.
assert normalize("Millcert") == normalize("millcert") != normalize("mi11cert")
assert look_alike_key("mi11cert") == look_alike_key("millcert")

# 4. Bytes live in the store under their hash, and are checked again whenever they are read.
with tempfile.TemporaryDirectory() as folder:
    store = Store(Path(folder))
    digest = store.add_bytes(b"int main() {}")
    assert store.read(digest) == b"int main() {}" and digest == digest_of(b"int main() {}")
    blob = store.path(digest)
    blob.chmod(0o644)
    blob.write_bytes(b"int evil() {}")
    try:
        store.read(digest)
    except HashMismatchError as error:
        assert error.evidence["expected"] == digest
    else:
        raise AssertionError("altered bytes were read")

# 5. Every step is a derivation: a description whose own hash is the key under which its result is found again.
material = Material(pin.name, pin.version, "pkg:pypi/ziglang", wheel.digest)
root, zig = Import("root", "debian", ()), Import("zig", "wheels", (material,))
step = Command("compile", ("/zig/zig", "c++", "-c", "a.cpp"), Output("root"), {"/zig": Output("zig")}, ("a.o",))
outputs = {"root": digest_of(b"a root"), "zig": digest_of(b"a compiler")}
assert step.needs == ("root", "zig")
assert step.key(outputs) == step.key(dict(outputs))  # equal inputs, equal key …
assert step.key(outputs) != step.key(outputs | {"zig": digest_of(b"another compiler")})  # … and only then
renamed = Command("other", step.argv, step.root, step.inputs, step.outputs)
assert renamed.key(outputs) == step.key(outputs)  # what a step is called is no part of what it makes

# 6. native.toml says what the native part is made of; an object depends on the headers that it includes, and no others.
native = load_native(ROOT / targets.source)
translations = native.translations("x86_64")
assert len({translation.name for translation in translations}) == len(translations)
assert {translation.variant for translation in translations} == {"", "baseline", "avx2", "avx512"}
for translation in translations:
    headers = Includes(native).of(translation.source, native.include)
    assert all((native.folder / header).is_file() for header in headers.files)

print("the architecture holds")
