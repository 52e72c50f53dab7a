"""Whose turn it is to write. SQLite has one writer at a time and lets the others look ever more
rarely whether it is theirs, so that somebody who writes once waits long beside one who writes all
the time. The writers of one process therefore queue here first."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """One after the other, in the order in which they came."""

    def __init__(self) -> None:
        self._look = threading.Lock()
        self._whose: int | None = None
        self._queue: deque[tuple[int, threading.Lock]] = deque()

    @contextmanager
    def taken(self, patience: float) -> Iterator[None]:
        """Wait for one's turn, at most so many seconds: then the database says what is the matter.
        Who has it already needs no second one."""
        mine = self._take(patience)
        try:
            yield
        finally:
            if mine:
                self._pass_on()

    def _take(self, patience: float) -> bool:
        me = threading.get_ident()
        with self._look:
            if self._whose == me:
                return False
            if self._whose is None:
                self._whose = me
                return True
            called = threading.Lock()
            called.acquire()
            self._queue.append((me, called))
        if called.acquire(timeout=patience):
            return True
        with self._look:
            if self._whose == me:  # called at the last moment
                return True
            self._queue.remove((me, called))
            return False

    def _pass_on(self) -> None:
        with self._look:
            self._whose = None
            if self._queue:
                self._whose, called = self._queue.popleft()
                called.release()
