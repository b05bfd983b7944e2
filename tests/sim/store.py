"""A model of the store: tus 1.0.0 with receipts, and every way in which it and the network misbehave.

Owns what is stored, and which receipts are genuine. `SimWire` is one run's way to it: the port Wire.
"""

import base64
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from dockd.domain.model import Sha256
from dockd.errors import Reason, TransientError
from dockd.tus.upload import Request, Response
from tests.sim.fate import Fate, Fault
from tests.sim.receipts import StoreKey

TUS = {"tus-resumable": "1.0.0"}
ENDPOINT = "https://store.example/files/"
ROGUES = (
    Fault.FORGED,
    Fault.WRONG_CLIP,
    Fault.REPLAYED,
    Fault.WRONG_STATION,
    Fault.WRONG_DIGEST,
    Fault.WRONG_LENGTH,
    Fault.WRONG_METADATA,
    Fault.OTHER_KEY,
    Fault.NOT_CANONICAL,
)


@dataclass(slots=True, kw_only=True)
class Stored:
    """One upload at the store. `proven_s` is when its verification ends, None while bytes are missing."""

    url: str
    metadata_header: str
    metadata: Mapping[str, str]
    length_bytes: int
    leaf: str
    data: bytearray = field(default_factory=bytearray)
    proven_s: float | None = None
    receipt: str | None = None


