"""How many requests one network address may make to pages that everybody can open. In memory: a
restart forgives, and a worker counts for itself."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from datetime import datetime, timedelta


class Limit:
    """At most `most` in `window` for each key; the `keep` keys last seen are remembered."""

    def __init__(self, most: int, window: timedelta, keep: int = 10_000):
        self.most, self.window, self.keep = most, window, keep
        self._seen: OrderedDict[str, deque[datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, key: str, real: datetime) -> timedelta | None:
        """Count one; how long to wait when that is one too many (it is not counted then)."""
        with self._lock:
            times = self._seen.setdefault(key, deque())
            self._seen.move_to_end(key)
            while len(self._seen) > self.keep:
                self._seen.popitem(last=False)
            while times and real - times[0] >= self.window:
                times.popleft()
            if len(times) >= self.most:
                return times[0] + self.window - real
            times.append(real)
            return None
