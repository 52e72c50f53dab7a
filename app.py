"""The composition root: settings, clock, providers, web application, scheduler.

`python app.py` serves. Nothing else starts the scheduler or the embedded app.
"""

from __future__ import annotations

import gc

if __name__ == "__main__":
    gc.disable()  # nothing made while starting is garbage; calm_collector goes on from there

import logging
import os
import queue
import secrets
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from flask import Flask

from banklink import clock as clocks
from banklink import demo
from banklink.actions import people
from banklink.actions.services import Office, Services
from banklink.actions.shelf import Shelf
from banklink.actions.sweep import let_go
from banklink.clock import Clock, SystemClock
from banklink.mail.smtp import Post, Smtp
from banklink.providers.contract import BankProvider
from banklink.providers.ponto import Ponto
from banklink.settings import PontoSettings, Settings, SettingsError, load
from banklink.store.database import Store, migrate
from banklink.store.vault import Vault
from banklink.web.context import DemoLinks, House, Person, person_from
from banklink.web.factory import create_database, furnish

log = logging.getLogger("banklink")

CLIENT_ID = "banklink"
SIMULATOR = "simulator.sqlite3"
HALF_A_DEMO = "simulator-before-demo.sqlite3"


class StartError(Exception):
    """Banklink cannot start; the message says why and what to do."""


@dataclass(frozen=True)
class Banklink:
    """All parts, put together and not yet serving. `simulator` is None without the demo."""

    settings: Settings
    web: Flask
    services: Services
    clock: Clock
    simulator: Flask | None


def build(settings: Settings) -> Banklink:
    """Put the parts together and bring the database up to date. Raises StartError."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret_key = settings.secret_key or _kept(settings.data / "secret.key", secrets.token_hex)
    vault = Vault(settings.encryption_keys or (_kept(settings.data / "encryption.key", _key),))
    web, store = create_database(settings, secret_key)
    migrate(store.engine)
    simulator: Flask | None = None
    providers: Mapping[str, BankProvider] = Shelf(store, vault)
    if settings.demo:
        _clear_half_a_demo(settings.data, store)
        client_secret = _kept(settings.data / "simulator-client.key", secrets.token_urlsafe)
        simulator = _simulator(settings, client_secret)
        providers = {Ponto.id: Ponto(_embedded(settings, client_secret))}
    if settings.ponto is not None:
        providers = {Ponto.id: Ponto(settings.ponto)}
    clock: Clock = simulator.extensions["simulator"].clock if simulator else SystemClock()
    services = Services(
        store, providers, vault, settings.redirect_uri, _office(settings), post=_post(settings)
    )
    furnish(
        web,
        House(
            settings=settings,
            services=services,
            clock=clock,
            demo=DemoLinks(
                simulator_url=settings.simulator_origin + "/",
                panel_url=f"{settings.simulator_origin}/panel?client={CLIENT_ID}",
            )
            if settings.demo
            else None,
            load_user=_demo_person(services) if settings.demo else None,
        ),
    )
    return Banklink(settings, web, services, clock, simulator)


def open_services(settings: Settings) -> Services:
    """What a command needs beside a Banklink that may be running: the database, no provider."""
    vault = Vault(settings.encryption_keys or (_kept(settings.data / "encryption.key", _key),))
    _web, store = create_database(settings, secrets.token_hex())
    migrate(store.engine)
    return Services(store, Shelf(store, vault), vault, settings.redirect_uri, _office(settings))


def _office(settings: Settings) -> Office:
    return Office(
        origin=settings.origin,
        name=settings.office,
        app=settings.app_name,
        provider=settings.provider_name,
        locale=settings.locale,
        phone=settings.office_phone,
        sender=settings.smtp.sender if settings.smtp else None,
    )


def _post(settings: Settings) -> Post | None:
    """How mails leave: by nothing, where no mail server was set."""
    if settings.smtp is None:
        return None
    return Smtp(settings.smtp, urlsplit(settings.origin).hostname)


def _kept(path: Path, make: Callable[[], str]) -> str:
    """A secret of this installation: made once, readable by its owner alone. It gets its name when
    it is whole and on disk: what is sealed with it would be lost along with it."""
    if not path.exists() or not path.stat().st_size:
        started = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(started, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        started.replace(path)
        _lasting(path.parent)
    return path.read_text(encoding="ascii").strip()


def _lasting(folder: Path) -> None:
    """The names in it survive a power loss; a system that cannot say so does it by itself."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _key() -> str:
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()


