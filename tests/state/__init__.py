"""A bank, a bookkeeper and bad luck, in every order: machine.py."""
