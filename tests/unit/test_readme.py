"""What README.md and the pages behind it say is so: paths, functions, options, names on the wire, the receipt."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dockd import cli, ctl
from dockd.central.declaration import declare
from dockd.config import check_files, parse
from dockd.domain.canonical import b64url_decode
from dockd.domain.contents import Role
from dockd.domain.facts import MOST_CHARS, NAMES
from dockd.domain.metadata import (
    MAX_NAME_BESIDE_FACTS_BYTES,
    MAX_NAME_BYTES,
    metadata_header,
    metadata_of,
    metadata_sha256,
)
from dockd.domain.model import (
    Camera,
    CameraSerial,
    Clip,
    ClipId,
    ClipKey,
    ClipKind,
    ClipState,
    DockingId,
    Gap,
    Sha256,
    StationId,
    Tag,
    VolumeId,
)
from dockd.domain.profile import Mark, Trigger
from dockd.domain.recorded import OffsetSource, Standing
from dockd.edges.boards import load_board
from dockd.edges.keys import PinnedKeys
from dockd.tus import headers

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = ("run", "check-config", "make-safe", "demo", "ingest", "central")
VERBS = ("list", "show", "retry", "release")
KEY = "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
"""The example key of RFC 8037, appendix A."""


def pages() -> list[str]:
    """Every page of prose that is ours, from the root."""
    folders = (ROOT, *(ROOT / name for name in ("dockd", "requirements", "scripts", "tests")))
    found = [page for folder in folders[:1] for page in folder.glob("*.md")]
    found += [page for folder in folders[1:] for page in folder.rglob("*.md") if "node_modules" not in page.parts]
    return sorted(str(page.relative_to(ROOT)) for page in found)


def prose(page: str) -> str:
    """A page without its fenced blocks, on one line."""
    return " ".join(re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL).split())


def code(text: str) -> Iterator[str]:
    """Every code span and every line of an indented block."""
    yield from re.findall(r"`([^`]+)`", " ".join(re.sub(r"```.*?```", "", text, flags=re.DOTALL).split()))
    yield from re.findall(r"^    (\S.*)$", text, flags=re.MULTILINE)


@cache
def options_of(*command: str) -> frozenset[str]:
    """The options that a command's own help names."""
    run = subprocess.run([sys.executable, "-m", *command, "--help"], capture_output=True, text=True, check=True)
    return frozenset(re.findall(r"--[a-z][a-z-]*", run.stdout))


