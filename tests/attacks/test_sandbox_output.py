"""Attacks from inside a build step through what it leaves behind, and on what it was given to read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from tests.support.hermetic import Lab

from millcert.errors import MillcertError, StoreError, UnsafeArchiveError
from millcert.sandbox import Mount
from millcert.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


PLANTS = {
    "link-out": 'os.symlink("/../../../etc/passwd", "/out/x")',
    "link-up": 'os.mkdir("/out/a"); os.symlink("../../secret", "/out/a/x")',
    "link-through": 'os.symlink("a/../../secret", "/out/x")',
    "fifo": 'os.mkfifo("/out/x")',
    "socket": 'import socket; socket.socket(socket.AF_UNIX).bind("/out/x")',
    "setuid": 'open("/out/x", "w").close(); os.chmod("/out/x", 0o4755)',
    "setgid": 'open("/out/x", "w").close(); os.chmod("/out/x", 0o2755)',
    "setuid-folder": 'os.mkdir("/out/x"); os.chmod("/out/x", 0o4755)',
    "newline": 'open("/out/a\\nb", "w").close()',
    "not-utf-8": 'open(b"/out/\\xff", "w").close()',
    "backslash": 'open("/out/a\\\\..\\\\b", "w").close()',
}


@pytest.mark.parametrize("plant", sorted(PLANTS))
def test_what_must_not_be_in_an_output_is_refused(lab: Lab, store: Store, plant: str) -> None:
    ran = lab.run(f"{PLANTS[plant]}\nprint(json.dumps('planted'))")
    assert ran.found == "planted"
    with pytest.raises(UnsafeArchiveError):
        store.add_tree(ran.output)
    assert not list((store.root / "trees").iterdir())


def test_a_device_node_cannot_be_made(lab: Lab) -> None:
    found = lab.run("""
import stat
try:
    os.mknod("/out/sda", 0o666 | stat.S_IFBLK, os.makedev(8, 0))
    print(json.dumps("made"))
except OSError as error:
    print(json.dumps(error.strerror))""").found
    assert found == "Operation not permitted"


def test_a_device_node_is_not_stored_either(store: Store, tmp_path: Path) -> None:
    """The kernel refuses to make one; where it once did not, what was made would be opened by the store."""
    try:
        os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root may make a device node")
    with pytest.raises(UnsafeArchiveError):
        store.add_tree(tmp_path)


def test_nothing_outside_the_output_can_be_written(lab: Lab) -> None:
    """Nor with `..`, through /proc/self/root, or through the name of the output's parent."""
    ran = lab.run("""
places = ["/", "/usr", "/usr/bin", "/usr/lib/python3.11", "/etc", "/script", "/dev", "/proc", "/out/..",
          "/proc/self/root", "/proc/1/root/usr", "/out/../usr"]
written = []
for place in places:
    try:
        open(place + "/planted", "w").close()
        written.append(place)
    except OSError:
        pass
print(json.dumps(written))""")
    assert ran.found == []
    assert not (ran.output.parent / "planted").exists()


def test_an_input_cannot_be_changed_in_place(lab: Lab, tmp_path: Path) -> None:
    """Inputs are hard links to the store's blobs: a change to one would change every other step's input too."""
    source = tmp_path / "source"
    source.mkdir()
    header = source / "shared.h"
    header.write_text("honest\n")
    before = header.stat()
    found = lab.run(
        """
path, answers = "/src/shared.h", {}
for name, change in {
    "write": lambda: open(path, "a").write("poison"), "mode": lambda: os.chmod(path, 0o777),
    "times": lambda: os.utime(path, (1, 1)), "remove": lambda: os.unlink(path),
    "rename": lambda: os.rename(path, "/out/x"),
    "link": lambda: os.link(path, "/out/x"), "attribute": lambda: os.setxattr(path, "user.x", b"1"),
    "reopen": lambda: open(f"/proc/self/fd/{os.open(path, os.O_RDONLY)}", "a").write("poison"),
}.items():
    try:
        change()
        answers[name] = "done"
    except OSError as error:
        answers[name] = error.strerror
print(json.dumps(answers))""",
        [Mount(source, "/src")],
    ).found
    assert "done" not in found.values(), found
    after = header.stat()
    assert header.read_text() == "honest\n"
    assert (after.st_mode, after.st_mtime_ns, after.st_nlink) == (before.st_mode, before.st_mtime_ns, before.st_nlink)


def test_what_a_step_leaves_is_copied_so_that_later_writes_change_nothing(store: Store, tmp_path: Path) -> None:
    """A process that outlived its step would hold the output open; the store must not share that file."""
    output = tmp_path / "out"
    output.mkdir()
    with (output / "library.so").open("w") as kept:
        kept.write("honest")
        kept.flush()
        tree = store.add_tree(output)
        kept.write(" poison")
    assert store.tree_file(tree, "library.so").read_text() == "honest"


def test_a_folder_of_no_rights_is_still_removed_or_refused(lab: Lab, store: Store) -> None:
    with store.temporary() as folder:
        folder.mkdir()
        step = lab.step('os.makedirs("/out/a/b"); os.chmod("/out/a/b", 0); os.chmod("/out/a", 0)')
        assert lab.sandbox.run(step).status == 0
        step.output.rename(folder / "out")
        with pytest.raises(MillcertError) if os.geteuid() else pytest.MonkeyPatch.context():
            store.add_tree(folder / "out")
    assert not folder.exists()


def test_a_link_to_an_absolute_path_is_never_followed_on_the_machine(lab: Lab, store: Store, tmp_path: Path) -> None:
    """Absolute targets are legal in a tree (Debian has them); they mean the sandbox's root, never the machine's."""
    ran = lab.run('os.symlink("/etc/hostname", "/out/name")\nprint(json.dumps("planted"))')
    assert ran.found == "planted"
    tree = store.add_tree(ran.output)
    with pytest.raises(StoreError):
        store.tree_file(tree, "name")
    assert (store.checkout(tree) / "name").is_symlink()
