"""Stores that lie, lose and refuse: nothing is ever erased for them, and the clip says why."""

import asyncio
import base64
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from tests.system.cards import MEDIA, contents, write
from tests.system.evidence import clip_rows
from tests.system.programs import Ended, dockctl, ingest
from tests.system.rogue import Key, Script, ScriptedStore, Upload, b64url, canonical, serving

HONEST = b"DCIM/honest/CLIP.MP4"
TUS = {"Tus-Resumable": "1.0.0"}

KEY, OTHER = Key.make(), Key.make()

Forge = Callable[[Upload], str | None]


def with_claims(**changes: object) -> Forge:
    return lambda upload: KEY.receipt({**upload.claims, **changes})


def with_header(header: Mapping[str, object]) -> Forge:
    return lambda upload: KEY.jws(canonical(header), canonical(upload.claims))


def with_payload(spell: Callable[[dict[str, object]], bytes]) -> Forge:
    return lambda upload: KEY.jws(canonical(KEY.header()), spell(upload.claims))


def with_text(change: Callable[[list[str]], str]) -> Forge:
    return lambda upload: change(KEY.receipt(upload.claims).split("."))


def flipped(parts: list[str]) -> str:
    signature = bytearray(base64.urlsafe_b64decode(parts[2] + "=="))
    signature[7] ^= 1
    return ".".join([*parts[:2], b64url(bytes(signature))])


def stray_bits(parts: list[str]) -> str:
    """Spell the 64 bytes of a signature with another last character: four of its bits mean nothing."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return ".".join([*parts[:2], parts[2][:-1] + letters[letters.index(parts[2][-1]) + 1]])


def spliced(upload: Upload) -> str:
    header, _, signature = KEY.receipt({**upload.claims, "length": upload.length + 1}).split(".")
    return f"{header}.{b64url(canonical(upload.claims))}.{signature}"


def unsorted(claims: dict[str, object]) -> bytes:
    return json.dumps(dict(sorted(claims.items(), reverse=True)), separators=(",", ":")).encode("ascii")


def doubled(claims: dict[str, object]) -> bytes:
    return canonical(claims).replace(b'{"aud":', b'{"aud":"desk-2","aud":')


FORM, KEY_FLAW, SIGNATURE = "canonical form", "a key that is not pinned", "signature is not valid"
CLIP, AUDIENCE, LENGTH = "for another clip", "for another station", "length differs"
DIGEST, METADATA = "sha256 differs", "other metadata"

FLAWS: dict[str, tuple[Forge, str]] = {
    "a bit of the signature flipped": (with_text(flipped), SIGNATURE),
    "the signature of other claims": (spliced, SIGNATURE),
    "no signature": (with_text(lambda parts: f"{parts[0]}.{parts[1]}."), SIGNATURE),
    "alg none": (with_header({**KEY.header(), "alg": "none"}), FORM),
    "another key": (lambda upload: OTHER.receipt(upload.claims), KEY_FLAW),
    "another key under our kid": (
        lambda upload: OTHER.jws(canonical(KEY.header()), canonical(upload.claims)),
        SIGNATURE,
    ),
    "another clip": (with_claims(clip_id="ab" * 32), CLIP),
    "another station": (with_claims(aud="desk-2"), AUDIENCE),
    "a byte more": (lambda upload: KEY.receipt({**upload.claims, "length": upload.length + 1}), LENGTH),
    "another sha256": (with_claims(sha256="0" * 64), DIGEST),
    "other metadata": (with_claims(meta_sha256="0" * 64), METADATA),
    "unsorted claims": (with_payload(unsorted), FORM),
    "spaces": (with_payload(lambda claims: json.dumps(claims, sort_keys=True).encode("ascii")), FORM),
    "an escape": (with_payload(lambda claims: canonical(claims).replace(b'"aud"', b'"\\u0061ud"')), FORM),
    "a claim twice": (with_payload(doubled), FORM),
    "a claim too many": (with_claims(note="trust me"), FORM),
    "a claim missing": (
        with_payload(lambda claims: canonical({name: claims[name] for name in claims if name != "leaf"})),
        FORM,
    ),
    "a float length": (
        with_payload(lambda claims: canonical({**claims, "length": float(str(claims["length"]))})),
        FORM,
    ),
    "a length in words": (with_payload(lambda claims: canonical({**claims, "length": str(claims["length"])})), FORM),
    "upper case": (with_payload(lambda claims: canonical({**claims, "sha256": str(claims["sha256"]).upper()})), FORM),
    "a header too many": (with_header({**KEY.header(), "crit": "b64"}), FORM),
    "padding": (with_text(lambda parts: ".".join(parts) + "=="), FORM),
    "stray bits": (with_text(stray_bits), FORM),
    "four parts": (with_text(lambda parts: ".".join([*parts, parts[2]])), FORM),
    "five thousand characters": (with_text(lambda parts: ".".join([parts[0], "A" * 5000, parts[2]])), FORM),
    "an html page": (with_text(lambda parts: f"<html>{parts[0]}</html>"), FORM),
}


def honest(upload: Upload) -> str:
    return KEY.receipt(upload.claims)


def lies_by_name(upload: Upload) -> str | None:
    """Give the flawed receipt that the clip's folder is named after."""
    flaw = upload.name.split(b"/")[1].decode()
    return honest(upload) if flaw == "honest" else FLAWS[flaw][0](upload)


