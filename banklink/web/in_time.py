"""Waiting for an answer that is nice to have, but not for long."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import BoundedSemaphore, Thread
from typing import TypeVar

Answer = TypeVar("Answer")

_seats = BoundedSemaphore(4)
"""However many pages are opened while a service is silent, no more than these wait for it."""


def in_time(work: Callable[[], Answer], seconds: float) -> Answer | None:
    """What `work` returns or raises, or None when that takes longer; it is left to end by itself.

    `work` runs in a thread of its own, so it may not need the request.
    """
    if not _seats.acquire(blocking=False):
        return None
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except Exception as error:
            answer.set_exception(error)
        finally:
            _seats.release()

    # No daemon: the process waits for it, so that a token it was handed is stored before the end.
    Thread(target=run, name="in-time", daemon=False).start()
    try:
        return answer.result(seconds)
    except TimeoutError:
        return None
