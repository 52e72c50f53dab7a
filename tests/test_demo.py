"""The demo's data is what the examples say, and statement files may be loaded before or after."""

from __future__ import annotations

from datetime import datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path

import pytest
from sqlalchemy import select

import app as composition
from banklink.core.calendar import AMSTERDAM
from banklink.examples import FIRMS
from banklink.simulator.model import BankAccount
from banklink.store.facts import records
from banklink.store.models import Mail, User
from tests.support.house import TestHouse, running, settings_for

STATEMENT = """\
:20:PROEF
:25:NL20INGB0001234567EUR
:28C:1
:60F:C260101EUR100,00
:61:2601020102D12,50NTRFNONREF
:86:Koffie
:62F:C260102EUR87,50
"""


def test_every_row_of_the_demo_is_what_its_example_says(tmp_path: Path) -> None:
    with running(tmp_path, web=False) as house, house.services.store.read() as session:
        for number, firm in enumerate(FIRMS, start=1):
            rows = {
                each.connection.iban: each
                for each in records(session, number, house.at())
                if each.shown
            }
            for example in firm.examples:
                diagnosis = rows.pop(example.iban).diagnosis
                assert diagnosis.row.key == example.row, example.name
                assert {each.value for each in diagnosis.overlays} == set(example.overlays), (
                    example.name
                )
            assert rows == {}


def test_the_demo_stays_so_when_the_jobs_have_run(tmp_path: Path) -> None:
    with running(tmp_path, web=False) as house:
        house.jobs()
        with house.services.store.read() as session:
            keys = {
                each.connection.iban: each.diagnosis.row.key
                for each in records(session, 1, house.at())
            }
    assert keys == {example.iban: example.row for example in FIRMS[0].examples}


MAILS = (
    "reminder Jan de Vries De bankkoppeling van Bakkerij De Vries is al 7 dagen verlopen",
    "reminder Jan de Vries Bankkoppeling Bakkerij De Vries: toestemming loopt tot *",
    "digest Sanne Jansen 8 bankkoppelingen vragen aandacht",
)
"""What fell due in the two weeks before it begins, but for what a mail three days before had told."""


def mails(house: TestHouse) -> list[tuple[datetime, str]]:
    with house.services.store.read() as session:
        found = session.scalars(
            select(Mail).where(Mail.kind.in_(("reminder", "digest"))).order_by(Mail.id)
        )
        return [
            (
                mail.created_at.astimezone(AMSTERDAM),
                f"{mail.kind} {mail.name} {house.services.vault.open(mail.sealed)['subject']}",
            )
            for mail in found
        ]


@pytest.mark.parametrize("hour", [3, 16])
def test_a_fresh_demo_holds_the_mails_that_are_due_whatever_the_hour(
    tmp_path: Path, hour: int
) -> None:
    begin = datetime.now(AMSTERDAM).replace(hour=hour, minute=30)
    with running(tmp_path, web=False, starts=begin) as house:
        house.jobs()
        found = mails(house)
        assert len(found) == len(MAILS)
        for (at, text), expected in zip(found, MAILS, strict=True):
            assert fnmatch(text, expected), text
            assert (at.hour, at.minute) == (10, 0)
            assert at <= begin
        assert begin - found[-1][0] < timedelta(days=1), "the digest is of the last morning"
        house.simulator.clock.advance(timedelta(days=9))
        told = [text for _, text in mails(house)[len(MAILS) :] if "reminder" in text]
        assert told == [
            "reminder Jan de Vries"
            f" {'Morgen' if hour < 10 else 'Vandaag'} verloopt de bankkoppeling van Bakkerij De Vries"
        ], "of what was skipped only the most urgent"


def test_a_statement_loaded_before_the_first_start_belongs_to_everybody(tmp_path: Path) -> None:
    file = tmp_path / "afschrift.sta"
    file.write_text(STATEMENT)
    folder = tmp_path / "data"
    parts = composition.build(settings_for(folder))
    assert parts.simulator is not None
    parts.simulator.extensions["simulator"].load([file])
    parts.services.store.engine.dispose()
    with running(folder, web=False) as house:
        from banklink.simulator.model import BankAccount, Holder, Owner

        with house.simulator.store.transaction() as db:
            owners = (
                db.query(Holder.email)
                .join(Owner, Owner.holder_id == Holder.id)
                .join(BankAccount, BankAccount.id == Owner.bank_account_id)
                .filter(BankAccount.iban == "NL20INGB0001234567")
            )
            assert "jan@devries.example" in {email for (email,) in owners}


class Cut(BaseException):
    """The power, or somebody's patience."""


@pytest.mark.parametrize("at", ["before", "half"])
def test_a_demo_whose_first_start_was_cut_short_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """What was loaded into the embedded app before stays."""
    statement = tmp_path / "proef.sta"
    statement.write_text(STATEMENT)
    data = tmp_path / "data"
    with running(data, demo_data=False, web=False) as house:
        house.simulator.load([statement])
    learn, seen = composition.demo._learn, []

    def cut(*args: object) -> None:
        seen.append(args)
        if at == "before" or len(seen) == 3:
            raise Cut
        learn(*args)

    monkeypatch.setattr(composition.demo, "_learn", cut)
    with pytest.raises(Cut), running(data, web=False):
        pass
    monkeypatch.undo()
    with running(data, web=False) as house:
        with house.services.store.read() as session:
            keys = {
                each.connection.iban: each.diagnosis.row.key
                for each in records(session, 1, house.at())
                if each.shown
            }
        with house.simulator.store.transaction() as db:
            banks = set(db.scalars(select(BankAccount.iban)))
    assert keys == {example.iban: example.row for example in FIRMS[0].examples}
    assert "NL20INGB0001234567" in banks


def test_half_a_demo_never_takes_real_books_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_args: object) -> None:
        raise Cut

    monkeypatch.setattr(composition.demo, "plant", cut)
    with pytest.raises(Cut), running(tmp_path, web=False):
        pass
    office = composition.build(settings_for(tmp_path, BANKLINK_DEMO="0"))
    with office.services.store.write() as session:
        session.add(User(name="Anna", email="anna@kantoor.example", is_owner=True))
    office.services.store.engine.dispose()
    again = composition.build(settings_for(tmp_path))
    with pytest.raises(composition.StartError, match="in real use"):
        composition.of_its_kind(again)
    with again.services.store.read() as session:
        assert session.scalars(select(User.name)).all() == ["Anna"]
    again.services.store.engine.dispose()
    assert again.simulator is not None
    again.simulator.extensions["simulator"].close()