def told(state: Path) -> dict[str, tuple[str, str, str]]:
    """Give what `dockctl clips` tells of each clip, by its name: state, reason, detail."""
    clips = dockctl("clips", state)["clips"]
    return {clip["name"]: (clip["state"], clip["reason"] or "", clip["detail"]) for clip in clips}


async def bring(card: Path, *, to: str, state: Path, patience_s: int = 1) -> Ended:
    """Ingest a card with everything that erasing needs: the store's key, and the word to erase."""
    more = ("--erase", "--patience", f"{patience_s}")
    return await asyncio.to_thread(ingest, card, to=to, state=state, key=KEY.public, more=more, within_s=90)


@pytest.mark.promise("I1")
@pytest.mark.parametrize("on", ["PATCH", "HEAD", "POST"])
async def test_no_flawed_receipt_erases_anything_while_an_honest_one_beside_it_does(tmp_path: Path, on: str) -> None:
    card = tmp_path / "card"
    media = MEDIA.read_bytes()
    for name in [*FLAWS, "honest"]:
        write(card, f"DCIM/{name}/CLIP.MP4".encode(), media + name.encode())
    before = contents(card)
    store = ScriptedStore(Script(receipt=lies_by_name, on=frozenset({on})))
    async with serving(store) as url:
        ended = await bring(card, to=url, state=tmp_path / "state")
    assert ended.code == 1, ended.words()
    assert ended.counts == (len(FLAWS) + 1, 1, len(FLAWS), 0, 1)
    after = contents(card)
    assert HONEST not in after  # so this driver erases where it may
    assert after == {path: data for path, data in before.items() if path != HONEST}
    clips = await asyncio.to_thread(told, tmp_path / "state")
    assert clips.pop("DCIM/honest/CLIP.MP4")[0] == "erased"
    for name, (_, words) in FLAWS.items():
        state, reason, detail = clips.pop(f"DCIM/{name}/CLIP.MP4")
        assert (state, reason) == ("held", "receipt"), name
        assert words in detail, f"{name}: {detail}"
    assert clips == {}
    for line in ended.troubles.values():
        assert (line["state"], line["reason"]) == ("held", "receipt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A store of one kind: its script, how an ingest ends, and what each clip then says."""

    script: Callable[[str], Script]
    code: int
    state: str
    reason: str
    words: str
    patience_s: int = 1


def always(answer: Callable[[str], web.Response], *methods: str) -> Callable[[str], Script]:
    """Answer some kinds of requests always in one way; the way may need to know the URL of a trap."""

    def script(trap: str) -> Script:
        def say(request: web.Request) -> web.Response | None:
            return answer(trap) if request.method in methods else None

        return Script(receipt=honest, answer=say)

    return script


def refuses(status: int, *methods: str) -> Callable[[str], Script]:
    def refuse(trap: str) -> web.Response:
        return web.Response(status=status, headers=TUS, text="no\n")

    return always(refuse, *methods)


def silent(after: Callable[[Upload], None] | None = None) -> Callable[[str], Script]:
    """Take every byte and give no receipt."""

    def script(trap: str) -> Script:
        return Script(receipt=no_receipt, after=after)

    return script


def no_receipt(upload: Upload) -> None:
    return None


def lose(upload: Upload) -> None:
    upload.lost = True


def go_back(upload: Upload) -> None:
    upload.data.clear()


def page(trap: str) -> web.Response:
    return web.Response(status=200, text="<html>Welcome to the guest network</html>", content_type="text/html")


def redirect(trap: str) -> web.Response:
    return web.Response(status=307, headers={**TUS, "Location": trap})


def created_elsewhere(trap: str) -> web.Response:
    return web.Response(status=201, headers={**TUS, "Location": f"{trap}1"})


ALL = ("POST", "HEAD", "PATCH")

CASES = {
    "acknowledges and loses the bytes": Case(
        script=silent(lose),
        code=1,
        state="held",
        reason="store",
        words="the store lost it 5 times",
        patience_s=60,
    ),
    "acknowledges and forgets the bytes": Case(
        script=silent(go_back),
        code=1,
        state="held",
        reason="store",
        words="the store lost it 5 times",
        patience_s=60,
    ),
    "never gives a receipt": Case(
        script=silent(),
        code=1,
        state="uploaded",
        reason="receipt",
        words="the store has every byte and gave no receipt",
    ),
    "answers 401": Case(script=refuses(401, *ALL), code=1, state="copied", reason="auth", words="POST answered 401"),
    "answers 403": Case(script=refuses(403, *ALL), code=1, state="copied", reason="auth", words="POST answered 403"),
    "answers 401 to bytes": Case(
        script=refuses(401, "PATCH"), code=1, state="copied", reason="auth", words="PATCH answered 401"
    ),
    "answers 413": Case(script=refuses(413, *ALL), code=1, state="held", reason="refused", words="POST answered 413"),
    "answers 413 to bytes": Case(
        script=refuses(413, "PATCH"), code=75, state="copied", reason="store", words="PATCH answered 413"
    ),
    "answers 507": Case(script=refuses(507, *ALL), code=75, state="copied", reason="store", words="answered 507"),
    "answers 500": Case(script=refuses(500, *ALL), code=75, state="copied", reason="store", words="answered 500"),
    "answers 409 to bytes": Case(
        script=refuses(409, "PATCH"), code=75, state="copied", reason="store", words="PATCH answered 409"
    ),
    "answers 423 to bytes": Case(
        script=refuses(423, "PATCH"), code=75, state="copied", reason="store", words="PATCH answered 423"
    ),
    "is a page to sign in": Case(
        script=always(page, *ALL), code=75, state="copied", reason="network", words="does this network ask to sign in?"
    ),
    "is a page to sign in, from the bytes on": Case(
        script=always(page, "PATCH"), code=75, state="copied", reason="network", words="does this network ask"
    ),
    "sends elsewhere": Case(
        script=always(redirect, *ALL), code=75, state="copied", reason="store", words="a redirect to 'http://127.0.0.1"
    ),
    "sends bytes elsewhere": Case(
        script=always(redirect, "PATCH"), code=75, state="copied", reason="store", words="a redirect to 'http"
    ),
    "creates elsewhere": Case(
        script=always(created_elsewhere, "POST"), code=1, state="held", reason="store", words="POST answered 201"
    ),
}


def two_clips(card: Path) -> dict[bytes, bytes]:
    """Make a card of two recordings."""
    write(card, b"DCIM/100/CLIP0001.MP4", MEDIA.read_bytes())
    write(card, b"DCIM/100/CLIP0002.MP4", MEDIA.read_bytes() + b"\0\0\0\x08free")
    return contents(card)


@pytest.mark.promise("I1")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_nothing_is_erased_for_a_store_that(tmp_path: Path, case: Case) -> None:
    card = tmp_path / "card"
    before = two_clips(card)
    trap = ScriptedStore(Script(receipt=honest))
    async with serving(trap) as trap_url, serving(ScriptedStore(case.script(trap_url))) as url:
        ended = await bring(card, to=url, state=tmp_path / "state", patience_s=case.patience_s)
    assert contents(card) == before
    assert ended.code == case.code, ended.words()
    clips, receipted, _, _, erased = ended.counts
    assert (clips, receipted, erased) == (2, 0, 0)
    assert trap.requests == []  # neither footage nor words go anywhere but to the store
    clips_told = await asyncio.to_thread(told, tmp_path / "state")
    assert len(clips_told) == 2
    for state, reason, detail in clips_told.values():
        assert (state, reason) == (case.state, case.reason), detail
        assert case.words in detail
    assert [row["receipt"] for row in clip_rows(tmp_path / "state")] == [None, None]
    assert {line["reason"] for line in ended.troubles.values()} == {case.reason}


async def test_the_same_driver_erases_for_an_honest_store(tmp_path: Path) -> None:
    card = tmp_path / "card"
    before = two_clips(card)
    store = ScriptedStore(Script(receipt=honest))
    async with serving(store) as url:
        ended = await bring(card, to=url, state=tmp_path / "state")
    assert ended.code == 0, ended.words()
    assert ended.counts == (2, 2, 0, 0, 2)
    assert contents(card) == {}
    assert {upload.name: bytes(upload.data) for upload in store.uploads.values()} == before


async def test_a_card_held_for_a_rogue_store_is_brought_by_running_again_once_the_store_is_honest(
    tmp_path: Path,
) -> None:
    card = tmp_path / "card"
    two_clips(card)
    store = ScriptedStore(Script(receipt=lambda upload: OTHER.receipt(upload.claims)))
    async with serving(store) as url:
        held = await bring(card, to=url, state=tmp_path / "state")
        assert (held.code, held.counts) == (1, (2, 0, 2, 0, 0)), held.words()
        store.script = Script(receipt=honest)
        ended = await bring(card, to=url, state=tmp_path / "state")
    assert (ended.code, ended.counts) == (0, (2, 2, 0, 0, 2)), ended.words()
    assert contents(card) == {}


async def test_a_receipt_that_does_not_come_is_waited_for_as_long_as_asked_and_hardly_longer(tmp_path: Path) -> None:
    card = tmp_path / "card"
    two_clips(card)
    async with serving(ScriptedStore(Script(receipt=no_receipt))) as url:
        ended = await bring(card, to=url, state=tmp_path / "state", patience_s=5)
    assert (ended.code, ended.counts) == (1, (2, 0, 0, 2, 0)), ended.words()
    assert 5 <= ended.summary["elapsed_s"] < 9  # the next question would be asked after 6.4 s and more


async def test_nobody_at_the_stores_address_means_try_again_later(tmp_path: Path) -> None:
    card = tmp_path / "card"
    before = two_clips(card)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, and nobody listens
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/files/"
        ended = await bring(card, to=url, state=tmp_path / "state")
    assert ended.code == 75, ended.words()
    assert contents(card) == before
    assert {line["reason"] for line in ended.troubles.values()} == {"network"}
    assert {row["state"] for row in clip_rows(tmp_path / "state")} == {"copied"}
