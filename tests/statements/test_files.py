"""Whatever is uploaded: statements, or an error with a code; never anything else."""

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banklink.statements import Statement, StatementError, read_statements
from tests.statements import DATA

FILES = sorted(each for each in DATA.iterdir() if each.is_file())
CONTENTS = {path.name: path.read_bytes() for path in FILES}


def code(data: bytes | Path, **kwargs: int) -> str:
    with pytest.raises(StatementError) as caught:
        read_statements(data, **kwargs)
    assert str(caught.value).startswith(caught.value.code)
    return caught.value.code


def looks_like(data: bytes) -> object:
    with pytest.raises(StatementError) as caught:
        read_statements(data)
    assert caught.value.code == "unknown_format"
    return caught.value.params["looks_like"]


@pytest.mark.parametrize("data", [b"", b" \r\n", b"\xef\xbb\xbf", b"\x00\x00"])
def test_an_empty_file_is_called_empty(data: bytes) -> None:
    assert code(data) == "empty"


def test_a_file_that_is_not_there_or_is_a_folder_is_unreadable(tmp_path: Path) -> None:
    assert code(tmp_path / "none.sta") == "unreadable"
    assert code(tmp_path) == "unreadable"


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.sta"
    with path.open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    assert code(path) == "too_large"
    assert code(CONTENTS["abn.sta"], max_bytes=100) == "too_large"


def test_other_formats_are_named() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("xl/workbook.xml", "<x/>")
    assert looks_like(archive.getvalue()) == "spreadsheet"
    assert looks_like(b"%PDF-1.7\n") == "pdf"
    assert looks_like(b"Datum;Naam;Bedrag\n20261120;x;1,00\n") == "csv"
    assert looks_like(b'{"transactions": []}') == "json"
    assert looks_like(b"<!doctype html><html><body>x</body></html>"[15:]) == "html"
    assert looks_like(b"Beste boekhouder,\n") == "unknown"
    assert looks_like(b":20:X\n:25:1\n:28C:1\n:34F:EUR0,\n:61:261120C1,NTRFNONREF\n") == "mt942"


@pytest.mark.parametrize("name", CONTENTS)
def test_a_file_that_is_cut_off_never_gives_half_a_statement(name: str) -> None:
    """Cut at every byte: refused, or the statements before the cut, complete."""
    whole = read_statements(CONTENTS[name])
    for end in range(len(CONTENTS[name]) - 4):
        try:
            found = read_statements(CONTENTS[name][:end])
        except StatementError:
            continue
        assert name.startswith(("abn", "knab", "rabo")), "one statement, or XML: nothing is whole"
        assert [s.bookings for s in found] == [s.bookings for s in whole[: len(found)]]
        assert [b for b in found[-1].balances if b.kind.endswith("closing")] == [
            b for b in whole[len(found) - 1].balances if b.kind.endswith("closing")
        ]


@pytest.mark.parametrize("name", CONTENTS)
def test_a_cut_in_the_middle_is_called_truncated(name: str) -> None:
    assert code(CONTENTS[name][: len(CONTENTS[name]) * 2 // 5]) == "truncated"


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_line_ends_make_no_difference(name: str, newline: bytes) -> None:
    data = CONTENTS[name].replace(b"\r\n", b"\n").replace(b"\n", newline)
    assert read_statements(data) == read_statements(CONTENTS[name])


def is_answer(data: bytes) -> bool:
    try:
        found = read_statements(data)
    except StatementError:
        return True
    return bool(found) and all(isinstance(item, Statement) for item in found)


EDITS = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.integers(0, 40),
        st.one_of(
            st.binary(max_size=8),
            st.sampled_from(
                [
                    b"\n",
                    b":61:",
                    b":62F:",
                    b":20:",
                    b"-}",
                    b"{4:",
                    b",",
                    b"\xff",
                    b"<Stmt>",
                    b"</",
                    b"&x;",
                    b"<!DOCTYPE a>",
                    b"9" * 30,
                    "\u0663".encode(),
                    b"/NAME/",
                    b"/CNTP/",
                ]
            ),
        ),
    ),
    max_size=6,
)


@given(st.sampled_from(sorted(CONTENTS)), EDITS)
def test_a_damaged_file_is_read_or_refused(
    name: str, edits: list[tuple[float, int, bytes]]
) -> None:
    data = CONTENTS[name]
    for at, length, insertion in edits:
        start = int(at * len(data))
        data = data[:start] + insertion + data[start + length :]
    assert is_answer(data)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    assert is_answer(data)
    assert is_answer(b":20:" + data)
    assert is_answer(b"<" + data)
