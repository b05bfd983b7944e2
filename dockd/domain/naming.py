"""Names as cameras make them: templates such as `DCIM/{folder:3}{any:5}/{any:4}{counter:4}`, and what a name says.

Owns the little language of templates and how a name is held against one. A name is bytes of any kind, and of any
length: holding it against a template takes one look, never raises, and gives back nothing but digits, letters and `_`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

DIGITS: Mapping[str, int] = {"Y": 4, "M": 2, "D": 2, "h": 2, "m": 2, "s": 2}
"""Fields of a time, with the width that they always have."""
COUNTED = frozenset({"counter", "folder", "chapter"})
"""Fields of digits, as wide as the template says."""
WORDS = frozenset({"type", "any"})
"""Fields of letters, digits and '_': `type` has a meaning, `any` has none."""
MOST_WIDTH = 32
MOST_TYPE = 16

_FIELD = re.compile(r"\{([A-Za-z]+)(?::([0-9]{1,2}))?\}")
_LITERAL = re.compile(r"[A-Za-z0-9_. +/-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template, and how it reads. Two are equal if their texts are."""

    text: str
    pattern: re.Pattern[bytes]
    fields: tuple[str, ...]

    def read(self, stem: bytes) -> Mapping[str, bytes] | None:
        """Give what a path without its extension says, in capitals, by field; None where it is no such name.

        Letters are equal in both cases, as FAT has them.
        """
        found = self.pattern.fullmatch(stem)
        return None if found is None else {name: text.upper() for name, text in found.groupdict().items()}


def template_of(text: str) -> Template | str:
    """Read a template; a text where it is none: what was expected.

    Fields are `{Y}` (four digits), `{M}{D}{h}{m}{s}` (two each), `{counter:N}`, `{folder:N}`, `{chapter:N}` (N digits),
    `{type}` or `{type:N}` and `{any:N}` (letters, digits and '_'). Each but `any` comes once.
    """
    pieces: list[str] = []
    fields: list[str] = []
    end = 0
    for field in _FIELD.finditer(text):
        pieces.append(text[end : field.start()])
        expression = _expression(field[1], None if field[2] is None else int(field[2]))
        if expression is None:
            return f"fields such as {{Y}}, {{counter:4}} or {{type}}, of 1 to {MOST_WIDTH} characters: not {field[0]}"
        if field[1] in fields:
            return f"{{{field[1]}}} once"
        if field[1] != "any":
            fields.append(field[1])
            expression = f"(?P<{field[1]}>{expression})"
        pieces.append(expression)
        end = field.end()
    pieces.append(text[end:])
    literals = "".join(pieces[::2])
    if not _LITERAL.fullmatch(literals) or text.startswith("/") or "//" in text or ".." in text or not text:
        return "a path from the card's root: letters, digits, '_', '.', ' ', '+', '-', '/' and fields in braces"
    whole = "".join(re.escape(piece) if index % 2 == 0 else piece for index, piece in enumerate(pieces))
    return Template(text=text, pattern=re.compile(whole.encode("ascii"), re.IGNORECASE), fields=tuple(fields))


def parted(path: bytes) -> tuple[bytes, bytes]:
    """Part a path into what stands before its last dot and its extension in capitals, which may be empty."""
    folder, slash, name = path.rpartition(b"/")
    stem, dot, extension = name.rpartition(b".")
    return (folder + slash + stem, extension.upper()) if dot and stem else (path, b"")


def glob_problem(text: str) -> str | None:
    """Say what a pattern of a serial number or a label must be, where it is not."""
    if text.isprintable() and text.strip("*? ") and len(text) <= MOST_WIDTH:
        return None
    return f"1 to {MOST_WIDTH} printable characters with something besides '*' and '?'"


def glob_matches(pattern: str, text: str) -> bool:
    """Hold a text against a pattern: `*` is any characters, `?` one, `#` one digit, anything else itself.

    However many `*` there are, a text takes no longer than its length times the pattern's: a device chooses its texts.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return len(text) == len(first) and _stands(first, text, 0)
    *middle, last = rest
    begin, end = len(first), len(text) - len(last)
    if end < begin or not _stands(first, text, 0) or not _stands(last, text, end):
        return False
    for part in middle:
        found = next((at for at in range(begin, end - len(part) + 1) if _stands(part, text, at)), None)
        if found is None:
            return False
        begin = found + len(part)
    return True


def _stands(part: str, text: str, at: int) -> bool:
    """Say whether a part without `*` stands at a place of a text, all of it within."""
    pairs = zip(part, text[at : at + len(part)], strict=True)
    return all(want == "?" or (char in "0123456789" if want == "#" else char == want) for want, char in pairs)


def _expression(name: str, width: int | None) -> str | None:
    if name in DIGITS:
        return f"[0-9]{{{DIGITS[name]}}}" if width is None else None
    if name == "type" and width is None:
        return f"[A-Z0-9_]{{1,{MOST_TYPE}}}"
    if width is None or not 1 <= width <= MOST_WIDTH:
        return None
    if name in COUNTED:
        return f"[0-9]{{{width}}}"
    return f"[A-Z0-9_]{{{width}}}" if name in WORDS else None
