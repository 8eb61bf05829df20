"""Worker processes: the same batches in the same order, seeds, failures that arrive, and no process left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

import wootz
from wootz.data import DataLoader, IterableDataset, TensorDataset, get_worker_info
from wootz.errors import WorkerError


class Squares:
    """Samples of several kinds; some raise, kill their process, or wait."""

    def __init__(self, length=20, raises=None, kills=None, waits=None):
        self.length, self.raises, self.kills, self.waits = length, raises, kills, waits

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if index == self.raises:
            raise LookupError(f"no sample {index}")
        if index == self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        if index == self.waits:
            time.sleep(1000)
        return {"x": wootz.full((3,), index * index), "name": f"n{index}", "pid": os.getpid()}


class Stream(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        return iter(range(10) if info is None else range(info.id, 10, info.num_workers))


class Draws:
    def __len__(self):
        return 6

    def __getitem__(self, index):
        return wootz.rand(1), np.random.rand(), get_worker_info().seed, get_worker_info().id


class Odd(Exception):
    """Can be pickled, but not back: its arguments are not those of its constructor."""

    def __init__(self, a, b):
        super().__init__(f"{a} {b}")


class Arrays:
    """Large enough to be mapped."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == 3:
            raise Odd(1, 2)
        return np.full(40_000, index, "f4"), np.zeros(0, "i8")


class Orphans(Squares):
    """Leaves a process behind that holds everything that the worker held."""

    def __getitem__(self, index):
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        Path(self.raises).write_text(str(child))
        os._exit(3)


class Lengths(Squares):
    def __getitem__(self, index):
        return self.length


def batches(loader):
    return [(batch["x"].tolist(), batch["name"]) for batch in loader]


def no_child_left():
    deadline = time.monotonic() + 10
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not multiprocessing.active_children()


@pytest.mark.parametrize(("context", "workers"), [("fork", 1), ("fork", 3)])
def test_batches_are_those_of_one_process(workers, context):
    wootz.manual_seed(1)
    expected = batches(DataLoader(Squares(), 3, shuffle=True))
    wootz.manual_seed(1)
    loader = DataLoader(Squares(), 3, shuffle=True, num_workers=workers, multiprocessing_context=context)
    assert batches(loader) == expected
    assert no_child_left()


def test_spawned_workers_load_too():
    data = TensorDataset(wootz.arange(10), wootz.arange(10).float())
    loader = DataLoader(data, 4, num_workers=2, multiprocessing_context="spawn")
    assert [(x.tolist(), y.tolist()) for x, y in loader] == [(x.tolist(), y.tolist()) for x, y in DataLoader(data, 4)]
    assert no_child_left()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64"])
def test_tensors_of_every_dtype_come_over(dtype):
    data = TensorDataset(wootz.arange(10).to(getattr(wootz, dtype)))
    ((x,), (y,)) = DataLoader(data, 5, num_workers=1)
    assert x.dtype.name == y.dtype.name == dtype and x.tolist() + y.tolist() == list(range(10))


def test_every_pass_is_shuffled_the_same_for_any_number_of_workers():
    def passes(workers):
        wootz.manual_seed(5)
        loader = DataLoader(Squares(), 4, shuffle=True, num_workers=workers)
        return [batches(loader) for _ in range(2)]

    here = passes(0)
    assert here == passes(2) and here[0] != here[1]


def test_persistent_workers_stay_and_others_do_not():
    for persistent in (True, False):
        loader = DataLoader(Squares(), 5, num_workers=2, persistent_workers=persistent)
        pids = [{pid for batch in loader for pid in batch["pid"].tolist()} for _ in range(2)]
        assert len(pids[0]) == 2 and os.getpid() not in pids[0]
        assert (pids[0] == pids[1]) is persistent
        del loader
        assert no_child_left()


def test_a_pass_left_early_does_not_reach_into_the_next():
    loader = DataLoader(Squares(), 2, num_workers=2, persistent_workers=True)
    whole = batches(loader)
    for batch in loader:
        assert batch["name"] == ["n0", "n1"]
        break
    assert batches(loader) == whole


