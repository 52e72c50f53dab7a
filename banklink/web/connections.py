"""One row: its fragment, its forms, and the verbs a person can say to it. Every one of them
answers with the same row; without JavaScript with the page around it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Response,
    abort,
    g,
    make_response,
    redirect,
    render_template,
    request,
)
from sqlalchemy import select, true
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from banklink.actions import activate as activation
from banklink.actions import choose_journal as journals
from banklink.actions import come_back, depart
from banklink.actions import hide as hiding
from banklink.actions import switch_off as switching
from banklink.actions.change_start import change_start as change_start_action
from banklink.actions.fetch import Fetched
from banklink.actions.fetch import fetch as fetch_action
from banklink.actions.remove import remove as remove_action
from banklink.actions.services import Missing, Refused, Stale
from banklink.actions.use_holder import use_holder as use_holder_action
from banklink.core.calendar import FIRST_DAY
from banklink.core.invitations import Purpose
from banklink.core.statuses import Action
from banklink.store.facts import Record, record, records
from banklink.store.models import (
    Account,
    Administration,
    Connection,
)
from banklink.web import consent_words, panels
from banklink.web.addresses import is_htmx, listing
from banklink.web.consent_words import ConsentText
from banklink.web.context import (
    at,
    browser,
    house,
    my_administration,
    person,
    reader,
    tell,
)
from banklink.web.i18n import _, ngettext
from banklink.web.maintenance import HIDDEN, first_preview, open_panel, page_view, undo_button
from banklink.web.rows import row_address, row_url, row_view
from banklink.web.viewmodel import Details, Explained, Form, Notice

blueprint = Blueprint("connections", __name__, url_prefix="/connections/<int:connection_id>")

Answer = BaseResponse | str | tuple[str, int]


def one_record(session: Session, connection_id: int) -> Record:
    found = record(session, connection_id, at(), plain=True)
    if found is None:
        abort(404)
    return found


@blueprint.get("/row")
def row(connection_id: int) -> Response:
    """The row alone; `open` names the panel in it. The page's address follows, so that Back
    closes what was opened."""
    opening = request.args.get("open")
    preview = first_preview(connection_id, opening)
    with house().services.store.read() as session:
        found = one_record(session, connection_id)
        panel = open_panel(session, found, opening, preview)
        response = make_response(row_html(found, panel=panel))
        _follow(response, found, opening if panel else None)
        return response


def _follow(answer: Response, found: Record, opening: str | None) -> None:
    """Let the address bar say which row's panel is open: opening is a step of its own, closing and
    pressing are not."""
    before = listing()
    here = before.connection == found.connection.id
    if opening and not (here and before.opening == opening):
        answer.headers["HX-Push-Url"] = row_url(found, opening)
    elif not opening and here and before.opening:
        answer.headers["HX-Replace-Url"] = row_url(found)


def row_html(found: Record, *, panel: Details | Form | Explained | None = None) -> str:
    return render_template("maintenance/_row.html", row=row_view(found, reader(), panel=panel))


def answer(
    connection_id: int,
    notice: Notice | None = None,
    *,
    status: int = 200,
    undo: bool = False,
) -> Answer:
    """The fresh row with what there is to say, and what the whole list says now; a redirect to the
    row without JavaScript."""
    with house().services.store.read() as session:
        found = one_record(session, connection_id)
        if not is_htmx():
            if notice is not None:
                tell(connection_id, notice, undo=undo)
            return redirect(row_url(found), 303)
        if notice is not None and undo:
            notice = Notice(tone=notice.tone, text=notice.text, button=undo_button(found))
        administration = my_administration(session, found.connection.administration_id)
        page = page_view(
            session, administration, records(session, administration.id, at(), plain=True)
        )
        if not _stays(found):
            gone = make_response(
                render_template("maintenance/_gone.html", notice=notice, page=page)
            )
            gone.headers["HX-Replace-Url"] = listing().address(administration.id)
            return gone
        row = row_view(found, reader(), flash=notice)
        response = make_response(
            render_template("maintenance/_answer.html", row=row, page=page), status
        )
        _follow(response, found, None)
        return response


def _stays(found: Record) -> bool:
    """Whether the row is still one of the list that is looked at."""
    return found.hidden if listing().filter == HIDDEN else found.shown


def _form_again(
    connection_id: int,
    action: Action,
    typed: dict[str, str],
    *,
    error: Refused | None = None,
    stale: Stale | None = None,
) -> Answer:
    """422: the same form, what was typed kept, the error at its field."""
    preview = first_preview(connection_id, action.value, typed)
    with house().services.store.read() as session:
        found = one_record(session, connection_id)
        form = panels.form(
            session,
            found,
            action,
            reader(),
            typed=typed,
            error=error,
            stale_by=stale,
            preview=preview,
        )
        return again(session, found, form, action.value)


def again(session: Session, found: Record, form: Form, panel: str) -> Answer:
    """422: the row with this form open in it; without JavaScript the page around it."""
    if is_htmx():
        return row_html(found, panel=form), 422
    administration = my_administration(session, found.connection.administration_id)
    g.stay = row_url(found, panel)
    everything = records(session, administration.id, at(), plain=True)
    focus = next(each for each in everything if each.connection.id == found.connection.id)
    view = page_view(session, administration, everything, focus=focus, panel=form)
    return render_template("maintenance/page.html", page=view), 422


def _submit(
    connection_id: int,
    action: Action,
    names: tuple[str, ...],
    do: Callable[[dict[str, str]], Notice | None],
) -> Answer:
    """Run a form's verb with what was typed; a `take_…` button carries the offered value."""
    typed = {name: request.form.get(f"take_{name}") or request.form.get(name, "") for name in names}
    try:
        notice = do(typed)
    except Refused as error:
        return _form_again(connection_id, action, typed, error=error)
    except Stale as error:
        return _form_again(connection_id, action, typed, stale=error)
    return answer(connection_id, notice)


