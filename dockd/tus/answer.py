"""What an answer of the store means: one reading of every status and header that tus 1.0.0 and its servers give.

Owns the rule that nothing is an acknowledgement but the expected status with `Tus-Resumable: 1.0.0` and well-formed
headers; a captive portal's page is not (I1). Must not know what was tried before, nor what is done next.

Statuses that are about the way to the store or its state (3xx, 401, 403, 423, 429, 5xx ...) are `Busy`: they pass, or
somebody mends them, and the clip is not to blame. Only what is wrong with this very upload is `Rejected`. No redirect
is followed, wherever it points: footage and credentials go to the configured store alone (I14).
"""

from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from dockd.errors import Reason
from dockd.tus.headers import (
    CLIP_RECEIPT,
    DATE,
    LOCATION,
    REPR_DIGEST,
    RETRY_AFTER,
    TUS_RESUMABLE,
    TUS_VERSION,
    UPLOAD_LENGTH,
    UPLOAD_METADATA,
    UPLOAD_OFFSET,
    HeaderError,
    parse_count,
    parse_http_date,
    parse_retry_after,
)
from dockd.tus.message import Response

_MAX_URL_CHARS = 2000
_MAX_QUOTED_CHARS = 200
_DEFAULT_PORTS = {"http": 80, "https": 443}
_UNAUTHORISED = frozenset({401, 403, 407})
_NOT_THE_CLIPS_FAULT = frozenset({404, 405, 408, 410, 412, 421, 423, 425, 429})
_GONE = frozenset({404, 410})
_CONFLICT = frozenset({409, 460})
_TOO_LARGE = 413
_CREATED = 201
_SIGN_IN_TO_THE_NETWORK = 511


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What an answer says of a stored upload, each header as sent and unchecked, None where it was not sent."""

    receipt: str | None
    repr_digest: str | None
    stored_metadata: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """The upload exists at `url`."""

    url: str
    proof: Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """The store says it has the first `offset_bytes` bytes."""

    offset_bytes: int
    proof: Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """The store did not take the body: our idea of the offset is wrong, or the bytes arrived damaged."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """The store does not have this upload any more, or what it has there is not ours."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """Not now; the store may have said when."""

    reason: Reason
    detail: str
    retry_after_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Not this upload, ever."""

    reason: Reason
    detail: str


def read_creation(response: Response, *, endpoint: str) -> Created | Busy | Rejected:
    """Read the answer to a POST.

    Source: tus 1.0.0, Creation, POST.
    """
    if response.status != _CREATED:
        return _failure("POST", response)
    location = response.headers.get(LOCATION.lower())
    if not _speaks_tus(response) or location is None:
        return _not_acknowledged("POST", response, f"201 with {TUS_RESUMABLE}: {TUS_VERSION} and a {LOCATION}")
    try:
        return Created(url=resolve(location, endpoint=endpoint), proof=_proof(response))
    except HeaderError as error:
        return Rejected(reason=Reason.STORE, detail=f"POST answered 201, {error}")


def read_status(response: Response, *, length_bytes: int) -> At | Gone | Busy | Rejected:
    """Read the answer to a HEAD: how much of `length_bytes` the store has.

    Source: tus 1.0.0, Core, HEAD.
    """
    if response.status in _GONE:
        return Gone(detail=_said("HEAD", response))
    if response.status not in {200, 204}:
        return _failure("HEAD", response)
    if not _speaks_tus(response):
        return _not_acknowledged("HEAD", response, f"{TUS_RESUMABLE}: {TUS_VERSION}")
    try:
        declared_bytes = parse_count(UPLOAD_LENGTH, response.headers.get(UPLOAD_LENGTH.lower(), ""))
        offset_bytes = parse_count(UPLOAD_OFFSET, response.headers.get(UPLOAD_OFFSET.lower(), ""))
    except HeaderError as error:
        return _not_acknowledged("HEAD", response, str(error))
    if declared_bytes != length_bytes:
        return Gone(detail=f"the upload there is of {declared_bytes} bytes, expected {length_bytes}")
    return _at(response, offset_bytes, length_bytes)


def read_patch(response: Response, *, length_bytes: int) -> At | Conflict | Gone | Busy | Rejected:
    """Read the answer to a PATCH: the new offset. A hook may have turned 204 into another success.

    Source: tus 1.0.0, Core, PATCH; Checksum, 460.
    """
    if response.status in _GONE:
        return Gone(detail=_said("PATCH", response))
    if response.status in _CONFLICT:
        return Conflict(detail=_said("PATCH", response))
    if response.status not in {200, 201, 202, 204}:
        # The whole was not too large when it was created: 413 is a proxy's limit, or a disk that filled up since.
        return _busy("PATCH", response) if response.status == _TOO_LARGE else _failure("PATCH", response)
    if not _speaks_tus(response):
        return _not_acknowledged("PATCH", response, f"{TUS_RESUMABLE}: {TUS_VERSION}")
    try:
        offset_bytes = parse_count(UPLOAD_OFFSET, response.headers.get(UPLOAD_OFFSET.lower(), ""))
    except HeaderError as error:
        return _not_acknowledged("PATCH", response, str(error))
    return _at(response, offset_bytes, length_bytes)


