"""Configurations from a grammar around the settings there are: each is one, or is refused with what is wrong."""

import pytest
from hypothesis import given, settings, strategies as st

from dockd.config import Config, check, parse
from dockd.errors import ConfigError

TABLES = sorted(check.tables())
KEYS = sorted({field.name for kind in check.tables().values() for field in kind.fields})
KEY = "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

values = st.sampled_from([
    "1", "0", "-1", "1e999", "nan", "-inf", "0x10", "1_000", "01", "9" * 40, "true", "false", '""', '"signed"', "'lit'",
    '"/etc/x"', '"https://a/"', '"http://a/"', '"https://u:secret@a/"', f'["{KEY}"]', f'"{KEY}"', "[]", "[[]]", "{}",
    "{a = 1}", "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", '"\\u202e"', '"\\u0000"', '"a', '"""a\nb"""',
    '"st-1"', '"info"', "[1, 2,]", '["x"', "\x00", "\ufeff", "# no value", '"\\ud800"', "[" * 300,
])  # fmt: skip
keys = st.sampled_from([*KEYS, "tokn", "", '"a b"', "a.b", "é", '"\\n"', "bays", "store"]) | st.text(max_size=6)
heads = st.sampled_from(
    [*(f"[{name}]" for name in TABLES), "[[bays]]", "[[store]]", "[bays.x]", "[", "[]", "[nothing]", ""]
)
lines = st.tuples(keys, st.sampled_from([" = ", "=", " ", " == ", ": "]), values).map("".join)
blocks = st.tuples(heads, st.lists(lines, max_size=4)).map(lambda block: "\n".join([block[0], *block[1]]))
good = f"""
[station]
id = "st-1"
[[bays]]
number = 1
[store]
url = "https://a/"
receipt_keys = ["{KEY}"]
"""


def says_what_is_wrong(error: ConfigError) -> None:
    """See each problem named by path, value and expectation, on one line, and no secret shown."""
    assert error.problems
    for problem in error.problems:
        assert problem.path
        assert problem.value
        assert problem.expected
        assert str(problem).isprintable(), problem
        assert "secret@" not in str(problem)


@pytest.mark.promise("I16")
@settings(max_examples=200)
@given(parts=st.lists(blocks, max_size=4), whole=st.booleans(), end=st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
def test_any_configuration_is_one_or_is_refused_with_path_value_and_expectation(
    *, parts: list[str], whole: bool, end: str
) -> None:
    text = end.join([good, *parts] if whole else parts)
    try:
        config = parse(text, where="dockd.toml")
    except ConfigError as error:
        says_what_is_wrong(error)
        return
    assert isinstance(config, Config)


def test_the_whole_one_is_right() -> None:
    assert parse(good, where="dockd.toml").station.id == "st-1"
