"""Where one can go from every page: only what the person may open."""

from __future__ import annotations

from flask import g, request, url_for
from sqlalchemy import bindparam, select

from banklink.store.models import Membership
from banklink.web.access import ROLES, Who
from banklink.web.addresses import path_to, with_query
from banklink.web.context import house, remember, the_default
from banklink.web.i18n import _
from banklink.web.viewmodel import Link

_OF_CONNECTIONS = frozenset(
    "maintenance connections transactions review coverage fetches uploads exports".split()
)


_MINE = (
    select(Membership.administration_id, Membership.role)
    .where(Membership.user_id == bindparam("user"))
    .order_by(Membership.administration_id)
)


def sections() -> tuple[Link, ...]:
    """The masthead's links, for the administration the page is about or else the last one."""
    person = g.get("person")
    if person is None or g.get("bare"):
        return ()
    administration_id, role = _here(person.id)
    may = ROLES.get(role or "", Who.PUBLIC)
    here = (request.blueprint or "").split(".")[0]
    if here == "outbox" and not person.is_owner:
        here = "holders"  # where they come from; an owner has it among the settings
    links = []
    if _several(person.id):
        links.append(
            Link(
                label=_("All administrations"),
                url=path_to("office.page"),
                current=here in ("office", "office_requests"),
            )
        )
    if administration_id is not None:
        links.append(
            Link(
                label=_("Bank connections"),
                url=with_query(path_to("maintenance.page"), administration=administration_id),
                current=here in _OF_CONNECTIONS,
            )
        )
        links.append(
            Link(
                label=_("Journals"),
                url=path_to("journals.page", administration_id=administration_id),
                current=here == "journals",
            )
        )
        links.append(
            Link(
                label=house().settings.provider_name,
                url=with_query(path_to("holders.page"), administration=administration_id),
                current=here in ("holders", "consents"),
            )
        )
        links.append(
            Link(
                label=_("People"),
                url=path_to("people.members", administration_id=administration_id),
                current=here == "people",
            )
        )
    links += _settings(administration_id, may, here, owner=person.is_owner)
    links.append(Link(label=_("Help"), url=path_to("help.page"), current=here == "help"))
    return tuple(links)


def _settings(administration_id: int | None, may: Who, here: str, *, owner: bool) -> list[Link]:
    current = here in ("books", "provider", "start", "everybody", "outbox")
    if administration_id is not None and may >= Who.ADMINISTRATOR:
        url = path_to("books.settings", administration_id=administration_id)
    elif owner:
        url = path_to("books.page")
    else:
        return []
    return [Link(label=_("Settings"), url=url, current=current)]


def settings_pages() -> tuple[Link, ...]:
    """The pages under *Settings*, for who may open more than one of them."""
    person = g.person
    administration_id, role = _here(person.id)
    pages = []
    if administration_id is not None and ROLES.get(role or "", Who.PUBLIC) >= Who.ADMINISTRATOR:
        url = url_for("books.settings", administration_id=administration_id)
        pages.append((_("This administration"), url))
    if person.is_owner:
        pages.append((_("Administrations"), url_for("books.page")))
        pages.append((_("All people"), url_for("everybody.page")))
        # Not by its name alone: the section about who gives access is called so already.
        label = _("Settings of %(provider)s", provider=house().settings.provider_name)
        pages.append((label, url_for("provider.page")))
        pages.append((_("Outbox"), url_for("outbox.page")))
    if len(pages) < 2:
        return ()
    # An answer to a form stands at the page's address or below it.
    return tuple(
        Link(label=label, url=url, current=f"{request.path}/".startswith(f"{url}/"))
        for label, url in pages
    )


def _here(person_id: int) -> tuple[int | None, str | None]:
    """The administration this page is about and the person's role in it."""
    known = g.get("administration_id") or (request.view_args or {}).get("administration_id")
    if known is not None and g.get("role") is not None:
        remember(known)
        return known, g.role
    asked = request.args.get("administration", type=int)
    with house().services.store.look() as database:
        mine = database.execute(_MINE, {"user": person_id}).all()
    roles = {each[0]: each[1] for each in mine}
    g.several = len(roles) > 1
    here = asked if asked in roles else the_default(list(roles))
    return here, roles.get(here or 0)


def _several(person_id: int) -> bool:
    """Whether there is more than one administration to look over."""
    if "several" in g:
        return bool(g.several)
    with house().services.store.read() as session:
        mine = session.scalars(
            select(Membership.administration_id).where(Membership.user_id == person_id).limit(2)
        ).all()
    return len(mine) > 1
