"""Import journals: the lines of a list that can be used become journals, all at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from banklink.actions.choose_journal import printable
from banklink.actions.fetch import fetch_all
from banklink.actions.services import Services
from banklink.actions.settle import hold, settle
from banklink.core.calendar import Moment
from banklink.statements.journals import JournalLine, Problem
from banklink.store.models import Journal


def against(
    session: Session, administration_id: int, lines: Iterable[JournalLine]
) -> tuple[JournalLine, ...]:
    """The same lines, with what stands in their way in these books: `code_exists` and
    `iban_exists`, each with the code and name of the journal that has it."""
    there = list(
        session.scalars(select(Journal).where(Journal.administration_id == administration_id))
    )
    codes = {each.code: each for each in there}
    ibans = {each.iban: each for each in there if each.iban and each.currency == "EUR"}
    judged = []
    for line in lines:
        problems = list(line.problems)
        for field, other in (
            ("code", codes.get(printable(line.code))),
            ("iban", ibans.get(line.iban or "")),
        ):
            if other is not None:
                problems.append(
                    Problem(f"{field}_exists", field, {"code": other.code, "name": other.name})
                )
        judged.append(replace(line, problems=tuple(problems)))
    return tuple(judged)


def import_journals(
    services: Services,
    administration_id: int,
    lines: Iterable[JournalLine],
    at: Moment,
    *,
    actor: str,
) -> tuple[int, tuple[JournalLine, ...]]:
    """Returns how many were added, and the lines that were not, with why."""
    with services.store.write() as session:
        hold(session, administration_id)
        judged = against(session, administration_id, lines)
        good = [line for line in judged if not line.problems]
        session.add_all(
            Journal(
                administration_id=administration_id,
                code=printable(line.code),
                name=printable(line.name),
                iban=line.iban,
                currency="EUR",
                processed_through=line.through,
                changed_by=actor,
            )
            for line in good
        )
        due = settle(session, administration_id, at, actor=actor) if good else []
    fetch_all(services, due, at)
    return len(good), tuple(line for line in judged if line.problems)
