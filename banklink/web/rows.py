"""A record becomes a row: the words, dates and addresses of one `<tbody>`."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache

from banklink.actions.come_back import can_finish, started_in
from banklink.actions.invite import MISSING
from banklink.actions.settle import WAITING
from banklink.core.calendar import Moment, amsterdam_day
from banklink.core.diagnose import Offer, account_line
from banklink.core.facts import Authorisation, ConnectionFacts, HolderFacts, Switch, Trouble
from banklink.core.invitations import OPEN
from banklink.core.statuses import (
    ACCOUNT_LINES,
    AT_THE_BANK,
    BY_MAIL,
    OVERLAYS,
    Action,
    Overlay,
    Status,
)
from banklink.core.texts import N_
from banklink.store.asides import NOTHING
from banklink.store.facts import Asked, Record
from banklink.store.models import Attempt
from banklink.web.addresses import Listing, help_address, listing, path_to, with_query
from banklink.web.asked import words
from banklink.web.called import called, withdraw_button
from banklink.web.i18n import _, clock_time, day, day_of, iban, money, ngettext, soon, when
from banklink.web.progress import beside
from banklink.web.viewmodel import (
    Button,
    Details,
    Explained,
    Form,
    HolderView,
    Notice,
    OverlayView,
    RowView,
    Validity,
)

_PANELS = frozenset(
    {
        Action.REPAIR,
        Action.INVITE,
        Action.ACTIVATE,
        Action.ARM,
        Action.CHOOSE_JOURNAL,
        Action.CHANGE_START,
        Action.REMOVE,
    }
)
LETTER = "letter"
"""The panel in which an invitation is written."""
_NOTICE_LASTS = 900.0
"""Seconds of real time."""
_NOTHING_CAME = frozenset(
    {"abandoned", "cancelled", "login_failed", "timed_out", "bank_outage", "failed", "unavailable"}
)
"""Outcomes that are no news any more once what was wanted came another way."""
_SUCCESS_LEADS_TO = frozenset({"r6", "r7", "r11", "r12"})
_SILENT = frozenset({Overlay.PROVIDER_OUTAGE, Overlay.BANK_OUTAGE})
_OUTCOMES: dict[str, tuple[str, str]] = {
    "done": ("ok", N_("Done. Valid until %(until)s.")),
    "done_open": ("ok", N_("Done. The bank is connected.")),
    "granted": ("info", N_("Permission received. The step at the bank is still to come.")),
    "cancelled": ("info", N_("Cancelled; nothing was changed.")),
    "login_failed": (
        "error",
        N_("Signing in at the bank did not work; nothing was changed. Try again."),
    ),
    "timed_out": ("error", N_("It took too long at the bank; nothing was changed. Start again.")),
    "bank_outage": ("error", N_("Outage at the bank; nothing was changed. Try again later.")),
    "failed": ("error", N_("The bank refused; nothing was changed. Try again.")),
    "abandoned": (
        "info",
        N_("Nobody came back from the bank; nothing was changed. Start again."),
    ),
    "unavailable": (
        "error",
        N_("%(provider)s does not answer right now. Try again in a few minutes."),
    ),
    "refused": (
        "error",
        N_("The answer of %(provider)s could no longer be used. Start again."),
    ),
    "unknown": ("error", N_("The answer of %(provider)s got lost on the way. Start again.")),
    "unproven": (
        "error",
        N_("The answer came in another browser and without a step at the bank; it was not used."),
    ),
    "other_account": ("error", N_("You connected %(others)s, but %(iban)s was wanted.")),
    "not_shared": ("error", N_("Permission received, but %(iban)s was not ticked.")),
    "nothing_changed": ("info", N_("The bank reported no new authorisation.")),
    "withdrawn": ("info", N_("The access was withdrawn meanwhile; nothing was changed.")),
    "parked": ("info", N_("The bank's answer arrived in another browser.")),
    "unfinished": (
        "error",
        N_("%(provider)s did not answer; what you gave permission for is kept."),
    ),
}


_TROUBLES: dict[Trouble, tuple[str, str]] = {
    Trouble.UNREACHABLE: (
        N_("%(provider)s does not answer"),
        N_("since %(when)s; that is not the bank's doing. %(app)s tries again by itself."),
    ),
    Trouble.REFUSED: (
        N_("%(provider)s refuses the details with which %(app)s makes itself known"),
        N_("since %(when)s; that is not the bank's doing. The owner can correct the details."),
    ),
    Trouble.OTHER: (
        N_("Fetching via %(provider)s does not work"),
        N_("since %(when)s; renewing is not needed. %(app)s tries again by itself."),
    ),
}


@dataclass(frozen=True, slots=True)
class Voice:
    """In whose words a row is drawn: on which day, in which language and under which names, for
    which part of the list. Nothing of it moves by itself within the day, so that what is drawn in
    one voice from the same record is the same. Who may not change anything gets no button that
    would."""

    today: date
    locale: str
    listing: Listing
    app: str
    provider: str
    may_change: bool = True
    provider_ready: bool = True
    provider_page: str | None = None
    """Where it is set up, for who may."""


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom a row is drawn: at which moment, in which browser, in which voice."""

    at: Moment
    browser: str | None
    voice: Voice
    posts: bool = True
    """Whether a mail server is set up."""

    @property
    def app(self) -> str:
        return self.voice.app

    @property
    def provider(self) -> str:
        return self.voice.provider

    @property
    def may_change(self) -> bool:
        return self.voice.may_change


