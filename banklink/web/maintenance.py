"""The maintenance page: every account of one administration, what is wrong and what mends it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container
from dataclasses import replace
from functools import partial
from typing import Any

from flask import (
    Blueprint,
    Response,
    abort,
    g,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from banklink.actions import activate as activation
from banklink.actions import choose_journal as journals
from banklink.actions.activate import Preview
from banklink.actions.fetch import fetch_all
from banklink.actions.invite import MISSING, propose
from banklink.actions.observe import observe_administration
from banklink.actions.services import Refused
from banklink.core.facts import Switch, Trouble
from banklink.core.statuses import Action, Overlay, Status, Urgency
from banklink.core.texts import N_
from banklink.store.facts import Record, record, records
from banklink.store.models import Administration
from banklink.web import asking, panels
from banklink.web.addresses import is_htmx, listing, path_to, with_query
from banklink.web.context import (
    at,
    house,
    may_change,
    my_administration,
    my_administrations,
    person,
    reader,
    tell,
    told,
)
from banklink.web.i18n import _, clock_time, day, ngettext, when
from banklink.web.in_time import in_time
from banklink.web.rows import LETTER, matches, row_address, row_url, row_view, sort_key
from banklink.web.start import unfinished
from banklink.web.viewmodel import (
    Button,
    Details,
    Explained,
    Form,
    Link,
    Notice,
    PageView,
    RowView,
    Tab,
)

blueprint = Blueprint("maintenance", __name__)

PAGE_SIZE = 50
_PATIENCE = 4.0
"""Seconds a form waits for a number that is only nice to have."""
_TABS: dict[str, tuple[str, frozenset[Urgency]]] = {
    "all": (N_("All"), frozenset(Urgency)),
    "todo": (N_("Needs action"), frozenset({Urgency.BROKEN, Urgency.TODO})),
    "soon": (N_("Expires soon"), frozenset({Urgency.SOON})),
    "active": (N_("Active"), frozenset({Urgency.WELL})),
    "off": (N_("Off"), frozenset({Urgency.OFF})),
}
HIDDEN = "hidden"
"""The tab of what somebody said does not belong here; there only when there is any."""
_PANEL_ACTIONS = {
    action.value: action
    for action in (
        Action.ACTIVATE,
        Action.ARM,
        Action.CHANGE_START,
        Action.CHOOSE_JOURNAL,
        Action.REMOVE,
    )
}


@blueprint.get("/")
def page() -> str | BaseResponse:
    """One administration; `connection` and `open` show one row with a panel, for deep links and
    for browsers without JavaScript."""
    asked = listing()
    connection_id, opening = asked.connection, asked.opening
    preview = _preview_here(connection_id) if opening == Action.ACTIVATE.value else None
    with house().services.store.read() as session:
        if not my_administrations(session):
            return redirect(url_for("start.page"), 303) if person().is_owner else _nowhere()
        administration = my_administration(session, request.args.get("administration", type=int))
        found = records(session, administration.id, at(), plain=True)
        target = next((each for each in found if each.connection.id == connection_id), None)
        panel = open_panel(session, target, opening, preview) if target else None
        adding = opening == "add-journal"
        if adding and not may_change():
            abort(403)
        messages = told()
        view = page_view(
            session,
            administration,
            found,
            flash=_page_flash(messages),
            focus=target,
            panel=panel,
            form=panels.add_journal_form(session, administration.id, reader()) if adding else None,
            messages=messages,
        )
        return render_template("maintenance/page.html", page=view)


def _nowhere() -> str:
    """Somebody whom no administration has let in."""
    return render_template(
        "pages/message.html",
        tone="info",
        title=_("No administration yet"),
        text=_("You work in no administration yet. Ask an administrator for an invitation."),
        back=Link(label=_("Your account"), url=url_for("account.page")),
        incident=None,
    )


def _page_flash(messages: dict[int, dict[str, Any]]) -> Notice | None:
    """What was said of the page as a whole (number 0)."""
    message = messages.get(0)
    return Notice(tone=message["tone"], text=message["text"]) if message else None


def _preview_here(connection_id: int | None) -> Preview | None:
    """The first preview of a row of the page's own administration; nobody else's is asked for."""
    with house().services.store.read() as session:
        if not my_administrations(session):
            return None
        administration = my_administration(session, request.args.get("administration", type=int))
        mine = {
            each.connection.id for each in records(session, administration.id, at(), plain=True)
        }
    if connection_id is None or connection_id not in mine:
        return None
    return first_preview(connection_id, Action.ACTIVATE.value)


def first_preview(
    connection_id: int, action: str | None, typed: panels.Typed | None = None
) -> Preview | None:
    """What the day that is filled in would bring, for a form about to open. The provider is asked
    between two readings, never during one, for no more than its newest pages and not for long: a
    form without the number is better than no form."""
    if action != Action.ACTIVATE.value or not may_change():
        return None
    with house().services.store.read() as session:
        found = record(session, connection_id, at(), plain=True)
        wish = panels.first_wish(session, found, reader(), typed or {}) if found else None
    if wish is None:
        return None
    holder, start = wish
    ask = partial(activation.preview, house().services, connection_id, at())
    return in_time(partial(ask, holder=holder, start=start, most_pages=2), _PATIENCE)


def open_panel(
    session: Session, record: Record, name: str | None, preview: Preview | None = None
) -> Details | Form | Explained | None:
    if name in ("details", "history"):
        return panels.details(session, record, reader(), everything=name == "history")
    if name in (Action.REPAIR.value, Action.INVITE.value, LETTER):
        return _asking(session, record, name)
    action = _PANEL_ACTIONS.get(name or "")
    if action is None:
        return None
    if not may_change():
        abort(403)
    return panels.form(session, record, action, reader(), preview=preview)


def _asking(session: Session, record: Record, name: str) -> Explained | Form | None:
    """The wizard, where there is something to ask for."""
    if not may_change():
        abort(403)
    if not (record.diagnosis.row.key in MISSING or record.diagnosis.renewable):
        return None
    proposal = propose(house().services, session, record, at())
    if name == LETTER or record.diagnosis.renewable:
        return asking.letter(session, record, proposal, reader())
    return asking.explained(session, record, proposal, reader())


def page_view(
    session: Session,
    administration: Administration,
    found: list[Record],
    *,
    focus: Record | None = None,
    panel: Details | Form | Explained | None = None,
    form: Form | None = None,
    flash: Notice | None = None,
    messages: dict[int, dict[str, Any]] | None = None,
) -> PageView:
    """The page around the rows. With `focus`, or else the row that stands in the address, the page
    of the list that holds it; under all when it is not under the tab asked for. A fragment leaves
    the tab: its page stands already."""
    asked = listing()
    if focus is None:
        focus = next((each for each in found if each.connection.id == asked.connection), None)
    shown = sorted((each for each in found if each.shown), key=sort_key)
    counts = Counter(each.diagnosis.urgency for each in shown)
    hidden = sorted((each for each in found if each.hidden), key=sort_key)
    chosen = asked.filter if asked.filter in (*_TABS, HIDDEN) else "all"
    query, number = asked.query, asked.number
    hits = _hits(hidden if chosen == HIDDEN else shown, chosen, query)
    if focus in (*shown, *hidden) and focus not in hits and not is_htmx():
        chosen, query = HIDDEN if focus in hidden else "all", ""
        hits = hidden if focus in hidden else shown
    if focus in hits:
        number = hits.index(focus) // PAGE_SIZE + 1
    number = min(number, max(1, -(-len(hits) // PAGE_SIZE)))
    first = (number - 1) * PAGE_SIZE
    who = reader()
    rows = tuple(
        row_view(
            each,
            who,
            panel=panel if focus is each else None,
            flash=flashed(each, messages or {}),
        )
        for each in hits[first : first + PAGE_SIZE]
    )
    attention = counts[Urgency.BROKEN] + counts[Urgency.TODO]
    morning, tone = _morning(shown, attention)
    here = path_to("maintenance.page")

    def link(**changes: object) -> str:
        kept = {
            "administration": administration.id,
            "filter": chosen if chosen != "all" else None,
            "q": query or None,
        }
        return with_query(here, **{**kept, **changes})

    view = PageView(
        administration_id=administration.id,
        administration=administration.name,
        administrations=tuple(
            Link(
                label=each.name,
                url=f"{here}?administration={each.id}",
                current=each.id == administration.id,
            )
            for each in my_administrations(session)
        ),
        tabs=tuple(
            Tab(
                key=key,
                label=_(label),
                count=sum(counts[urgency] for urgency in urgencies),
                url=link(filter=key if key != "all" else None),
                current=key == chosen,
            )
            for key, (label, urgencies) in _TABS.items()
        )
        + _hidden_tab(len(hidden), link(filter=HIDDEN), chosen == HIDDEN),
        filter=chosen,
        query=query,
        rows=rows,
        total=len(hits),
        shown=_range(first, len(rows), len(hits)),
        previous=Link(label=_("Previous"), url=link(page=number - 1)) if number > 1 else None,
        next=Link(label=_("Next"), url=link(page=number + 1))
        if first + PAGE_SIZE < len(hits)
        else None,
        morning=morning,
        morning_tone=tone,
        attention=attention,
        icon_url=path_to("badge", number=attention)
        if attention
        else url_for("static", filename="favicon.svg"),
        updated=clock_time(at().now),
        updated_day=day(at().today),
        updated_iso=at().now.isoformat(timespec="seconds"),
        refresh_url=path_to("maintenance.refresh", administration_id=administration.id)
        if may_change()
        else None,
        poll_url=path_to("maintenance.rows", administration_id=administration.id),
        base_url=here,
        empty=_empty(administration, shown, chosen, query) if not rows else None,
        add_journal=_add_journal(administration) if may_change() else None,
        form=form,
        flash=flash,
        set_up=unfinished(session, administration.id),
    )
    said = repr((view.morning, view.shown, [tab.count for tab in view.tabs]))
    return replace(view, digest=hashlib.sha256(said.encode()).hexdigest()[:16])


def _hidden_tab(count: int, url: str, current: bool) -> tuple[Tab, ...]:
    if not count and not current:
        return ()
    return (Tab(key=HIDDEN, label=_("Hidden"), count=count, url=url, current=current),)


def _hits(shown: list[Record], chosen: str, query: str) -> list[Record]:
    urgencies = _TABS[chosen][1] if chosen in _TABS else frozenset(Urgency)
    return [each for each in shown if each.diagnosis.urgency in urgencies and matches(each, query)]


def flashed(record: Record, messages: dict[int, dict[str, Any]]) -> Notice | None:
    message = messages.get(record.connection.id)
    if message is None:
        return None
    return Notice(
        tone=str(message["tone"]),
        text=str(message["text"]),
        copy=message.get("copy"),
        button=undo_button(record) if message.get("undo") else _way(message.get("way")),
    )


def _way(way: list[str] | None) -> Button | None:
    """A page that what was said leads to."""
    if not way:
        return None
    label, url = way
    return Button(action="way", label=label, name=label, method="get", url=url)


def undo_button(record: Record) -> Button:
    """Takes back what was just done to the row: hidden, or else switched off."""
    if record.hidden:
        return Button(
            action="undo",
            label=_("Undo"),
            name=_("Undo: show again"),
            method="post",
            url=url_for("connections.show", connection_id=record.connection.id),
            fields=(("version", str(record.connection.version)),),
        )
    return Button(
        action="undo",
        label=_("Undo"),
        name=_("Undo: switch on again"),
        method="post",
        url=url_for("connections.undo", connection_id=record.connection.id),
        fields=(("version", str(record.connection.version)),),
    )


def _range(first: int, count: int, total: int) -> str:
    if total <= count:
        return ngettext("%(n)s account", "%(n)s accounts", total)
    return _(
        "%(first)s–%(last)s of %(total)s accounts", first=first + 1, last=first + count, total=total
    )


def _morning(shown: list[Record], attention: int) -> tuple[str, str]:
    """The page's first sentence, which of the mornings it is, and its tone. That everything runs is
    said only where it does."""
    troubles, expiring = _troubles(shown, attention), _next_expiry(shown)
    if attention:
        asked = ngettext("%(n)s link needs action", "%(n)s links need action", attention)
        return " · ".join([asked, *expiring, *troubles]), "todo"
    if troubles:
        return " · ".join([*troubles, *expiring]), "soon"
    if not shown:
        return _("There are no bank accounts here yet"), "info"
    on = [each for each in shown if each.facts.switch is Switch.ON]
    if not on:
        ever = any(each.facts.switch is Switch.OFF for each in shown)
        return _("No link is switched on") if ever else _("Nothing is connected yet"), "info"
    successes = [each.facts.last_success for each in on if each.facts.last_success]
    if not successes:
        return " · ".join([_("Nothing needs action"), *expiring]), "well"
    runs = _("Everything runs. Last fetched %(when)s", when=when(max(successes), at().today))
    due = [each.connection.next_fetch_at for each in shown if each.connection.next_fetch_at]
    checked = (
        [_("next check %(when)s", when=when(max(min(due), at().now), at().today))] if due else []
    )
    return " · ".join([runs, *expiring, *checked]), "well"


def _troubles(shown: list[Record], attention: int) -> list[str]:
    """What does not run although its status is well: nothing a bookkeeper can mend, except a gap,
    a balance that is off, and details that the provider refuses."""
    well = [each for each in shown if each.diagnosis.status is Status.ACTIVE]
    silent = [each for each in well if each.diagnosis.silent]
    gaps = [each for each in well if Overlay.POSSIBLE_GAP in each.diagnosis.overlays]
    wrong = [each for each in well if Overlay.UNBALANCED in each.diagnosis.overlays]
    refused = any(
        each.facts.trouble_since is not None and each.facts.trouble is Trouble.REFUSED
        for each in silent
    )
    parts = []
    if silent and not (attention or gaps or wrong or refused):
        parts.append(
            ngettext(
                "Nothing to do for you, but %(n)s account gets no transactions now",
                "Nothing to do for you, but %(n)s accounts get no transactions now",
                len(silent),
            )
        )
    elif silent:
        parts.append(
            ngettext(
                "%(n)s account gets no transactions now",
                "%(n)s accounts get no transactions now",
                len(silent),
            )
        )
    if gaps:
        parts.append(
            ngettext(
                "%(n)s account may miss transactions",
                "%(n)s accounts may miss transactions",
                len(gaps),
            )
        )
    deciding = sum(bool(each.waits.review) for each in shown)
    if deciding:
        parts.append(
            ngettext(
                "%(n)s account has transactions to decide about",
                "%(n)s accounts have transactions to decide about",
                deciding,
            )
        )
    if wrong:
        parts.append(
            ngettext(
                "%(n)s account has a balance that does not add up",
                "%(n)s accounts have a balance that does not add up",
                len(wrong),
            )
        )
    return parts


def _next_expiry(shown: list[Record]) -> list[str]:
    left = [
        holder.days_left
        for each in shown
        if Overlay.EXPIRING in each.diagnosis.overlays
        and (holder := each.facts.holders.get(each.facts.selected or "")) is not None
        and holder.days_left is not None
    ]
    if not left:
        return []
    if min(left) == 0:
        return [_("the next one expires today")]
    return [
        ngettext(
            "the next one expires in %(n)s day", "the next one expires in %(n)s days", min(left)
        )
    ]


def _empty(administration: Administration, shown: list[Record], chosen: str, query: str) -> Notice:
    if shown and query:
        return Notice(
            tone="info",
            text=_("Nothing found for “%(query)s”.", query=query),
            button=_plain_link(
                _("Show all"), url_for("maintenance.page", administration=administration.id)
            ),
        )
    if shown:
        tab = _(_TABS[chosen][0]) if chosen in _TABS else _("Hidden")
        return Notice(
            tone="info",
            text=_("Nothing under %(tab)s. Good.", tab=tab)
            if chosen in ("todo", "soon")
            else _("Nothing under %(tab)s.", tab=tab),
            button=_plain_link(
                _("Show all"), url_for("maintenance.page", administration=administration.id)
            ),
        )
    if not may_change():
        return Notice(tone="info", text=_("There are no bank accounts here yet."))
    return Notice(
        tone="info",
        text=_("Add a bank journal with its IBAN first; then its account appears here."),
        button=_add_journal(administration),
    )


def _plain_link(label: str, url: str) -> Button:
    return Button(action="show-all", label=label, name=label, method="get", url=url)


def _add_journal(administration: Administration) -> Button:
    label = _("Add journal")
    return Button(
        action="add-journal",
        label=label,
        name=label,
        method="get",
        url=with_query(
            path_to("maintenance.page"), administration=administration.id, open="add-journal"
        ),
    )


# -- refreshing ---------------------------------------------------------------------------------


@blueprint.get("/administrations/<int:administration_id>/rows")
def rows(administration_id: int) -> Response:
    """The quiet poll: only rows that differ from what the browser shows; 204 when none do."""
    return _changes(administration_id, always=False)


@blueprint.post("/administrations/<int:administration_id>/refresh")
def refresh(administration_id: int) -> BaseResponse:
    """*Ververs*: ask the provider what it shows now, then the same as the poll."""
    with house().services.store.read() as session:
        my_administration(session, administration_id)
    due, complete = observe_administration(house().services, administration_id, at())
    fetch_all(house().services, due, at())
    notice = None if complete else Notice(tone="error", text=_not_answering())
    if is_htmx():
        return _changes(administration_id, always=True, flash=notice)
    if notice is not None:
        tell(0, notice)
    return redirect(url_for("maintenance.page", administration=administration_id), 303)


def _not_answering() -> str:
    return _(
        "%(provider)s does not answer right now; what you see is from before."
        " It is tried again by itself.",
        provider=house().settings.provider_name,
    )


def _changes(administration_id: int, *, always: bool, flash: Notice | None = None) -> Response:
    """What a browser's page has to learn: rows that differ, that came and that left, rows that
    changed under an open form, and what the whole list says."""
    seen, editing = _digests("row"), _digests("editing")
    with house().services.store.read() as session:
        administration = my_administration(session, administration_id)
        found = records(session, administration.id, at(), plain=True)
        page = page_view(session, administration, found, flash=flash)
        views = {view.id: view for view in page.rows}
        shown = {
            each.connection.id: each
            for each in found
            if (each.hidden if page.filter == HIDDEN else each.shown)
        }
        for key in (seen | editing).keys() & (shown.keys() - views.keys()):
            views[key] = row_view(shown[key], reader())  # under another tab by now, still in sight
        changed = [views[key] for key in seen if key in views and views[key].digest != seen[key]]
        waiting = [
            replace(views[key], show=_show(shown[key]))
            for key in editing
            if key in views and views[key].digest != editing[key]
        ]
        came = _came(page, seen.keys() | editing.keys())
        gone = [key for key in seen if key not in shown]
        same_list = request.values.get("list", page.digest) == page.digest
        if same_list and not (changed or waiting or came or gone or always):
            return make_response("", 204)
        answer = render_template(
            "maintenance/_poll.html",
            page=page,
            asked=always,
            rows=changed,
            editing=waiting,
            came=came,
            gone=gone,
            bare=not (seen or editing),
            emptied=not (seen.keys() - set(gone) or editing or came),
        )
    return make_response(answer)


def _came(page: PageView, seen: Container[int]) -> list[tuple[int | None, RowView]]:
    """Rows a browser's page does not have yet, each with the row it stands after: None at the head
    of the list."""
    befores = [None, *(row.id for row in page.rows)]
    return [
        (before, row) for before, row in zip(befores, page.rows, strict=False) if row.id not in seen
    ]


def _digests(name: str) -> dict[int, str]:
    pairs = (value.partition(":") for value in request.values.getlist(name)[:500])
    return {int(key): digest for key, _colon, digest in pairs if key.isdecimal()}


def _show(record: Record) -> Button:
    return Button(
        action="show",
        label=_("Show"),
        name=_("Show the changed row"),
        method="get",
        url=row_url(record),
        fragment=url_for("connections.row", connection_id=record.connection.id),
    )


# -- journals -----------------------------------------------------------------------------------


@blueprint.post("/administrations/<int:administration_id>/journals")
def add_journal(administration_id: int) -> BaseResponse | tuple[str, int]:
    typed = {name: request.form.get(name, "") for name in ("code", "name", "iban")}
    with house().services.store.read() as session:
        my_administration(session, administration_id)
    try:
        connection_id = journals.add_journal(
            house().services, administration_id, at(), actor=person().name, **typed
        )
    except Refused as error:
        with house().services.store.read() as session:
            administration = my_administration(session, administration_id)
            form = panels.add_journal_form(
                session, administration_id, reader(), typed=typed, error=error
            )
            g.stay = url_for(
                "maintenance.page", administration=administration_id, open="add-journal"
            )
            view = page_view(
                session,
                administration,
                records(session, administration_id, at(), plain=True),
                form=form,
            )
            return render_template("maintenance/page.html", page=view), 422
    tell(connection_id, Notice(tone="ok", text=_("Journal added.")))
    return redirect(row_address(administration_id, connection_id), 303)
