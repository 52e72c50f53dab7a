"""At a bank that promises that the ids of bookings stay, and may break its promise."""

from __future__ import annotations

from tests.state.house import House
from tests.state.machine import Machine
from tests.state.walking import STEPS, walk


class Promising(Machine):
    world = {"stable": True}


def test_what_is_stored_is_the_banks_truth_whatever_happens(house: House) -> None:
    walk(house, STEPS // 2, machine=Promising)
