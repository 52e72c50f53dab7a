"""Talks. One contract, one adapter per service between the bank and us."""
