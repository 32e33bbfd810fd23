"""The one error a user sees without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in what the user gave: a key, a value, a name, a file. The command line prints the message alone and
    exits with code 2, so it has to say what was got, what was allowed and what to do."""


def unknown(what: str, got: str, allowed: Iterable[str]) -> str:
    """The message for a name that is not in ``allowed``, with the nearest one suggested."""
    names = sorted(allowed)
    close = difflib.get_close_matches(got, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"unknown {what} {got!r}.{hint} Allowed: {', '.join(names) or 'none'}"
