"""Overrides as text: quoting of values for Hydra, and of whole overrides for a shell."""

import re
import shlex

# Paths, dotted names, and words; except those with a meaning of their own in an override.
_PLAIN = re.compile(r"[A-Za-z_./][\w-]*[/.][\w./-]*|[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_MEANING = frozenset(["true", "false", "on", "off", "yes", "no", "null", "none", "nan", "inf"])
# Characters with a meaning even between double quotes in a shell.
_ODD_IN_SHELL = re.compile(r'["$`\\!]')


def quoted(text: str) -> str:
    """Any text as a value of an override, quoted if necessary."""
    if _PLAIN.fullmatch(text) and text.lower() not in _MEANING:
        return text
    # Backslashes are special before a quote, including the closing one; elsewhere they are literal.
    inner = re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + found[2].replace("'", "\\'"), text)
    return f"'{inner}'"


def for_shell(override: str) -> str:
    """An override as typed in a shell, in double quotes if possible, which all shells support."""
    if shlex.quote(override) == override or _ODD_IN_SHELL.search(override):
        return shlex.quote(override)
    return f'"{override}"'
