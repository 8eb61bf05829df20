"""Datasets, samplers and batches."""

from wootz.data.dataset import Dataset, Subset, TensorDataset
from wootz.data.loader import DataLoader, default_collate
from wootz.data.sampler import BatchSampler, RandomSampler, SequentialSampler

__all__ = [
    "BatchSampler", "DataLoader", "Dataset", "RandomSampler", "SequentialSampler", "Subset", "TensorDataset",
    "default_collate",
]  # fmt: skip
