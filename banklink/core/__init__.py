"""Decides. Standard library only; no clock, no I/O: facts go in, a diagnosis comes out."""
