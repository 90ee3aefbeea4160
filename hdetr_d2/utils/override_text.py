"""Overrides as text: a value that means just what it says, and a whole one as a shell takes it."""

import re
import shlex

# Paths, names with dots, and words; but those that mean something else in an override.
_PLAIN = re.compile(r"[A-Za-z_./][\w-]*[/.][\w./-]*|[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_MEANING = frozenset(["true", "false", "on", "off", "yes", "no", "null", "none", "nan", "inf"])
# Means something to a shell between double quotes, too.
_ODD_IN_SHELL = re.compile(r'["$`\\!]')


def quoted(text: str) -> str:
    """A text as a value of an override, whatever is in it; as it is where that is plain."""
    if _PLAIN.fullmatch(text) and text.lower() not in _MEANING:
        return text
    # Backslashes count before a quote, as the last one is, too; elsewhere they are letters.
    inner = re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + found[2].replace("'", "\\'"), text)
    return f"'{inner}'"


def for_shell(override: str) -> str:
    """An override as it is typed in a shell; between double quotes where these do, as every shell
    knows them.
    """
    if shlex.quote(override) == override or _ODD_IN_SHELL.search(override):
        return shlex.quote(override)
    return f'"{override}"'
