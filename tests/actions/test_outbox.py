"""No mail is lost, none goes out for what did not happen, and only a crash at the worst moment sends
one twice: over a real mail server, on both databases."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select

from banklink.actions import outbox
from banklink.actions.invite import ask_for
from banklink.actions.outbox import LEASE, deliver, queue, send_again, wipe
from banklink.actions.services import Missing, Refused, Services
from banklink.core.deliveries import Stage
from banklink.core.invitations import Purpose
from banklink.mail.letters import Letter, Paragraph
from banklink.mail.smtp import NotNow, Outgoing, Smtp
from banklink.settings import SmtpSettings
from banklink.store.deliveries import deliveries
from banklink.store.models import Administration, Holder, Invitation, Mail, User
from tests.actions.conftest import House, at_once
from tests.support.mailbox import HANG_UP, Mailbox, mailbox_fixture

__all__ = ["mailbox_fixture"]

JAN = "jan@devries.example"


class Office:
    """A house with a mail server."""

    def __init__(self, house: House, box: Mailbox):
        self.house, self.box = house, box
        self.services: Services = dataclasses.replace(house.services, post=post(box))

    def at(self) -> Any:
        return self.house.at()

    def write(self, **more: Any) -> int:
        with self.services.store.write() as session:
            return written(session, self, **more).id

    def deliver(self) -> int:
        return deliver(self.services, self.at())

    def later(self, **step: float) -> None:
        self.house.time.pushed += timedelta(**step)

    def mail(self, mail_id: int) -> Mail:
        with self.services.store.read() as session:
            return session.get_one(Mail, mail_id)

    def change(self, mail_id: int, **values: Any) -> None:
        with self.services.store.write() as session:
            for name, value in values.items():
                setattr(session.get_one(Mail, mail_id), name, value)

    def invitation(self, **values: Any) -> int:
        """An open invitation to Jan, with its mail in the outbox."""
        with self.services.store.write() as session:
            made = Administration(reference=f"{id(values)}", name="Bakkerij De Vries")
            session.add(made)
            session.flush()
            found, _ = ask_for(
                session, self.at(), administration_id=made.id, purpose=Purpose.CONNECT,
                email=JAN, name="Jan", locale="nl", connections=[],
            )  # fmt: skip
            written(session, self, invitation_id=found.id)
            for name, value in values.items():
                setattr(found, name, value)
            return int(found.id)

    def set(self, invitation_id: int, **values: Any) -> None:
        with self.services.store.write() as session:
            found = session.get_one(Invitation, invitation_id)
            for name, value in values.items():
                setattr(found, name, value)

    def delivery(self, invitation_id: int) -> Any:
        with self.services.store.read() as session:
            return deliveries(session, [invitation_id])[invitation_id]


def post(box: Mailbox) -> Smtp:
    return Smtp(SmtpSettings(box.host, box.port, "none", "post@kantoor.example"))


def written(session: Any, office: Office, **more: Any) -> Mail:
    letter = Letter("nl", "Onderwerp", "Beste Jan,", (Paragraph("Doe iets."),), "Groet, Sanne")
    found = queue(
        session,
        office.services,
        letter,
        office.at(),
        **{"kind": "test", "email": JAN, "name": "Jan", **more},
    )
    assert found is not None
    return found


@pytest.fixture
def office(house: House, mailbox: Mailbox) -> Iterator[Office]:
    yield Office(house, mailbox)


def ids(box: Mailbox) -> list[str]:
    return [letter.message["Message-ID"] for letter in box.letters]


# -- once, and only for what happened ------------------------------------------------------------


def test_a_mail_that_is_queued_is_sent_once(office: Office) -> None:
    number = office.write(reply_to="sanne@kantoor.example")
    assert office.deliver() == 1
    letter = office.box.only()
    assert letter.recipients == (JAN,)
    assert (letter.subject, letter.message["Reply-To"]) == ("Onderwerp", "sanne@kantoor.example")
    assert "Doe iets." in letter.text and "Doe iets." in letter.html
    mail = office.mail(number)
    assert (letter.message["Message-ID"], mail.tries, mail.error) == (mail.message_id, 1, None)
    assert mail.sent_at is not None
    office.later(days=10)
    assert office.deliver() == 0
    assert len(office.box.letters) == 1


def test_what_did_not_happen_sends_no_mail(office: Office) -> None:
    with pytest.raises(RuntimeError), office.services.store.write() as session:
        written(session, office)
        raise RuntimeError("the reason is taken back")
    assert office.deliver() == 0
    assert office.box.letters == []


def test_the_same_reason_queues_one_mail(office: Office) -> None:
    office.write(key="reminder 1 30")
    with office.services.store.write() as session, pytest.raises(AssertionError):
        written(session, office, key="reminder 1 30")
    assert office.deliver() == 1


def test_no_transaction_is_open_while_the_mail_server_answers(office: Office) -> None:
    """On SQLite a second writer would wait in vain."""
    number = office.write()
    other = office.write()

    def meanwhile(_letter: Any) -> None:
        office.change(other, name="changed meanwhile")

    office.box.before_answer = meanwhile
    assert office.deliver() == 2
    assert office.mail(other).name == "changed meanwhile"
    assert office.mail(number).sent_at is not None


def test_many_workers_send_no_mail_twice(office: Office) -> None:
    for _ in range(40):
        office.write()
    workers = [dataclasses.replace(office.services, post=post(office.box)) for _ in range(4)]
    answers = at_once(8, lambda number: deliver(workers[number % 4], office.at()))
    assert [each for each in answers if isinstance(each, BaseException)] == []
    assert sum(answers) == 40
    assert Counter(ids(office.box)).most_common(1)[0][1] == 1
    assert len(office.box.letters) == 40


# -- crashes -------------------------------------------------------------------------------------


def test_a_crash_after_the_server_took_it_repeats_one_mail_recognisably(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.write()
    first = office.write()

    def power_cut(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(outbox, "_sent", power_cut)
        with pytest.raises(KeyboardInterrupt):
            office.deliver()
    assert len(office.box.letters) == 1
    office.deliver()
    assert len(office.box.letters) == 2, "somebody may still be at the first"
    office.later(seconds=LEASE.total_seconds() + 1)
    for _ in range(3):
        office.deliver()
    repeated = Counter(ids(office.box))
    assert sorted(repeated.values()) == [1, 2]
    assert repeated[office.mail(first).message_id] == 1
    assert office.mail(first).sent_at is not None


def test_an_answer_that_got_lost_repeats_the_mail_under_the_same_name(office: Office) -> None:
    office.write()
    office.box.once["END"] = HANG_UP
    assert office.deliver() == 0
    office.later(minutes=2)
    assert office.deliver() == 1
    assert len(set(ids(office.box))) == 1 and len(office.box.letters) == 2


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_who_was_slower_than_its_claim_does_not_disturb_the_next(office: Office, ends: str) -> None:
    """The first worker hangs for longer than its lease; a second takes over and is at it when the
    first comes to its end."""
    number = office.write()
    real = office.services.post
    assert real is not None
    holding: list[Mail] = []

    class Slow:
        @contextmanager
        def round(self) -> Iterator[Callable[[Outgoing], None]]:
            def send(mail: Outgoing) -> None:
                office.later(minutes=11)
                assert outbox._claim(office.services, office.at()) is not None
                holding.append(office.mail(number))
                if ends == "badly":
                    raise NotNow("hung_up")
                with real.round() as one:
                    one(mail)

            yield send

    deliver(dataclasses.replace(office.services, post=Slow()), office.at())
    mail = office.mail(number)
    assert office.deliver() == 0, "the second worker still has it, or it is out"
    if ends == "badly":
        assert (mail.claimed_until, mail.error) == (holding[0].claimed_until, None)
        office.later(minutes=11)
        assert office.deliver() == 1
    assert len(office.box.letters) == 1 and office.mail(number).sent_at is not None


# -- refusals ------------------------------------------------------------------------------------


def test_a_server_that_is_away_is_tried_for_three_days_ever_more_rarely(office: Office) -> None:
    number = office.write()
    office.box.answers["RCPT"] = "451 4.7.1 later"
    began, tries = office.at().real, []
    for _ in range(6 * 24 * 4):
        office.deliver()
        if office.mail(number).tries > len(tries):
            tries.append(office.at().real - began)
        office.later(minutes=10)
    gaps = [round((b - a) / timedelta(minutes=10)) for a, b in pairwise(tries)]
    assert gaps[:5] == [1, 1, 2, 6, 36] and set(gaps[5:]) == {36}
    assert timedelta(days=3) <= tries[-1] < timedelta(days=3, hours=7)
    mail = office.mail(number)
    assert mail.refused_at is not None and mail.error == "recipient 451 4.7.1"
    assert office.box.letters == []


def test_a_mail_that_is_refused_for_good_is_not_tried_again_until_somebody_asks(
    office: Office,
) -> None:
    number = office.write()
    other = office.write(email="piet@bakker.example")
    office.box.once["RCPT"] = "550 5.1.1 nobody of that name"
    assert office.deliver() == 1, "the next mail goes all the same"
    office.later(days=1)
    office.deliver()
    assert office.mail(other).sent_at is not None
    assert office.mail(number).error == "recipient 550 5.1.1"
    assert len(office.box.to(JAN)) == 0
    assert send_again(office.services, number, office.at()) == number
    assert office.deliver() == 1
    assert office.box.to(JAN)[0].message["Message-ID"] == office.mail(number).message_id
    assert office.mail(number).error is None


def test_a_server_that_takes_nothing_is_left_alone_for_the_round(office: Office) -> None:
    for _ in range(5):
        office.write()
    office.box.answers["MAIL"] = "421 4.3.2 closing"
    before = office.box.connections
    assert office.deliver() == 0
    assert office.box.connections == before + 1
    office.box.answers.clear()
    office.later(minutes=2)
    assert office.deliver() == 5


def test_one_mail_of_ours_that_cannot_be_opened_keeps_no_other_waiting(office: Office) -> None:
    number = office.write()
    other = office.write()
    office.change(number, sealed="no token")
    third = office.write(email="no address")
    assert office.deliver() == 1
    assert office.mail(number).error == "unreadable"
    assert office.mail(third).error == "address_wrong"
    assert office.mail(other).sent_at is not None


# -- what was overtaken --------------------------------------------------------------------------


def test_without_a_mail_server_everything_waits(office: Office) -> None:
    number = office.write()
    assert deliver(office.house.services, office.at()) == 0
    mail = office.mail(number)
    assert (mail.sent_at, mail.refused_at, mail.tries) == (None, None, 0)
    with pytest.raises(Refused, match="no_mail_server"):
        send_again(office.house.services, number, office.at())
    office.later(days=29)
    deliver(office.house.services, office.at())
    assert office.mail(number).refused_at is None, "it can still be copied"
    office.later(days=2)
    deliver(office.house.services, office.at())
    assert office.mail(number).error == "stale"


def test_mails_of_weeks_ago_do_not_all_fly_out_when_a_mail_server_is_set(office: Office) -> None:
    old = [office.write() for _ in range(3)]
    office.later(days=2, minutes=1)
    new = office.write()
    assert office.deliver() == 1
    assert ids(office.box) == [office.mail(new).message_id]
    assert {office.mail(number).error for number in old} == {"stale"}
    send_again(office.services, old[1], office.at())
    assert office.deliver() == 1
    assert ids(office.box)[1:] == [office.mail(old[1]).message_id]


def test_a_mail_that_was_tried_once_does_not_fly_out_after_a_week_of_standstill(
    office: Office,
) -> None:
    number = office.write()
    office.box.once["RCPT"] = "451 later"
    office.deliver()
    office.later(days=6)
    assert office.deliver() == 0
    assert (office.box.letters, office.mail(number).error) == ([], "stale")


def test_what_holds_until_tonight_does_not_go_tomorrow(office: Office) -> None:
    tonight = office.at().now + timedelta(hours=8)
    number = office.write(true_until=tonight)
    again = office.write(true_until=tonight)
    office.box.answers["RCPT"] = "451 later"
    office.deliver()
    office.later(hours=9)
    office.box.answers.clear()
    assert office.deliver() == 0
    assert {office.mail(each).error for each in (number, again)} == {"late"}
    with pytest.raises(Refused, match="late"):
        send_again(office.services, number, office.at())


def test_a_server_that_relays_nothing_for_us_loses_nobody_their_mail(office: Office) -> None:
    """One hour of a wrong setting; the addresses are fine."""
    numbers = [office.write() for _ in range(3)]
    office.box.answers["RCPT"] = "554 5.7.1 relay access denied"
    office.deliver()
    assert [office.mail(each).refused_at for each in numbers] == [None] * 3
    office.box.answers.clear()
    office.later(minutes=10)
    assert office.deliver() == 3


OVERTAKEN: list[tuple[str, Callable[[datetime], dict[str, Any]]]] = [
    ("withdrawn", lambda now: {"withdrawn_at": now}),
    ("answered", lambda now: {"accepted_at": now}),
    ("answered", lambda now: {"declined_at": now}),
    ("expired", lambda now: {"expires_at": now - timedelta(days=1)}),
]


@pytest.mark.parametrize(("code", "values"), OVERTAKEN)
def test_an_invitation_that_is_over_sends_no_mail(
    office: Office, code: str, values: Callable[[datetime], dict[str, Any]]
) -> None:
    number = office.invitation()
    office.set(number, **values(office.at().now))
    assert office.deliver() == 0
    found = office.delivery(number)
    assert (found.stage, found.error) == (Stage.REFUSED, code)
    with pytest.raises(Refused, match=code):
        send_again(office.services, found.mail_id, office.at())
    assert office.box.letters == []


def test_an_invitation_withdrawn_between_two_tries_is_not_tried_again(office: Office) -> None:
    number = office.invitation()
    office.box.once["RCPT"] = "451 later"
    office.deliver()
    office.set(number, withdrawn_at=office.at().now)
    office.later(minutes=2)
    assert office.deliver() == 0
    assert office.box.letters == []


def test_what_a_colleague_is_told_about_an_invitation_goes_even_if_it_is_over(
    office: Office,
) -> None:
    number = office.invitation(declined_at=office.at().now)
    with office.services.store.write() as session:
        user = User(email="sanne@kantoor.example", name="Sanne", is_owner=False)
        session.add(user)
        session.flush()
        written(session, office, email=user.email, invitation_id=number, user_id=user.id)
    assert office.deliver() == 1
    assert office.box.only().recipients == ("sanne@kantoor.example",)


def test_who_is_forgotten_gets_no_mail_and_nothing_of_theirs_stays(office: Office) -> None:
    with office.services.store.write() as session:
        holder = Holder(provider="ponto", subject="x", name="Jan", forgotten_at=office.at().now)
        session.add(holder)
        session.flush()
        number = written(session, office, holder_id=holder.id).id
    assert office.deliver() == 0
    assert office.mail(number).error == "forgotten"
    assert wipe(office.services, office.at()) == 1
    assert office.mail(number).sealed == ""


# -- by hand, and wiping -------------------------------------------------------------------------


def test_what_was_sent_goes_again_as_a_new_mail_and_once_however_often_it_is_pressed(
    office: Office,
) -> None:
    number = office.write()
    office.deliver()
    pressed = {send_again(office.services, number, office.at(), copies=0) for _ in range(3)}
    assert len(pressed) == 1 and number not in pressed
    office.deliver()
    send_again(office.services, number, office.at(), copies=1)
    office.deliver()
    assert len(office.box.letters) == len(set(ids(office.box))) == 3
    assert len({letter.text for letter in office.box.letters}) == 1
    with pytest.raises(Missing):
        send_again(office.services, 10**6, office.at())


def test_the_content_is_wiped_after_thirty_days(office: Office) -> None:
    sent = office.write()
    office.deliver()
    office.later(days=29)
    waiting = office.write()
    assert wipe(office.services, office.at()) == 0
    office.later(days=1, minutes=1)
    assert wipe(office.services, office.at()) == 1
    assert office.mail(sent).sealed == "" and office.mail(waiting).sealed
    assert wipe(office.services, office.at()) == 0
    with pytest.raises(Refused, match="wiped"):
        send_again(office.services, sent, office.at())


# -- what the row says ---------------------------------------------------------------------------


def test_the_row_says_how_the_last_mail_of_an_invitation_fares(office: Office) -> None:
    number, other = office.invitation(), office.invitation()
    assert office.delivery(number).stage is Stage.WAITING
    office.box.answers["RCPT"] = "451 4.2.2 full"
    office.deliver()
    found = office.delivery(number)
    assert (found.stage, found.tries, found.error) == (Stage.FAILING, 1, "recipient 451 4.2.2")
    assert found.next_try is not None and found.next_try > office.at().real
    office.box.answers["RCPT"] = "550 5.2.1 closed"
    office.later(minutes=2)
    office.deliver()
    assert office.delivery(number).stage is Stage.REFUSED
    with office.services.store.write() as session:
        written(session, office, invitation_id=number, email="jan@elders.example")
    office.box.answers.clear()
    office.deliver()
    found = office.delivery(number)
    assert (found.stage, found.email, found.error) == (Stage.SENT, "jan@elders.example", None)
    with office.services.store.read() as session:
        assert set(deliveries(session, [number, other])) == {number, other}
        assert session.scalar(select(Mail.id).where(Mail.email == JAN)) is not None
