"""The content-addressed store: blobs by sha256, trees of blobs, and what each derivation gave.

Layout under the root::

    blobs/ab/<sha256>[.x]   read-only bytes; ``.x`` is the same content as an executable inode
    trees/<sha256>/         a tree unpacked as hard links to blobs, made whole and renamed into place
    records/<key>.json      derivation key → digest of the tree it gave, its name, the trees and archives it read
    tmp/  locks/            work in progress; locks are advisory and die with their process

Writers go to ``tmp/`` and rename, so a crash leaves a store that verifies. Readers get bytes only after
the hash was checked. Two processes may share one store: each holds ``locks/in-use`` shared for as long as it has
the store open, so that whoever gets it alone knows that all of ``tmp/`` was left by the dead.

Steps see the store's own files. So that they see the same on every machine, times are fixed and modes are
independent of the umask.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from millcert.errors import ConfigError, DiskFullError, HashMismatchError, StoreError
from millcert.model import Digest, canonical_json, chunks_of, digest_of, digest_of_file, parse_digest
from millcert.tree import Entry, Tree, parse_tree, scan_tree

__all__ = ["Store", "default_root"]

_FULL = (errno.ENOSPC, errno.EDQUOT)
_TIME = (315532800, 315532800)  # 1980-01-01, the first moment that a zip archive knows
_LOOK_UP = 0.05  # seconds between two tries of a lock that another process holds
_WORK = re.compile(r"[0-9]+-[0-9a-f]{16}")  # what `temporary` gives out


def default_root(environ: Mapping[str, str]) -> Path:
    """Where the store lives: ``MILLCERT_STORE``, else the user's cache folder."""
    if chosen := environ.get("MILLCERT_STORE"):
        return Path(chosen).absolute()
    cache = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".cache")
    return Path(cache) / "millcert"


