"""The log of fetches of one account, and how far the one that is under way has come."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, render_template, request, url_for
from sqlalchemy import select
from sqlalchemy.orm import Session

from banklink.core.texts import N_
from banklink.store.asides import waiting_for
from banklink.store.facts import holder_names
from banklink.store.models import Connection, FetchRun, Upload
from banklink.web.account_head import connection_here, head, why
from banklink.web.called import called
from banklink.web.context import MOST, at, house, may_change
from banklink.web.i18n import _, day, moment, ngettext, number, soon, when
from banklink.web.progress import progress as how_far
from banklink.web.progress import so_far
from banklink.web.said import said
from banklink.web.viewmodel import Link

blueprint = Blueprint("fetches", __name__, url_prefix="/connections/<int:connection_id>/fetches")

PAGE = 50

RESULTS: dict[str, str] = {
    "ok": N_("complete"),
    "refused": N_("no access"),
    "unreadable": N_("the answer could not be read"),
    "abandoned": N_("broken off, begun anew"),
    "restarted": N_("begun anew"),
    "undone": N_("taken back"),
    "outage": N_("no answer came"),
}


@blueprint.get("")
def page(connection_id: int) -> str:
    """Newest first; a page begins before the run it is asked to."""
    before = request.args.get("before", MOST, type=int)
    with house().services.store.read() as session:
        connection = connection_here(session, connection_id)
        runs = session.scalars(
            select(FetchRun)
            .where(FetchRun.connection_id == connection_id, FetchRun.id < max(0, min(before, MOST)))
            .order_by(FetchRun.id.desc())
            .limit(PAGE + 1)
        ).all()
        shown = runs[:PAGE]
        numbers = {run.holder_id for run in shown if run.holder_id is not None}
        names = holder_names(session, connection.administration_id, numbers)
        files = _files(session, {run.upload_id for run in shown if run.upload_id is not None})
        here = url_for(".page", connection_id=connection_id)
        return render_template(
            "transactions/fetches.html",
            head=head(session, connection, "fetches"),
            notice=said(),
            runs=[_run(run, connection, names, files) for run in shown],
            pages={
                **({"first": Link(label=_("Newest"), url=here)} if before < MOST else {}),
                **(
                    {"next": Link(label=_("Older"), url=f"{here}?before={shown[-1].id}")}
                    if len(runs) > PAGE
                    else {}
                ),
            },
        )


def _files(session: Session, numbers: set[int]) -> dict[int, str]:
    if not numbers:
        return {}
    found = session.execute(select(Upload.id, Upload.name).where(Upload.id.in_(numbers)))
    return {row.id: row.name for row in found}


def _upload(run: FetchRun) -> str | None:
    """Where the file can be looked at again and taken back, for who may."""
    if run.upload_id is None or not may_change():
        return None
    return url_for("uploads.look", connection_id=run.connection_id, upload_id=run.upload_id)


def _run(
    run: FetchRun, connection: Connection, names: dict[int, str | None], files: dict[int, str]
) -> dict[str, Any]:
    tone, result = _result(run, connection)
    counts = [
        ("seen", _("received"), run.seen, True),
        ("added", _("new"), run.added, True),
        ("known", _("known"), run.known, False),
        ("changed", _("changed"), run.changed, False),
        ("reviewed", _("set aside"), run.reviewed, False),
        ("unreadable", _("unreadable"), run.unreadable, False),
    ]
    where = url_for("transactions.page", connection_id=connection.id, run=run.id, state="all")
    aside = url_for("review.page", connection_id=connection.id)
    links = {"added": where, "reviewed": aside, "changed": aside, "unreadable": aside}
    return {
        "id": run.id,
        "when": when(run.started_at, at().today),
        "iso": run.started_at.isoformat(timespec="seconds"),
        "exact": moment(run.started_at),
        "took": _took(run.finished_at - run.started_at) if run.finished_at else None,
        "why": why(run),
        "who": run.actor,
        "file": _upload(run) if run.kind == "file" else None,
        "through": files.get(run.upload_id or 0, _("a file"))
        if run.kind == "file"
        else called(names.get(run.holder_id or 0), run.holder_id or 0),
        "asked": _(
            "%(first)s up to and including %(last)s", first=day(run.since), last=day(run.until)
        ),
        "less": _("wanted from %(date)s", date=day(run.wanted_from))
        if run.wanted_from and run.wanted_from < run.since
        else None,
        "counts": [
            (key, label, number(count), links.get(key) if count else None)
            for key, label, count, always in counts
            if count or always
        ],
        "pages": ngettext("%(n)s page", "%(n)s pages", run.pages) if run.pages > 1 else None,
        "tone": tone,
        "result": result,
    }


def _result(run: FetchRun, connection: Connection) -> tuple[str, str]:
    if run.result is None:
        known = how_far(connection, run, at().real)
        view, live = known or (None, False)
        if live:
            return "soon", f"{_('under way')}: {so_far(run)}"
        until = connection.limited_until
        if until is not None and until > at().now and connection.switch == "on":
            return "soon", _stopped(run, soon(until, at().now))
        return ("soon", view.detail or view.text) if view else ("off", _("not finished"))
    tone = {"ok": "well", "abandoned": "off", "restarted": "off", "undone": "off"}.get(
        run.result, "todo"
    )
    return tone, _(RESULTS.get(run.result, RESULTS["outage"]))


def _stopped(run: FetchRun, until: str) -> str:
    """By the bank's limit, before its first page or after some."""
    if run.pages == 0:
        return _("stopped by the bank's limit until %(when)s; then goes on by itself", when=until)
    return _(
        "%(so_far)s; stopped by the bank's limit until %(when)s; then goes on by itself",
        so_far=so_far(run),
        when=until,
    )


def _took(taken: timedelta) -> str:
    seconds = round(taken.total_seconds())
    if seconds < 1:
        return _("within a second")
    if seconds < 60:
        return ngettext("%(n)s second", "%(n)s seconds", seconds)
    if seconds < 3600:
        return ngettext("%(n)s minute", "%(n)s minutes", round(seconds / 60))
    return ngettext("%(n)s hour", "%(n)s hours", round(seconds / 3600))


@blueprint.get("/progress")
def progress(connection_id: int) -> str:
    """The line that stands on the account's pages while something is under way; it asks for itself
    until there is an end to tell."""
    with house().services.store.read() as session:
        connection = connection_here(session, connection_id)
        waits = waiting_for(session, connection_id)
        known = how_far(connection, waits.run, at().real)
        last = session.scalar(
            select(FetchRun)
            .where(FetchRun.connection_id == connection_id, FetchRun.kind == "fetch")
            .order_by(FetchRun.id.desc())
            .limit(1)
        )
        done = None
        if known is None and last is not None and last.result == "ok":
            done = ngettext(
                "Done: %(n)s new transaction.", "Done: %(n)s new transactions.", last.added
            )
        elif known is None and last is not None and last.result is not None:
            done = _(
                "The fetch ended: %(result)s.",
                result=_(RESULTS.get(last.result, RESULTS["outage"])),
            )
        return render_template(
            "transactions/_progress.html",
            progress=known[0] if known else None,
            progress_url=url_for(".progress", connection_id=connection_id)
            if known and known[1]
            else None,
            done=done,
            shown=url_for("transactions.page", connection_id=connection_id),
        )
