"""Draws the pictures of docs/: `make screens`. The same ways as the tests go, on a day that is
always the same, so that a picture changes only when the page does."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.browser.office_screens import OFFICE, Desk
from tests.browser.people import person
from tests.browser.screens import BANKLINK, OPEN, STRANGER, settled
from tests.support.browser import chromium, open_context
from tests.support.house import running
from tests.support.office import serving

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
MORNING = datetime(2026, 3, 12, 7, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Picture:
    """`of` is the screen's name; `part` what is drawn of it, the whole window without."""

    of: str
    part: str = ""
    width: int = 1280
    height: int = 800
    dark: bool = False


PICTURES = {
    "list": Picture("page", height=900),
    "list-dark": Picture("page", height=600, dark=True),
    "list-phone": Picture("page", width=390, height=1210),
    "activate": Picture("activate-preview", OPEN),
    "details": Picture("details-expired", OPEN),
    "repair": Picture("repair", OPEN),
    "landing-phone": Picture("landing", width=390, height=900),
    "transactions": Picture("transactions", height=600),
    "help": Picture("help", height=640),
    "bank": Picture("bank-consent", height=700),
    "start": Picture("start-account", height=1060),
    "journals-import": Picture("journals-import-errors", height=860),
}


def draw(page: Page, screen: str) -> None:
    for name, picture in PICTURES.items():
        if picture.of != screen:
            continue
        page.set_viewport_size({"width": picture.width, "height": picture.height})
        page.emulate_media(color_scheme="dark" if picture.dark else "light")
        page.mouse.move(0, 0)
        page.evaluate("() => { document.activeElement?.blur(); scrollTo(0, 0); }")
        target: Any = page.locator(picture.part) if picture.part else page
        target.screenshot(path=IMAGES / f"{name}.png", animations="disabled")
        print(f"docs/images/{name}.png {(IMAGES / f'{name}.png').stat().st_size // 1024} KB")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    wanted = {picture.of for picture in PICTURES.values()}
    assert wanted <= {each.name for each in (*BANKLINK, *STRANGER, *OFFICE)}

    def along(screens: Any, who: Any, page: Page, *, story: bool = False) -> None:
        left = wanted & {each.name for each in screens}
        for screen in screens:
            if left and (story or screen.name in left):
                screen.go(who)
                settled(page)
                draw(page, screen.name)
                left.discard(screen.name)

    with (
        tempfile.TemporaryDirectory() as demo,
        tempfile.TemporaryDirectory() as real,
        chromium() as browser,
        running(Path(demo), starts=MORNING) as house,
        serving(Path(real)) as office,
    ):
        office.clock.later = MORNING - datetime.now(UTC)
        with open_context(browser, reduced_motion="reduce") as watched:
            hands = person(house, watched, "Bakkerij De Vries")
            along(BANKLINK, hands, hands.page)
            along(STRANGER, hands, hands.page)
        with open_context(browser, reduced_motion="reduce") as watched:
            watched.expect("status of 4")
            desk = Desk(office, watched.new_page(), house)
            along(OFFICE, desk, desk.page, story=True)


if __name__ == "__main__":
    main()