def test_iterable_datasets_are_shared_out_by_the_worker_info():
    assert [b.tolist() for b in DataLoader(Stream(), 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    got = [b.tolist() for b in DataLoader(Stream(), 2, num_workers=3)]
    assert got[:3] == [[0, 3], [1, 4], [2, 5]] and sorted(chain.from_iterable(got)) == list(range(10))
    assert [b.tolist() for b in DataLoader(Stream(), 4, drop_last=True)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert list(DataLoader(Stream(), None, num_workers=2)) == list(range(10))
    assert no_child_left()


def test_seeds_repeat_with_the_generators_and_differ_by_worker_and_pass():
    def draws():
        wootz.manual_seed(11)
        loader = DataLoader(Draws(), 1, num_workers=2)
        return [[[x.item() for x in batch] for batch in loader] for _ in range(2)]

    first = draws()
    assert first == draws()
    flat = list(chain.from_iterable(first))
    assert len({x[0] for x in flat}) == len({x[1] for x in flat}) == 12
    assert len({x[2] for x in flat}) == 4 and [x[3] for x in first[0]] == [0, 1] * 3


def test_large_arrays_arrive_whole_and_can_be_written_to():
    loader = DataLoader(Arrays(), 1, sampler=[2, 0, 1], num_workers=2)
    kept = [batch[0] for batch in loader]
    for value, batch in zip((2, 0, 1), kept, strict=True):
        assert batch.shape == (1, 40_000) and (batch == value).all().item()
        batch.add_(1)
        assert (batch == value + 1).all().item()


def test_workers_are_initialised_once_and_know_who_they_are():
    def mark(worker):
        get_worker_info().dataset.length += 100 + worker

    loader = DataLoader(
        Lengths(4), 1, num_workers=2, worker_init_fn=mark, multiprocessing_context="fork", persistent_workers=True
    )
    for _ in range(2):
        assert [batch.item() for batch in loader] == [104, 105, 104, 105]
    assert get_worker_info() is None


def test_an_exception_keeps_its_type_and_shows_the_workers_traceback():
    for persistent in (False, True):
        loader = DataLoader(Squares(raises=7), 2, num_workers=2, persistent_workers=persistent)
        for _ in range(2):
            with pytest.raises(LookupError, match="no sample 7") as caught:
                list(loader)
            (note,) = caught.value.__notes__
            assert "in worker 1" in note and 'raise LookupError(f"no sample {index}")' in note
    del loader, caught
    assert no_child_left()


def test_an_exception_that_cannot_travel_is_told_in_words():
    with pytest.raises(WorkerError, match=r"(?s)in worker 0.*Odd: 1 2"):
        list(DataLoader(Arrays(), 1, sampler=[3], num_workers=1))


def test_a_failing_initialisation_and_an_unsendable_sample_are_errors():
    def fail(worker):
        raise OSError("no such disk")

    with pytest.raises(OSError, match="no such disk"):
        list(DataLoader(Squares(), 2, num_workers=1, worker_init_fn=fail, multiprocessing_context="fork"))
    with pytest.raises((TypeError, AttributeError), match="pickle"):
        list(DataLoader(Squares(), 2, num_workers=1, collate_fn=lambda batch: lambda: batch))
    assert no_child_left()


def test_a_killed_worker_is_an_error_and_the_next_pass_works():
    data = Squares(kills=9)
    loader = DataLoader(data, 2, num_workers=2, persistent_workers=True)
    with pytest.raises(WorkerError, match=r"worker 0 \(pid \d+\) of the data loader was killed by SIGKILL"):
        list(loader)
    data.kills = None
    assert len(list(loader)) == 10


def test_a_worker_killed_from_outside_while_it_works_is_an_error():
    loader = DataLoader(Squares(waits=4), 2, num_workers=2)
    stream = iter(loader)
    next(stream), next(stream)
    for child in multiprocessing.active_children():
        os.kill(child.pid, signal.SIGTERM)
    with pytest.raises(WorkerError, match="SIGTERM"):
        next(stream)
    assert no_child_left()


def test_a_worker_that_leaves_a_child_behind_is_noticed_too(tmp_path):
    child = tmp_path / "child"
    try:
        with pytest.raises(WorkerError, match="exited with status 3"):
            list(DataLoader(Orphans(4, raises=child), 1, num_workers=1, multiprocessing_context="fork"))
    finally:
        os.kill(int(child.read_text()), signal.SIGKILL)


def test_a_batch_that_does_not_come_in_time_is_an_error():
    with pytest.raises(WorkerError, match=r"no batch within 0\.2 s"):
        list(DataLoader(Squares(waits=0), 2, num_workers=1, timeout=0.2))
    assert no_child_left()


SCRIPT = """
import os, sys, time
from wootz.data import DataLoader

class Slow:
    def __len__(self): return 1000
    def __getitem__(self, i):
        if i > 5:
            time.sleep(float(sys.argv[1]))
        return os.getpid()

for batch in DataLoader(Slow(), 1, num_workers=3, persistent_workers=True):
    print(batch.item(), flush=True)
"""


@pytest.mark.parametrize(("how", "slow"), [("interrupt", "1000"), ("kill", "0.01")])
def test_no_process_outlives_the_main_one(how, slow):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    main = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, slow],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
    )  # fmt: skip
    pids = {int(main.stdout.readline()) for _ in range(6)}
    assert len(pids) == 3
    if how == "interrupt":
        os.killpg(main.pid, signal.SIGINT)  # Ctrl-C reaches the whole group
    else:
        main.kill()
    _, errors = main.communicate(timeout=60)
    assert main.returncode != 0 and errors.count("KeyboardInterrupt") == (how == "interrupt")
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    left = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": -1},
        {"timeout": -1},
        {"prefetch_factor": 2},
        {"persistent_workers": True},
        {"multiprocessing_context": "fork"},
        {"num_workers": 1, "prefetch_factor": 0},
        {"num_workers": 1, "multiprocessing_context": "teleport"},
    ],
)
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError):
        DataLoader(Squares(), **options)


def test_an_iterable_dataset_has_its_own_order():
    with pytest.raises(ValueError, match="own order"):
        DataLoader(Stream(), shuffle=True)
