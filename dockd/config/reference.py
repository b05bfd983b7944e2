"""The reference of the settings, as Markdown made from the tables themselves.

Owns its form only: words come from the docstrings, ranges and defaults from the types.
"""

import ast
import inspect
import json
from collections.abc import Iterator, Mapping

from msgspec.inspect import Field

from dockd.config import check, tables

BEGIN = "<!-- from here to the end: made by scripts/config-reference --write -->\n"


def reference() -> str:
    """Give every table with every field: what it takes, its default, and its docstring."""
    words = docstrings(inspect.getsource(tables))
    return "\n\n".join(part for table in check.tables() for part in _table(table, words)) + "\n"


def placed(page: str) -> str:
    """Give a page with the current reference after its mark."""
    return f"{page.partition(BEGIN)[0]}{BEGIN}\n{reference()}"


def docstrings(source: str) -> Mapping[tuple[str, str], str]:
    """Collect the docstrings of classes (under the field "") and of their annotated fields, each as one line."""
    found: dict[tuple[str, str], str] = {}
    for kind in (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)):
        found[kind.name, ""] = _one_line(ast.get_docstring(kind) or "")
        for field, after in zip(kind.body, [*kind.body[1:], None], strict=True):
            match field, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[kind.name, name] = _one_line(text)
                case _:
                    pass
    return found


def _table(table: str, words: Mapping[tuple[str, str], str]) -> Iterator[str]:
    kind = check.tables()[table]
    name = kind.cls.__name__
    yield f"## `[[{table}]]`" if table == "bays" else f"## `[{table}]`"
    yield words[name, ""]
    for field in kind.fields:
        yield f"- **`{field.name}`**: {check.expectation(field)}; {_default(field)}.\n  {words[name, field.name]}"


def _default(field: Field) -> str:
    if field.required:
        return "required"
    match field.default:
        case None | ():
            return "left out by default"
        case float(value):
            return f"default `{value:.15g}`"
        case value:
            return f"default `{json.dumps(value, default=str)}`"


def _one_line(text: str) -> str:
    return " ".join(text.split())
