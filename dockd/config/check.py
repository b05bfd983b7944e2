"""Parsed TOML held against the tables: every finding at once, where msgspec alone stops at the first.

Owns how the types of `dockd.config.tables` are read, and the expectations made of them. Must not touch the disk.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any, TypeVar

from msgspec import Struct, convert
from msgspec.inspect import (
    EnumType,
    Field,
    FloatType,
    IntType,
    Metadata,
    StructType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

from dockd.config import rules
from dockd.config.tables import Config
from dockd.config.wording import MISSING, Finding, Path, listed, meant, shown

Rule = Callable[[Any], str | None]
"""Gives the expectation that a value of the right type does not meet. Takes what its field's type has let through."""

T = TypeVar("T", bound=Struct)

_UNITS = {
    "_bytes_s": "bytes a second",
    "_bytes": "bytes",
    "_s": "seconds",
    "_pct": "per cent",
    "_ma": "mA",
    "_mah": "mAh",
    "_c": "degrees Celsius",
}
_LITERALS = {"token": "token_file", "password": "token_file", "key": "key_file"}


def tables() -> Mapping[str, StructType]:
    """Give the type of each table by its name; under `bays` that of one bay."""
    root = type_info(Config)
    fields = root.fields if isinstance(root, StructType) else ()
    kinds = ((field.name, field.type) for field in fields)
    inner = ((name, kind.item_type if isinstance(kind, VarTupleType) else kind) for name, kind in kinds)
    return {name: kind for name, kind in inner if isinstance(kind, StructType)}


def findings(settings: Mapping[str, object]) -> Iterator[Finding]:
    """Give everything that is wrong with a configuration: each value for itself, then values against each other."""
    yield from _of_value((), settings, type_info(Config))
    yield from rules.of_store(settings.get("store", {}))
    yield from rules.of_bays(settings.get("bays"))
    yield from rules.of_buses(settings)
    yield from rules.of_charging(settings.get("charging"))


def findings_as(kind: type[Struct], settings: Mapping[str, object]) -> Iterator[Finding]:
    """Give everything that is wrong with a file that is one table of this kind: each value for itself."""
    yield from _of_value((), settings, type_info(kind))


def build(settings: Mapping[str, object]) -> Config:
    """Make the structs of settings that have no finding."""
    return build_as(Config, settings)


def build_as(kind: type[T], settings: Mapping[str, object]) -> T:
    """Make the struct of a file that has no finding."""
    return convert(settings, kind, dec_hook=lambda _, text: FilePath(text))


def expectation(field: Field) -> str:
    """Say what a field takes."""
    return _wanted(field.name, *_bare(field.type))


def _of_value(path: Path, value: object, kind: Type) -> Iterator[Finding]:
    bare, rule = _bare(kind)
    if isinstance(bare, StructType):
        yield from _of_table(path, value, bare)
    elif isinstance(bare, VarTupleType):
        yield from _of_array(path, value, bare)
    elif not _fits(bare, value):
        wanted = _wanted(str(path[-1]), bare, rule)
        yield Finding(path=path, value=shown(path, value), expected=wanted, hint=_nearest(bare, value))
    elif rule is not None and (unmet := rule(value)) is not None:
        yield Finding(path=path, value=shown(path, value), expected=unmet)


def _of_table(path: Path, value: object, kind: StructType) -> Iterator[Finding]:
    if not isinstance(value, dict):
        form = f"[[{path[-2]}]]" if isinstance(path[-1], int) else f"[{path[0]}]" if len(path) == 1 else "{ ... }"
        yield Finding(path=path, value=shown(path, value), expected=f"a table, written {form}")
        return
    names = [field.name for field in kind.fields]
    for key, inner in value.items():
        if key not in names:
            at, hint = (*path, key), _hint(key, names)
            yield Finding(path=at, value=shown(at, inner), expected=f"one of {listed(names)}", hint=hint)
    for field in kind.fields:
        inside = (*path, field.name)
        if field.name in value:
            yield from _of_value(inside, value[field.name], field.type)
        elif field.required and not isinstance(field.type, StructType):
            yield Finding(path=inside, value=MISSING, expected=expectation(field))
        elif field.required:
            # A table that is not there at all lacks the same keys as an empty one.
            yield from _of_value(inside, {}, field.type)


def _of_array(path: Path, value: object, kind: VarTupleType) -> Iterator[Finding]:
    if not isinstance(value, list) or not (kind.min_length or 0) <= len(value) <= (kind.max_length or math.inf):
        hint = "with two brackets on each side" if isinstance(value, dict) else ""
        yield Finding(path=path, value=shown(path, value), expected=_wanted(str(path[-1]), kind, None), hint=hint)
    for index, item in enumerate(value if isinstance(value, list) else ()):
        yield from _of_value((*path, index), item, kind.item_type)


# --- one type -----------------------------------------------------------------------------------------------------


def _bare(kind: Type) -> tuple[Type, Rule | None]:
    """Part a type from its rule. TOML has no null: `X | None` is written as X or not at all."""
    kind = kind.types[0] if isinstance(kind, UnionType) else kind
    return (kind.type, (kind.extra or {}).get("rule")) if isinstance(kind, Metadata) else (kind, None)


def _fits(kind: Type, value: object) -> bool:
    match kind:
        case IntType():
            return type(value) is int and _within(kind, value)  # bool is an int to Python
        case FloatType():
            return isinstance(value, int | float) and type(value) is not bool and _within(kind, value)
        case EnumType(cls=members):
            return value in [member.value for member in members]
        case _:  # texts, and the paths made of them
            return isinstance(value, str)


def _within(kind: IntType | FloatType, value: float) -> bool:
    low, high = _range(kind)
    return low <= value <= high  # of which a NaN is neither


def _range(kind: IntType | FloatType) -> tuple[float, float]:
    return -math.inf if kind.ge is None else kind.ge, math.inf if kind.le is None else kind.le


def _wanted(name: str, kind: Type, rule: Rule | None) -> str:
    match kind:
        case IntType() | FloatType():
            whole = "a whole number" if isinstance(kind, IntType) else "a number"
            unit = next((f" of {unit}" for ending, unit in _UNITS.items() if name.endswith(ending)), "")
            low, high = _range(kind)
            return f"{whole}{unit} from {low} to {high}"
        case EnumType(cls=members):
            return listed([f'"{member.value}"' for member in members])
        case VarTupleType(item_type=StructType()):
            return f"{kind.min_length} to {kind.max_length} tables, each written [[{name}]]"
        case VarTupleType():
            return "an array of texts: [ ... ]"
        case _:  # what a rule says of no text, it expects of any
            return (rule("") if rule is not None else None) or "a text"


def _nearest(kind: Type, value: object) -> str:
    if isinstance(value, str) and isinstance(kind, EnumType):
        return meant(value, [member.value for member in kind.cls])
    if isinstance(value, str) and isinstance(kind, IntType | FloatType):
        return "a plain number, without quotes or unit"
    return ""


def _hint(key: str, names: list[str]) -> str:
    homes = [table for table, kind in tables().items() if key in [field.name for field in kind.fields]]
    if _LITERALS.get(key) in names:
        return f"put it into a file that only dockd can read, and that file's path into {_LITERALS[key]}"
    return meant(key, names) or (f"it belongs under [{homes[0]}]" if homes else "")