def press(connection_id: int, do: Callable[[], Notice | None], *, undo: bool = False) -> Answer:
    """Run a button's verb."""
    try:
        notice = do()
    except Refused as error:
        return answer(
            connection_id, Notice(tone="error", text=panels.refusal(error, reader())), status=409
        )
    except Stale as error:
        return answer(connection_id, Notice(tone="error", text=panels.stale(error)), status=409)
    return answer(connection_id, notice, undo=undo)


def seen_version() -> int | None:
    """The row version the person saw; without a readable one nothing was seen."""
    text = request.form.get("version", "")
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _fetched(result: Fetched | None, done: str) -> Notice:
    if result is None:
        return Notice(tone="ok", text=done)
    if result.result == "ok":
        news = ngettext("%(n)s new transaction", "%(n)s new transactions", result.added)
        return Notice(tone="ok", text=f"{done} {news}.")
    if result.result == "busy":
        return Notice(
            tone="info", text=_("%(done)s Fetching was already under way.", done=done).strip()
        )
    if result.result == "going_on":
        return Notice(
            tone="info",
            text=_(
                "%(done)s There is a lot to fetch: that goes on by itself, you need not wait.",
                done=done,
            ).strip(),
        )
    if result.result == "limited":
        return Notice(
            tone="info",
            text=_(
                "%(done)s The bank's limit is reached; fetching waits for it.", done=done
            ).strip(),
        )
    return Notice(
        tone="error",
        text=_(
            "%(done)s Fetching did not work right now; it is tried again by itself.", done=done
        ).strip(),
    )


# -- forms --------------------------------------------------------------------------------------


@blueprint.post("/activate")
def activate(connection_id: int) -> Answer:
    def do(typed: dict[str, str]) -> Notice:
        result = activation.activate(
            house().services,
            connection_id,
            at(),
            holder=typed["holder"],
            start=typed["start"],
            version=seen_version(),
            actor=person().name,
        )
        return _fetched(result, _("Switched on."))

    return _submit(connection_id, Action.ACTIVATE, ("holder", "start"), do)


