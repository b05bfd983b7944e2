"""Who stands behind an HTTP request: bearer token, client certificate, or anyone on loopback.

Owns reading credentials off a request; what they allow is `access`.
"""

from collections.abc import Sequence

from aiohttp import hdrs, web

from dockd.central import access
from dockd.central.access import Anyone, Credential, Principal
from dockd.central.refusal import RefusedError
from dockd.domain.model import StationId


class Gate:
    """Knows the credentials. Without tokens and without client certificates everybody on loopback is let in."""

    def __init__(self, *, credentials: Sequence[Credential], certificates: bool) -> None:
        """Take the tokens, and whether the TLS layer verifies client certificates."""
        self._credentials = tuple(credentials)
        self._certificates = certificates

    def principal_of(self, request: web.Request) -> Principal:
        """Find who asks.

        Raises:
            RefusedError: 400 no Host, or none that can be; 401 nobody we know; 421 a page in a browser that talks to
                loopback under another name.

        """
        host = _host_of(request)
        if not self._credentials and not self._certificates:
            if not access.is_loopback(host):
                raise RefusedError(
                    421, f"Host: {request.host!r}: expected a loopback name, for there are no credentials"
                )
            return Anyone()
        principal = self._by_token(request) if hdrs.AUTHORIZATION in request.headers else self._by_certificate(request)
        if principal is None:
            raise RefusedError(401, "credentials: none that are known here, expected a bearer token or a certificate")
        return principal

    def _by_token(self, request: web.Request) -> Principal | None:
        scheme, _, token = request.headers[hdrs.AUTHORIZATION].partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        return access.principal_of_token(self._credentials, token.strip())

    def _by_certificate(self, request: web.Request) -> Principal | None:
        if not self._certificates or request.transport is None:
            return None
        certificate = request.transport.get_extra_info("peercert")
        if not certificate:
            return None
        subject: dict[str, list[str]] = {}
        for relative_name in certificate.get("subject", ()):
            for name, value in relative_name:
                subject.setdefault(name, []).append(value)
        return access.principal_of_subject(subject)


def require_upload(principal: Principal, station: StationId) -> None:
    """Let a principal at a station's uploads.

    Raises:
        RefusedError: 403.

    """
    if not access.may_upload(principal, station):
        raise RefusedError(403, f"station: {station!r}: {access.name_of(principal)} may not upload or look here for it")


def require_read(principal: Principal) -> None:
    """Let a principal read evidence.

    Raises:
        RefusedError: 403.

    """
    if not access.may_read(principal):
        raise RefusedError(403, f"evidence: {access.name_of(principal)} may not read it, expected the role 'read'")


def require_account(principal: Principal, station: StationId) -> None:
    """Let a principal see what receipts a station was given: its own, or anybody's who may read.

    Raises:
        RefusedError: 403.

    """
    if not (access.may_upload(principal, station) or access.may_read(principal)):
        raise RefusedError(403, f"station: {station!r}: {access.name_of(principal)} may not see its receipts")


def _host_of(request: web.Request) -> str:
    if hdrs.HOST not in request.headers:  # aiohttp would ask a name server for our own name, and wait for it
        raise RefusedError(400, "Host: (missing): expected the name or address that was asked")
    try:
        return request.url.host or ""
    except ValueError as error:
        raise RefusedError(400, f"Host: {request.host!r}: expected a name or address, and perhaps a port") from error
