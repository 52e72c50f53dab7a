"""Addresses: those that several pages lead to, and the one a request came from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from flask import g, request, url_for
from werkzeug.datastructures import MultiDict


def path_to(endpoint: str, **numbers: int) -> str:
    """What `url_for` says, for addresses of which there are many on a page, that differ in their
    numbers alone: the rule is looked up once."""
    return _pattern(endpoint, tuple(numbers)).format(**numbers)


@cache
def _pattern(endpoint: str, names: tuple[str, ...]) -> str:
    marks = {name: 7_000_000_001 + place for place, name in enumerate(names)}
    pattern = url_for(endpoint, **marks)  # type: ignore[arg-type]
    for name, mark in marks.items():
        pattern = pattern.replace(str(mark), f"{{{name}}}")
    return pattern


def with_query(path: str, **asked: object) -> str:
    """The address with these questions, as `url_for` would write them; None asks nothing."""
    query = urlencode(
        {name: value for name, value in asked.items() if value is not None}, safe="!$'()*,/:;?@"
    )
    return f"{path}?{query}" if query else path


def help_address(status: str) -> str:
    """The help chapter of a status (the word in a row's data-status)."""
    return f"{path_to('help.page')}#{status}"


def is_htmx() -> bool:
    return request.headers.get("HX-Request") == "true"


def came_from() -> SplitResult:
    """The page a request says it came from; one that cannot be read counts as none."""
    try:
        return urlsplit(request.headers.get("HX-Current-URL") or request.referrer or "")
    except ValueError:
        return urlsplit("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Which part of the list somebody looks at, and what is open in it. All of it stands in the
    page's address, so that Back, a reload and a shared link show the same."""

    filter: str | None
    query: str
    number: int
    connection: int | None
    opening: str | None

    def address(
        self, administration_id: int, *, connection: int | None = None, opening: str | None = None
    ) -> str:
        """The same part of the list with that row's panel open, or none. The row tells on which
        page of the list it stands."""
        address = with_query(
            path_to("maintenance.page"),
            administration=administration_id,
            filter=self.filter,
            q=self.query or None,
            page=self.number if self.number > 1 and connection is None else None,
            connection=connection,
            open=opening,
        )
        return f"{address}#connection-{connection}" if connection else address


def listing() -> Listing:
    """Of this request when it is for the page itself, else of the page it came from: a fragment
    and the answer to a press go where that page stands. Read once."""
    if "listing" not in g:
        g.listing = _listing()
    asked: Listing = g.listing
    return asked


def _listing() -> Listing:
    itself = request.endpoint == "maintenance.page" and not is_htmx()
    args = request.args if itself else MultiDict(parse_qsl(came_from().query)[:20])
    return Listing(
        filter=args.get("filter"),
        query=args.get("q", "").strip()[:100],
        number=max(1, args.get("page", 1, type=int)),
        connection=args.get("connection", type=int),
        opening=args.get("open"),
    )