@blueprint.get("/preview")
def preview(connection_id: int) -> str:
    """How many transactions a start date would bring, where a holder was chosen, and what to look
    out for; empty when nothing can be said."""
    try:
        start = date.fromisoformat(request.args.get("start", ""))
    except ValueError:
        return ""
    found = activation.preview(
        house().services, connection_id, at(), holder=request.args.get("holder"), start=start
    )
    if not FIRST_DAY <= start <= at().today:
        return ""
    with house().services.store.read() as session:
        twice = panels.twice_text(session, one_record(session, connection_id), start, reader())
    return panels.said_before(found, twice, reader()) or ""


@blueprint.post("/arm")
def arm(connection_id: int) -> Answer:
    def do(typed: dict[str, str]) -> Notice:
        activation.arm(
            house().services,
            connection_id,
            at(),
            start=typed["start"],
            version=seen_version(),
            actor=person().name,
        )
        return Notice(tone="ok", text=_("Kept: switches on by itself after the bank step."))

    return _submit(connection_id, Action.ARM, ("start",), do)


@blueprint.post("/disarm")
def disarm(connection_id: int) -> Answer:
    def do() -> None:
        activation.disarm(
            house().services, connection_id, at(), version=seen_version(), actor=person().name
        )

    return press(connection_id, do)


@blueprint.post("/change-start")
def change_start(connection_id: int) -> Answer:
    def do(typed: dict[str, str]) -> Notice:
        result = change_start_action(
            house().services,
            connection_id,
            at(),
            start=typed["start"],
            version=seen_version(),
            actor=person().name,
        )
        return _fetched(result, _("Start date changed."))

    return _submit(connection_id, Action.CHANGE_START, ("start",), do)


@blueprint.post("/choose-journal")
def choose_journal(connection_id: int) -> Answer:
    def do(typed: dict[str, str]) -> Notice:
        result = journals.choose_journal(
            house().services,
            connection_id,
            at(),
            journal=typed["journal"],
            code=typed["code"],
            name=typed["name"],
            version=seen_version(),
            actor=person().name,
        )
        runs = result is not None and result.result in ("ok", "busy")
        done = _("Journal changed. The link runs again.") if runs else _("Journal changed.")
        return _fetched(result, done)

    return _submit(connection_id, Action.CHOOSE_JOURNAL, ("journal", "code", "name"), do)


@blueprint.post("/hide")
def hide(connection_id: int) -> Answer:
    def do() -> Notice:
        hiding.hide(
            house().services, connection_id, at(), version=seen_version(), actor=person().name
        )
        return Notice(
            tone="ok",
            text=_("Hidden; nothing is fetched of it. It stands under the tab Hidden."),
        )

    return press(connection_id, do, undo=True)


@blueprint.post("/show")
def show(connection_id: int) -> Answer:
    def do() -> Notice:
        hiding.show(
            house().services, connection_id, at(), version=seen_version(), actor=person().name
        )
        return Notice(tone="ok", text=_("Stands in the list again."))

    return press(connection_id, do)


@blueprint.post("/remove")
def remove(connection_id: int) -> Answer:
    def do(typed: dict[str, str]) -> Notice:
        remove_action(
            house().services, connection_id, at(), version=seen_version(), actor=person().name
        )
        return Notice(tone="ok", text=_("Link removed; transactions and history stay."))

    return _submit(connection_id, Action.REMOVE, (), do)


# -- buttons ------------------------------------------------------------------------------------


@blueprint.post("/switch-off")
def switch_off(connection_id: int) -> Answer:
    def do() -> Notice:
        switching.switch_off(
            house().services, connection_id, at(), version=seen_version(), actor=person().name
        )
        return Notice(tone="ok", text=_("Switched off."))

    return press(connection_id, do, undo=True)


