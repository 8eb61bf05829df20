"""Batches from a dataset."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import wootz
from wootz.data.collate import default_collate, default_convert
from wootz.data.dataset import Dataset
from wootz.data.fetch import Fetcher, is_iterable
from wootz.data.pool import Pool
from wootz.data.sampler import BatchSampler, RandomSampler, SequentialSampler

__all__ = ["DataLoader"]


class DataLoader:
    """Iterates over a dataset in batches.

    ``shuffle`` draws a new order for every pass from ``generator`` (or the default one); ``sampler`` gives the order
    instead, ``batch_sampler`` whole batches of indices. ``drop_last`` leaves out a smaller last batch. ``batch_size``
    None gives single samples. ``collate_fn`` makes a batch of a list of samples.

    ``num_workers`` processes load ahead, ``prefetch_factor`` batches each; the order of batches does not depend on
    their number. They are started by ``multiprocessing_context`` ("fork", "spawn", or a context) for each pass, or
    once with ``persistent_workers``, and call ``worker_init_fn(id)``. Each is seeded anew for each pass, from the
    generator. A dataset's exception is raised here with the worker's traceback; a worker that dies, or gives no batch
    within ``timeout`` seconds, is a `WorkerError`. ``pin_memory`` is taken for PyTorch's sake and changes nothing.
    Raises ValueError for options that exclude each other.
    """

    def __init__(
        self,
        dataset: Dataset | Iterable[Any],
        batch_size: int | None = 1,
        shuffle: bool | None = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
    ) -> None:
        _check_order(dataset, batch_size, shuffle, sampler, batch_sampler, drop_last)
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers, multiprocessing_context)
        self.dataset, self.batch_size, self.drop_last, self.generator = dataset, batch_size, drop_last, generator
        self.num_workers, self.timeout, self.worker_init_fn = num_workers, timeout, worker_init_fn
        self.prefetch_factor, self.persistent_workers, self.pin_memory = prefetch_factor, persistent_workers, pin_memory
        self.multiprocessing_context = multiprocessing_context
        self.sampler: Iterable[Any] = sampler if sampler is not None else _order(dataset, shuffle, generator)
        self.batch_sampler = batch_sampler
        if batch_sampler is None and batch_size is not None:
            self.batch_sampler = BatchSampler(self.sampler, batch_size, drop_last)
        batched = self.batch_sampler is not None
        self.collate_fn = collate_fn or (default_collate if batched else default_convert)
        self._fetch = Fetcher(dataset, self.collate_fn, batched, drop_last)
        self._pool: Pool | None = None

    def __iter__(self) -> Iterator[Any]:
        requests = iter(self.sampler if self.batch_sampler is None else self.batch_sampler)
        # Drawn without workers too: the next pass is then shuffled the same for any number of them.
        seed = int(wootz.randint(0, 2**62, (1,), generator=self.generator).item())
        return self._here(requests) if not self.num_workers else self._in_workers(requests, seed)

    def _here(self, requests: Iterator[Any]) -> Iterator[Any]:
        self._fetch.start()
        for indices in requests:
            try:
                batch = self._fetch(indices)
            except StopIteration:
                return
            yield batch

    def _in_workers(self, requests: Iterator[Any], seed: int) -> Iterator[Any]:
        pool = self._pool or self._start()
        self._pool = pool if self.persistent_workers else None
        try:
            yield from pool.run(requests, seed, self.prefetch_factor or 2)
        except wootz.errors.WorkerError:
            self._pool = None  # the next pass starts new ones
            pool.close()
            raise
        finally:
            if not self.persistent_workers:
                pool.close()

    def _start(self) -> Pool:
        given = self.multiprocessing_context
        context = multiprocessing.get_context(given) if given is None or isinstance(given, str) else given
        return Pool(context, self._fetch, self.num_workers, self.worker_init_fn, self.timeout)

    def __len__(self) -> int:
        if is_iterable(self.dataset):
            samples, size = len(self.dataset), self.batch_size or 1  # type: ignore[arg-type]  # len() says it has none
            return samples // size if self.drop_last else -(-samples // size)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]  # as above


def _check_order(
    dataset: Any, batch_size: int | None, shuffle: bool | None, sampler: Any, batch_sampler: Any, drop_last: bool
) -> None:
    if is_iterable(dataset) and (shuffle or sampler is not None or batch_sampler is not None):
        raise ValueError("an iterable dataset has its own order: no shuffle, sampler or batch_sampler")
    if sampler is not None and shuffle:
        raise ValueError("sampler excludes shuffle")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise ValueError("batch_sampler excludes batch_size, shuffle, sampler and drop_last")
    if batch_size is None and drop_last:
        raise ValueError("without batches there is no last one to drop")


def _check_workers(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool, context: Any
) -> None:
    if num_workers < 0 or timeout < 0:
        raise ValueError(f"num_workers and timeout are at least 0, not {num_workers} and {timeout}")
    if prefetch_factor is not None and prefetch_factor < 1:
        raise ValueError(f"prefetch_factor is at least 1, not {prefetch_factor}")
    if not num_workers and (prefetch_factor is not None or persistent_workers or context is not None):
        raise ValueError("prefetch_factor, persistent_workers and multiprocessing_context need num_workers > 0")
    if isinstance(context, str) and context not in multiprocessing.get_all_start_methods():
        raise ValueError(f"no way to start processes: {context!r}; {multiprocessing.get_all_start_methods()}")


def _order(dataset: Any, shuffle: bool | None, generator: Any) -> Iterable[Any]:
    if is_iterable(dataset):
        return itertools.repeat(None)
    return RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
