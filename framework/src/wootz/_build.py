"""Which build this is: what a wheel says of itself, or that it is a source checkout."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

__all__ = ["build", "version"]


def _read() -> dict[str, Any]:
    try:
        text = resources.files("wootz").joinpath("_build.json").read_text("utf-8")
    except FileNotFoundError:
        return {"version": "0.1.0+source", "variant": "source", "commit": None, "dirty": None, "cuda": None}
    return dict(json.loads(text))


build: dict[str, Any] = _read()
version: str = build["version"]