@blueprint.post("/undo")
def undo(connection_id: int) -> Answer:
    def do() -> Notice:
        switching.undo(
            house().services, connection_id, at(), version=seen_version(), actor=person().name
        )
        return Notice(tone="ok", text=_("Switched on again."))

    return press(connection_id, do)


@blueprint.post("/use-holder")
def use_holder(connection_id: int) -> Answer:
    def do() -> Notice:
        result = use_holder_action(
            house().services,
            connection_id,
            at(),
            holder=request.form.get("holder", ""),
            version=seen_version(),
            actor=person().name,
        )
        return _fetched(result, _("Holder changed."))

    return press(connection_id, do)


@blueprint.post("/fetch")
def fetch(connection_id: int) -> Answer:
    def do() -> Notice:
        result = fetch_action(
            house().services,
            connection_id,
            at(),
            actor=person().name,
            user_ip=request.remote_addr or "127.0.0.1",
        )
        if result.result == "not_active":
            return Notice(tone="error", text=_("Fetching is not possible now; see the status."))
        return _fetched(result, _("Fetched.") if result.result == "ok" else "")

    return press(connection_id, do)


@blueprint.post("/finish")
def finish(connection_id: int) -> Answer:
    def do() -> None:
        try:
            come_back.finish(house().services, connection_id, at(), browser=browser())
        except Missing:
            raise Refused("nothing_to_finish") from None

    return press(connection_id, do)


# -- to the bank --------------------------------------------------------------------------------


@blueprint.post("/grant")
def grant(connection_id: int) -> Answer:
    return _leave(connection_id, Action.GRANT)


@blueprint.post("/connect")
def connect(connection_id: int) -> Answer:
    return _leave(connection_id, Action.CONNECT)


@blueprint.post("/renew")
def renew(connection_id: int) -> Answer:
    return _leave(connection_id, Action.RENEW)


def _leave(connection_id: int, purpose: Action) -> Answer:
    """A page of our own that says what permission is for, with a link that goes on by itself: a
    POST redirected to another origin would be stopped by the CSP's form-action."""
    holder = request.form.get("holder") or None
    with house().services.store.read() as session:
        consent = _consent(session, one_record(session, connection_id), purpose, holder)
    try:
        target = depart.depart(
            house().services,
            connection_id,
            purpose,
            at(),
            actor=person().name,
            browser=browser(),
            holder=holder,
            consent=consent_words.kept(consent),
        )
    except Refused as error:
        return answer(
            connection_id, Notice(tone="error", text=panels.refusal(error, reader())), status=409
        )
    with house().services.store.read() as session:
        administration_id = session.get_one(Connection, connection_id).administration_id
    g.stay = row_address(administration_id, connection_id)
    provider = house().settings.provider_name
    sentence = (
        _("You give permission in %(provider)s and come back to this row.", provider=provider)
        if purpose is Action.GRANT
        else _("You confirm at your own bank and come back to this row.")
    )
    return render_template(
        "pages/handover.html",
        target=target,
        host=provider if purpose is Action.GRANT else _("your bank"),
        sentence=sentence,
        hostname=urlsplit(target).hostname,
        consent=consent,
    )


def _consent(session: Session, found: Record, purpose: Action, holder: str | None) -> ConsentText:
    """The text for a bookkeeper who is the account holder, so nobody in particular asks. A step at
    the bank covers every account the holder shares there."""
    accounts = [found.connection.iban]
    share = found.shares.get(holder or found.diagnosis.concerns or "")
    if purpose is not Action.GRANT and share is not None and share.account is not None:
        along = select(Account.iban).where(
            Account.grant_id == share.grant.id,
            Account.listed == true(),
            Account.bank == share.account.bank,
        )
        accounts = list(dict.fromkeys([*accounts, *session.scalars(along.order_by(Account.id))]))
    return consent_words.consent_text(
        Purpose.CONNECT if purpose is Action.GRANT else Purpose.RENEW,
        asker=None,
        office=house().settings.office,
        administrations=[session.get_one(Administration, found.connection.administration_id).name],
        accounts=accounts,
    )
