"""What is said about a mistake of the user: the one error that is shown without a traceback, and common messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class UserError(ValueError):
    """A mistake in what the user gave: a key, a value, a name, a file. The command line prints the message alone and
    exits with code 2, so it has to say what was got, what was allowed and what to do."""


def unknown(what: str, got: str, allowed: Iterable[str]) -> str:
    """The message for a name that is not in ``allowed``, with the nearest one suggested."""
    names = sorted(allowed)
    close = difflib.get_close_matches(got, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"unknown {what} {got!r}.{hint} Allowed: {', '.join(names) or 'none'}"


def at_least(config: Any, least: int, *names: str) -> None:
    """Raise ``ValueError`` for the first of the fields that is below ``least``."""
    for name in names:
        if getattr(config, name) < least:
            raise ValueError(f"{name} has to be at least {least}, got {getattr(config, name)}")