def row_url(record: Record, panel: str | None = None) -> str:
    """The part of the list that is looked at, with this row and a panel open in it; works without
    JavaScript, and stands in the address bar with it."""
    return _row_url(record, listing(), panel)


def _row_url(record: Record, part: Listing, panel: str | None) -> str:
    connection = record.connection
    return part.address(connection.administration_id, connection=connection.id, opening=panel)


def row_address(administration_id: int, connection_id: int, panel: str | None = None) -> str:
    """The whole list, at this row: for who comes from elsewhere."""
    address = with_query(
        path_to("maintenance.page"),
        administration=administration_id,
        connection=connection_id,
        open=panel,
    )
    return f"{address}#connection-{connection_id}"


def upload_address(connection_id: int) -> str:
    return path_to("uploads.page", connection_id=connection_id)


def row_view(
    record: Record,
    reader: Reader,
    *,
    panel: Details | Form | Explained | None = None,
    flash: Notice | None = None,
) -> RowView:
    """`panel` is what is open in the row, `flash` what the person's last action led to."""
    # What is not plainly read may be changed under our hands.
    draw = _drawn if record.plain else _drawn.__wrapped__
    view = draw(record, reader.voice, _timely(record, reader))
    if panel is None and flash is None:
        return view
    return replace(view, panel=panel, notice=flash or view.notice)


@dataclass(frozen=True, slots=True)
class _Timely:
    """What a clock moves within the day, in words already: how the last departure ended, how an
    invitation stands, until when the bank's limit lasts, how far a fetch is."""

    notice: Notice | None
    invitation: OverlayView | None
    limited: OverlayView | None
    beside: tuple[OverlayView, ...]


_TIMELESS = _Timely(None, None, None, ())


def _timely(record: Record, reader: Reader) -> _Timely:
    asked, until = record.asked, record.facts.limited_until
    if record.attempt is None and asked is None and until is None and record.waits == NOTHING:
        return _TIMELESS
    wanted = asked is not None and _still_wanted(record, asked, reader.at)
    return _Timely(
        notice=_attempt_notice(record, reader),
        invitation=_invitation(record, asked, reader) if wanted and asked else None,
        limited=_limited(until, reader) if until else None,
        beside=tuple(beside(record, reader.at.real)),
    )


