"""Datasets made of datasets, splits, samplers and collation."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest

import wootz
from wootz.data import (
    ChainDataset,
    ConcatDataset,
    DataLoader,
    IterableDataset,
    RandomSampler,
    StackDataset,
    SubsetRandomSampler,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    random_split,
)


class Numbers(IterableDataset):
    def __init__(self, *numbers):
        self.numbers = numbers

    def __iter__(self):
        return iter(self.numbers)

    def __len__(self):
        return len(self.numbers)


def test_concatenation_is_by_index():
    joined = ConcatDataset([[1, 2], [], [3], range(4, 7)])
    assert [joined[i] for i in range(len(joined))] == [1, 2, 3, 4, 5, 6]
    assert joined[-1] == 6 and joined[-6] == 1
    for bad in (6, -7):
        with pytest.raises(IndexError, match="out of range for 6"):
            joined[bad]
    with pytest.raises(ValueError, match="at least one"):
        ConcatDataset([])
    with pytest.raises(TypeError, match="ChainDataset"):
        ConcatDataset([Numbers(1)])


def test_iterable_datasets_are_chained():
    chained = Numbers(1, 2) + Numbers(3)
    assert isinstance(chained, ChainDataset) and len(chained) == 3
    assert [b.tolist() for b in DataLoader(chained, 2)] == [[1, 2], [3]]
    assert len(DataLoader(chained, 2)) == 2 and len(DataLoader(chained, 2, drop_last=True)) == 1


def test_datasets_side_by_side():
    assert StackDataset([1, 2], "ab")[1] == (2, "b")
    assert StackDataset(x=[1, 2], y="ab")[0] == {"x": 1, "y": "a"} and len(StackDataset([1, 2])) == 2
    for make in (lambda: StackDataset([1], [1, 2]), StackDataset, lambda: StackDataset([1], x=[1])):
        with pytest.raises(ValueError):
            make()


def test_a_random_split_is_a_partition_that_repeats_with_its_generator():
    def split(lengths, seed=0):
        parts = random_split(range(10), lengths, generator=wootz.Generator(seed))
        return [[part[i] for i in range(len(part))] for part in parts]

    parts = split([7, 0, 3])
    assert [len(p) for p in parts] == [7, 0, 3] and sorted(chain.from_iterable(parts)) == list(range(10))
    assert split([7, 0, 3]) == parts != split([7, 0, 3], seed=1)
    assert [len(p) for p in split([0.55, 0.45])] == [6, 4]
    assert [len(p) for p in split([0.3, 0.3, 0.4])] == [3, 3, 4]
    for bad in ([5, 4], [0.5, 0.6], [1.5, -0.5]):
        with pytest.raises(ValueError):
            split(bad)


def test_random_samplers():
    drawn = list(RandomSampler(range(5), num_samples=12))
    assert len(drawn) == 12 and sorted(drawn[:5]) == sorted(drawn[5:10]) == list(range(5))
    drawn = list(RandomSampler(range(3), replacement=True, num_samples=300, generator=wootz.Generator(1)))
    assert set(drawn) == {0, 1, 2} and len(drawn) == 300
    assert sorted(SubsetRandomSampler([4, 7, 9])) == [4, 7, 9]
    with pytest.raises(ValueError, match="at least 1"):
        RandomSampler(range(3), num_samples=0)


def test_weights_are_frequencies():
    weights = [0.0, 1.0, 3.0, 0.0, 6.0, 0.0]
    sampler = WeightedRandomSampler(weights, 6000, generator=wootz.Generator(3))
    counts = Counter(sampler)
    assert set(counts) == {1, 2, 4} and len(sampler) == 6000
    for index in counts:  # five standard deviations
        p = weights[index] / 10
        assert abs(counts[index] - 6000 * p) < 5 * np.sqrt(6000 * p * (1 - p))


def test_weighted_draws_without_replacement_come_once():
    generator = wootz.Generator(4)
    first = Counter()
    for _ in range(2000):
        drawn = list(WeightedRandomSampler([1, 0, 3], 2, replacement=False, generator=generator))
        assert sorted(drawn) == [0, 2]
        first[drawn[0]] += 1
    assert abs(first[2] - 1500) < 5 * np.sqrt(2000 * 0.75 * 0.25)


@pytest.mark.parametrize(
    ("weights", "count", "replacement"),
    [([], 1, True), ([0, 0], 1, True), ([-1, 2], 1, True), ([1, np.nan], 1, True), ([1], 0, True), ([1, 0], 2, False)],
)
def test_bad_weights_are_refused(weights, count, replacement):
    with pytest.raises(ValueError):
        WeightedRandomSampler(weights, count, replacement)


def test_collation_keeps_numpys_types_and_doubles_floats():
    kinds = [("f4", wootz.float32), ("i2", wootz.int16), ("?", wootz.bool), ("f8", wootz.float64)]
    for kind, dtype in kinds:
        batch = default_collate([np.dtype(kind).type(1), np.dtype(kind).type(0)])
        assert batch.dtype == dtype and batch.tolist() == [1, 0]
    assert default_collate([0.5, 1.0]).dtype == wootz.float64
    assert default_collate([1, 2]).dtype == wootz.int64 and default_collate([True]).dtype == wootz.bool


def test_single_samples_are_converted_but_not_stacked():
    samples = [{"a": np.ones(2, "f4"), "b": "x", "c": [np.float64(2), 3]}]
    (sample,) = DataLoader(samples, batch_size=None)
    assert isinstance(sample["a"], wootz.Tensor) and sample["b"] == "x" and sample["c"][1] == 3
    assert sample["c"][0].dtype == wootz.float64 and sample["c"][0].dim() == 0
    assert default_convert(np.array(["x"])).dtype.kind == "U"


def test_a_dataset_may_give_whole_batches():
    class Whole:
        def __len__(self):
            return 5

        def __getitem__(self, index):
            raise AssertionError("asked one by one")

        def __getitems__(self, indices):
            return [index * 10 for index in indices]

    assert [b.tolist() for b in DataLoader(Whole(), 2)] == [[0, 10], [20, 30], [40]]


def test_everything_is_where_pytorch_has_it_too():
    from wootz import data
    from wootz.utils import data as there

    assert {name: getattr(there, name) for name in there.__all__} == {
        name: getattr(data, name) for name in data.__all__
    }
