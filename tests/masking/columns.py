"""A stand-in for annotators: a column of classes with names."""

from __future__ import annotations


class Classes:
    def __init__(self, name: str, *names: str) -> None:
        self.name, self.names = name, ("", *names)
