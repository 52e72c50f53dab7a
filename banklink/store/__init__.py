"""Remembers. Models, the database's rules, and the queries that turn rows into facts."""