class Store:
    """What the store holds; it outlives every run of the station's program."""

    def __init__(self, fate: Fate, *, now_s: Callable[[], float], gives_receipts: bool) -> None:
        self.fate = fate
        self.key = StoreKey.of(sha256(b"the store's key").digest())
        self.other_key = StoreKey.of(sha256(b"a key that is not pinned").digest())
        self._now_s = now_s
        self._gives_receipts = gives_receipts
        self._urls = 0
        self.uploads: dict[str, Stored] = {}
        self.objects: dict[str, bytes] = {}
        self.genuine: dict[str, Mapping[str, str | int]] = {}
        self.lengths: dict[str, int] = {}
        self.claimed_full: set[str] = set()
        self.most_losses = 2
        """So often one clip's upload is lost: a store that loses it time and again has it held, which no calm mends."""
        self._losses = Counter[str]()

    def create(self, request: Request) -> Response:
        """POST: one upload for a clip and station, whatever happened to the first answer."""
        headers = {name.lower(): value for name, value in request.headers}
        text = headers.get("upload-metadata", "")
        metadata = dict(_pairs(text))
        length_bytes = int(headers["upload-length"])
        known = next(
            (
                upload
                for upload in self.uploads.values()
                if self._gives_receipts
                and upload.metadata["clip_id"] == metadata["clip_id"]
                and upload.metadata["station"] == metadata["station"]
            ),
            None,
        )
        if known is None:
            self._urls += 1
            known = Stored(
                url=f"{ENDPOINT}{self._urls}",
                metadata_header=text,
                metadata=metadata,
                length_bytes=length_bytes,
                leaf=headers.get("custody-leaf", "0" * 64),
            )
            self.uploads[known.url] = known
            self.lengths[known.url] = length_bytes
            held = self.objects.get(metadata["clip_id"])
            if held is not None:
                known.data += held
            self._complete(known)
        return Response(status=201, headers=TUS | {"location": known.url} | self._proof(known))

    def head(self, request: Request) -> Response:
        """HEAD: how much there is, and the receipt once there is one."""
        upload = self.uploads.get(request.url)
        if upload is None:
            return Response(status=self.fate.random.choice((404, 410)), headers=TUS)
        told = {
            "upload-offset": str(len(upload.data)),
            "upload-length": str(upload.length_bytes),
            "upload-metadata": upload.metadata_header,
        }
        return Response(status=200, headers=TUS | told | self._proof(upload))

    def patch(self, request: Request, body: bytes) -> Response:
        """PATCH: more bytes, as many as came."""
        upload = self.uploads.get(request.url)
        if upload is None:
            return Response(status=404, headers=TUS)
        headers = {name.lower(): value for name, value in request.headers}
        if headers["upload-offset"] != str(len(upload.data)):
            return Response(status=409, headers=TUS)
        upload.data += body
        self._complete(upload)
        if upload.url not in self.uploads:
            return Response(status=460, headers=TUS, body=b"digest mismatch")
        return Response(status=204, headers=TUS | {"upload-offset": str(len(upload.data))} | self._proof(upload))

    def lose(self, url: str) -> None:
        """Lose an upload, bytes and all; nothing for which a receipt was given is ever lost."""
        upload = self.uploads.get(url)
        if upload is None or upload.receipt is not None:
            return
        clip_id = upload.metadata["clip_id"]
        if self._losses[clip_id] < self.most_losses:
            self._losses[clip_id] += 1
            del self.uploads[url]

    def shorten(self, url: str) -> None:
        """Lose the end of an upload."""
        upload = self.uploads.get(url)
        if upload is not None and upload.receipt is None and upload.data:
            del upload.data[self.fate.random.randrange(len(upload.data)) :]
            upload.proven_s = None

    def hurry(self) -> None:
        """Verify at once what was put off: the faults are over."""
        for upload in self.uploads.values():
            if upload.proven_s is not None:
                upload.proven_s = min(upload.proven_s, self._now_s() + 5)

    def rogue(self, request: Request, response: Response) -> Response:
        """Put a receipt that proves nothing into an answer that speaks of a whole upload."""
        upload = self.uploads.get(request.url)
        if upload is None or response.headers.get("upload-offset") != str(upload.length_bytes):
            return response
        for fault in ROGUES:
            if fault is Fault.REPLAYED and not self._others(upload):
                continue
            if self.fate.strikes(fault, upload.url):
                receipt = self._false_receipt(fault, upload)
                return Response(status=response.status, headers=dict(response.headers) | {"clip-receipt": receipt})
        return response

    def _false_receipt(self, fault: Fault, upload: Stored) -> str:  # noqa: PLR0911 - one a fault
        claims = dict(self._claims(upload))
        other = sha256(b"something else").hexdigest()
        match fault:
            case Fault.FORGED:
                return StoreKey.of(sha256(b"a forger").digest()).sign(claims, kid=self.key.kid)
            case Fault.WRONG_CLIP:
                return self.key.sign(claims | {"clip_id": other})
            case Fault.REPLAYED:
                return self.fate.random.choice(self._others(upload))
            case Fault.WRONG_STATION:
                return self.key.sign(claims | {"aud": "somebody-else"})
            case Fault.WRONG_DIGEST:
                return self.key.sign(claims | {"sha256": other})
            case Fault.WRONG_LENGTH:
                return self.key.sign(claims | {"length": upload.length_bytes + 1})
            case Fault.WRONG_METADATA:
                return self.key.sign(claims | {"meta_sha256": other})
            case Fault.OTHER_KEY:
                return self.other_key.sign(claims)
            case _:
                return self.key.sign(claims, spoil=repr(claims).replace("'", '"').encode("ascii"))

    def _others(self, upload: Stored) -> list[str]:
        """Genuine receipts of other clips."""
        mine = upload.metadata["clip_id"]
        return [receipt for receipt, claims in self.genuine.items() if claims["clip_id"] != mine]

    def _complete(self, upload: Stored) -> None:
        if len(upload.data) != upload.length_bytes or upload.proven_s is not None:
            return
        if self._gives_receipts and sha256(upload.data).hexdigest() != upload.metadata["sha256"]:
            # What came is not what was declared: gone, so that it is sent anew.
            del self.uploads[upload.url]
            return
        wait_s = self.fate.random.choice((0.0, 0.0, 1.0, 5.0))
        if self.fate.strikes(Fault.LATE, upload.url):
            wait_s = self.fate.random.choice((300.0, 4000.0, 48 * 3600.0))
        upload.proven_s = self._now_s() + wait_s

    def _proof(self, upload: Stored) -> dict[str, str]:
        if not self._gives_receipts or upload.proven_s is None or upload.proven_s > self._now_s():
            return {}
        if upload.receipt is None:
            # Re-read what is stored, compare, keep, sign.
            data = bytes(upload.data)
            claims = self._claims(upload)
            assert sha256(data).hexdigest() == claims["sha256"]
            self.objects[str(claims["clip_id"])] = data
            upload.receipt = self.key.sign(claims)
            self.genuine[upload.receipt] = claims
            self.fate.note(f"store signs {str(claims['clip_id'])[:8]} as {upload.url[len(ENDPOINT) :]}")
        digest = base64.b64encode(sha256(upload.data).digest()).decode("ascii")
        return {"clip-receipt": upload.receipt, "repr-digest": f"sha-256=:{digest}:"}

    @staticmethod
    def _claims(upload: Stored) -> Mapping[str, str | int]:
        return {
            "aud": upload.metadata["station"],
            "clip_id": upload.metadata["clip_id"],
            "leaf": upload.leaf,
            "length": upload.length_bytes,
            "meta_sha256": sha256(upload.metadata_header.encode("ascii")).hexdigest(),
            "sha256": upload.metadata["sha256"],
            "store": "simulated",
            "stored_at": "2024-03-01T06:00:00Z",
        }

    def digest(self, url: str) -> tuple[Sha256, int]:
        """Read back what is stored."""
        upload = self.uploads.get(url)
        if upload is None:
            raise TransientError(Reason.STORE, f"GET {url} answered 404")
        return Sha256(sha256(upload.data).hexdigest()), len(upload.data)


def _pairs(header: str) -> list[tuple[str, str]]:
    pairs = (pair.split(" ") for pair in header.split(","))
    return [(key, base64.b64decode(value).decode("utf-8")) for key, value in pairs]
