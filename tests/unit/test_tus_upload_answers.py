"""What the client core believes of an answer, and in which words it refuses the rest."""

from collections.abc import Mapping

import pytest

from dockd.errors import Reason
from dockd.tus.upload import Keep, Refused, Response, Restarted, Wait
from tests.tus_scripts import ENDPOINT, PORTAL, TUS, URL, answer, new, run, shown


@pytest.mark.parametrize(
    ("endpoint", "location", "url"),
    [
        (ENDPOINT, "https://store.example/files/u1", URL),
        (ENDPOINT, "https://STORE.example:443/files/u1", URL),
        (ENDPOINT, "/files/u1", URL),
        (ENDPOINT, "u1", URL),
        (ENDPOINT, "//store.example/files/u1", URL),
        (ENDPOINT, "https://store.example/files/u1?part=2#top", f"{URL}?part=2"),
        (ENDPOINT, "/files/a b", "https://store.example/files/a%20b"),
        # Behind a TLS proxy: http, with no port, its own default, or the one that was asked.
        (ENDPOINT, "http://store.example/files/u1", URL),
        (ENDPOINT, "http://store.example:80/files/u1", URL),
        (
            "https://store.example:8443/files",
            "http://store.example:8443/files/u1",
            "https://store.example:8443/files/u1",
        ),
        ("https://store.example:8443/files", "http://store.example/files/u1", "https://store.example:8443/files/u1"),
        ("http://127.0.0.1:1080/files", "http://127.0.0.1:1080/files/u1", "http://127.0.0.1:1080/files/u1"),
        ("http://[::1]:1080/files", "http://[::1]:1080/files/u1", "http://[::1]:1080/files/u1"),
    ],
)
def test_a_location_at_the_store_itself_is_taken(endpoint: str, location: str, url: str) -> None:
    upload = new(endpoint=endpoint)
    upload.receive(Response(status=201, headers={**TUS, "location": location}))
    assert upload.next() == Keep(url=url)


@pytest.mark.promise("I14")
@pytest.mark.parametrize(
    ("endpoint", "location"),
    [
        (ENDPOINT, "https://elsewhere.example/files/u1"),
        (ENDPOINT, "https://store.example.elsewhere.example/files/u1"),
        (ENDPOINT, "https://store.example@elsewhere.example/files/u1"),
        (ENDPOINT, "https://user@store.example/files/u1"),
        (ENDPOINT, "//elsewhere.example/files/u1"),
        (ENDPOINT, "https://store.example:444/files/u1"),
        (ENDPOINT, "http://store.example:8080/files/u1"),
        (ENDPOINT, "https://store.example:99999/files/u1"),
        (ENDPOINT, "https://[store.example/files/u1"),
        (ENDPOINT, "https://store.example"),
        (ENDPOINT, "ftp://store.example/files/u1"),
        (ENDPOINT, "file:///etc/passwd"),
        (ENDPOINT, "/files/u1\tx"),
        (ENDPOINT, "/files/\N{LATIN SMALL LETTER E WITH ACUTE}"),
        (ENDPOINT, "/files/" + "x" * 2000),
        (ENDPOINT, ""),
        ("http://127.0.0.1:1080/files", "https://127.0.0.1:1080/files/u1"),
    ],
)
def test_a_location_anywhere_else_is_refused(endpoint: str, location: str) -> None:
    """I14, 59: footage goes to the configured store and nowhere else."""
    upload = new(endpoint=endpoint)
    upload.receive(Response(status=201, headers={**TUS, "location": location}))
    refused = upload.next()
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.STORE
    assert refused.detail.startswith("POST answered 201, Location: ")
    assert refused.detail.endswith(f": expected a URL at {endpoint}")


