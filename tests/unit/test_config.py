"""What a configuration means, where it comes from, and how it is described."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from dockd.config import (
    Bay,
    Charging,
    Config,
    Control,
    Erase,
    Hardware,
    Log,
    LogForm,
    LogLevel,
    Offload,
    Simulate,
    Spool,
    Switch,
    Verify,
    check,
    parse,
)
from dockd.config.reference import BEGIN, docstrings, placed
from dockd.domain.model import Assurance, BayId
from dockd.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
KEY = "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
LEAST = f"""
[station]
id = "soho-2"
[[bays]]
number = 7
[store]
url = "https://store.example/files/"
receipt_keys = ["{KEY}"]
"""


def test_what_is_left_out_has_its_default() -> None:
    config = parse(LEAST, where="dockd.toml")
    assert config.station.state_dir == Path("/var/lib/dockd")
    assert config.bays == (Bay(number=BayId(7), name=None, bus=None),)
    assert config.store.verify is Verify.SIGNED
    assert config.store.receipt_keys == (KEY,)
    assert (config.store.ca_file, config.store.cert_file, config.store.key_file, config.store.token_file) == (None,) * 4
    assert (config.store.connect_timeout_s, config.store.stall_timeout_s) == (10.0, 60.0)
    assert (config.store.limit_bytes_s, config.store.uploads_at_once) == (0, 2)
    assert config.offload == Offload(stall_s=30.0, growing_wait_s=5.0, erase=Erase.RECEIPTED)
    assert config.spool == Spool(reserve_bytes=536_870_912, grace_s=0.0)
    assert config.control == Control(socket=Path("/run/dockd/control.sock"), group="dockd")
    assert config.hardware == Hardware(board=None)
    assert config.charging == Charging(
        switch=Switch.PLANNED, shifts=(), issue_pct=80, full_pct=95, budget_ma=None, camera_ma=500,
        battery_mah=4500, most_ma=1600, hot_c=60.0, cool_c=45.0,
    )  # fmt: skip
    assert config.simulate == Simulate(cameras=4, seed=1, bus_bytes_s=38_000_000, speed=1.0)
    assert config.log == Log(level=LogLevel.INFO, form=LogForm.AUTO)


def test_what_is_written_is_taken() -> None:
    config = parse(
        """
        [station]
        id = "a-1"
        state_dir = "/srv/dockd"
        [[bays]]
        number = 34
        name = "Tür 2, links"
        bus = "usb-b"
        [store]
        url = "http://[::1]:1080/files/"
        verify = "readback"
        limit_bytes_s = 16384
        stall_timeout_s = 5
        token_file = "/etc/dockd/token"
        [offload]
        erase = "never"
        [spool]
        grace_s = 2592000
        [charging]
        switch = "never"
        shifts = ["05:45", "21:45"]
        budget_ma = 6000
        hot_c = 55.5
        [log]
        form = "json"
        """,
        where="dockd.toml",
    )
    assert config.station.state_dir == Path("/srv/dockd")
    assert config.bays == (Bay(number=BayId(34), name="Tür 2, links", bus="usb-b"),)
    assert config.store.url == "http://[::1]:1080/files/"
    assert config.charging == Charging(switch=Switch.NEVER, shifts=("05:45", "21:45"), budget_ma=6000, hot_c=55.5)
    assert config.store.token_file == Path("/etc/dockd/token")
    assert (config.store.limit_bytes_s, config.store.stall_timeout_s) == (16_384, 5.0)
    assert (config.offload.erase, config.spool.grace_s, config.log.form) == (Erase.NEVER, 2_592_000.0, LogForm.JSON)


def test_a_board_is_named_or_is_a_file_anywhere() -> None:
    for board in ("rpi4-8", "/etc/dockd/board.toml"):
        assert parse(f'{LEAST}[hardware]\nboard = "{board}"\n', where="dockd.toml").hardware.board == board


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://127.9.9.9:8/f/", "http://localhost:1080/files/", "https://a/"]
)
def test_plain_http_is_for_this_machine_only(url: str) -> None:
    assert parse(LEAST.replace("https://store.example/files/", url), where="a").store.url == url


def test_a_key_may_be_in_a_file() -> None:
    config = parse(LEAST.replace(f'"{KEY}"', f'"/etc/dockd/store.pub", "{KEY}"'), where="a")
    assert config.store.receipt_keys == ("/etc/dockd/store.pub", KEY)


@pytest.mark.parametrize("verify", list(Verify))
def test_each_proof_is_an_assurance(verify: Verify) -> None:
    assert verify.assurance is Assurance(str(verify))


@pytest.mark.promise("I15")
def test_no_setting_can_erase_more_than_a_receipt_lets() -> None:
    """I1, I15: the only choices are a receipted clip and nothing at all."""
    assert {str(choice) for choice in Erase} == {"receipted", "never"}


def test_the_example_is_right_and_shows_every_default_it_repeats() -> None:
    text = (ROOT / "dockd/dockd.example.toml").read_text(encoding="utf-8")
    config = parse(text, where="dockd.example.toml")
    assert [bay.number for bay in config.bays] == [1, 2]
    assert config.hardware.board == "rpi4-8"
    assert config.offload == Offload()
    assert config.control == Control()


# --- syntax -------------------------------------------------------------------------------------------------------


def test_broken_toml_is_shown_with_its_line() -> None:
    with pytest.raises(ConfigError) as refused:
        parse('[station]\nid = "a\n', where="/etc/dockd/dockd.toml")
    (problem,) = refused.value.problems
    assert (problem.path, problem.value, problem.expected) == ("/etc/dockd/dockd.toml:2", "column 8", "TOML")
    assert "Illegal character" in problem.hint


def test_toml_that_ends_too_early_is_shown_with_its_file() -> None:
    with pytest.raises(ConfigError) as refused:
        parse('[station]\nid = """a', where="dockd.toml")
    (problem,) = refused.value.problems
    assert (problem.path, problem.expected) == ("dockd.toml", "TOML")
    assert "Unterminated string" in problem.hint


