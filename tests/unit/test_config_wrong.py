"""Every wrong configuration is refused with its path, its value and what was expected."""

from dataclasses import dataclass

import pytest

from dockd.config import parse
from dockd.errors import ConfigError, Problem

KEY = "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"  # the example of RFC 8037, appendix A.2
STATION = '[station]\nid = "soho-2"\n'
BAYS = "[[bays]]\nnumber = 1\n"
STORE = f'[store]\nurl = "https://store.example/files/"\nreceipt_keys = ["{KEY}"]\n'
RIGHT = STATION + BAYS + STORE


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """A text, and of each problem expected: its path, its value, and words of its expectation or hint."""

    text: str
    problems: tuple[tuple[str, str, str], ...]


def station(line: str) -> str:
    return f"[station]\n{line}\n{BAYS}{STORE}"


def bays(text: str) -> str:
    return f"{STATION}{text}\n{STORE}"


def url(value: str) -> str:
    return f'{STATION}{BAYS}[store]\nurl = {value}\nreceipt_keys = ["{KEY}"]\n'


def keys(lines: str) -> str:
    return f'{STATION}{BAYS}[store]\nurl = "https://store.example/files/"\n{lines}\n'


def store(lines: str) -> str:
    return f"{RIGHT}{lines}\n"


def table(name: str, line: str) -> str:
    return f"{RIGHT}[{name}]\n{line}\n"


def one(text: str, path: str, value: str, words: str) -> Wrong:
    return Wrong(text=text, problems=((path, value, words),))