@lru_cache(maxsize=2048)
def _drawn(record: Record, voice: Voice, timely: _Timely) -> RowView:
    """The row in all its words. Remembered, because pages that are open ask for the same rows over
    and over; it depends on nothing but what it is given, and nothing of that knows what time it is.
    """
    diagnosis, connection = record.diagnosis, record.connection
    names = Names(record, voice)
    title, subtitle = _titles(record)
    spoken = spoken_title(record)
    primary = _offer(diagnosis.primary, record, spoken, voice) if diagnosis.primary else None
    second = _offer(diagnosis.second, record, spoken, voice) if diagnosis.second else None
    holders = tuple(_holder(key, record, voice, spoken) for key in record.facts.holders)
    current = record.facts.selected if record.facts.switch is Switch.ON else diagnosis.concerns
    view = RowView(
        id=connection.id,
        version=connection.version,
        status=diagnosis.status.value,
        key=diagnosis.row.key,
        urgency=diagnosis.urgency.name.lower(),
        iban=connection.iban,
        iban_grouped=iban(connection.iban),
        currency=connection.currency,
        title=title,
        subtitle=subtitle,
        chip=_(diagnosis.row.chip),
        sentence=names.fill(diagnosis.row.sentence),
        helper=names.first(diagnosis.row.helpers),
        overlays=_overlays(record, voice, timely),
        holders=holders,
        holder=next((holder for holder in holders if holder.id == current), None),
        rescue=tuple(_offer(offer, record, spoken, voice) for offer in diagnosis.rescue),
        validity=_validity(record, current),
        primary=primary,
        second=second,
        menu=tuple(_offer(offer, record, spoken, voice) for offer in diagnosis.menu)
        + ((_disarm(record, spoken),) if connection.armed else ())
        + (_transactions(record, spoken), _help(record, spoken)),
        details=Button(
            action="details",
            label=_("Details"),
            name=_("Details of %(title)s", title=spoken),
            method="get",
            url=_row_url(record, voice.listing, "details"),
            fragment=_fragment(record, "details"),
        ),
        notice=timely.notice,
        waits=Overlay.INVITED in diagnosis.overlays,
    )
    if record.hidden:
        view = replace(
            view, primary=_show_again(record, spoken), second=None, menu=_not_hiding(view.menu)
        )
    if not voice.provider_ready:
        view = _provider_first(view, voice, spoken)
    if not voice.may_change:
        to_read = _transactions(record, spoken), _help(record, spoken)
        view = replace(view, primary=None, second=None, rescue=(), menu=to_read)
    return replace(view, digest=hashlib.sha256(repr(view).encode()).hexdigest()[:16])


def _provider_first(view: RowView, voice: Voice, title: str) -> RowView:
    """Nothing is broken that was never set up: instead of a step at the bank that could not
    begin, the row says what comes first."""
    leaving = {action.value for action in AT_THE_BANK | BY_MAIL}
    view = replace(view, second=None)
    menu = tuple(each for each in view.menu if each.action not in leaving)
    if view.primary is None or view.primary.action not in leaving:
        return replace(view, menu=menu)
    helper = _(
        "First the details of %(provider)s have to be entered; then this account can be connected.",
        provider=voice.provider,
    )
    if voice.provider_page is None:
        return replace(view, menu=menu, primary=None, helper=helper)
    label = _("Enter the details")
    button = Button(
        action="provider",
        label=label,
        name=_("%(action)s: %(title)s", action=label, title=title),
        method="get",
        url=voice.provider_page,
    )
    return replace(view, menu=menu, primary=button, helper=helper)


def _show_again(record: Record, title: str) -> Button:
    return Button(
        action="show",
        label=_("Show again"),
        name=_("Show again: %(title)s", title=title),
        method="post",
        url=path_to("connections.show", connection_id=record.connection.id),
        fields=(("version", str(record.connection.version)),),
    )


def _not_hiding(menu: tuple[Button, ...]) -> tuple[Button, ...]:
    return tuple(each for each in menu if each.action != Action.HIDE.value)


def _disarm(record: Record, title: str) -> Button:
    return Button(
        action="disarm",
        label=_("Do not switch on by itself"),
        name=_("Do not switch on by itself: %(title)s", title=title),
        method="post",
        url=path_to("connections.disarm", connection_id=record.connection.id),
        fields=(("version", str(record.connection.version)),),
    )


def _transactions(record: Record, title: str) -> Button:
    return Button(
        action="transactions",
        label=_("Show transactions"),
        name=_("Show transactions of %(title)s", title=title),
        method="get",
        url=path_to("transactions.page", connection_id=record.connection.id),
    )


def _help(record: Record, title: str) -> Button:
    chip = _(record.diagnosis.row.chip)
    return Button(
        action="help",
        label=_("Explanation"),
        name=_("Explanation of %(chip)s: %(title)s", chip=chip, title=title),
        method="get",
        url=help_address(record.diagnosis.status.value),
    )


def _titles(record: Record) -> tuple[str, str | None]:
    share = record.concerned_share or record.selected_share
    visible = record.facts.holders.get(str(share.holder.id)) if share else None
    account = share.account if share and visible and visible.visible else None
    name = " · ".join(filter(None, (account.name, account.bank))) if account else None
    if record.journal is not None:
        return f"{record.journal.code} {record.journal.name}", name
    return name or _("Account without journal"), None


