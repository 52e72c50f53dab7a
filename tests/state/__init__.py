"""A bank, a bookkeeper and bad luck, in every order: tests/state/test_machine.py."""
