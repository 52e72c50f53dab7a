"""The demo's data is what the examples say, and statement files may be loaded before or after."""

from __future__ import annotations

from pathlib import Path

import app as composition
from banklink.examples import FIRMS
from banklink.store.facts import records
from tests.support.house import running, settings_for

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