def _simulator(settings: Settings, client_secret: str) -> Flask:
    from banklink.simulator import Client, SimulatorConfig, create_simulator

    return create_simulator(
        SimulatorConfig(
            data=settings.data,
            origin=settings.simulator_origin,
            clients=(
                Client(CLIENT_ID, client_secret, settings.app_name, (settings.redirect_uri,)),
            ),
            app_name=settings.provider_name,
            default_locale=settings.locale,
        )
    )


def _embedded(settings: Settings, client_secret: str) -> PontoSettings:
    """The embedded app's addresses, in the shape of the real service's."""
    origin = settings.simulator_origin
    return PontoSettings(
        authorize_url=f"{origin}/oauth2/auth",
        token_url=f"{origin}/oauth2/token",
        api_url=f"{origin}/ponto-connect",
        client_id=CLIENT_ID,
        client_secret=client_secret,
        issuer=origin,
    )


def _demo_person(services: Services) -> Callable[[], Person | None]:
    """Read each time: the account page may change the name."""

    def load_user() -> Person | None:
        found = demo.demo_user(services)
        return person_from(found) if found else None

    return load_user


class Serving:
    """A waitress server with a pool of its own, in the background."""

    def __init__(self, server: Any, port: int):
        self._server = server
        self._thread = threading.Thread(target=server.run, daemon=True, name=f"server-{port}")
        self._thread.start()

    def close(self) -> None:
        """Finish what is being answered, then let go of every connection."""
        self._server.task_dispatcher.shutdown()
        self._server.trigger.pull_trigger(self._close_all)
        self._thread.join(5)

    def _close_all(self) -> None:
        """In the server's own thread: it waits on these sockets."""
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()
        self._server.close()


def serve_in_thread(
    app: Flask, host: str, port: int, threads: int, *, demo: bool = True, proxy: str | None = None
) -> Serving:
    """Serve an application. `proxy` is the address whose forwarding headers are believed; from
    anybody else they are taken off, except in the demo. Raises StartError."""
    from waitress.server import create_server

    try:
        server = create_server(
            app,
            host=host,
            port=port,
            threads=threads,
            ident=None,
            # The demo must see forwarding headers to refuse.
            clear_untrusted_proxy_headers=not demo,
            map={},
            **_trust(proxy),
        )
    except OSError as error:
        raise _port_in_use(port, error) from None
    return Serving(server, port)


def _port_in_use(port: int, error: OSError) -> StartError:
    return StartError(
        f"Port {port} is in use ({error.strerror}). Stop what uses it, or choose another"
        " with PORT or BANKLINK_SIMULATOR_PORT."
    )


