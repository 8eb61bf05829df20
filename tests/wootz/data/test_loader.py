"""Batches: order, sizes, shuffling, collation, and options that exclude each other."""

from collections import namedtuple

import numpy as np
import pytest

import wootz
from wootz.data import BatchSampler, DataLoader, Dataset, Subset, TensorDataset, default_collate


def numbers(n):
    return TensorDataset(wootz.arange(n), wootz.arange(n) * 10)


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [3, 3, 1]), (True, [3, 3])])
def test_batches_in_order(drop_last, sizes):
    loader = DataLoader(numbers(7), batch_size=3, drop_last=drop_last)
    batches = list(loader)
    assert len(loader) == len(batches)
    assert [len(x) for x, _ in batches] == sizes
    assert wootz.cat([x for x, _ in batches]).tolist() == list(range(sum(sizes)))
    assert all((y == x * 10).all().item() for x, y in batches)


def test_shuffling_is_a_new_permutation_each_pass_and_repeats_with_the_seed():
    loader = DataLoader(numbers(50), batch_size=8, shuffle=True)

    def passes():
        wootz.manual_seed(3)
        return [wootz.cat([x for x, _ in loader]).tolist() for _ in range(2)]

    first, again = passes(), passes()
    assert first == again and first[0] != first[1]
    assert all(sorted(order) == list(range(50)) != order for order in first)


def test_a_generator_of_its_own_does_not_touch_the_default_one():
    def order(seed):
        generator = wootz.Generator().manual_seed(seed)
        return wootz.cat([x for x, _ in DataLoader(numbers(30), 4, shuffle=True, generator=generator)]).tolist()

    wootz.manual_seed(0)
    expected = wootz.rand(3).tolist()
    wootz.manual_seed(0)
    a, b, c = order(1), order(1), order(2)
    assert a == b != c
    assert wootz.rand(3).tolist() == expected


def test_gathering_a_batch_equals_collating_its_samples():
    data = TensorDataset(wootz.randn(10, 3), wootz.arange(10))
    batch = [4, 1, 1, 9]
    for a, b in zip(data.gather(batch), default_collate([data[i] for i in batch]), strict=True):
        assert a.dtype == b.dtype and (a == b).all().item()


def test_any_object_with_length_and_items_is_a_dataset():
    class Squares:
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return index * index

    assert isinstance(Squares(), Dataset)
    assert [b.tolist() for b in DataLoader(Squares(), batch_size=3)] == [[0, 1, 4], [9]]
    assert [b.tolist() for b in DataLoader(Subset(Squares(), [3, 1]), batch_size=2)] == [[9, 1]]
    assert list(DataLoader(Squares(), batch_size=None)) == [0, 1, 4, 9]
    assert [b.tolist() for b in DataLoader(Squares(), sampler=[2, 0])] == [[4], [0]]
    assert [b.tolist() for b in DataLoader(Squares(), batch_sampler=[[1, 2], [3]])] == [[1, 4], [9]]
    assert list(DataLoader(Squares(), 2, collate_fn=sum)) == [1, 13]


def test_collate_keeps_structure():
    Pair = namedtuple("Pair", "x y")
    sample = {"a": Pair(np.float32(1.5), wootz.ones(2)), "b": [np.arange(3), "text"], "c": True}
    batch = default_collate([sample, sample])
    assert isinstance(batch["a"], Pair) and batch["a"].x.tolist() == [1.5, 1.5]
    assert tuple(batch["a"].y.shape) == (2, 2) and batch["b"][0].tolist() == [[0, 1, 2]] * 2
    assert batch["b"][1] == ["text", "text"] and batch["c"].dtype == wootz.bool


@pytest.mark.parametrize("batch", [[object()], [{"a": 1}, {"b": 1}], [(1,), (1, 2)], [wootz.ones(2), wootz.ones(3)]])
def test_samples_that_do_not_fit_together_are_refused(batch):
    with pytest.raises((TypeError, ValueError)):
        default_collate(batch)


def test_bad_options_are_refused():
    data = numbers(4)
    for options in (
        {"batch_size": 0},
        {"batch_size": 2.0},
        {"batch_size": None, "drop_last": True},
        {"sampler": [0], "shuffle": True},
        {"batch_sampler": [[0]], "batch_size": 2},
        {"batch_sampler": [[0]], "shuffle": True},
    ):
        with pytest.raises(ValueError):
            DataLoader(data, **options)
    with pytest.raises(ValueError, match="at least one"):
        TensorDataset()
    for tensors in ((wootz.ones(2), wootz.ones(3)), (wootz.ones(()),)):
        with pytest.raises(ValueError, match="first sizes differ"):
            TensorDataset(*tensors)


def test_a_sampler_without_length_still_gives_batches():
    loader = BatchSampler(iter(range(5)), 2)
    assert list(loader) == [[0, 1], [2, 3], [4]]
    with pytest.raises(TypeError):
        len(loader)
