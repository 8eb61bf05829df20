"""Fetching locked files from a real HTTP server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.millcert.index.conftest import Prepare
from tests.support.faults import cut, silent_after, status
from tests.support.index import LoopbackIndex

from millcert.errors import FetchError
from millcert.index import AbsentError, ClientConfiguration, IndexClient, UnavailableError
from millcert.lock import LockedFile, Pin, render_lock
from millcert.names import normalize
from millcert.store import Store


class Seen:
    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int]] = []

    def __call__(self, filename: str, received: int, size: int) -> None:
        self.calls.append((filename, received, size))


def test_files_arrive_whole_and_only_once(
    index: LoopbackIndex, client: IndexClient, store: Store, prepare: Prepare
) -> None:
    wanted = [prepare(f"thing{number}") for number in range(6)]
    seen = Seen()
    client.fetch(wanted, store, seen)
    for pin, file in wanted:
        assert store.read(file.digest) == index.projects[pin.name][0].data
        progress = [received for name, received, _ in seen.calls if name == file.filename]
        assert progress == sorted(progress)
        assert progress[-1] == file.size
    before = len(index.requests)
    client.fetch(wanted, store, Seen())
    assert len(index.requests) == before
    assert list((store.root / "tmp").iterdir()) == []


@pytest.mark.parametrize("form", ["json", "html"])
def test_both_forms_of_a_page_will_do(
    index: LoopbackIndex, client: IndexClient, store: Store, prepare: Prepare, form: str
) -> None:
    index.forms = {form}
    _, file = wanted = prepare()
    client.fetch([wanted], store, Seen())
    assert store.has(file.digest)


def test_a_broken_connection_is_continued_where_it_broke(
    index: LoopbackIndex, client: IndexClient, store: Store, prepare: Prepare
) -> None:
    _, file = wanted = prepare()
    index.fail(f"/files/{file.filename}", cut(100_000), cut(50_000))
    client.fetch([wanted], store, Seen())
    asked = [headers.get("Range") for headers in index.file_requests(file.filename)]
    assert asked == [None, "bytes=100000-", "bytes=150000-"]
    assert store.has(file.digest)


def test_a_server_without_ranges_starts_again(
    index: LoopbackIndex, client: IndexClient, store: Store, prepare: Prepare
) -> None:
    index.ranges = False
    _, file = wanted = prepare()
    index.fail(f"/files/{file.filename}", cut(100_000))
    client.fetch([wanted], store, Seen())
    assert store.has(file.digest)


def test_a_short_outage_is_waited_out(
    index: LoopbackIndex, client: IndexClient, store: Store, prepare: Prepare
) -> None:
    pin, file = wanted = prepare()
    index.fail(f"/files/{file.filename}", status(503), status(429))
    index.fail(f"/simple/{pin.name}/", status(500))
    client.fetch([wanted], store, Seen())
    assert store.has(file.digest)


def test_absent_and_unavailable_are_different(
    index: LoopbackIndex, client: IndexClient, store: Store, prepare: Prepare
) -> None:
    pin, file = wanted = prepare()
    index.fail(f"/simple/{pin.name}/", status(503), always=True)
    with pytest.raises(UnavailableError, match="503"):
        client.fetch([wanted], store, Seen())
    index.faults.clear()
    index.fail(f"/files/{file.filename}", status(404), always=True)
    with pytest.raises(AbsentError, match=file.filename):
        client.fetch([wanted], store, Seen())
    index.projects.clear()
    with pytest.raises(AbsentError, match="does not have this project"):
        IndexClient(client.configuration, client.transport).fetch([wanted], store, Seen())


def test_no_server_at_all_is_unavailable(store: Store, prepare: Prepare) -> None:
    client = IndexClient(ClientConfiguration("http://127.0.0.1:9/simple", timeout=0.5))
    client.transport._sleep = lambda _: None
    with pytest.raises(UnavailableError, match="cannot be reached"):
        client.fetch([prepare()], store, Seen())


def test_a_silent_server_is_given_up(index: LoopbackIndex, client: IndexClient, store: Store, prepare: Prepare) -> None:
    _, file = wanted = prepare()
    index.fail(f"/files/{file.filename}", silent_after(1000), always=True)
    with pytest.raises(UnavailableError):
        client.fetch([wanted], store, Seen())
    assert not store.has(file.digest)


def test_a_failure_leaves_the_other_files_for_the_next_run(
    index: LoopbackIndex, client: IndexClient, store: Store, prepare: Prepare
) -> None:
    good, bad = prepare("good"), prepare("bad")
    index.fail(f"/files/{bad[1].filename}", status(403), always=True)
    with pytest.raises(FetchError, match="403"):
        client.fetch([bad, good], store, Seen())
    index.faults.clear()
    client.fetch([bad, good], store, Seen())
    assert store.has(good[1].digest)
    assert store.has(bad[1].digest)


_FETCH = """
import sys
from pathlib import Path
from millcert.index import fetch
from millcert.lock import read_lock, select
from millcert.names import normalize
from millcert.store import Store
fetch(select(read_lock(Path(sys.argv[1]))), Store(Path(sys.argv[2])), lambda name, have, size: print(have, flush=True))
"""


def _lock(path: Path, wanted: tuple[Pin, LockedFile]) -> Path:
    path.write_bytes(render_lock([wanted[0]]))
    return path


def test_a_killed_download_goes_on_where_it_was(
    index: LoopbackIndex, store: Store, prepare: Prepare, tmp_path: Path
) -> None:
    _, file = wanted = prepare()
    lock = _lock(tmp_path / "lock.txt", wanted)
    index.fail(f"/files/{file.filename}", silent_after(200_000))
    environ = {**os.environ, "PIP_INDEX_URL": index.url}
    command = [sys.executable, "-c", _FETCH, str(lock), str(store.root)]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 190_000:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not store.has(file.digest)
    partial = store.root / "tmp" / f"partial-{file.digest}"
    kept = partial.stat().st_size
    assert kept > 0

    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
    assert index.file_requests(file.filename)[-1].get("Range") == f"bytes={kept}-"
    assert store.read(file.digest) == index.projects["thing"][0].data
    assert not partial.exists()


def test_a_full_disk_is_named_and_the_download_continues_after_it(
    index: LoopbackIndex, prepare: Prepare, tmp_path: Path
) -> None:
    _, file = wanted = prepare(size=3_000_000)
    lock = _lock(tmp_path / "lock.txt", wanted)
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "fetch.py").write_text(_FETCH)
    script = f"""