def _look_at_port(host: str, port: int) -> None:
    """Say that a port is taken before a demo is made for it. Raises StartError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        if sys.platform != "win32":
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise _port_in_use(port, error) from None


def _trust(proxy: str | None) -> dict[str, Any]:
    if proxy is None:
        return {}
    headers = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}
    return {"trusted_proxy": proxy, "trusted_proxy_count": 1, "trusted_proxy_headers": headers}


def of_its_kind(banklink: Banklink) -> None:
    """The demo and real books never share a database: one is open to whoever sits at the machine,
    the other wants people to sign in. Raises StartError."""
    if banklink.settings.demo and demo.is_in_real_use(banklink.services):
        raise StartError(
            "These books are in real use: people sign in there. Start with BANKLINK_DEMO=0, or"
            " choose another folder for the demo with BANKLINK_DATA (and database, if you set one)."
        )
    if not banklink.settings.demo and demo.demo_user(banklink.services) is not None:
        raise StartError(
            f"The data folder {banklink.settings.data} holds the demo. Choose another for your own"
            " books, for example BANKLINK_DATA=books (and database, if you set one)."
        )


def plant_demo(banklink: Banklink) -> None:
    """Fill both sides on an empty database; the embedded app must be serving."""
    if banklink.simulator is None or not demo.is_empty(banklink.services):
        return
    simulator = banklink.simulator.extensions["simulator"]
    people = [holder["email"] for holder in demo.world(CLIENT_ID)["holders"]]
    if any(simulator.knows(email) for email in people):
        raise StartError(
            "The data folder holds an embedded app without its Banklink data."
            " Empty the folder, or choose another with BANKLINK_DATA."
        )
    aside = _set_aside(banklink.settings.data)
    made = simulator.seed(demo.world(CLIENT_ID))
    demo.plant(banklink.services, made, clocks.read(banklink.clock))
    aside.unlink()


def _set_aside(data: Path) -> Path:
    """The embedded app as it is before the demo comes: as long as this lies there, the demo is half
    planted. Statements may have been loaded into it already."""
    aside, started = data / HALF_A_DEMO, data / f"{HALF_A_DEMO}.new"
    started.unlink(missing_ok=True)
    with closing(sqlite3.connect(data / SIMULATOR)) as db:
        db.execute("VACUUM INTO ?", (str(started),))
    return started.replace(aside)


def _clear_half_a_demo(data: Path, store: Store) -> None:
    """A start that was cut short while it planted left half a demo: both sides become what they
    were before it."""
    aside = data / HALF_A_DEMO
    if not aside.exists() or not demo.clear(store):
        return
    log.warning("the last start was cut short while it made the demo; it is made anew")
    demo.clear(store)
    for ending in ("-wal", "-shm"):
        (data / f"{SIMULATOR}{ending}").unlink(missing_ok=True)
    aside.replace(data / SIMULATOR)


def only_process(settings: Settings) -> IO[str] | None:
    """On SQLite one process at a time: two would fetch and ring twice. Keep what is returned open;
    it is None where the database itself keeps workers apart. Raises StartError."""
    if not settings.database_url.startswith("sqlite:"):
        return None
    file = (settings.data / "banklink.lock").open("w")
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise StartError(
            f"Banklink already runs with the data folder {settings.data}."
            " Stop the other one first, or choose another folder with BANKLINK_DATA."
        ) from None
    return file


def calm_collector() -> None:
    """Once everything is there: it stays, so the garbage collector need not go through it again,
    and what comes and goes with a request is looked through less often. Its rounds over all that a
    Banklink holds were what made one page in a hundred slow."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def run(settings: Settings) -> None:
    """Serve until stopped. Raises StartError."""
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    for quiet in ("waitress.queue", "httpx2", "apscheduler", "alembic"):
        logging.getLogger(quiet).setLevel(logging.ERROR if quiet[0] == "w" else logging.WARNING)
    logging.getLogger("authlib").setLevel(logging.INFO)
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"The data folder {settings.data} cannot be made ({error.strerror})."
            " Choose another with BANKLINK_DATA."
        ) from None
    lock = only_process(settings)
    _look_at_port(settings.host, settings.port)
    if settings.demo:
        _look_at_port("127.0.0.1", settings.simulator_port)
    banklink = build(settings)
    of_its_kind(banklink)
    if lock is not None:
        let_go(banklink.services)
    servers = []
    if banklink.simulator is not None:
        servers.append(
            serve_in_thread(banklink.simulator, "127.0.0.1", settings.simulator_port, threads=8)
        )
    plant_demo(banklink)
    # Raising here could be swallowed, where a weak reference's callback happens to run.
    stop: queue.SimpleQueue[int] = queue.SimpleQueue()
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda number, _frame: stop.put(number))
    servers.append(
        serve_in_thread(
            banklink.web,
            settings.host,
            settings.port,
            threads=8,
            demo=settings.demo,
            proxy=settings.trusted_proxy,
        )
    )
    from banklink import jobs  # whoever waits for the first page need not wait for this

    scheduler = jobs.start(banklink.services, banklink.clock)
    if banklink.simulator is not None:
        banklink.simulator.extensions["simulator"].clock.listeners.append(
            lambda: jobs.wake(scheduler)
        )
    calm_collector()
    print(f"{settings.app_name} runs at {settings.origin}", flush=True)
    token = people.set_up_link(banklink.services, clocks.read(banklink.clock))
    if token is not None:
        print(f"Set it up, once, within a day: {settings.origin}/set-up/{token}", flush=True)
    if banklink.simulator is not None:
        print(f"The entrepreneur app and its banks: {settings.simulator_origin}", flush=True)
    stop.get()
    print("Stopping…", flush=True)
    for server in reversed(servers):
        server.close()
    scheduler.shutdown(wait=True)
    for provider in banklink.services.providers.values():
        provider.close()
    if lock is not None:
        lock.close()


def main() -> None:
    """Start, or say in one sentence why not."""
    try:
        run(load())
    except (SettingsError, StartError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
