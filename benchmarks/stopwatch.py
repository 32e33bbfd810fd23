"""Where threads spend their time: timers around named functions, put there from outside and taken away again.

Time is exclusive: while a watched function calls another watched one, only the inner one is charged, so that the
categories of a thread add up to the time it was watched. Wall time and the thread's own processor time are both kept:
where the first is much longer, the thread was waiting for the interpreter's lock, a core or another thread.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Watched:
    """A function and what its time counts as."""

    name: str
    """``module:attribute`` or ``module:Class.method``, where it is looked up when it is called."""
    category: str
    whole: bool = False
    """Whether what it calls counts as this category, too."""


@dataclass
class Track:
    """One thread's books."""

    main: bool
    wall: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    stack: list[Watched] = field(default_factory=list)
    last: tuple[float, float] = (0.0, 0.0)

    def settle(self) -> None:
        """Charge the time since the last change to the function that is running."""
        now = time.perf_counter(), time.thread_time()
        if self.stack:
            category = self.stack[-1].category
            self.wall[category] += now[0] - self.last[0]
            self.cpu[category] += now[1] - self.last[1]
        self.last = now


class Stopwatch:
    """Watches functions in all threads."""

    def __init__(self, synchronize: Callable[[], Any] | None = None) -> None:
        """``synchronize`` waits for a device, so that a kernel is charged to the function that started it; it is called
        in the main thread whenever the charge changes."""
        self._synchronize = synchronize
        self._local = threading.local()
        self.tracks: list[Track] = []

    @contextlib.contextmanager
    def watching(self, *watched: Watched) -> Iterator[None]:
        """Watch functions inside the block. Raises ``LookupError`` for one that does not exist."""
        with contextlib.ExitStack() as stack:
            for item in watched:
                owner, attribute = _find(item.name)
                before = vars(owner)[attribute]
                stack.callback(setattr, owner, attribute, before)
                setattr(owner, attribute, self._timed(before, item))
            yield

    def _timed(self, function: Callable[..., Any], item: Watched) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            track = self._track()
            if track.stack and track.stack[-1].whole:
                return function(*args, **kwargs)
            self._settle(track)
            track.stack.append(item)
            track.calls[item.category] += 1
            try:
                return function(*args, **kwargs)
            finally:
                self._settle(track)
                track.stack.pop()

        return timed

    def _settle(self, track: Track) -> None:
        if self._synchronize is not None and track.main:
            self._synchronize()
        track.settle()

    def _track(self) -> Track:
        track: Track | None = getattr(self._local, "track", None)
        if track is None:
            track = self._local.track = Track(threading.current_thread() is threading.main_thread())
            self.tracks.append(track)
        return track


def _find(name: str) -> tuple[Any, str]:
    """What holds the function, and its attribute there."""
    module, _, path = name.partition(":")
    *holders, attribute = path.split(".")
    try:
        owner: Any = importlib.import_module(module)
        for holder in holders:
            owner = getattr(owner, holder)
        vars(owner)[attribute]
    except (ImportError, AttributeError, KeyError) as error:
        raise LookupError(f"there is no {name} to be watched ({error!r}): has the library changed?") from error
    return owner, attribute
