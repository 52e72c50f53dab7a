"""Does. One module per verb a person or the clock can do. Each: one transaction, never open
across a network call; `at` is the moment it happens, `actor` who asked (None: the clock)."""