def spoken_title(record: Record) -> str:
    """The title as a control's name says it: unique on the page, with the IBAN where no journal
    code makes it so."""
    title, _subtitle = _titles(record)
    return title if record.journal is not None else f"{title}, {iban(record.connection.iban)}"


class Names:
    """The values a sentence of the table may ask for; None where nothing is known."""

    _WANTED = re.compile(r"%\((\w+)\)s")

    def __init__(self, record: Record, voice: Voice):
        connection, diagnosis = record.connection, record.diagnosis
        holder = record.facts.holders.get(diagnosis.concerns or "")
        self.values: dict[str, str | None] = {
            "app": voice.app,
            "provider": voice.provider,
            "holder": called(holder.name, diagnosis.concerns) if holder else None,
            "revoked": _day_or_none(holder.revoked_at if holder else None),
            "withdrawn": _day_or_none(
                holder.revoked_at if holder and holder.withdrawn_here else None
            ),
            "ended": _ended(holder),
            "stopped": _stopped(holder, connection.watermark),
            "attempted": _day_or_none(holder.attempted_at if holder else None),
            "fetched": when(connection.last_success, voice.today)
            if connection.last_success
            else None,
            "new": _new(connection.last_new),
            "who": connection.switched_by,
            "switched": _day_or_none(connection.switched_at),
        }

    def fill(self, sentence: str) -> str:
        wanted = self._WANTED.findall(sentence)
        return _(sentence, **{name: self.values[name] for name in wanted})

    def first(self, sentences: tuple[str, ...]) -> str | None:
        """The first sentence whose names are all known."""
        for sentence in sentences:
            if all(self.values.get(name) for name in self._WANTED.findall(sentence)):
                return self.fill(sentence)
        return None


def _ended(holder: HolderFacts | None) -> str | None:
    if holder is None:
        return None
    if holder.authorisation is Authorisation.REVOKED:
        return _day_or_none(holder.ended_at)
    return _day_or_none(holder.valid_until)


def _stopped(holder: HolderFacts | None, watermark: date | None) -> str | None:
    """Since when nothing is fetched: the day the authorisation ran out, or an earlier one when the
    last fetch that completed was before it."""
    if holder is None or holder.valid_until is None:
        return None
    ran_out = amsterdam_day(holder.valid_until)
    return day(min(ran_out, watermark or ran_out))


def _new(count: int) -> str:
    return ngettext("%(n)s new transaction", "%(n)s new transactions", count)


def _day_or_none(instant: datetime | None) -> str | None:
    return day_of(instant) if instant else None


def _fragment(record: Record, panel: str | None = None) -> str:
    row = path_to("connections.row", connection_id=record.connection.id)
    return f"{row}?open={panel}" if panel else row


def _offer(offer: Offer, record: Record, title: str, voice: Voice) -> Button:
    action, connection = offer.action, record.connection
    holder = record.facts.holders.get(offer.holder or "")
    label = _(offer.label, holder=called(holder.name, offer.holder) if holder else "")
    name = _("%(action)s: %(title)s", action=label, title=title)
    if action in _PANELS or (action is Action.REQUEST and not _has_address(record, offer)):
        panel = LETTER if action is Action.REQUEST else action.value
        return Button(
            action=action.value,
            label=label,
            name=name,
            method="get",
            url=_row_url(record, voice.listing, panel),
            fragment=_fragment(record, panel),
        )
    fields = [("version", str(connection.version))]
    if offer.holder is not None and action in (Action.USE_HOLDER, Action.CONNECT, Action.RENEW):
        fields.append(("holder", offer.holder))
    return Button(
        action=action.value,
        label=label,
        name=name,
        method="post",
        url=path_to(
            f"{'asking' if action in BY_MAIL else 'connections'}.{action.value.replace('-', '_')}",
            connection_id=connection.id,
        ),
        leaves=action in AT_THE_BANK,
        fields=tuple(fields),
    )


def _has_address(record: Record, offer: Offer) -> bool:
    share = record.shares.get(offer.holder or "")
    return share is not None and bool(share.holder.email)


