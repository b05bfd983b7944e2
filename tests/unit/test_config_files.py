"""Configuration files on disk: the main one, those laid over it, and those it names."""

import os
from pathlib import Path

import pytest

from dockd.config import Config, check_files, load, parse
from dockd.errors import ConfigError, Problem

KEY = "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
MAIN = f"""
[station]
id = "soho-2"
[[bays]]
number = 1
[[bays]]
number = 2
[store]
url = "https://store.example/files/"
receipt_keys = ["{KEY}"]
uploads_at_once = 3
"""


def written(folder: Path, main: str = MAIN, **more: str) -> Path:
    path = folder / "dockd.toml"
    path.write_text(main, encoding="utf-8")
    (folder / "conf.d").mkdir()
    for name, text in more.items():
        (folder / "conf.d" / f"{name}.toml").write_text(text, encoding="utf-8")
    return path


def problems_of(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as refused:
        load(path)
    return refused.value.problems


def test_one_file_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "dockd.toml"
    path.write_text(MAIN)
    assert load(path) == parse(MAIN, where="any")


def test_a_later_file_goes_over_an_earlier_one_key_by_key(tmp_path: Path) -> None:
    first, second = "[store]\nuploads_at_once = 4\nstall_timeout_s = 30\n", "[store]\nuploads_at_once = 5\n[log]\n"
    config = load(written(tmp_path, a=first, b=second))
    assert config.store.url == "https://store.example/files/"
    assert (config.store.uploads_at_once, config.store.stall_timeout_s) == (5, 30.0)


def test_a_later_file_gives_all_bays(tmp_path: Path) -> None:
    assert [bay.number for bay in load(written(tmp_path, bays="[[bays]]\nnumber = 9\n")).bays] == [9]


def test_what_is_hidden_or_no_toml_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "conf.d/.#site.toml").write_text("broken")
    (tmp_path / "conf.d/site.toml.bak").write_text("broken")
    assert load(path).station.id == "soho-2"


def test_a_problem_names_the_file_it_is_in(tmp_path: Path) -> None:
    site = "[store]\nuploads_at_once = 99\n[[bays]]\nnumber = 0\n"
    path = written(tmp_path, MAIN.replace('"soho-2"', '"Soho"'), site=site, x="[lgo]\nlevel = 1\n[log]\nlevel = 1\n")
    folder = tmp_path / "conf.d"
    assert [(problem.where, problem.path) for problem in problems_of(path)] == [
        (f"{folder}/x.toml", "lgo"),
        (str(path), "station.id"),
        (f"{folder}/site.toml", "bays[0].number"),
        (f"{folder}/site.toml", "store.uploads_at_once"),
        (f"{folder}/x.toml", "log.level"),
    ]


def test_what_is_missing_is_missing_where_its_table_is_or_in_the_main_file(tmp_path: Path) -> None:
    path = written(tmp_path, "[[bays]]\nnumber = 1\n", store=f'[store]\nreceipt_keys = ["{KEY}"]\n')
    assert [(problem.where, problem.path) for problem in problems_of(path)] == [
        (str(path), "station.id"),
        (f"{tmp_path}/conf.d/store.toml", "store.url"),
    ]


def test_a_table_may_replace_what_was_none(tmp_path: Path) -> None:
    assert load(written(tmp_path, f"log = 3\n{MAIN}", log='[log]\nlevel = "debug"\n')).log.level == "debug"


def test_a_value_in_the_place_of_a_table_is_found_where_it_is(tmp_path: Path) -> None:
    (problem,) = problems_of(written(tmp_path, log="log = 3\n", early='[log]\nlevel = "debug"\n'))
    assert (problem.where, problem.path) == (f"{tmp_path}/conf.d/log.toml", "log")


def test_all_files_that_cannot_be_read_are_shown_and_nothing_else(tmp_path: Path) -> None:
    path = written(tmp_path, "[station]\nid = 3", b="broken")
    (tmp_path / "conf.d/a.toml").write_bytes(b"# caf\xe9")
    (tmp_path / "conf.d/c.toml").mkdir()
    (tmp_path / "conf.d/d.toml").write_text("#" * (1024 * 1024 + 1))
    assert [(problem.path, problem.value) for problem in problems_of(path)] == [
        (f"{tmp_path}/conf.d/a.toml", "byte 5 is no UTF-8"),
        (f"{tmp_path}/conf.d/b.toml", "the text"),
        (f"{tmp_path}/conf.d/c.toml", "Is a directory"),
        (f"{tmp_path}/conf.d/d.toml", "more bytes"),
    ]


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path / "dockd.toml")
    assert (problem.path, problem.value) == (f"{tmp_path}/dockd.toml", "No such file or directory")


def test_a_conf_d_that_cannot_be_read_is_no_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "dockd.toml"
    path.write_text(MAIN)
    (tmp_path / "conf.d").write_text("a file")
    (problem,) = problems_of(path)
    assert (problem.path, problem.value) == (f"{tmp_path}/conf.d", "Not a directory")


# --- the files that it names --------------------------------------------------------------------------------------


def naming(folder: Path) -> Config:
    store = "".join(f'{name} = "{folder}/{name}"\n' for name in ("ca_file", "cert_file", "key_file", "token_file"))
    main = MAIN.replace(f'"{KEY}"', f'"{KEY}", "{folder}/store.pub"')
    return parse(main + store, where="dockd.toml")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, mode in (("ca_file", 0o644), ("cert_file", 0o644), ("store.pub", 0o644), ("key_file", 0o640)):
        (tmp_path / name).write_text("something")
        (tmp_path / name).chmod(mode)
    (tmp_path / "token_file").write_text("something")
    (tmp_path / "token_file").chmod(0o600)
    return tmp_path


def test_files_that_are_as_they_should_be_are_no_problem(files: Path) -> None:
    assert check_files(naming(files)) == ()


def test_a_configuration_that_names_no_file_needs_none() -> None:
    assert check_files(parse(MAIN, where="dockd.toml")) == ()


@pytest.mark.promise("I14")
@pytest.mark.parametrize("name", ["key_file", "token_file"])
@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601])
def test_a_secret_that_everybody_can_use_is_refused(files: Path, name: str, mode: int) -> None:
    (files / name).chmod(mode)
    (problem,) = check_files(naming(files))
    assert problem.path == f"store.{name}"
    assert problem.value == f"{files}/{name}: mode {mode:04o}"
    assert problem.hint == f"chmod o= {files}/{name}"


@pytest.mark.promise("I1")
def test_a_receipt_key_that_everybody_can_change_is_refused(files: Path) -> None:
    """I1: who pins a key can have cameras erased."""
    (files / "store.pub").chmod(0o666)
    (problem,) = check_files(naming(files))
    assert (problem.path, problem.expected) == ("store.receipt_keys[1]", "a file that other users cannot change")


def test_files_that_are_missing_empty_or_none_are_all_shown(files: Path) -> None:
    (files / "ca_file").unlink()
    (files / "cert_file").unlink()
    (files / "cert_file").mkdir()
    (files / "key_file").unlink()
    os.mkfifo(files / "key_file")
    (files / "token_file").write_text("")
    assert [(problem.path, problem.value) for problem in check_files(naming(files))] == [
        ("store.ca_file", f"{files}/ca_file: No such file or directory"),
        ("store.cert_file", f"{files}/cert_file: no file, or an empty one"),
        ("store.key_file", f"{files}/key_file: no file, or an empty one"),
        ("store.token_file", f"{files}/token_file: no file, or an empty one"),
    ]