def test_an_upload_begun_at_another_store_begins_anew() -> None:
    """The configuration changed: neither bytes nor credentials go to the old one."""
    upload = new(url="https://old.example/files/u1")
    expected = "kept upload: Location: 'https://old.example/files/u1': expected a URL at https://store.example/files/"
    assert upload.next() == Restarted(detail=expected)
    upload.resume()
    assert shown(upload) == "POST"


def test_an_upload_of_another_length_is_not_ours() -> None:
    upload = new(url=URL)
    upload.receive(answer("at:100", length_bytes=120))
    assert upload.next() == Restarted(detail="the upload there is of 120 bytes, expected 100")


@pytest.mark.parametrize(
    ("headers", "complaint"),
    [
        ({"tus-resumable": "", "upload-offset": "5", "upload-length": "100"}, "Tus-Resumable: 1.0.0"),
        ({"tus-resumable": "0.2.2", "upload-offset": "5", "upload-length": "100"}, "Tus-Resumable: 1.0.0"),
        ({"upload-offset": "5", "upload-length": ""}, "Upload-Length: ''"),
        ({"upload-offset": "", "upload-length": "100"}, "Upload-Offset: ''"),
        ({"upload-offset": "-5", "upload-length": "100"}, "Upload-Offset: '-5'"),
        ({"upload-offset": "5, 5", "upload-length": "100"}, "Upload-Offset: '5, 5'"),
    ],
)
def test_a_success_without_well_formed_headers_acknowledges_nothing(headers: Mapping[str, str], complaint: str) -> None:
    upload = new(url=URL)
    upload.receive(Response(status=200, headers={**TUS, **headers}))
    wait = upload.next()
    assert isinstance(wait, Wait)
    assert wait.reason is Reason.STORE
    assert complaint in wait.detail


@pytest.mark.parametrize("headers", [{"upload-offset": "x"}, {"tus-resumable": "2"}, {}])
def test_nor_does_one_to_a_body(headers: Mapping[str, str]) -> None:
    upload = new()
    run(upload, "201 at:0")
    upload.receive(Response(status=204, headers={**TUS, **headers}))
    assert shown(upload) == "wait:store"


def test_nor_does_a_201_without_a_location() -> None:
    upload = new()
    upload.receive(Response(status=201, headers=TUS))
    expected = "POST answered 201 of no type: expected 201 with Tus-Resumable: 1.0.0 and a Location"
    assert upload.next() == Wait(reason=Reason.STORE, detail=expected, retry_after_s=None, progressed=False)


def test_a_captive_portal_is_named_as_such() -> None:
    """48: its page says 200 to everything."""
    upload = new(url=URL)
    upload.receive(PORTAL)
    wait = upload.next()
    assert isinstance(wait, Wait)
    assert wait.detail == (
        "HEAD answered 200 text/html, a page: does this network ask to sign in?: expected Tus-Resumable: 1.0.0"
    )


def test_a_redirect_is_named_and_not_followed() -> None:
    upload = new()
    upload.receive(Response(status=302, headers={"location": "https://elsewhere.example/"}))
    wait = upload.next()
    assert isinstance(wait, Wait)
    assert wait.detail == (
        "POST answered 302, a redirect to 'https://elsewhere.example/': expected the store itself, not followed"
    )


def test_what_a_store_says_is_quoted_in_one_short_line() -> None:
    upload = new()
    upload.receive(Response(status=400, headers=TUS, body=b"No\r\n\x1b[31m space: \xff" + b"x" * 4000))
    refused = upload.next()
    assert isinstance(refused, Refused)
    assert refused.detail.startswith("POST answered 400: No [31m space: \ufffdxxx")
    assert len(refused.detail) == len("POST answered 400: ") + 200


def test_a_date_to_come_back_is_measured_from_the_stores_own_clock() -> None:
    upload = new()
    headers = {"date": "Sun, 01 Mar 2015 12:00:00 GMT", "retry-after": "Sun, 01 Mar 2015 12:00:40 GMT"}
    upload.receive(Response(status=503, headers=headers))
    assert shown(upload) == "wait:store/40"