class Store:
    """A store rooted at a folder, made on first use."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._checked: set[Digest] = set()
        self._checking = threading.Lock()
        with self._writing():
            for name in ("blobs", "trees", "records", "tmp", "locks"):
                (root / name).mkdir(parents=True, exist_ok=True)
            self._lease = os.open(root / "locks" / "in-use", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        weakref.finalize(self, os.close, self._lease)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.clean()
        fcntl.flock(self._lease, fcntl.LOCK_SH)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the store against every other process; StoreError where one uses it."""
        try:
            fcntl.flock(self._lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._lease, fcntl.LOCK_SH)
            raise StoreError(
                "the store is in use by another process", store=self.root, fix="run this again when it has ended"
            ) from None
        try:
            yield
        finally:
            fcntl.flock(self._lease, fcntl.LOCK_SH)

    def clean(self, *, everything: bool = False) -> None:
        """Remove what dead processes left; ``everything``: also partial downloads, and what was set aside."""
        for path in (self.root / "tmp").iterdir():
            if everything or _WORK.fullmatch(path.name):
                _remove(path)

    # -- blobs

    def has(self, digest: Digest, *, executable: bool = False) -> bool:
        """Whether a blob is present (its bytes are checked when it is read)."""
        return self._blob(digest, executable).is_file()

    def path(self, digest: Digest, *, executable: bool = False) -> Path:
        """The path of a blob whose bytes were just checked; a corrupt one is set aside and reported."""
        path = self._blob(digest, executable)
        if not path.is_file():
            raise StoreError("the store has no such blob", sha256=digest, store=self.root, fix="run `millcert fetch`")
        if (found := digest_of_file(path)) != digest:
            self.set_aside(path)
            raise HashMismatchError(
                "a blob in the store was altered; it has been set aside",
                expected=digest, found=found, file=path, fix="run the same command again to fetch or rebuild it",
            )  # fmt: skip
        return path

    def read(self, digest: Digest) -> bytes:
        """A blob's bytes, checked."""
        return self.path(digest).read_bytes()

    def add_bytes(self, data: bytes) -> Digest:
        """Store some bytes and return their digest; a blob that is there already is not written again."""
        digest = digest_of(data)
        return digest if self.has(digest) else self.add_stream([data])

    def add_file(self, path: Path, *, executable: bool = False) -> Digest:
        """Store a copy of a file's bytes and return their digest."""
        with path.open("rb") as stream:
            return self.add_stream(chunks_of(stream), executable=executable)

    def ensure_file(self, path: Path) -> Digest:
        """The digest of a file's bytes, which are stored unless they are there already."""
        digest = digest_of_file(path)
        return digest if self.has(digest) else self.add_file(path)

    def add_stream(
        self, chunks: Iterable[bytes], *, expected: Digest | None = None, executable: bool = False
    ) -> Digest:
        """Store a stream; with ``expected``, nothing is kept unless the bytes have that digest."""
        hasher = hashlib.sha256()
        with self._writing(), self.temporary() as temporary:
            with temporary.open("wb") as stream:
                for chunk in chunks:
                    hasher.update(chunk)
                    stream.write(chunk)
            # no fsync: a blob that a power cut tore is found by its hash when read, and made again
            found = Digest(hasher.hexdigest())
            if expected is not None and found != expected:
                raise HashMismatchError("the bytes are not the pinned ones", expected=expected, found=found)
            target = self._blob(found, executable=executable)
            target.parent.mkdir(exist_ok=True)
            temporary.chmod(0o555 if executable else 0o444)
            os.utime(temporary, _TIME)  # already here: a blob may be linked into the store of a user who could not
            temporary.replace(target)
        return found

    # -- trees

    def add_tree(self, folder: Path) -> Digest:
        """Store every file below a folder and return the digest of the tree's description."""
        entries: list[Entry] = []
        for entry in scan_tree(folder):
            if entry.kind == "folder" and any((folder / entry.path).iterdir()):
                continue  # its files imply it
            if entry.kind == "file":
                source = folder / entry.path
                digest = self.add_file(source, executable=entry.executable)
                entry = Entry(
                    entry.path, "file", digest=digest, size=source.stat().st_size, executable=entry.executable
                )
            entries.append(entry)
        return self.add_entries(entries)

    def add_entries(self, entries: Iterable[Entry]) -> Digest:
        """Store a tree whose files are blobs already."""
        return self.add_bytes(Tree(tuple(entries)).to_bytes())

    def tree(self, digest: Digest) -> Tree:
        """The description of a tree."""
        return parse_tree(self.read(digest))

    def tree_file(self, digest: Digest, path: str) -> Path:
        """One file of a tree, its bytes checked, without unpacking the rest."""
        entry = self.tree(digest).file(path)
        assert entry.digest is not None
        try:
            return self.path(entry.digest, executable=entry.executable)
        except (StoreError, HashMismatchError):
            self.set_aside(self._blob(digest))  # so that its derivation is no longer taken for built
            raise

    def checkout(self, digest: Digest) -> Path:
        """The tree as a folder, read-only by convention, its every byte checked once a process."""
        with self._checking:  # or two threads would check one tree twice
            return self._checkout(digest)

    def _checkout(self, digest: Digest) -> Path:
        folder = self.root / "trees" / digest
        if digest in self._checked and folder.is_dir():
            return folder
        tree = self.tree(digest)
        try:
            if not folder.is_dir():
                self._unpack(tree, folder)
            self._check_folder(tree, folder)
            _settle(folder)
        except (StoreError, HashMismatchError):
            self.set_aside(self._blob(digest))  # so that its derivation is no longer taken for built
            raise
        self._checked.add(digest)
        return folder

    def _unpack(self, tree: Tree, folder: Path) -> None:
        with self._writing(), self.temporary() as temporary:
            temporary.mkdir()
            for entry in tree.entries:
                self._place(entry, temporary / entry.path)
            # another process may have been quicker; its folder is as good as ours
            with contextlib.suppress(FileExistsError, OSError):
                temporary.rename(folder)
            if not folder.is_dir():
                raise StoreError("the tree could not be unpacked", folder=folder)

    def _place(self, entry: Entry, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == "folder":
            path.mkdir(exist_ok=True)
        elif entry.kind == "link":
            path.symlink_to(entry.target)
        else:
            assert entry.digest is not None
            blob = self._blob(entry.digest, entry.executable)
            try:
                path.hardlink_to(blob)
            except FileNotFoundError:
                raise StoreError(
                    "the store lacks a file of a tree",
                    sha256=entry.digest, path=entry.path, fix="run the same command again to rebuild it",
                ) from None  # fmt: skip
            except OSError as error:
                if error.errno not in (errno.EMLINK, errno.EXDEV, errno.EPERM):
                    raise
                shutil.copy2(blob, path)

    def _check_folder(self, tree: Tree, folder: Path) -> None:
        found = {entry.path: entry for entry in scan_tree(folder)}
        for entry in tree.entries:
            other = found.pop(entry.path, None)
            same = other is not None and (other.kind, other.target, other.executable) == (
                entry.kind, entry.target, entry.executable,
            )  # fmt: skip
            if same and entry.kind == "file":
                same = digest_of_file(folder / entry.path) == entry.digest
            if not same:
                self._refuse_folder(tree, folder, entry.path)
        for path in found.keys() - tree.folders():
            self._refuse_folder(tree, folder, path)

    def _refuse_folder(self, tree: Tree, folder: Path, path: str) -> None:
        self.set_aside(folder)
        # the hard link shares its inode with the blob: an altered file means an altered blob
        for entry in tree.entries:
            if entry.digest and entry.path == path:
                for executable in (False, True):
                    blob = self._blob(entry.digest, executable)
                    if blob.is_file() and digest_of_file(blob) != entry.digest:
                        self.set_aside(blob)
        raise HashMismatchError(
            "an unpacked tree in the store was altered; it has been set aside",
            file=path, tree=folder.name, fix="run the same command again to rebuild it",
        )  # fmt: skip

    # -- records

    def record(self, key: Digest) -> Digest | None:
        """The tree a derivation gave before, or None where that is unknown; its files are checked when read."""
        try:
            path = self.root / "records" / f"{key}.json"
            record = json.loads(path.read_bytes())
            tree = parse_digest(str(record["tree"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError, ConfigError):
            return None
        if record.get("key") != key or not self.has(tree):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # when it was last of use, for the collection of garbage
        return tree

    def put_record(self, key: Digest, tree: Digest, *, name: str = "", needs: Iterable[Digest] = ()) -> None:
        """Remember what a derivation gave; an unequal earlier answer is for the caller to judge."""
        record = {"key": key, "tree": tree, "name": name, "needs": sorted(set(needs))}
        with self._writing(), self.temporary() as temporary:
            temporary.write_bytes(canonical_json(record))
            temporary.replace(self.root / "records" / f"{key}.json")

    def forget(self, key: Digest) -> None:
        """Drop a record, so that the derivation is built anew."""
        (self.root / "records" / f"{key}.json").unlink(missing_ok=True)

    # -- work in progress

    @contextlib.contextmanager
    def temporary(self) -> Iterator[Path]:
        """A free path on the store's own file system; whatever still stands there at the end is removed."""
        path = self.root / "tmp" / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            yield path
        finally:
            _remove(path)

    @contextlib.contextmanager
    def lock(self, name: str, stop: threading.Event, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Hold an advisory lock, so that two processes do not do one piece of work twice.

        ``waiting`` is told when another process holds it. KeyboardInterrupt when ``stop`` is set before that lets it
        go: a thread that sleeps in ``flock`` would hear of nothing.
        """
        with (self.root / "locks" / digest_of(name.encode())[:32]).open("wb") as stream:
            if not _locked(stream):
                waiting()
                while not _locked(stream):
                    if stop.wait(_LOOK_UP):
                        raise KeyboardInterrupt
            yield

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise DiskFullError(
                    "no space is left for the store; what was complete is kept",
                    store=self.root, fix="free some space (`millcert store gc`), then run the same command again",
                ) from error  # fmt: skip
            raise

    def _blob(self, digest: Digest, executable: bool = False) -> Path:
        return self.root / "blobs" / digest[:2] / (f"{digest}.x" if executable else digest)

    def set_aside(self, path: Path) -> None:
        """Put a wrong file or folder of the store out of use, kept for whoever wants to look into it."""
        with contextlib.suppress(FileNotFoundError):
            path.rename(self.root / "tmp" / f"corrupt-{secrets.token_hex(4)}-{path.name}")


def _locked(stream: BinaryIO) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _settle(folder: Path) -> None:
    """Even out what a step can read besides bytes; a store that was copied, or restored, has times of its own."""
    for base, folders, files in os.walk(folder):
        for name in (".", *files, *folders):
            path = f"{base}/{name}"
            state = os.lstat(path)
            mode = 0o755 if stat.S_ISDIR(state.st_mode) else 0o555 if state.st_mode & stat.S_IXUSR else 0o444
            try:
                if not stat.S_ISLNK(state.st_mode) and stat.S_IMODE(state.st_mode) != mode:
                    os.chmod(path, mode)  # noqa: PTH101 - strings, for speed
                if state.st_mtime_ns != _TIME[1] * 10**9:
                    os.utime(path, _TIME, follow_symlinks=False)
            except PermissionError as error:
                raise StoreError(
                    "a file of the store is another user's, and steps would see its time or mode",
                    file=path, fix="take a store of your own (--store)",
                ) from error  # fmt: skip


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=_open_and_retry)
    else:
        path.unlink(missing_ok=True)


def _open_and_retry(function: Callable[[str], object], path: str, _: object) -> None:
    """A step may leave folders without rights; they are its user's own, so they can be given back."""
    for folder in (os.path.dirname(path), path):  # noqa: PTH120 - strings, as shutil gives them
        with contextlib.suppress(OSError):
            if stat.S_ISDIR(os.lstat(folder).st_mode):
                os.chmod(folder, 0o700)  # noqa: PTH101
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if function in (os.open, os.scandir, os.lstat) else function(path)
