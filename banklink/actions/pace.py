"""Work that nobody waits for gives way to people: one process does both, one at a time."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LATELY = 5.0
"""Seconds."""


class Pace:
    """Knows whether somebody is being answered. Long work asks between two pieces."""

    def __init__(self) -> None:
        self._waiting = 0
        self._changed = threading.Lock()
        self._nobody = threading.Event()
        self._nobody.set()
        self._last = -math.inf

    @property
    def is_busy(self) -> bool:
        """Whether somebody was answered lately, so that the next one may come at any time."""
        return not self._nobody.is_set() or time.monotonic() - self._last < _LATELY

    @contextmanager
    def somebody(self) -> Iterator[None]:
        """Somebody is being answered, as long as this lasts."""
        with self._changed:
            self._waiting += 1
            self._nobody.clear()
        try:
            yield
        finally:
            with self._changed:
                self._waiting -= 1
                self._last = time.monotonic()
                if not self._waiting:
                    self._nobody.set()

    def give_way(self, most: float) -> None:
        """Wait until nobody is being answered, at most so many seconds: work must go on, too."""
        self._nobody.wait(most)