mount -t tmpfs -o size=2m tmpfs {disk} || exit 77
{sys.executable} {tmp_path}/fetch.py {lock} {disk} >/dev/null 2>{tmp_path}/first && exit 1
mount -o remount,size=16m {disk}
exec {sys.executable} {tmp_path}/fetch.py {lock} {disk} >/dev/null
"""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    environ = {**os.environ, "PIP_INDEX_URL": index.url}
    try:
        result = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs unshare to mount a small file system")
    if result.returncode == 77 or "unshare" in result.stderr:
        pytest.skip(f"this system lets nobody mount a small file system: {result.stderr.strip()[:200]}")
    assert result.returncode == 0, result.stderr
    assert "DiskFullError" in (tmp_path / "first").read_text()
    assert index.file_requests(file.filename)[-1].get("Range")


def test_a_server_that_drips_is_given_up(
    index: LoopbackIndex, client: IndexClient, store: Store, prepare: Prepare
) -> None:
    wanted = prepare()
    passed = iter(range(0, 10**9, 400))
    client.transport.clock = lambda: float(next(passed))  # every look at the clock is 400 seconds later
    with pytest.raises(FetchError, match="too slow"):
        client.fetch([wanted], store, Seen())


def test_a_line_that_breaks_often_is_followed_to_the_end(
    index: LoopbackIndex, client: IndexClient, store: Store, prepare: Prepare
) -> None:
    _, file = wanted = prepare()
    index.fail(f"/files/{file.filename}", *(cut(20_000) for _ in range(12)))
    client.fetch([wanted], store, Seen())
    assert len(index.file_requests(file.filename)) == 13


def test_a_message_never_repeats_a_credential(index: LoopbackIndex, store: Store, prepare: Prepare) -> None:
    address = index.url.replace("http://", "http://someone:hunter2@")
    _, file = wanted = prepare()
    index.fail(f"/files/{file.filename}", status(403), always=True)
    index.fail("/simple/other/", status(403), always=True)
    client = IndexClient(ClientConfiguration(address))
    other = Pin(normalize("other"), "1.0", "pypi", (file,))
    for pair in (wanted, (other, file)):
        with pytest.raises(FetchError) as caught:
            client.fetch([pair], store, Seen())
        assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(client.configuration)
