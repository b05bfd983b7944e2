"""What goes over the wire, as values: one request, one answer.

Owns shapes only. Must not know how they travel, nor what they mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass

MAX_WORDS_BYTES = 4096
"""How much of an answer's body is kept: enough to quote, too little to fill memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyRange:
    """The part of the source file that is a request's body: `length_bytes` (never 0) from `offset_bytes` on."""

    offset_bytes: int
    length_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request to the store; Host, Content-Length and credentials are the edge's to add."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: BodyRange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One HTTP answer: header names in lower case, of the body at most the first MAX_WORDS_BYTES."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