WRONG = {
    "no station": one(BAYS + STORE, "station.id", "(missing)", "a-z, 0-9 and '-'"),
    "no id": one(station(""), "station.id", "(missing)", "1 to 64"),
    "an id in capitals": one(station('id = "Soho-2"'), "station.id", '"Soho-2"', "a-z, 0-9 and '-'"),
    "an id with a line feed": one(station(r'id = "soho\n"'), "station.id", r'"soho\n"', "1 to 64"),
    "an id of 65": one(station(f'id = "{"a" * 65}"'), "station.id", f'"{"a" * 65}"', "1 to 64"),
    "an id that is a number": one(station("id = 7"), "station.id", "7", "a-z, 0-9 and '-'"),
    "a relative state_dir": one(
        station('id = "a"\nstate_dir = "var"'), "station.state_dir", '"var"', "an absolute path, starting with '/'"
    ),
    "a state_dir that climbs": one(
        station('id = "a"\nstate_dir = "/var/../etc"'), "station.state_dir", '"/var/../etc"', "without '..'"
    ),
    "a state_dir of 5000 bytes": one(
        station(f'id = "a"\nstate_dir = "/{"d" * 5000}"'), "station.state_dir", f'"/{"d" * 75}...', "4095 bytes"
    ),
    "a state_dir with a control character": one(
        station('id = "a"\nstate_dir = "/var\\u0007"'), "station.state_dir", r'"/var\u0007"', "an absolute path"
    ),
    "a wrong key in a table": one(
        station('id = "a"\nstate_dri = "/x"'), "station.state_dri", '"/x"', "did you mean state_dir?"
    ),
    "a station that is no table": one(f"station = 3\n{BAYS}{STORE}", "station", "3", "a table, written [station]"),
    "no bays": one(bays(""), "bays", "(missing)", "1 to 34 tables, each written [[bays]]"),
    "an empty list of bays": one("bays = []\n" + STATION + STORE, "bays", "[]", "1 to 34 tables"),
    "one bracket": one(bays("[bays]\nnumber = 1"), "bays", "a table", "with two brackets on each side"),
    "35 bays": Wrong(
        text=bays("\n".join(f"[[bays]]\nnumber = {number}" for number in range(1, 36))),
        problems=(("bays", "an array of 35", "1 to 34 tables"), ("bays[34].number", "35", "from 1 to 34")),
    ),
    "a bay that is no table": one("bays = [1]\n" + STATION + STORE, "bays[0]", "1", "a table, written [[bays]]"),
    "a bay without a number": one(bays('[[bays]]\nname = "door"'), "bays[0].number", "(missing)", "from 1 to 34"),
    "bay 0": one(bays("[[bays]]\nnumber = 0"), "bays[0].number", "0", "a whole number from 1 to 34"),
    "bay true": one(bays("[[bays]]\nnumber = true"), "bays[0].number", "true", "a whole number from 1 to 34"),
    "bay 1.0": one(bays("[[bays]]\nnumber = 1.0"), "bays[0].number", "1.0", "a whole number from 1 to 34"),
    "two bays of one number": one(
        bays("[[bays]]\nnumber = 1\n[[bays]]\nnumber = 4\n[[bays]]\nnumber = 1"),
        "bays[2].number", "1", "a number of its own: bays[0] has it",
    ),
    "a bay's name in two lines": one(
        bays('[[bays]]\nnumber = 1\nname = "by\\nthe door"'), "bays[0].name", r'"by\nthe door"', "printable characters"
    ),
    "a bay's name that turns the text around": one(
        bays('[[bays]]\nnumber = 1\nname = "\\u202edoor"'), "bays[0].name", r'"\u202edoor"', "printable characters"
    ),
    "an empty bus": one(bays('[[bays]]\nnumber = 1\nbus = " "'), "bays[0].bus", '" "', "1 to 64 printable"),
    "a wrong key in a bay": one(
        bays("[[bays]]\nnumber = 1\nlamp = 3"), "bays[0].lamp", "3", "one of number, name or bus"
    ),
    "no store": Wrong(
        text=STATION + BAYS,
        problems=(
            ("store.url", "(missing)", "an https:// address"),
            ("store.receipt_keys", "(missing)", "at least one key"),
        ),
    ),
    "no url": one(f'{STATION}{BAYS}[store]\nreceipt_keys = ["{KEY}"]', "store.url", "(missing)", "https://"),
    "a url of another kind": one(url('"ftp://store/"'), "store.url", '"ftp://store/"', "an https:// address"),
    "a url without a host": one(url('"https:///files/"'), "store.url", '"https:///files/"', "an https:// address"),
    "a url with a broken host": one(url('"https://[::1/"'), "store.url", '"https://[::1/"', "an https:// address"),
    "a url with a port too high": one(url('"https://a:99999/"'), "store.url", '"https://a:99999/"', "an https://"),
    "a url with port 0": one(url('"https://a:0/"'), "store.url", '"https://a:0/"', "an https:// address"),
    "a url with a space": one(url('"https://a/b c/"'), "store.url", '"https://a/b c/"', "an https:// address"),
    "a url with an open end": one(url('"https://a/files"'), "store.url", '"https://a/files"', "ends in '/'"),
    "a url with a query": one(url('"https://a/?b=/"'), "store.url", '"https://a/?b=/"', "without '?' and '#'"),
    "a url with a password": one(url('"https://me:pw@a/"'), "store.url", '"https://...@a/"', "without name and pass"),
    "a url in the clear": one(url('"http://store/"'), "store.url", '"http://store/"', "for a store on another machine"),
    "a url near loopback": one(url('"http://127.0.0.1.a/"'), "store.url", '"http://127.0.0.1.a/"', "https:// for"),
    "a url that is an array": one(url('["https://a/"]'), "store.url", "an array of 1", "an https:// address"),
    "an unknown proof": one(keys('verify = "sgned"'), "store.verify", '"sgned"', "did you mean signed?"),
    "no proof at all": one(keys('verify = "none"'), "store.verify", '"none"', '"signed", "readback" or "accepted"'),
    "a proof that is a number": one(keys("verify = 1"), "store.verify", "1", '"signed", "readback" or "accepted"'),
    "signed without keys": one(keys(""), "store.receipt_keys", "(missing)", 'at least one key with verify = "signed"'),
    "signed with no keys": one(keys("receipt_keys = []"), "store.receipt_keys", "[]", "at least one key"),
    "keys with readback": one(
        store('verify = "readback"'), "store.receipt_keys", "an array of 1", 'no keys with verify = "readback"'
    ),
    "keys with accepted": one(
        store('verify = "accepted"'), "store.receipt_keys", "an array of 1", 'did you mean verify = "signed"?'
    ),
    "a key that is no array": one(
        keys(f'receipt_keys = "{KEY}"'), "store.receipt_keys", f'"{KEY}"', "an array of texts: [ ... ]"
    ),
    "a key that is a number": one(
        keys("receipt_keys = [5]"), "store.receipt_keys[0]", "5", "the absolute path of a file of keys"
    ),
    "a key cut short": one(
        keys(f'receipt_keys = ["{KEY}", "{KEY[:-1]}"]'), "store.receipt_keys[1]", f'"{KEY[:-1]}"', "43 characters"
    ),
    "a key with padding": one(keys(f'receipt_keys = ["{KEY}="]'), "store.receipt_keys[0]", f'"{KEY}="', "no padding"),
    "a key in a relative file": one(
        keys('receipt_keys = ["store.pub"]'), "store.receipt_keys[0]", '"store.pub"', "the absolute path of a file"
    ),
    "a certificate without its key": one(
        store('cert_file = "/c.pem"'), "store.key_file", "(missing)", "since cert_file is set"
    ),
    "a key without its certificate": one(
        store('key_file = "/k.pem"'), "store.cert_file", "(missing)", "since key_file is set"
    ),
    "a CA for no TLS": one(
        url('"http://127.0.0.1:1080/files/"\nca_file = "/ca.pem"'), "store.ca_file", '"/ca.pem"', "with an http:// url"
    ),
    "a token in the text": one(
        store('token = "hunter2"'), "store.token", "a text of 7 characters, not shown", "path into token_file"
    ),
    "a token for its file": one(
        store('token_file = "hunter2"'), "store.token_file", "a text of 7 characters, not shown", "an absolute path"
    ),
    "a private key for its file": one(
        store('cert_file = "/c"\nkey_file = "-----BEGIN PRIVATE KEY-----"'),
        "store.key_file", "a text of 27 characters, not shown", "an absolute path",
    ),
    "a timeout of 0": one(
        store("connect_timeout_s = 0"), "store.connect_timeout_s", "0", "a number of seconds from 1 to 120"
    ),
    "a timeout that is no number": one(
        store("stall_timeout_s = nan"), "store.stall_timeout_s", "nan", "a number of seconds from 5 to 600"
    ),
    "a timeout without end": one(store("stall_timeout_s = inf"), "store.stall_timeout_s", "inf", "from 5 to 600"),
    "a timeout with its unit": one(
        store('stall_timeout_s = "60s"'), "store.stall_timeout_s", '"60s"', "a plain number, without quotes or unit"
    ),
    "a timeout that is a truth": one(
        store("connect_timeout_s = true"), "store.connect_timeout_s", "true", "a number of seconds from 1 to 120"
    ),
    "a limit too small": one(store("limit_bytes_s = 16383"), "store.limit_bytes_s", "16383", "at least 16384"),
    "a limit below nothing": one(
        store("limit_bytes_s = -1"), "store.limit_bytes_s", "-1", "a whole number of bytes a second from 0"
    ),
    "a limit in words": one(store('limit = "8 Mbit/s"'), "store.limit", '"8 Mbit/s"', "did you mean limit_bytes_s?"),
    "nine uploads at once": one(store("uploads_at_once = 9"), "store.uploads_at_once", "9", "a whole number from 1"),
    "a deadline as a time": one(
        store("receipt_deadline_s = 12:00:00"), "store.receipt_deadline_s", "12:00:00", "a number of seconds from 10"
    ),
    "a setting of another table": one(store("grace_s = 0"), "store.grace_s", "0", "it belongs under [spool]"),
    "a board that climbs": one(
        table("hardware", 'board = "../rpi4"'), "hardware.board", '"../rpi4"', "the name of a file of hw/boards"
    ),
    "a board's path that climbs": one(
        table("hardware", 'board = "/etc/../b.toml"'), "hardware.board", '"/etc/../b.toml"', "without '..'"
    ),
    "a copier that never gives up": one(table("offload", "stall_s = 301"), "offload.stall_s", "301", "from 5 to 300"),
    "erasing at will": one(
        table("offload", 'erase = "always"'), "offload.erase", '"always"', '"receipted" or "never"'
    ),
    "erasing what was taken on trust": one(
        table("offload", 'erase = "accepted"'), "offload.erase", '"accepted"', '"receipted" or "never"'
    ),
    "growing for ever": one(table("offload", "growing_wait_s = 1"), "offload.growing_wait_s", "1", "from 2 to 60"),
    "no reserve": one(
        table("spool", "reserve_bytes = 67108863"), "spool.reserve_bytes", "67108863", "of bytes from 67108864"
    ),
    "a reserve beyond any number": one(
        table("spool", f"reserve_bytes = {10**30}"), "spool.reserve_bytes", str(10**30), "to 10000000000000"
    ),
    "a grace of 31 days": one(table("spool", "grace_s = 2678400"), "spool.grace_s", "2678400", "from 0 to 2592000"),
    "a relative socket": one(table("control", 'socket = "s"'), "control.socket", '"s"', "an absolute path"),
    "a socket too long": one(
        table("control", f'socket = "/{"s" * 107}"'), "control.socket", f'"/{"s" * 75}...', "at most 107 bytes"
    ),
    "a group of two words": one(table("control", 'group = "a b"'), "control.group", '"a b"', "a group's name"),
    "a shift at 24:00": one(
        table("charging", 'shifts = ["06:00", "24:00"]'), "charging.shifts[1]", '"24:00"', 'from "00:00" to "23:59"'
    ),
    "a shift at six": one(table("charging", 'shifts = ["6:00"]'), "charging.shifts[0]", '"6:00"', "a time of day"),
    "a shift that TOML takes for a time": one(
        table("charging", "shifts = [06:00:00]"), "charging.shifts[0]", "06:00:00", "a time of day"
    ),
    "one shift without brackets": one(
        table("charging", 'shifts = "06:00"'), "charging.shifts", '"06:00"', "an array of texts"
    ),
    "a switch that nobody knows": one(
        table("charging", 'switch = "planed"'), "charging.switch", '"planed"', "did you mean planned?"
    ),
    "a budget for no camera": one(
        table("charging", "budget_ma = 100"), "charging.budget_ma", "100", "a whole number of mA from 500 to 100000"
    ),
    "cameras that are issued above full": one(
        table("charging", "issue_pct = 96"), "charging.full_pct", "(missing): 95", "at least issue_pct, which is 96"
    ),
    "cameras that are full below issue": one(
        table("charging", "full_pct = 79"), "charging.full_pct", "79", "at least issue_pct, which is 80"
    ),
    "a bound that every camera passes": one(
        table("charging", "camera_ma = 900\nmost_ma = 900"), "charging.most_ma", "900", "than camera_ma, which is 900"
    ),
    "a bay that is cool when it is hot": one(
        table("charging", "cool_c = 60"), "charging.cool_c", "60", "less than hot_c, which is 60"
    ),
    "a bound of heat in words": one(
        table("charging", 'hot_c = "60 C"'), "charging.hot_c", '"60 C"', "a number of degrees Celsius from 30 to 90"
    ),
    "no heat at all": one(table("charging", "hot_c = nan"), "charging.hot_c", "nan", "degrees Celsius"),
    "charging that is no table": one("charging = 5\n" + RIGHT, "charging", "5", "a table, written [charging]"),
    "no cameras to simulate": one(table("simulate", "cameras = 0"), "simulate.cameras", "0", "from 1 to 34"),
    "a seed below zero": one(table("simulate", "seed = -1"), "simulate.seed", "-1", "from 0 to 4294967295"),
    "a bus that stands still": one(table("simulate", "bus_bytes_s = 0"), "simulate.bus_bytes_s", "0", "bytes a second"),
    "an unknown level": one(table("log", 'level = "warn"'), "log.level", '"warn"', "did you mean warning?"),
    "an unknown form": one(table("log", 'form = "xml"'), "log.form", '"xml"', '"auto", "text" or "json"'),
    "an unknown table": one(f"{RIGHT}[sotre]\nurl = 1", "sotre", "a table", "did you mean store?"),
    "a setting without its table": one(
        f'url = "x"\n{RIGHT}', "url", '"x"', "it belongs under [store]"
    ),
    "a key that is no word": one(
        station('id = "a"\n"a\\u0000 b" = 1'), r'station."a\u0000 b"', "1", "one of id or state_dir"
    ),
    "many at once": Wrong(
        text='[station]\nid = ""\n[[bays]]\nnumber = 1\nbuss = "x"\n[[bays]]\nnumber = 99\n[store]\nurl = "x"\n'
        "verify = 1\nuploads_at_once = true\n[offload]\nerase = 0\n[log]\nlevl = 1\n[mqtt]\n",
        problems=(
            ("mqtt", "a table", "one of station, bays, store"),
            ("station.id", '""', "1 to 64"),
            ("bays[0].buss", '"x"', "did you mean bus?"),
            ("bays[1].number", "99", "from 1 to 34"),
            ("store.url", '"x"', "an https:// address"),
            ("store.verify", "1", '"signed", "readback" or "accepted"'),
            ("store.uploads_at_once", "true", "from 1 to 8"),
            ("offload.erase", "0", '"receipted" or "never"'),
            ("log.levl", "1", "did you mean level?"),
        ),
    ),
}  # fmt: skip


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as refused:
        parse(text, where="dockd.toml")
    assert str(refused.value) == "\n".join(str(problem) for problem in refused.value.problems)
    return refused.value.problems


def test_the_text_that_the_wrong_ones_vary_is_right() -> None:
    assert parse(RIGHT, where="dockd.toml").station.id == "soho-2"


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_configuration_is_refused_with_path_value_and_expectation(wrong: Wrong) -> None:
    found = problems_of(wrong.text)
    assert [(problem.path, problem.value) for problem in found] == [problem[:2] for problem in wrong.problems]
    for problem, (_, _, words) in zip(found, wrong.problems, strict=True):
        assert words in f"{problem.expected} ({problem.hint})"
        assert problem.where == "dockd.toml"
        assert str(problem).isprintable()


@pytest.mark.parametrize("secret", ["hunter2", "eyJhbGciOiJIUzI1NiJ9.e30.x", "a/b+c="])
@pytest.mark.parametrize("name", ["token", "tokn", "token_file", "password", "key", "private_key", "client_secret"])
def test_a_secret_pasted_into_the_configuration_is_not_shown(name: str, secret: str) -> None:
    assert secret not in "".join(map(str, problems_of(store(f'{name} = "{secret}"'))))
