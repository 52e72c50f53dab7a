"""The operator's commands: keys for a Banklink that others reach, and a link for a lost password."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from banklink.actions import people
from banklink.cli import main
from banklink.settings import load
from tests.support.office import opened

PIET = "piet@kantoor.nl"


def command(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environment)


def reset(folder: Path, email: str) -> Result:
    return command("reset-password", email, BANKLINK_DATA=str(folder), BANKLINK_DEMO="0")


def test_the_printed_keys_can_be_pasted_and_are_new_each_time() -> None:
    first, second = command("keys").output.split(), command("keys").output.split()
    names = ["BANKLINK_SECRET_KEY", "BANKLINK_ENCRYPTION_KEYS"]
    assert [line.partition("=")[0] for line in first] == names
    assert not set(first) & set(second)
    pasted = dict(line.split("=", 1) for line in first)
    found = load({"BANKLINK_ORIGIN": "https://bank.example.nl", **pasted})
    assert found.secret_key == pasted["BANKLINK_SECRET_KEY"]


def test_the_printed_link_chooses_a_new_password_while_banklink_runs(tmp_path: Path) -> None:
    with opened(tmp_path) as office:
        office.user(PIET)
        printed = reset(tmp_path, "Piet@kantoor.nl")
        assert printed.exit_code == 0
        origin, path, token = printed.output.split()[-1].partition("/password/")
        assert origin == "http://localhost:5000"
        address = path + token
        new = {"password": "een heel nieuwe zin"}
        assert office.guest().press(address, new).status_code == 303
        assert office.guest().press(address, new).status_code == 410
        assert office.guest().sign_in(PIET, new["password"]).status_code == 303


def test_the_operator_hears_why_there_is_no_link(tmp_path: Path) -> None:
    with opened(tmp_path) as office:
        gone = office.user("gone@kantoor.nl")
        people.shut_out(office.services, gone, office.at())
        for email, says in (
            ("nobody@kantoor.nl", "Niemand heeft het e-mailadres nobody@kantoor.nl"),
            ("gone@kantoor.nl", "heeft hier geen toegang meer"),
        ):
            answer = reset(tmp_path, email)
            assert answer.exit_code == 1
            assert says in answer.output and "/password/" not in answer.output
    elsewhere = reset(tmp_path / "elsewhere", PIET)
    assert elsewhere.exit_code == 1 and "BANKLINK_DATA" in elsewhere.output
    assert not (tmp_path / "elsewhere").exists(), "a mistyped folder is not made"


def test_the_operator_shuts_somebody_out_and_lets_them_in_again(tmp_path: Path) -> None:
    def run(verb: str, email: str) -> Result:
        return command(verb, email, BANKLINK_DATA=str(tmp_path), BANKLINK_DEMO="0")

    with opened(tmp_path) as office:
        firm, _connection = office.administration("Bakkerij")
        office.user("anna@kantoor.nl", {firm: "administrator"}, owner=True)
        office.user(PIET, {firm: "reader"})
        piet = office.signed_in(PIET)
        out = run("shut-out", "Piet@kantoor.nl")
        assert out.exit_code == 0 and "Piet is buitengesloten" in out.output
        assert piet.get("/").location.startswith("/sign-in")
        back = run("let-in", PIET)
        assert back.exit_code == 0 and "kan weer inloggen" in back.output
        assert office.signed_in(PIET).get("/").status_code == 200
        owner = run("shut-out", "anna@kantoor.nl")
        assert owner.exit_code == 1 and "enige eigenaar" in owner.output
        assert "Niemand heeft het e-mailadres" in run("shut-out", "nobody@kantoor.nl").output
