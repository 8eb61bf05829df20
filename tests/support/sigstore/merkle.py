"""An append-only Merkle tree with inclusion proofs (RFC 6962, section 2.1)."""

from __future__ import annotations

import hashlib

__all__ = ["MerkleTree", "leaf_hash"]


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf: sha256(0x00 || leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """The largest power of two smaller than ``size``."""
    return 1 << ((size - 1).bit_length() - 1)


class MerkleTree:
    """Leaves in the order they came."""

    def __init__(self) -> None:
        self._hashes: list[bytes] = []

    def __len__(self) -> int:
        return len(self._hashes)

    def append(self, leaf: bytes) -> int:
        """Add a leaf and return its index."""
        self._hashes.append(leaf_hash(leaf))
        return len(self._hashes) - 1

    def root(self) -> bytes:
        """MTH over all leaves."""
        return self._head(self._hashes)

    def inclusion_proof(self, index: int) -> list[bytes]:
        """PATH(index, all leaves): the siblings from the leaf upwards."""
        return self._path(index, self._hashes)

    def _head(self, hashes: list[bytes]) -> bytes:
        if not hashes:
            return hashlib.sha256(b"").digest()
        if len(hashes) == 1:
            return hashes[0]
        middle = _split(len(hashes))
        return _node_hash(self._head(hashes[:middle]), self._head(hashes[middle:]))

    def _path(self, index: int, hashes: list[bytes]) -> list[bytes]:
        if len(hashes) == 1:
            return []
        middle = _split(len(hashes))
        if index < middle:
            return [*self._path(index, hashes[:middle]), self._head(hashes[middle:])]
        return [*self._path(index - middle, hashes[middle:]), self._head(hashes[:middle])]