def test_toml_nested_without_end_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"dockd.toml: the text: expected TOML \(nested too deeply\)"):
        parse("a = " + "[" * 100_000, where="dockd.toml")


@given(st.text())
def test_any_text_is_a_configuration_or_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(text, where="dockd.toml")
    assert refused.value.problems


names = st.sampled_from(
    [*check.tables(), *(field.name for kind in check.tables().values() for field in kind.fields), "", "x y", "tokn"]
)
scalars = (
    st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.sampled_from(["signed", "/a", "https://a/", "https://[/", KEY, "ed25519:é"])
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(names | st.text(), inner), max_leaves=20)


@given(st.dictionaries(names | st.text(), values))
def test_any_data_is_a_configuration_or_findings_that_print_on_one_line(data: dict[str, object]) -> None:
    for finding in check.findings(data):
        assert finding.value.isprintable()
        assert len(finding.value) <= 80
        assert finding.expected


whole = st.fixed_dictionaries(
    {
        "station": st.fixed_dictionaries({"id": st.just("a")}, optional={"state_dir": values}),
        "bays": st.lists(st.fixed_dictionaries({"number": st.integers(0, 40)}, optional={"bus": scalars}), max_size=40),
        "store": st.fixed_dictionaries(
            {"url": st.just("https://a/"), "receipt_keys": st.just([KEY])},
            optional={"stall_timeout_s": scalars, "limit_bytes_s": scalars, "verify": scalars, "ca_file": scalars},
        ),
    },
    optional={
        "charging": st.dictionaries(names, values, max_size=3),
        "log": st.dictionaries(names, scalars, max_size=2),
        "spool": st.dictionaries(names, scalars, max_size=2),
    },
)


@given(whole)
def test_data_without_a_finding_makes_a_configuration(data: dict[str, object]) -> None:
    """What the checks let through, msgspec takes: the two can never disagree at a station."""
    if not list(check.findings(data)):
        assert isinstance(check.build(data), Config)


# --- the reference ------------------------------------------------------------------------------------------------


def test_every_table_and_field_says_what_it_means_and_why() -> None:
    words = docstrings((ROOT / "dockd/config/tables.py").read_text(encoding="utf-8"))
    for table, kind in check.tables().items():
        assert words[kind.cls.__name__, ""], f"[{table}] has no docstring"
        for field in kind.fields:
            assert len(words.get((kind.cls.__name__, field.name), "")) > 40, f"{table}.{field.name} has no docstring"


def test_every_number_has_a_range_and_a_unit_or_counts_something() -> None:
    counts = {"number", "uploads_at_once", "cameras", "seed", "speed"}
    for kind in check.tables().values():
        for field in kind.fields:
            words = check.expectation(field)
            if "number" in words:
                assert "inf" not in words, field.name
                assert (" of " in words) != (field.name in counts), field.name


def test_the_written_reference_is_current() -> None:
    page = (ROOT / "dockd/CONFIG.md").read_text(encoding="utf-8")
    assert page == placed(page), "scripts/config-reference --write"
    assert page.count(BEGIN) == 1


def test_a_stale_reference_is_brought_up_to_date() -> None:
    page = f"# Configuration\n{BEGIN}\n## `[old]`\n"
    assert placed(page).startswith(f"# Configuration\n{BEGIN}\n## `[station]`\n")
    assert "[old]" not in placed(page)


def test_the_script_prints_and_checks_the_reference() -> None:
    script = str(ROOT / "scripts/config-reference")
    assert subprocess.run([script, "--check"], check=False, timeout=30).returncode == 0
    printed = subprocess.run([script], check=True, capture_output=True, text=True, timeout=30).stdout
    assert printed.startswith("## `[station]`\n")
    assert subprocess.run([script, "--all"], check=False, capture_output=True, timeout=30).returncode == 1
