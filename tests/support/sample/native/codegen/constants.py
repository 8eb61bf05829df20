"""Generated sources of the sample: one constant, and the module's stub. Usage: constants.py OUT."""

import pathlib
import sys
import tomllib

out = pathlib.Path(sys.argv[1])
answer = tomllib.loads(pathlib.Path("ops/constants.toml").read_text())["answer"]
(out / "constants.inc").write_text(f"static constexpr long answer = {answer};\n")
(out / "_native.pyi").write_text("def answer() -> int: ...\ndef total(values: list[float]) -> float: ...\n")
