"""Garbage: what neither a lock nor a recent build needs."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from millcert.model import Digest
from millcert.store.contents import Store
from millcert.store.references import reachable, records

__all__ = ["Collected", "collect"]


@dataclass(frozen=True)
class Collected:
    """What was, or would be, removed and kept; sizes in bytes."""

    removed_blobs: int
    removed_records: int
    removed_trees: int
    removed_bytes: int
    kept_blobs: int
    kept_bytes: int
    kept_records: int


def collect(store: Store, pinned: Iterable[Digest], since: float, *, dry_run: bool = False) -> Collected:
    """Keep the pinned blobs, the records used since a time (seconds) and what they need; remove everything else.

    But for a dry run nobody else may have the store open: StoreError. Stopped half-way it leaves a store that
    verifies, since records go before what they need.
    """
    with contextlib.nullcontext() if dry_run else store.alone():
        known = list(records(store))
        kept = [record for record in known if record.used >= since]
        roots = {digest for record in kept for digest in (record.tree, *record.needs)}
        needed = reachable(store, [*pinned, *roots])
        old_records = [record.path for record in known if record.used < since]
        old_trees = [path for path in (store.root / "trees").iterdir() if path.name not in roots]
        sizes = {path: path.stat().st_size for path in _blobs(store)}
        old_blobs = [path for path in sizes if path.name.removesuffix(".x") not in needed]
        size = sum(sizes[path] for path in old_blobs)
        kept_size = sum(sizes.values()) - size
        if not dry_run:
            _remove(store, old_records, old_trees, old_blobs)
    kept_blobs = len(sizes) - len(old_blobs)
    return Collected(len(old_blobs), len(old_records), len(old_trees), size, kept_blobs, kept_size, len(kept))


def _blobs(store: Store) -> Iterator[Path]:
    return (store.root / "blobs").glob("*/*")


def _remove(store: Store, records: list[Path], trees: list[Path], blobs: list[Path]) -> None:
    for path in records:
        path.unlink()
    for path in trees:
        # out of the way first: a tree that is there must be whole
        aside = store.root / "tmp" / f"{os.getpid()}-{path.name[:16]}"
        path.rename(aside)
        shutil.rmtree(aside)
    for path in blobs:
        path.unlink()
    store.clean(everything=True)
    for path in (store.root / "locks").iterdir():
        if path.name != "in-use":
            path.unlink()