def section(title: str) -> str:
    """One section of README.md, by its heading."""
    _, found, rest = README.partition(f"\n## {title}\n")
    assert found, f"README.md has no section {title!r}"
    return rest.partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of every row of the tables in a text, headings and rules left out."""
    lines = [line.strip()[1:-1].split("|") for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines]
    return [row for row in cells if not set(row[0]) <= {"-"}]


# --- paths and functions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", pages())
def test_every_path_that_a_page_names_exists(page: str) -> None:
    named = set(re.findall(r"`((?:dockd|hw|requirements|scripts|systemd|tests|\.ci)/[\w./-]*)`", prose(page)))
    assert not {path for path in named if not (ROOT / path).exists()}


@pytest.mark.parametrize("page", pages())
def test_every_link_of_a_page_leads_to_a_file(page: str) -> None:
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if "://" not in link}
    assert not {link for link in links if link and not (ROOT / page).parent.joinpath(link).exists()}


def defined_in(path: str) -> frozenset[str]:
    """The functions, classes and methods of a module, methods as Class.method."""
    names: set[str] = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = (child for child in node.body if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))
            names.update(f"{node.name}.{child.name}" for child in inner)
    return frozenset(names)


@pytest.mark.parametrize("page", pages())
def test_every_function_that_a_page_places_is_in_that_module(page: str) -> None:
    placed = re.findall(r"`([A-Za-z_][\w.]*)`,? (?:in|by) `(dockd/[\w/]+\.py)`", prose(page))
    placed += re.findall(r"\(`([A-Za-z_][\w.]*)` in `(dockd/[\w/]+\.py)`\)", prose(page))
    assert not {(name, path) for name, path in placed if name not in defined_in(path)}


def test_each_step_of_a_clips_way_names_a_function_and_its_module() -> None:
    steps = re.split(r"^\d+\. ", section("The way of one clip"), flags=re.MULTILINE)[1:]
    assert len(steps) == 12
    for step in steps:
        assert re.search(r"`[\w.]+` in `dockd/[\w/]+\.py`", " ".join(step.split())), step


FOLDERS = (
    "app",
    "central",
    "config",
    "copier",
    "ctl",
    "domain",
    "edges",
    "helper",
    "ingest",
    "screen",
    "sim",
    "sqlite",
    "structure",
    "tus",
)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_page_of_a_folder_names_each_of_its_modules(folder: str) -> None:
    page = (ROOT / "dockd" / folder / "README.md").read_text(encoding="utf-8")
    modules = {path.stem for path in (ROOT / "dockd" / folder).rglob("*.py")} - {"__init__"}
    assert not {module for module in modules if f"`{module}`" not in page}


# --- commands -----------------------------------------------------------------------------------------------------


def command_lines() -> Iterator[tuple[tuple[str, ...], str]]:
    """Every command line in README.md: the module and command that answer it, and the line."""
    for line in code(README):
        match line.split():
            case ["dockd", command, *_] if command in COMMANDS:
                yield ("dockd", command), line
            case ["dockctl", "quarantine", verb, *_]:
                yield ("dockd.ctl", "quarantine", verb), line
            case ["dockctl", "cameras", "test" as verb, *_]:
                yield ("dockd.ctl", "cameras", verb), line
            case ["dockctl", "account", "acknowledge" as verb, *_]:
                yield ("dockd.ctl", "account", verb), line
            case ["dockctl", command, *_]:
                yield ("dockd.ctl", command), line
            case ["scripts/demo", *_]:
                yield ("dockd", "demo"), line
            case _:
                pass


def test_every_option_of_a_command_line_is_one_that_the_command_takes() -> None:
    lines = list(command_lines())
    assert {command for command, _ in lines} >= {("dockd", name) for name in COMMANDS}
    for command, line in lines:
        # What stands in "$(...)" is a command line of its own.
        own = re.sub(r"\$\(.*?\)", "", line)
        assert set(re.findall(r"--[a-z][a-z-]*", own)) <= options_of(*command), line


def test_every_option_named_alone_is_one_that_some_command_takes() -> None:
    known = frozenset().union(
        *(options_of("dockd", name) for name in COMMANDS),
        *(
            options_of("dockd.ctl", name)
            for name in ("status", "bays", "clips", "receipts", "verify", "identify", "map")
        ),
        *(options_of("dockd.ctl", "quarantine", verb) for verb in VERBS),
    )
    alone = {span.split()[0] for span in code(README) if span.startswith("--")}
    assert {"--erase", "--state", "--simulate", "--json"} <= alone
    assert alone <= known


def test_every_command_has_its_place_in_the_readme() -> None:
    told = {command for command, _ in command_lines()}
    assert told >= {
        ("dockd.ctl", name) for name in ("status", "bays", "clips", "receipts", "verify", "identify", "map")
    }
    assert told >= {("dockd.ctl", "quarantine", verb) for verb in VERBS}


def test_the_exit_codes_are_those_of_the_commands() -> None:
    table = {int(code): (dockd, dockctl) for code, dockd, dockctl in rows(section("Exit codes"))[1:]}
    dockd = {value for name, value in vars(cli).items() if name.startswith("EX_")} | {cli.INTERRUPTED, 2}
    dockctl = {value for name, value in vars(ctl).items() if name.startswith("EX_")} | {2}
    assert {code for code, (words, _) in table.items() if words} == dockd
    assert {code for code, (_, words) in table.items() if words} == dockctl


# --- promises and configuration -----------------------------------------------------------------------------------


def test_every_promise_is_defined_exactly_once() -> None:
    assert re.findall(r"^- \*\*(I[0-9]+)\b", README, flags=re.MULTILINE) == [f"I{number}" for number in range(1, 19)]


def test_the_example_is_a_whole_configuration() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)
    config = parse(text, where="README.md")
    assert check_files(config) == ()
    assert (config.station.id, [bay.number for bay in config.bays]) == ("example-1", [1, 2])
    assert load_board(config.hardware.board or "").bays.keys() >= {1, 2}, "a station that dockd run takes"
    assert PinnedKeys.read(config.store.receipt_keys).pinned()


# --- names on the wire --------------------------------------------------------------------------------------------


def clip_with_every_fact() -> Clip:
    """A clip of which the store is told everything that it can be told."""
    return Clip(
        key=ClipKey(1),
        docking=DockingId(1),
        camera=Camera(serial=CameraSerial("S"), volume=VolumeId("V"), model="M", firmware="F"),
        path=b"x" * (MAX_NAME_BYTES + 1),
        length_bytes=0,
        mtime_ns=1,
        state=ClipState.COPIED,
        kind=ClipKind.VIDEO,
        recording_id="0" * 32,
        tags=frozenset(Tag),
        gaps=(Gap(offset_bytes=0, length_bytes=1),),
        urgent=True,
        sha256=Sha256("0" * 64),
        clip_id=ClipId("0" * 64),
        facts=tuple((name, "unknown") for name in NAMES),
    )


def test_the_metadata_keys_are_those_that_a_store_is_told() -> None:
    wire = section("Names on the wire")
    named = {key for row in rows(wire) if len(row) == 2 for key in re.findall(r"`(\w+)`", row[0])}
    assert named == metadata_of(clip_with_every_fact(), station=StationId("st-1")).keys()
    (tags,) = (row[1] for row in rows(wire) if row[0] == "`tags`")
    assert re.findall(r"`([\w-]+)`", tags) == sorted(tag.value for tag in Tag)
    assert f"{MAX_NAME_BYTES:,} bytes" in wire
    assert f"what a profile read {MAX_NAME_BESIDE_FACTS_BYTES:,} |" in wire
    assert f"at most {MOST_CHARS} characters" in wire


def test_the_words_of_facts_are_those_that_a_profile_reads() -> None:
    said: dict[str, set[str]] = {}
    for key, what in (row for row in rows(section("Names on the wire")) if len(row) == 2):
        said[key.partition(",")[0].strip("`")] = set(re.findall(r"`([a-z-]+)`", what))
    marks = next(row[1] for row in rows(section("Names on the wire")) if row[0] == "`marks`" and "`event`" in row[1])
    assert said["recorded_is"] == set(Standing)
    assert said["trigger"] == set(Trigger) - {Trigger.UNKNOWN}
    assert said["clock_offset"] == set(OffsetSource)
    assert set(re.findall(r"`([a-z-]+)`", marks)) == {*Mark, "none"}
    assert said["profile"] == {*Role}


def test_the_headers_are_spelled_as_they_are_sent() -> None:
    known = {value for value in vars(headers).values() if isinstance(value, str)} | {"Authorization"}
    named = {
        name
        for row in rows(section("Names on the wire"))
        if len(row) == 3
        for name in re.findall(r"`([\w-]+)`", row[0])
    }
    assert {"Custody-Leaf", "Clip-Receipt", "Repr-Digest"} <= named
    assert named <= known


def example() -> tuple[str, Mapping[str, object], str]:
    """The declaration, the claims and the receipt, as README.md shows them."""
    wire = section("Names on the wire")
    declaration, receipt = re.findall(r"```text\n(.*?)\n```", wire, flags=re.DOTALL)
    (claims,) = re.findall(r"```json\n(.*?)\n```", wire, flags=re.DOTALL)
    return declaration, json.loads(claims), receipt


@pytest.mark.promise("I1")
def test_the_receipt_of_the_example_is_one_that_a_station_believes() -> None:
    declaration, claims, compact = example()
    receipt = PinnedKeys.read([KEY]).verify(compact)
    assert json.loads(b64url_decode(compact.split(".")[1])) == claims

    metadata = headers.parse_metadata(declaration)
    assert metadata_header(metadata) == declaration
    declared = declare(metadata, upload_length_bytes=31)
    content = b"thirty-one bytes of a recording"
    assert declared.recomputed
    assert (declared.length_bytes, declared.sha256) == (len(content), sha256(content).hexdigest())
    assert (receipt.claims.clip_id, receipt.claims.aud) == (declared.clip_id, declared.station)
    assert (receipt.claims.length_bytes, receipt.claims.sha256) == (31, declared.sha256)
    assert receipt.claims.meta_sha256 == metadata_sha256(metadata)


def test_a_reader_that_is_not_ours_reads_the_receipt_of_the_example() -> None:
    _, claims, compact = example()
    key = Ed25519PublicKey.from_public_bytes(b64url_decode(KEY.removeprefix("ed25519:")))
    assert jwt.decode(compact, key, algorithms=["EdDSA"], audience="example-1") == claims


def test_the_summary_of_an_ingest_has_the_fields_that_are_shown() -> None:
    from dockd.ingest import Summary  # noqa: PLC0415 - the one test that needs the station's whole weight

    (text,) = re.findall(r"```json\n(.*?)\n```", section("`dockd ingest`"), flags=re.DOTALL)
    line = Summary(clips=3, bytes_=4096, receipted=3, quarantined=0, erased=0, unproven=0, elapsed_s=0.412).line()
    assert json.loads(line) == json.loads(text)
