"""The same work for every environment, on threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Threads:
    """``threads`` threads, the calling one among them, for ``n`` environments."""

    def __init__(self, threads: int, n: int) -> None:
        self._n, self._helpers = n, min(threads, n) - 1
        self._pool = ThreadPoolExecutor(self._helpers) if self._helpers else None

    def each(self, work: Callable[[int], None]) -> None:
        """Do ``work(i)`` for every environment. Each thread takes the next that is left: steps with contacts take
        longer, so fixed blocks would wait for each other."""
        remaining = iter(range(self._n))  # one iterator for all threads: its next() is atomic under the lock

        def take() -> None:
            for i in remaining:
                work(i)

        futures = [self._pool.submit(take) for _ in range(self._helpers)] if self._pool else []
        take()
        for future in futures:
            future.result()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