def _holder(key: str, record: Record, voice: Voice, title: str) -> HolderView:
    facts = record.facts.holders[key]
    line = account_line(facts)
    selected = key == record.facts.selected
    books = record.connection.administration_id
    usable_elsewhere = facts.usable and not selected and record.facts.switch is Switch.ON
    return HolderView(
        id=key,
        name=called(facts.name, key),
        line=line.value if line else None,
        line_text=_(ACCOUNT_LINES[line]) if line else None,
        detail=_holder_detail(facts),
        usable=facts.usable,
        selected=selected,
        use=_offer(Offer(Action.USE_HOLDER, N_("Fetch via %(holder)s"), key), record, title, voice)
        if usable_elsewhere and voice.may_change
        else None,
        record=path_to("consents.page", administration_id=books, holder_id=int(key)),
        withdraw=withdraw_button(books, key, called(facts.name, key))
        if facts.grant == "active" and voice.may_change
        else None,
    )


def _holder_detail(facts: HolderFacts) -> str | None:
    if not facts.visible:
        return _("No access to this account") if facts.grant != "none" else None
    if facts.authorisation is Authorisation.ACTIVE and facts.valid_until:
        return _(
            "Valid until %(date)s (%(days)s)",
            date=day_of(facts.valid_until),
            days=_days(facts.days_left or 0),
        )
    if facts.authorisation is Authorisation.EXPIRED and facts.valid_until:
        return _("Expired on %(date)s", date=day_of(facts.valid_until))
    if facts.authorisation is Authorisation.REVOKED and facts.ended_at:
        return _("Withdrawn at the bank, seen on %(date)s", date=day_of(facts.ended_at))
    return None


def _days(days: int) -> str:
    if days == 0:
        return _("last day today")
    if days > 0:
        return ngettext("%(n)s day left", "%(n)s days left", days)
    return ngettext("%(n)s day ago", "%(n)s days ago", -days)


def _validity(record: Record, key: str | None) -> Validity | None:
    facts = record.facts.holders.get(key or "")
    if facts is None or not facts.visible or facts.valid_until is None:
        return None
    if facts.authorisation is Authorisation.REVOKED:
        return None
    days = facts.days_left or 0
    term = 180
    if facts.authorised_at is not None:
        term = max((facts.valid_until - facts.authorised_at).days, 1)
    tone = "well" if days > 30 else "soon" if days >= 0 else "broken"
    if facts.authorisation is Authorisation.EXPIRED:
        tone = "broken"
    return Validity(
        date=day_of(facts.valid_until),
        iso=amsterdam_day(facts.valid_until).isoformat(),
        days=_days(days),
        share=max(0, min(100, round(100 * days / term))),
        tone=tone,
    )


def _overlays(record: Record, voice: Voice, timely: _Timely) -> tuple[OverlayView, ...]:
    facts, today = record.facts, voice.today
    views = []
    for overlay in record.diagnosis.overlays:
        detail = link = None
        if overlay is Overlay.INVITED:
            continue  # told below, with what can be done about it
        if overlay is Overlay.PROVIDER_OUTAGE and facts.trouble_since:
            views.append(_trouble(facts.trouble, facts.trouble_since, voice))
            continue
        if overlay is Overlay.BANK_OUTAGE and facts.outage_since:
            detail = _(
                "since %(when)s; %(app)s tries again by itself, renewing is not needed",
                when=when(facts.outage_since, today),
                app=voice.app,
            )
        elif overlay is Overlay.POSSIBLE_GAP and facts.gap:
            detail = _(
                "Transactions of %(since)s up to and including %(until)s may be missing:"
                " the bank no longer gives them. A statement file of these days closes the gap.",
                since=day(facts.gap[0]),
                until=day(facts.gap[1]),
            )
            if voice.may_change and record.connection.id:
                link = _("Upload a statement"), upload_address(record.connection.id)
        elif overlay is Overlay.UNBALANCED and facts.unbalanced:
            detail = unbalanced_text(facts, record.connection.currency, voice.app)
        elif overlay is Overlay.LIMITED and timely.limited:
            views.append(timely.limited)
            continue
        elif overlay is Overlay.STALE:
            last = facts.last_success
            detail = (
                _("last success %(when)s", when=when(last, today)) if last else _("not once yet")
            )
        elif overlay is Overlay.RENEWAL_RUNNING and record.attempt:
            detail = _("since %(when)s", when=clock_time(record.attempt.created_at))
        views.append(
            OverlayView(
                key=overlay.value,
                text=_(OVERLAYS[overlay]),
                detail=detail,
                link=link or (_to_days(record) if overlay in _ABOUT_DAYS else None),
            )
        )
    views += timely.beside
    if timely.invitation is not None:
        views.append(timely.invitation)
    armed = record.connection.armed_start
    if record.connection.armed and armed:
        views.append(
            OverlayView(
                key="armed",
                text=_("Switches on by itself"),
                detail=_("after the bank step, from %(date)s", date=day(armed)),
            )
        )
    return tuple(views)


