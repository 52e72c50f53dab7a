"""The commands: `banklink run`, and what fills the embedded app's banks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from babel.dates import format_date
from babel.numbers import format_currency

from banklink.core.texts import N_
from banklink.settings import Settings, SettingsError, load
from banklink.translations import catalogue

if TYPE_CHECKING:
    from banklink.actions.services import Services
    from banklink.core.calendar import Moment
    from banklink.simulator import LoadReport

FILE_ERRORS: dict[str, str] = {
    "unreadable": N_("There is no such file, or it may not be read. Check the name."),
    "empty": N_("The file is empty. Export the statement again at the bank."),
    "too_large": N_(
        "The file is larger than %(megabytes)s MB. Export a shorter period, one file per year."
    ),
    "unknown_format": N_(
        "This is no MT940 or camt.053 file. Choose one of these formats when exporting."
    ),
    "truncated": N_("The file breaks off halfway. Download it again; nothing was loaded."),
    "malformed": N_(
        "Field %(field)s near line %(line)s cannot be read. Export the file again at the bank."
    ),
    "hostile_xml": N_(
        "The file holds a document type declaration, which no bank writes. It was not read."
    ),
    "no_statement": N_("There is no statement in the file. Choose a period with transactions."),
}

_NOTES: dict[str, str] = {
    "iban_replaced": N_(
        "%(reference)s is not a valid IBAN; the account is now %(iban)s (or choose with --iban)."
    ),
    "iban_given": N_("%(reference)s in the file is loaded as %(iban)s, as you asked."),
    "already_loaded": N_("Already there and not added again: %(count)s."),
    "every_holder": N_("Every holder of the demo may use this account: %(holders)s."),
    "holder_created": N_("A holder was made for it: %(name)s, %(email)s."),
    "joined_generated": N_("The account existed already with transactions of its own."),
}

_REFUSED: dict[str, str] = {
    "nobody": N_("Nobody has the e-mail address %(email)s. Check it."),
    "shut_out": N_("%(email)s no longer has access here, so a new password would open nothing."),
    "last_owner": N_(
        "This is the only owner of this installation; nobody could let anybody in again."
    ),
    "only_administrator": N_(
        "Nobody else administers %(which)s. Have somebody made administrator there first."
    ),
}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Banklink keeps the link between bank accounts and books whole."""


@main.command()
def run() -> None:
    """Serve the web page, the embedded app and the scheduler."""
    from app import main as serve

    serve()


@main.command()
def handbook() -> None:
    """Print docs/statuses.md, made from the status table."""
    from banklink.handbook import statuses_page

    click.echo(statuses_page(), nl=False)


@main.command()
def keys() -> None:
    """Make the two keys a Banklink that others reach must have; paste them into its settings."""
    import secrets

    from cryptography.fernet import Fernet

    click.echo(f"BANKLINK_SECRET_KEY={secrets.token_hex(32)}")
    click.echo(f"BANKLINK_ENCRYPTION_KEYS={Fernet.generate_key().decode()}")


@main.command("reset-password")
@click.argument("email")
def reset_password(email: str) -> None:
    """Print a link with which the person with this EMAIL chooses a new password, once.

    Give it to them yourself. May be asked while Banklink runs.
    """
    from banklink.actions.people import reset_link

    settings, token = _among_people(lambda services, at: reset_link(services, email, at), email)
    click.echo(catalogue(settings.locale).gettext(N_("Works once, within a day:")))
    click.echo(f"{settings.origin}/password/{token}")


@main.command("shut-out")
@click.argument("email")
def shut_out(email: str) -> None:
    """Sign the person with this EMAIL out everywhere and let them in nowhere, at once.

    Roles are kept; let-in takes it back. May be asked while Banklink runs.
    """
    from banklink.actions import people

    settings, name = _among_people(
        lambda services, at: people.shut_out(services, people.number_of(services, email), at),
        email,
    )
    say = catalogue(settings.locale).gettext
    click.echo(say(N_("%(name)s is shut out and signed out everywhere.")) % {"name": name})


@main.command("let-in")
@click.argument("email")
def let_in(email: str) -> None:
    """Let the person with this EMAIL, who was shut out, sign in again with the roles of before."""
    from banklink.actions import people

    settings, name = _among_people(
        lambda services, _at: people.let_in(services, people.number_of(services, email)), email
    )
    say = catalogue(settings.locale).gettext
    click.echo(
        say(N_("%(name)s can sign in again, with the same roles as before.")) % {"name": name}
    )


def _among_people(do: Callable[[Services, Moment], str], email: str) -> tuple[Settings, str]:
    """What `do` answers, asked of the database the settings name; a refusal as a sentence."""
    from app import open_services
    from banklink.actions.services import Refused
    from banklink.clock import SystemClock, read

    try:
        settings = load()
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    say = catalogue(settings.locale).gettext
    logging.basicConfig(level=logging.WARNING)
    if not settings.data.is_dir():
        raise click.ClickException(
            say(N_("There is no data folder %(folder)s. Set BANKLINK_DATA as for the server."))
            % {"folder": settings.data}
        )
    services = open_services(settings)
    try:
        return settings, do(services, read(SystemClock()))
    except Refused as error:
        params = {"email": email, **error.params}
        raise click.ClickException(say(_REFUSED[error.code]) % params) from None
    finally:
        services.store.engine.dispose()


@main.group()
def simulator() -> None:
    """The embedded entrepreneur app and its banks."""


