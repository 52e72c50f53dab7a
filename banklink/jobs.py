"""Schedules. The periodic jobs, each one line into actions; started only by a running server.

The timer is an alarm clock: what is due stands in the database, so a missed run is caught up by
the next, runs coalesce, and moving the demo clock merely rings early. Times are UTC.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from banklink import clock as clocks
from banklink.actions.check import check_expiries, check_grants, fetch_due
from banklink.actions.digest import digest
from banklink.actions.outbox import deliver, wipe
from banklink.actions.remind import remind
from banklink.actions.retention import delete_old
from banklink.actions.revoke import revoke_due
from banklink.actions.services import Services
from banklink.actions.summarise import rewrite_due
from banklink.actions.sweep import sweep
from banklink.actions.tell_done import tell_renewals
from banklink.clock import Clock

log = logging.getLogger(__name__)

JOBS = {
    "revocations": (60, revoke_due),
    "sweep": (60, sweep),
    "expiries": (60, check_expiries),
    "grants": (60, check_grants),
    "reminders": (15, remind),
    "digests": (15, digest),
    "fetches": (60, fetch_due),
    "renewals": (60, tell_renewals),
    "mails": (15, deliver),
    "wiping": (3600, wipe),
    "retention": (3600, delete_old),
    "summaries": (60, rewrite_due),
}
"""Name → seconds between two looks, and the action that does what is due by then."""

SLOW = frozenset({"grants", "fetches"})
"""Those that ask the provider about every account, which can take long; they have threads of their
own, so that mails and reminders never wait for them."""


_AFTER_THE_START = timedelta(seconds=1)


def run(name: str, services: Services, clock: Clock) -> int:
    """One look of one job. Returns how many items it did; a failure is logged, the next look
    tries again."""
    try:
        return JOBS[name][1](services, clocks.read(clock))
    except Exception:
        log.exception("job %s failed; it is tried again at its next turn", name)
        return 0


def run_all(services: Services, clock: Clock) -> None:
    """Every job once, in order: what expired is told before what works is fetched, and before
    anybody is written to."""
    for name in JOBS:
        run(name, services, clock)


def start(services: Services, clock: Clock) -> BackgroundScheduler:
    """Start the scheduler; its first looks come at once, which catches up after a pause, or all
    but at once: who started it is looking at the first page."""
    scheduler = BackgroundScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(2), "slow": ThreadPoolExecutor(len(SLOW))},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    for name, (seconds, _) in JOBS.items():
        scheduler.add_job(
            run,
            "interval",
            seconds=seconds,
            id=name,
            executor="slow" if name in SLOW else "default",
            args=(name, services, clock),
            next_run_time=datetime.now(UTC) + _AFTER_THE_START,
        )
    scheduler.start()
    return scheduler


def wake(scheduler: BackgroundScheduler) -> None:
    """Look at everything now, in order: the demo clock has moved."""
    job = scheduler.get_job(next(iter(JOBS)))
    if job is not None:
        _name, services, clock = job.args
        scheduler.add_job(run_all, args=(services, clock), id="woken", replace_existing=True)