_ABOUT_DAYS = frozenset({Overlay.POSSIBLE_GAP, Overlay.UNBALANCED})


def _to_days(record: Record) -> tuple[str, str] | None:
    """Where these days are shown one by one. The gallery's rows have no such place."""
    number = record.connection.id
    return (
        (_("Look at the days"), path_to("coverage.page", connection_id=number)) if number else None
    )


def _limited(until: datetime, reader: Reader) -> OverlayView:
    """Until when, and that a person need not wait for it."""
    return OverlayView(
        key=Overlay.LIMITED.value,
        text=_("Waiting for the bank's limit until %(when)s", when=soon(until, reader.at.now)),
        detail=_("then %(app)s goes on by itself", app=reader.app),
    )


def unbalanced_text(facts: ConnectionFacts, currency: str, app: str) -> str:
    """Which days, and by how much where that is one amount."""
    assert facts.unbalanced is not None
    since, until = facts.unbalanced
    off = facts.unbalanced_by
    if not off:
        sentence = _IN_SEVERAL_PLACES
    elif since == until:
        sentence = _LESS_ON_A_DAY if off > 0 else _MORE_ON_A_DAY
    else:
        sentence = _LESS if off > 0 else _MORE
    amount = money(abs(off or 0), currency)
    return _(sentence, since=day(since), until=day(until), amount=amount, app=app)


_LESS = N_(
    "From %(since)s up to and including %(until)s the transactions come to %(amount)s less than the"
    " bank's balances say; %(app)s corrects nothing by itself."
)
_MORE = N_(
    "From %(since)s up to and including %(until)s the transactions come to %(amount)s more than the"
    " bank's balances say; %(app)s corrects nothing by itself."
)
_LESS_ON_A_DAY = N_(
    "On %(since)s the transactions come to %(amount)s less than the bank's balances say; %(app)s"
    " corrects nothing by itself."
)
_MORE_ON_A_DAY = N_(
    "On %(since)s the transactions come to %(amount)s more than the bank's balances say; %(app)s"
    " corrects nothing by itself."
)
_IN_SEVERAL_PLACES = N_(
    "From %(since)s up to and including %(until)s transactions and the bank's balances disagree in"
    " more than one place; %(app)s corrects nothing by itself."
)


_REMEMBERED = timedelta(days=30)


def _still_wanted(record: Record, asked: Asked, at: Moment) -> bool:
    """Whether what was asked for is still missing; of one that ended, for a month."""
    diagnosis = record.diagnosis
    if not (diagnosis.row.key in MISSING or diagnosis.renewable):
        return False
    ended = asked.invitation.declined_at or asked.invitation.expires_at
    return at.now - ended < _REMEMBERED


def _invitation(record: Record, asked: Asked, reader: Reader) -> OverlayView:
    said = words(asked, reader.at, posts=reader.posts)
    spoken = spoken_title(record)
    open_ = asked.state(reader.at.now) in OPEN

    def button(action: str, label: str) -> Button:
        return Button(
            action=f"invitation-{action}",
            label=label,
            name=_("%(action)s: %(title)s", action=label, title=spoken),
            method="post",
            url=path_to(f"asking.{action}", connection_id=record.connection.id),
            fields=(
                ("version", str(record.connection.version)),
                ("invitation", str(asked.invitation.id)),
            ),
        )

    buttons = [button("again", _("Send again"))]
    if open_:
        buttons += [button("withdraw", _("Withdraw")), button("link", _("Copy link"))]
    return OverlayView(
        key=Overlay.INVITED.value,
        text=said.text,
        detail=said.detail,
        tone=said.tone,
        buttons=tuple(buttons) if reader.may_change and record.connection.id else (),
    )


def _trouble(kind: Trouble, since: datetime, voice: Voice) -> OverlayView:
    """That the provider, not the bank, keeps the transactions; with the way to its details for who
    may correct them."""
    text, detail = _TROUBLES[kind]
    names = {"provider": voice.provider, "app": voice.app}
    page = voice.provider_page if kind is Trouble.REFUSED else None
    return OverlayView(
        key=Overlay.PROVIDER_OUTAGE.value,
        text=_(text, **names),
        detail=_(detail, when=when(since, voice.today), **names),
        link=(_("Look at the details"), page) if page else None,
    )


