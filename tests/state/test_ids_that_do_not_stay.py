"""At a bank that gives its bookings other ids every time, or none."""

from __future__ import annotations

from tests.state.house import House
from tests.state.machine import Machine
from tests.state.walking import STEPS, walk


class Fleeting(Machine):
    world = {"stable": False}


def test_what_is_stored_is_the_banks_truth_whatever_happens(house: House) -> None:
    walk(house, STEPS // 2, machine=Fleeting)