def resolve(location: str, *, endpoint: str) -> str:
    """Give the absolute URL that a Location means, if it is at the endpoint's own scheme, host and port.

    Behind a TLS proxy a server that knows only plain HTTP writes http:// or a bare path: such a URL of the same host is
    brought back to the endpoint's scheme and port.

    Raises:
        HeaderError: it is no URL, or one of somewhere else.

    """
    home = urlsplit(endpoint)
    there = _split(location, endpoint)
    if there is None or not _at_home(there, home) or not there.path.strip("/"):
        raise HeaderError(LOCATION, location, f"a URL at {endpoint}")
    return urlunsplit((home.scheme, home.netloc, there.path, there.query, ""))


def _split(location: str, endpoint: str) -> SplitResult | None:
    if not location or len(location) > _MAX_URL_CHARS or not location.isascii() or not location.isprintable():
        return None
    try:
        parts = urlsplit(urljoin(endpoint, location.replace(" ", "%20")))
        _ = parts.port  # is read only now, and may be out of range
    except ValueError:
        return None
    return parts


def _at_home(there: SplitResult, home: SplitResult) -> bool:
    if there.username is not None or there.hostname != home.hostname:
        return False
    home_port = home.port or _DEFAULT_PORTS.get(home.scheme)
    if there.scheme == home.scheme:
        return (there.port or _DEFAULT_PORTS.get(there.scheme)) == home_port
    return (there.scheme, home.scheme) == ("http", "https") and there.port in {None, 80, home_port}


def _at(response: Response, offset_bytes: int, length_bytes: int) -> At | Gone:
    if offset_bytes > length_bytes:
        return Gone(detail=f"the store claims {offset_bytes} bytes of an upload of {length_bytes}")
    return At(offset_bytes=offset_bytes, proof=_proof(response))


def _proof(response: Response) -> Proof:
    return Proof(
        receipt=response.headers.get(CLIP_RECEIPT.lower()) or None,
        repr_digest=response.headers.get(REPR_DIGEST.lower()) or None,
        stored_metadata=response.headers.get(UPLOAD_METADATA.lower()) or None,
    )


def _speaks_tus(response: Response) -> bool:
    return response.headers.get(TUS_RESUMABLE.lower()) == TUS_VERSION


def _failure(method: str, response: Response) -> Busy | Rejected:
    """Read a status that is no success and means the same whatever was asked."""
    status = response.status
    if status in _UNAUTHORISED:
        return Busy(reason=Reason.AUTH, detail=_said(method, response), retry_after_s=_retry_after_s(response))
    if 300 <= status < 400:  # noqa: PLR2004 - the class of redirects, RFC 9110 section 15.4
        target = response.headers.get(LOCATION.lower(), "nowhere")[:_MAX_QUOTED_CHARS]
        detail = f"{method} answered {status}, a redirect to {target!r}: expected the store itself, not followed"
        return Busy(reason=Reason.STORE, detail=detail, retry_after_s=_retry_after_s(response))
    if status in _NOT_THE_CLIPS_FAULT or status >= 500:  # noqa: PLR2004 - server errors, RFC 9110 section 15.6
        return _busy(method, response)
    if status < 300:  # noqa: PLR2004 - another success than the one asked for
        return _not_acknowledged(method, response, "tus 1.0.0")
    return Rejected(reason=Reason.REFUSED, detail=_said(method, response))


def _busy(method: str, response: Response) -> Busy:
    reason = Reason.NETWORK if response.status == _SIGN_IN_TO_THE_NETWORK else Reason.STORE
    return Busy(reason=reason, detail=_said(method, response), retry_after_s=_retry_after_s(response))


def _not_acknowledged(method: str, response: Response, expected: str) -> Busy:
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_page = media_type in {"text/html", "application/xhtml+xml"} and not _speaks_tus(response)
    shown = _printable(media_type) or "of no type"
    hint = ", a page: does this network ask to sign in?" if is_page else ""
    return Busy(
        reason=Reason.NETWORK if is_page else Reason.STORE,
        detail=f"{method} answered {response.status} {shown}{hint}: expected {expected}",
        retry_after_s=None,
    )


def _said(method: str, response: Response) -> str:
    """Quote an answer in one safe line."""
    text = response.body.decode("utf-8", "replace")
    words = _printable(text)
    quoted = f": {words[:_MAX_QUOTED_CHARS]}" if words else ""
    return f"{method} answered {response.status}{quoted}"


def _printable(text: str) -> str:
    """Keep of a store's words what steers no terminal, on one line."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _retry_after_s(response: Response) -> float | None:
    # A date is measured from the store's own clock: ours may be wrong (I13).
    now_utc = parse_http_date(response.headers.get(DATE.lower(), ""))
    return parse_retry_after(response.headers.get(RETRY_AFTER.lower(), ""), now_utc=now_utc)
