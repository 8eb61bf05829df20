"""What verifying costs: ``millcert verify`` against ``sigstore verify identity``, in the same run, as ratios.

Run ``python benchmarks/verify.py`` from the root. Everything is signed by the loopback test instance first; no
network is used. Cold is a new process, warm is a verifier that has its root already. The two take turns, so
that a busy machine is busy for both; the fastest and the median of the rounds are shown.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "build" / "src")]

from tests.support.sigstore import Instance  # noqa: E402
from tests.support.sigstore.scene import IDENTITY, WHEEL, Scene  # noqa: E402
from tests.support.turns import Times, take_turns  # noqa: E402

from millcert.attest.verify import Verifier  # noqa: E402 - the path comes first


def sign_wheels(folder: Path, count: int, size: int) -> list[Scene]:
    """Wheels of random bytes with a Rekor v2 bundle each, and the files that both clients trust by."""
    instance = Instance()
    scenes = []
    for number in range(count):
        scene = Scene(folder, instance, name=WHEEL.replace("+cpu", f"+cpu{number}"))
        scene.build(os.urandom(size))
        scene.place(scene.draft(rekor=2))
        scenes.append(scene)
    (folder / "trust_config.json").write_bytes(instance.trust_config_json(rekor=2))
    return scenes


def cold(scenes: list[Scene], rounds: int) -> Times:
    """New processes: ours, the reference's, and the parts neither can do without."""
    folder, issuer = scenes[0].wheel.parent, scenes[0].instance.issuer.url
    files = [str(scene.wheel) for scene in scenes]
    ours = ["verify", "--trusted-root", str(folder / "trusted_root.json"), "--identity", IDENTITY, "--issuer", issuer]
    reference = ["--trust-config", str(folder / "trust_config.json"), "verify", "identity", "--offline"]
    reference += ["--cert-identity", IDENTITY, "--cert-oidc-issuer", issuer]
    commands = {
        "millcert verify": ["-c", "from millcert.cli import main; main()", *ours, *files],
        "sigstore verify": ["-m", "sigstore", *reference, *files],
        "import sigstore.verify alone": ["-c", "import sigstore.verify"],
        "python alone": ["-c", ""],
    }
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[:2])}

    def runner(arguments: list[str]) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)

    return take_turns({name: runner(arguments) for name, arguments in commands.items()}, rounds)


def warm(scenes: list[Scene], rounds: int) -> Times:
    """One process, roots loaded: file to verdict, the cryptography alone, and sha256 of the files."""
    from sigstore.hashes import Hashed
    from sigstore.models import Bundle, TrustedRoot
    from sigstore.verify import Verifier as Reference
    from sigstore.verify import policy
    from sigstore_models.common.v1 import HashAlgorithm

    verifier = Verifier(scenes[0].root, scenes[0].policy)
    reference = Reference(trusted_root=TrustedRoot.from_file(str(scenes[0].root_path)))
    who = policy.Identity(identity=IDENTITY, issuer=scenes[0].instance.issuer.url)
    paths = [scene.wheel for scene in scenes]

    def ours() -> None:
        if any(verdict.error for verdict in verifier.verdicts(paths)):
            raise SystemExit("an honest wheel was refused")

    def theirs() -> None:
        for path in paths:
            bundle = Bundle.from_json(path.with_name(f"{path.name}.sigstore.json").read_bytes())
            _, payload = reference.verify_dsse(bundle, who)
            found = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=_sha256(path))
            if json.loads(payload)["subject"][0]["digest"]["sha256"] != found.digest.hex():
                raise SystemExit("an honest wheel was refused")

    def hashing() -> None:
        for path in paths:
            _sha256(path)

    return take_turns({"millcert": ours, "sigstore-python": theirs, "sha256 alone": hashing}, rounds)


def _sha256(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def report(title: str, times: Times, per: int) -> dict[str, dict[str, float]]:
    """Print milliseconds, each with its ratio to the second contestant (the reference)."""
    reference = min(list(times.values())[1])
    print(f"\n{title}\n{'':30} {'best ms':>9} {'median ms':>10} {'ratio of best':>14} {'a second':>9}")
    rows = {}
    for name, seconds in times.items():
        best, median = min(seconds), statistics.median(seconds)
        print(f"{name:30} {best / per * 1e3:9.2f} {median / per * 1e3:10.2f} {best / reference:14.2f}"
              f" {per / best:9.1f}")  # fmt: skip
        rows[name] = {"best_ms": best / per * 1e3, "median_ms": median / per * 1e3, "ratio": best / reference}
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=int, default=20, help="how many in the runs with many (default 20)")
    parser.add_argument("--size", type=float, default=3, metavar="MB", help="of each wheel (default 3)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count (default 7)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scenes = sign_wheels(Path(folder), options.wheels, int(options.size * 1e6))
        print(f"{options.wheels} wheels of {options.size:g} MB, {options.rounds} rounds, {os.cpu_count()} CPUs")
        numbers = {
            "cold_one": report("cold, one wheel: ms a process", cold(scenes[:1], options.rounds), 1),
            "cold_many": report("cold, all wheels: ms a process", cold(scenes, options.rounds), 1),
            "warm": report("warm: ms a wheel", warm(scenes, options.rounds), len(scenes)),
        }
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")


if __name__ == "__main__":
    main()