@simulator.command("load")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--iban", help="IBAN of the account, instead of what the file says.")
@click.option("--bank", help="Name of the bank the account is at.")
@click.option("--holder", help="E-mail address of the holder; every holder by default.")
def load_statements(
    files: tuple[Path, ...], iban: str | None, bank: str | None, holder: str | None
) -> None:
    """Fill an account of a simulated bank from MT940 or camt.053 FILES.

    All files are loaded or, when one cannot be read, none.
    """
    from banklink.simulator import SimulatorConfig, create_simulator
    from banklink.statements import StatementError, read_statements

    try:
        settings = load()
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    say = catalogue(settings.locale).gettext
    logging.basicConfig(level=logging.WARNING)
    for path in files:
        try:
            read_statements(path)
        except StatementError as error:
            sentence = say(FILE_ERRORS[error.code]) % _shown(error)
            raise click.ClickException(f"{path}: {sentence}") from None
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    embedded = create_simulator(
        SimulatorConfig(settings.data, settings.simulator_origin, ())
    ).extensions["simulator"]
    try:
        reports = embedded.load(files, iban=iban, bank=bank, holder=holder)
    except ValueError as error:
        raise click.ClickException(_option_error(say, error, iban, holder)) from None
    finally:
        embedded.close()
    for report in reports:
        click.echo(_report(say, report, settings))


@simulator.command("serve")
@click.option("--port", type=click.IntRange(1, 65535), required=True, help="Port on this machine.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data-simulator"),
    show_default=True,
    help="Folder for its own database; made if absent.",
)
@click.option("--client-id", required=True, help="The id it knows Banklink by.")
@click.option("--client-secret", required=True, help="The secret that goes with it.")
@click.option("--redirect-uri", required=True, help="The redirect address Banklink shows.")
@click.option("--seed", is_flag=True, help="Add fictitious account holders with their accounts.")
def serve_simulator(
    port: int, data: Path, client_id: str, client_secret: str, redirect_uri: str, seed: bool
) -> None:
    """Run the embedded entrepreneur app alone, as a stranger's service on this machine.

    For trying out a real set-up: BANKLINK_DEMO=0 on one side, this on the other, and its addresses
    and credentials entered on Banklink's page.
    """
    from waitress.server import create_server

    from banklink.simulator import Client, SimulatorConfig, create_simulator
    from banklink.simulator.fictitious import WORLD

    logging.basicConfig(level=logging.WARNING)
    origin = f"http://127.0.0.1:{port}"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    client = Client(client_id, client_secret, "Banklink", (redirect_uri,))
    app = create_simulator(SimulatorConfig(data, origin, (client,)))
    embedded = app.extensions["simulator"]
    try:
        server = create_server(app, host="127.0.0.1", port=port, threads=8, ident=None)
    except OSError as error:
        raise click.ClickException(f"Port {port} is in use ({error.strerror}).") from None
    if seed and embedded.is_empty():
        embedded.seed(WORLD)
    click.echo(f"The entrepreneur app runs at {origin}")
    click.echo(f"  authorisation address  {origin}/oauth2/auth")
    click.echo(f"  token address          {origin}/oauth2/token")
    click.echo(f"  API address            {origin}/ponto-connect")
    click.echo(f"  issuer                 {origin}")
    if seed:
        for holder in WORLD["holders"]:
            click.echo(f"{holder['name']} <{holder['email']}>")
            for account in holder["accounts"]:
                click.echo(f"  {account['iban']}  {account['description']}, {account['bank']}")
    try:
        server.run()
    except (KeyboardInterrupt, SystemExit):
        server.close()
    finally:
        embedded.close()


def _shown(error: object) -> dict[str, object]:
    params: dict[str, object] = dict(getattr(error, "params", {}))
    if "max_bytes" in params:
        params["megabytes"] = int(str(params["max_bytes"])) // (1024 * 1024)
    return {"field": "", "line": "", **params}


def _option_error(say: object, error: ValueError, iban: str | None, holder: str | None) -> str:
    assert callable(say)
    if iban is not None and "IBAN" in str(error):
        text = N_("--iban %(iban)s is not a valid IBAN. Check the digits.")
    elif holder is not None and "holder" in str(error):
        text = N_("No holder has the e-mail address %(holder)s. Leave --holder out, or check it.")
    else:
        text = N_("An amount in the file is finer than its currency. Export the file again.")
    return str(say(text)) % {"iban": iban, "holder": holder}


def _report(say: object, report: LoadReport, settings: Settings) -> str:
    assert callable(say)
    where = settings.locale
    period = " – ".join(
        format_date(day, "d MMM y", locale=where) for day in (report.first, report.last) if day
    )
    translations = catalogue(where)
    sentence = translations.ngettext(
        "%(file)s: %(n)s transaction, together %(total)s, in %(iban)s at %(bank)s.",
        "%(file)s: %(n)s transactions, together %(total)s, in %(iban)s at %(bank)s.",
        report.count,
    )
    lines = [
        sentence
        % {
            "file": report.path.name,
            "n": report.count,
            "total": format_currency(report.total, report.currency, locale=where),
            "iban": report.iban,
            "bank": report.bank,
        }
    ]
    if period:
        lines.append("  " + say(N_("Booked %(period)s.")) % {"period": period})
    for code, params in report.notes:
        shown = {
            key: ", ".join(value) if isinstance(value, list) else value
            for key, value in params.items()
        }
        lines.append("  " + say(_NOTES[code]) % shown)
    return "\n".join(lines)


if __name__ == "__main__":
    main()