def _attempt_notice(record: Record, reader: Reader) -> Notice | None:
    """How the last departure to the bank ended, as long as it is news, to who made it. What waits
    to be finished is everybody's to see."""
    attempt = record.attempt
    if attempt is None or attempt.outcome is None or attempt.ended_at is None:
        return None
    outcome = attempt.outcome
    age = (reader.at.real - attempt.ended_at).total_seconds()
    news = age <= _NOTICE_LASTS and started_in(attempt, reader.browser)
    if outcome not in WAITING and not news:
        return None
    if outcome in _NOTHING_CAME and record.overtaken:
        return None
    if outcome == "done" and not _still_holds(record, attempt):
        return None
    if outcome == "done" and not attempt.params.get("until"):
        outcome = "done_open"
    tone, sentence = _OUTCOMES.get(outcome, _OUTCOMES["failed"])
    text = _(sentence, **_outcome_params(attempt, reader))
    if outcome == "done" and attempt.params.get("along"):
        text = _along(attempt)
    return Notice(
        tone=tone,
        text=text,
        button=_finish(record)
        if reader.may_change and can_finish(attempt, reader.browser)
        else None,
    )


def _still_holds(record: Record, attempt: Attempt) -> bool:
    """A success is news only while what it reached is so: not after a later renewal or an end, nor
    once somebody changed the row, nor beside something that says the contrary."""
    if record.diagnosis.row.key not in _SUCCESS_LEADS_TO or _SILENT & set(
        record.diagnosis.overlays
    ):
        return False
    if attempt.params.get("version") != record.connection.version:
        return False
    until = attempt.params.get("until")
    return any(
        holder.usable and (holder.valid_until.isoformat() if holder.valid_until else None) == until
        for holder in record.facts.holders.values()
    )


def _along(attempt: Attempt) -> str:
    """One step at a bank may renew every account of the holder there."""
    return ngettext(
        "Done. Valid until %(until)s; %(n)s other account was renewed along with it.",
        "Done. Valid until %(until)s; %(n)s other accounts were renewed along with it.",
        attempt.params["along"],
        until=day_of(datetime.fromisoformat(attempt.params["until"])),
    )


def _outcome_params(attempt: Attempt, reader: Reader) -> dict[str, str]:
    params = {"provider": reader.provider}
    if attempt.params.get("until"):
        params["until"] = day_of(datetime.fromisoformat(attempt.params["until"]))
    if attempt.params.get("iban"):
        params["iban"] = iban(attempt.params["iban"])
    if attempt.params.get("others"):
        params["others"] = ", ".join(iban(each) for each in attempt.params["others"])
    return params


def _finish(record: Record) -> Button:
    return Button(
        action="finish",
        label=_("Finish"),
        name=_("Finish the step at the bank: %(iban)s", iban=iban(record.connection.iban)),
        method="post",
        url=path_to("connections.finish", connection_id=record.connection.id),
        fields=(("version", str(record.connection.version)),),
    )


def search_text(record: Record) -> str:
    """What the search box looks in: IBAN, journal, account, bank and holders' names."""
    words = [record.connection.iban]
    if record.journal is not None:
        words += [record.journal.code, record.journal.name]
    for key, share in record.shares.items():
        words.append(share.name or "")
        if share.account is not None and record.facts.holders[key].visible:
            words += filter(None, (share.account.name, share.account.bank))
    return " ".join(words).casefold()


def matches(record: Record, query: str) -> bool:
    text = search_text(record)
    return query.casefold() in text or "".join(query.split()).casefold() in text


def sort_key(record: Record) -> tuple[object, ...]:
    """Broken first, then to do, soon by days left, well, off; within that by journal."""
    diagnosis = record.diagnosis
    selected = record.facts.holders.get(record.facts.selected or "")
    soon = diagnosis.status is Status.ACTIVE and Overlay.EXPIRING in diagnosis.overlays
    left = selected.days_left if soon and selected and selected.days_left is not None else 0
    journal = record.journal
    return (
        diagnosis.urgency,
        left,
        journal is None,
        journal.code if journal else "",
        record.connection.iban,
    )
