"""What a row says beyond its status: how far a fetch that is under way has come, and what came in
that waits for a person."""

from __future__ import annotations

from datetime import datetime

from flask import url_for

from banklink.store.facts import Record
from banklink.store.models import Connection, FetchRun
from banklink.web.i18n import _, day, ngettext
from banklink.web.viewmodel import OverlayView


def progress(
    connection: Connection, run: FetchRun | None, real: datetime
) -> tuple[OverlayView, bool] | None:
    """`run` is one without a result. Whether somebody works on it now (the lease says so, in
    machine time); a run that was broken off goes on at its page by itself as long as the link is
    on."""
    if run is None or run.kind != "fetch":
        return None
    live = connection.fetch_until is not None and connection.fetch_until > real
    if not live and connection.switch != "on":
        return None
    if not live and run.pages == 0:
        return None  # not begun: nothing to go on with
    text = _("Being fetched") if live else _("Fetched in part")
    detail = so_far(run) if run.pages else _("the first page is asked for")
    if not live:
        detail = _("%(so_far)s; goes on by itself", so_far=detail)
    return OverlayView(key="fetching", text=text, detail=detail), live


def beside(record: Record, real: datetime) -> list[OverlayView]:
    """For the row: the fetch under way, and what waits, with the way to it."""
    views = []
    under_way = progress(record.connection, record.waits.run, real)
    if under_way is not None:
        views.append(under_way[0])
    review, remarks = record.waits.review, record.waits.remarks
    if not (review or remarks):
        return views
    said = []
    if review:
        said.append(
            ngettext(
                "%(n)s transaction waits for your decision",
                "%(n)s transactions wait for your decision",
                review,
            )
        )
    if remarks:
        said.append(ngettext("%(n)s remark to look at", "%(n)s remarks to look at", remarks))
    url = url_for("review.page", connection_id=record.connection.id)
    views.append(
        OverlayView(
            key="review",
            text=" · ".join(said),
            link=(_("Decide") if review else _("Look"), url),
            tone="todo" if review else "",
        )
    )
    return views


def so_far(run: FetchRun) -> str:
    """page 12, 1,100 transactions, back to 3 March."""
    parts = [
        ngettext("%(n)s page", "%(n)s pages", run.pages),
        ngettext("%(n)s transaction", "%(n)s transactions", run.seen),
    ]
    if run.oldest is not None:
        parts.append(_("back to %(date)s", date=day(run.oldest)))
    return ", ".join(parts)
