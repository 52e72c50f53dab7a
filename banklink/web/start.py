"""The guide of an empty start. No step is ticked off anywhere: each reads off what there is, so it
can be left at any time and taken up again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, g, render_template, request, url_for
from sqlalchemy import BindParameter, ColumnElement, ScalarSelect, bindparam, func, select
from sqlalchemy.orm import Session

from banklink.core.facts import Switch
from banklink.store.facts import Record, records
from banklink.store.models import Administration, Connection, Journal, Membership
from banklink.web.administration_form import new_form
from banklink.web.context import (
    at,
    house,
    my_administration,
    my_administrations,
    person,
    provider_ready,
    reader,
)
from banklink.web.i18n import _, ngettext
from banklink.web.rows import row_view
from banklink.web.said import said
from banklink.web.sections import settings_pages
from banklink.web.viewmodel import Button, Form, Link, RowView

blueprint = Blueprint("start", __name__)

_OFFERED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One step. `state`: done, now (the first that is not), later, or optional."""

    key: str
    title: str
    state: str
    state_text: str
    detail: str
    button: Button | None = None
    other: Link | None = None
    form: Form | None = None
    rows: tuple[RowView, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What the steps are read off from. `running` are links that are switched on."""

    journals: int
    with_iban: int
    people: int
    provider: bool
    running: int

    @property
    def complete(self) -> bool:
        """A colleague may come later, or never."""
        return bool(self.with_iban and self.provider and self.running)


def _count(column: Any, *conditions: ColumnElement[bool]) -> ScalarSelect[int]:
    return select(func.count(column)).where(*conditions).scalar_subquery()


_HERE: BindParameter[int] = bindparam("administration")
_COUNTS = select(
    _count(Journal.id, Journal.administration_id == _HERE),
    _count(Journal.id, Journal.administration_id == _HERE, Journal.iban.is_not(None)),
    _count(Membership.user_id, Membership.administration_id == _HERE),
    _count(
        Connection.id,
        Connection.administration_id == _HERE,
        Connection.switch == Switch.ON.value,
    ),
)


def facts_of(session: Session, administration_id: int) -> Facts:
    journals, with_iban, people, running = (
        session.connection().execute(_COUNTS, {"administration": administration_id}).one()
    )
    return Facts(
        journals=journals,
        with_iban=with_iban,
        people=people,
        provider=provider_ready(),
        running=running,
    )


def unfinished(session: Session, administration_id: int) -> str | None:
    """The address of the guide, for the owner, as long as there is something left to set up."""
    if not person().is_owner or g.get("role") != "administrator":
        return None
    if facts_of(session, administration_id).complete:
        return None
    return url_for("start.page", administration=administration_id)


@blueprint.get("/start")
def page() -> str:
    return guide(None)


def guide(form: Form | None) -> str:
    """`form`: of the first step, with what was typed."""
    with house().services.store.read() as session:
        mine = my_administrations(session)
        asked = request.args.get("administration", type=int)
        if mine and form is None:
            administration = my_administration(session, asked)
            steps = _steps(session, administration)
            name = administration.name
        else:
            steps = _first_steps(form or new_form(None, None, start=True))
            name = None
    done = all(each.state in ("done", "optional") for each in steps)
    return render_template(
        "start/page.html",
        steps=steps,
        administration=name,
        done=done,
        left=sum(each.state in ("now", "later") for each in steps),
        home=url_for("maintenance.page", administration=g.get("administration_id")),
        pages=settings_pages() if name else (),
        notice=said(),
    )


def _first_steps(form: Form) -> tuple[StepView, ...]:
    titles = _titles()
    later = _("later")
    return (
        StepView(
            key="administration",
            title=titles["administration"],
            state="now",
            state_text=_("now"),
            detail="",
            form=form,
        ),
        *(
            StepView(key=key, title=title, state="later", state_text=later, detail="")
            for key, title in titles.items()
            if key != "administration"
        ),
    )


def _titles() -> dict[str, str]:
    return {
        "administration": _("Administration"),
        "journals": _("Bank journals"),
        "people": _("A colleague"),
        "provider": house().settings.provider_name,
        "account": _("The first account"),
    }


def _steps(session: Session, administration: Administration) -> tuple[StepView, ...]:
    facts = facts_of(session, administration.id)
    ready = bool(facts.with_iban and facts.provider)
    titles = _titles()
    order = {
        "journals": bool(facts.with_iban),
        "provider": facts.provider,
        "account": bool(facts.running),
    }
    first = next((key for key, done in order.items() if not done), None)

    def state(key: str) -> tuple[str, str]:
        if order[key]:
            return "done", _("done")
        return ("now", _("now")) if key == first else ("later", _("later"))

    rows = _first_rows(session, administration.id) if ready and not facts.running else ()
    return (
        StepView(
            key="administration",
            title=titles["administration"],
            state="done",
            state_text=_("done"),
            detail=administration.name,
            other=Link(
                label=_("Change"),
                url=url_for("books.settings", administration_id=administration.id),
            ),
        ),
        _journal_step(titles["journals"], state("journals"), facts, administration.id),
        _people_step(titles["people"], facts, administration.id),
        _provider_step(titles["provider"], state("provider"), facts),
        StepView(
            key="account",
            title=titles["account"],
            state=state("account")[0],
            state_text=state("account")[1],
            detail=_account_detail(facts, ready),
            rows=rows,
        ),
    )


def _journal_step(
    title: str, state: tuple[str, str], facts: Facts, administration_id: int
) -> StepView:
    label = _("Add journals") if not facts.with_iban else _("Add more")
    return StepView(
        key="journals",
        title=title,
        state=state[0],
        state_text=state[1],
        detail=_("The journals of your bank accounts, with their IBAN: paste, upload or type them.")
        if not facts.journals
        else ngettext("%(n)s journal", "%(n)s journals", facts.journals)
        + ", "
        + ngettext("%(n)s with an IBAN", "%(n)s with an IBAN", facts.with_iban),
        button=_go(
            "journals",
            label,
            url_for("journals.list_form", administration_id=administration_id, **_from_here()),
        ),
        other=Link(
            label=_("Type in one journal"),
            url=url_for("journals.new", administration_id=administration_id, **_from_here()),
        ),
    )


def _people_step(title: str, facts: Facts, administration_id: int) -> StepView:
    there = facts.people > 1
    return StepView(
        key="people",
        title=title,
        state="done" if there else "optional",
        state_text=_("done") if there else _("may wait"),
        detail=ngettext("%(n)s person works here", "%(n)s people work here", facts.people)
        if there
        else _("Somebody who works here with you. You can also do this later, or not at all."),
        button=_go(
            "people",
            _("Invite a colleague"),
            url_for(
                "people.members",
                administration_id=administration_id,
                open="invite",
                **_from_here(),
            ),
        ),
    )


def _provider_step(title: str, state: tuple[str, str], facts: Facts) -> StepView:
    return StepView(
        key="provider",
        title=title,
        state=state[0],
        state_text=state[1],
        detail=_("The details are there; test the connection when in doubt.")
        if facts.provider
        else _(
            "Through it account holders give permission at their bank. Enter the details you got"
            " when registering, and test the connection."
        ),
        button=_go(
            "provider",
            _("Look at the details") if facts.provider else _("Enter the details"),
            url_for("provider.page", **_from_here()),
        ),
    )


def _account_detail(facts: Facts, ready: bool) -> str:
    if facts.running:
        return ngettext("%(n)s link switched on", "%(n)s links switched on", facts.running)
    if ready:
        return _("Connect an account here, with its own button; then activate it.")
    return _("As soon as there is a journal with an IBAN and the details are entered.")


def _first_rows(session: Session, administration_id: int) -> tuple[RowView, ...]:
    found = [each for each in records(session, administration_id, at()) if each.shown]

    def nearest(each: Record) -> tuple[bool, int]:
        """What only has to be switched on comes before what still has to be linked."""
        return not each.facts.holders, each.connection.id

    views = (row_view(each, reader()) for each in sorted(found, key=nearest)[:_OFFERED])
    return tuple(view for view in views if view.primary is not None)


def _go(key: str, label: str, url: str) -> Button:
    return Button(action=f"go-{key}", label=label, name=label, method="get", url=url)


def _from_here() -> dict[str, Any]:
    return {"from": "start"}
