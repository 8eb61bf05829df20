"""Generates from the op table everything that follows from a row: `python codegen/bindings.py OUTPUT-FOLDER`.

Standard library only and deterministic: the same table gives the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from binding import bindings_inc, methods_inc
from cpp import autograd_inc, forward_h, kernels_inc, ops_h
from stubs import core_pyi, table_json
from table import load

__all__ = ["generate"]


def generate(folder: Path) -> dict[str, str]:
    """File name to text, for the table in `folder`/ops."""
    ops = load(folder / "ops")
    return {
        "ops.h": ops_h(ops),
        "forward.h": forward_h(ops),
        "kernels.inc": kernels_inc(ops),
        "autograd.inc": autograd_inc(ops),
        "bindings.inc": bindings_inc(ops, table_json(ops)),
        "methods.inc": methods_inc(ops),
        "_core.pyi": core_pyi(ops, folder / "codegen" / "core.pyi"),
        "table.json": table_json(ops),
    }


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for name, text in generate(Path(__file__).parent.parent).items():
        target = out / name
        if not target.exists() or target.read_text("utf-8") != text:
            target.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
