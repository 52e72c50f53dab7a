"""What the templates see: finished words and addresses, nothing to decide.

Every text here is translated and formatted for the reader's locale. Templates loop and place;
they know no status, no date arithmetic and no database.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """One control. `leaves`: goes to the bank, a plain form POST, never a swap.

    `method` "post" is a form; "get" a link to `url` (full page without JavaScript) whose
    `fragment` is the address htmx fetches the same row from. `name` is the accessible name when
    the label alone would not be unique within the page.
    """

    action: str
    label: str
    name: str
    method: str
    url: str
    fragment: str | None = None
    leaves: bool = False
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderView:
    """One holder of this account. `line` is connected, not_connected, lapsed or None."""

    id: str
    name: str
    line: str | None
    line_text: str | None
    detail: str | None
    usable: bool
    selected: bool
    use: Button | None = None
    record: str | None = None  # the page with what they allow
    withdraw: Button | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """Until when. `share` is what is left of the term in percent (the thin bar)."""

    date: str
    iso: str
    days: str
    share: int
    tone: str  # well, soon, broken


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayView:
    """`link` is a way on, for who can mend it."""

    key: str
    text: str
    detail: str | None = None
    link: tuple[str, str] | None = None  # label and address
    buttons: tuple[Button, ...] = ()
    tone: str = ""  # todo, broken: it waits for the reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What just happened or waits in this row. tone: info, ok, error. `copy` is something to take
    along, an address."""

    tone: str
    text: str
    button: Button | None = None
    copy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RungView:
    number: int
    label: str
    state: str  # ok, broken, unknown, off
    state_text: str
    detail: str
    here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    when: str
    about: str  # the same, as one would say it
    iso: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StripView:
    """Time in one picture: spans are kind, x and width in thousandths; `lines` say the same."""

    spans: tuple[tuple[str, int, int], ...]
    today: int
    expiry: int | None
    first: str
    last: str
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """The drawer."""

    kind: str = "details"
    close: Button
    ladder: tuple[RungView, ...]
    holders: tuple[HolderView, ...]
    history: tuple[EventView, ...]
    more_history: Button | None
    facts: tuple[tuple[str, str], ...]
    transactions: Button
    statements: Button | None = None
    technical: tuple[tuple[str, str], ...]
    help: Button | None = None
    strip: StripView | None = None
    upload: Button | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    value: str
    label: str
    detail: str | None = None
    checked: bool = False
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input: type is date, text, email, password, radio, select or checkbox."""

    name: str
    label: str
    type: str
    value: str = ""
    hint: str | None = None
    error: str | None = None
    offer: tuple[str, str] | None = None  # label and value of the way out of the error
    choices: tuple[Choice, ...] = ()
    minimum: str | None = None
    maximum: str | None = None
    width: str = "medium"  # short, medium, long
    required: bool = False
    autocomplete: str | None = None  # what a password manager may fill in here
    readonly: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form that opens in the row. `preview` is the address of a fragment with what would
    happen, re-read when a field changes; `preview_text` what it says now. `version` is the row
    version the person saw."""

    kind: str = "form"
    action: str
    title: str
    intro: str | None = None
    url: str
    version: int
    fields: tuple[Field, ...]
    submit: str
    cancel: Button | None = None  # None where there is nothing to go back to
    error: str | None = None
    preview: str | None = None
    preview_text: str | None = None
    back: Button | None = None  # one step back
    leaves: bool = False
    hidden: tuple[tuple[str, str], ...] = ()
    also: Button | None = None  # a second verb of the same form: `fields` holds its name and value
    upload: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """The wizard's first step: what is the matter, and the ways on. `sends` sends at once, one for
    each person who is known; where nobody is, `to_url` takes an address. `onward` leads to the
    letter, `myself` to the bank."""

    kind: str = "repair"
    title: str
    step: str
    sentences: tuple[str, ...]
    sends: tuple[Button, ...]
    to_url: str | None
    version: int
    onward: Button
    myself: Button
    cancel: Button


@dataclass(frozen=True, slots=True, kw_only=True)
class RowView:
    """One `<tbody id="connection-N">`."""

    id: int
    version: int
    status: str
    key: str
    urgency: str  # broken, todo, soon, well, off
    iban: str
    iban_grouped: str
    currency: str
    title: str
    subtitle: str | None
    chip: str
    sentence: str
    helper: str | None
    overlays: tuple[OverlayView, ...] = ()
    holders: tuple[HolderView, ...] = ()
    holder: HolderView | None = None
    rescue: tuple[Button, ...] = ()
    validity: Validity | None = None
    primary: Button | None = None
    second: Button | None = None
    menu: tuple[Button, ...] = ()
    details: Button | None = None
    notice: Notice | None = None
    panel: Details | Form | Explained | None = None
    show: Button | None = None  # re-reads the row; offered when it changed under an open form
    digest: str = ""
    waits: bool = False  # for somebody else, who was asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    key: str
    label: str
    count: int
    url: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    label: str
    url: str
    current: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PageView:
    """The maintenance page of one administration."""

    administration_id: int
    administration: str
    administrations: tuple[Link, ...]
    tabs: tuple[Tab, ...]
    filter: str
    query: str
    rows: tuple[RowView, ...]
    total: int
    shown: str
    previous: Link | None
    next: Link | None
    morning: str
    morning_tone: str  # well, todo
    attention: int
    icon_url: str  # of the browser's tab
    updated: str
    updated_day: str  # for paper
    updated_iso: str
    refresh_url: str | None  # None for who may change nothing
    poll_url: str
    base_url: str
    empty: Notice | None = None
    add_journal: Button | None = None
    form: Form | None = None
    flash: Notice | None = None
    digest: str = ""  # of what the list says as a whole
    set_up: str | None = None  # the guide, as long as there is something left to set up
