"""AppArmor profiles: may what a profile confines run a program?

Job: find the rules for files in a profile's text (apparmor.d(5)) and match a path with them.
Leaves to others: files that a profile includes; give their text along with it.
Privilege: none.

A rule that cannot be understood, or has a variable that the text does not set, allows nothing: at
worst somebody is told to allow what was allowed already.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_VARIABLE = re.compile(r"@\{(\w+)\}")
_SET = re.compile(r"^\s*@\{(\w+)\}\s*\+?=\s*(.+?)\s*,?\s*$", re.MULTILINE)
_WORD = r'"[^"]*"|\S+'
_RULE = re.compile(
    r"^(?:priority\s*=\s*-?\d+\s+)?(?:audit\s+|quiet\s+)?(?P<kind>allow\s+|deny\s+)?"
    r"(?:owner\s+|other\s+)?(?:file\s+)?(?:owner\s+|other\s+)?"
    rf"(?:(?P<path>{_WORD})\s+(?P<perms>[a-zA-Z]+)|(?P<perms_first>[a-zA-Z]+)\s+(?P<path_last>{_WORD}))"
    rf"(?:\s*->\s*(?:{_WORD}))?$"
)
_INCLUDE = re.compile(r"^\s*include\b.*$", re.MULTILINE)
_EVERYTHING = ("file", "allow file", "all", "allow all")


@dataclass(frozen=True)
class Rule:
    """A rule for files.

    Attributes:
        path: the pattern.
        deny: it takes away.
        perms: its letters.
    """

    path: str
    deny: bool
    perms: str

    @property
    def runs(self) -> bool:
        """It lets the file be run, whether or not that has a profile of its own."""
        modes = re.search(r"([pPcCuUi]*)[xX]", self.perms)
        return modes is not None and (self.deny or bool(set("iuU") & set(modes.group(1))))


def may_run(text: str, path: str) -> bool:
    """Say whether a profile lets a program be run.

    Args:
        text: the profile's, and that of what it includes.
        path: the program, with no symbolic link in it: those the kernel has followed by then.
    """
    variables = {name: value.split() for name, value in _SET.findall(_uncommented(text))}
    allowed = False
    for rule in rules(text):
        if rule.runs and any(matches(pattern, path) for pattern in _expanded(rule.path, variables)):
            if rule.deny:
                return False
            allowed = True
    return allowed


def rules(text: str) -> Iterator[Rule]:
    """Return the rules for files of the outermost profiles; those of their children are not."""
    for statement in _statements(_uncommented(text)):
        if statement in _EVERYTHING:
            yield Rule("/**", deny=False, perms="ix")
            continue
        found = _RULE.match(statement)
        if found is None:
            continue
        path = (found["path"] or found["path_last"]).strip('"')
        if path.startswith(("/", "@{", "{")):
            deny = (found["kind"] or "").strip() == "deny"
            yield Rule(path, deny, found["perms"] or found["perms_first"])


def _uncommented(text: str) -> str:
    return _INCLUDE.sub("", re.sub(r"(^|\s)#.*", r"\1", text))


def _statements(text: str) -> Iterator[str]:
    """Return what stands between commas, at most one profile deep.

    A brace that opens a profile has white space after it, and one of a pattern has none.
    """
    depth, alternatives, quoted, begun = 0, 0, False, ""
    for place, char in enumerate(text):
        after = text[place + 1 : place + 2]
        if char == '"':
            quoted = not quoted
        if not quoted and char == "{":
            if alternatives or not (after.isspace() or not after):
                alternatives += 1
            else:
                depth, begun = depth + 1, ""
                continue
        elif not quoted and char == "}":
            if not alternatives:
                depth, begun = depth - 1, ""
                continue
            alternatives -= 1
        elif not quoted and char == "," and not alternatives:
            if depth <= 1:
                yield " ".join(begun.split())
            begun = ""
            continue
        begun += char


def _expanded(path: str, variables: dict[str, list[str]], depth: int = 8) -> list[str]:
    found = _VARIABLE.search(path)
    if found is None:
        return [path]
    if not depth:
        return []
    return [
        each
        for value in variables.get(found[1], [])
        for each in _expanded(
            path[: found.start()] + value.strip('"') + path[found.end() :], variables, depth - 1
        )
    ]


def matches(pattern: str, path: str) -> bool:
    """Say whether a pattern of a rule is for this path."""
    try:
        return re.fullmatch(_regex(pattern), path, re.DOTALL) is not None
    except re.error:
        return False


_TOKEN = re.compile(r"\*\*|\*|\?|\{|\}|,|\[\^?[^\]]*\]|\\.|.", re.DOTALL)


def _regex(pattern: str) -> str:
    made, depth = "", 0
    for sign in _TOKEN.findall(pattern):
        if sign in {"*", "**"}:
            # At the end of a folder's name it stands for something.
            most = "." if sign == "**" else "[^/]"
            made += f"{most}{'+' if made.endswith('/') else '*'}"
        elif sign == "?":
            made += "[^/]"
        elif sign == "{":
            made, depth = f"{made}(?:", depth + 1
        elif sign == "}" and depth:
            made, depth = f"{made})", depth - 1
        elif sign == "," and depth:
            made += "|"
        elif sign[0] == "[" and len(sign) > 2:
            made += sign.replace("\\", "\\\\")
        else:
            made += re.escape(sign[-1])
    return made
