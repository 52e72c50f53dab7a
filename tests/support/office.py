"""A Banklink for real, as an office runs it: no demo, nobody yet, a machine clock that can be moved."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

import app as composition
from banklink.core.calendar import Moment
from banklink.store.facts import ensure_connections
from banklink.store.models import (
    Administration,
    Connection,
    Journal,
    Membership,
    OneTimeLink,
    User,
    UserSession,
)
from tests.support import ready_made
from tests.support.house import settings_for
from tests.support.html import lint

PASSWORD = "vier rode fietsen"
_HASHED = generate_password_hash(PASSWORD, method="scrypt:1024:8:1")
"""Cheaper than Banklink's own, which those who choose a password in a test get."""


@dataclass
class MovedClock:
    """The machine's clock, some time later."""

    later: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    def real(self) -> datetime:
        return self.now()


class Guest(FlaskClient):
    """Somebody's browser without JavaScript. What it is shown is linted."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        if args and isinstance(args[0], str):
            kwargs.setdefault("base_url", self.application.config["OFFICE"])
        kwargs.setdefault("buffered", True)
        answer = super().open(*args, **kwargs)
        if answer.mimetype == "text/html" and answer.data:
            problems = lint(answer.text)
            assert not problems, f"{answer.request.path}: {problems}"
        return answer

    def token(self) -> str:
        """The CSRF token of this browser, as it stands in a form of any page."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get("/no-such-page").text)
        assert found is not None
        return found[1]

    def press(
        self, address: str, data: dict[str, Any] | None = None, *, htmx: bool = False, **kwargs: Any
    ) -> TestResponse:
        headers = {"HX-Request": "true"} if htmx else {}
        headers |= kwargs.pop("headers", {})
        # A browser on an https page says where it comes from; the forgery check asks for it.
        headers.setdefault("Referer", self.application.config["OFFICE"] + "/")
        data = {"csrf_token": self.token(), **(data or {})}
        return self.post(address, data=data, headers=headers, **kwargs)

    def sign_in(self, email: str, password: str = PASSWORD, **kwargs: Any) -> TestResponse:
        return self.press("/sign-in", {"email": email, "password": password}, **kwargs)

    def session_token(self) -> str | None:
        for name in ("banklink-session", "__Host-banklink-session"):
            found = self.get_cookie(name, domain="localhost") or self.get_cookie(
                name, domain="bank.example.nl"
            )
            if found:
                return found.value
        return None


@dataclass
class Office:
    parts: composition.Banklink
    clock: MovedClock = field(default_factory=MovedClock)

    @property
    def services(self) -> Any:
        return self.parts.services

    def at(self) -> Moment:
        return Moment(self.clock.now(), self.clock.real())

    def guest(self) -> Guest:
        self.parts.web.test_client_class = Guest
        found = self.parts.web.test_client()
        assert isinstance(found, Guest)
        return found

    def user(self, email: str, roles: dict[int, str] | None = None, *, owner: bool = False) -> int:
        """Somebody with the password of this office, and what they are where."""
        with self.services.store.write() as session:
            user = User(
                email=email,
                name=email.partition("@")[0].title(),
                password_hash=_HASHED,
                is_owner=owner,
            )
            session.add(user)
            session.flush()
            for administration_id, role in (roles or {}).items():
                session.add(
                    Membership(user_id=user.id, administration_id=administration_id, role=role)
                )
            return int(user.id)

    def signed_in(self, email: str) -> Guest:
        guest = self.guest()
        assert guest.sign_in(email).status_code == 303
        return guest

    def administration(self, name: str, iban: str = "NL91ABNA0417164300") -> tuple[int, int]:
        """Numbers of an administration and of its one connection."""
        with self.services.store.write() as session:
            made = Administration(reference=name.lower(), name=name)
            session.add(made)
            session.flush()
            session.add(Journal(administration_id=made.id, code="1100", name="Bank", iban=iban))
            session.flush()
            ensure_connections(session, made.id)
            session.flush()
            connection = session.query(Connection).filter_by(administration_id=made.id).one()
            return int(made.id), int(connection.id)

    def count(self, model: type[User] | type[UserSession] | type[OneTimeLink]) -> int:
        with self.services.store.read() as session:
            return int(session.query(model).count())


@contextmanager
def opened(folder: Path, **environment: str) -> Iterator[Office]:
    settings = settings_for(folder, BANKLINK_DEMO="0", **environment)
    parts = ready_made.build(settings)
    office = Office(parts)
    web = parts.web
    web.extensions["banklink"] = replace(web.extensions["banklink"], clock=office.clock)
    web.config["OFFICE"] = (
        settings.origin if settings.origin.startswith("https:") else "http://localhost"
    )
    try:
        yield office
    finally:
        office.services.store.engine.dispose()


@contextmanager
def serving(folder: Path, **environment: str) -> Iterator[Office]:
    """The same, reached by a browser at `parts.settings.origin`."""
    with opened(folder, **environment) as office:
        port = office.parts.settings.port
        server = composition.serve_in_thread(
            office.parts.web, "127.0.0.1", port, threads=4, demo=False
        )
        try:
            yield office
        finally:
            server.close()
