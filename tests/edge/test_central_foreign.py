"""Foreign clients against the reference store: curl, and aiotus, given the metadata that a store requires."""

import asyncio
import io
from pathlib import Path

import aiotus

from dockd.domain.metadata import metadata_header
from tests.central_parts import Sample, Tus, central, claims_of

DATA = bytes(range(256)) * 8000


async def curl(*arguments: str) -> tuple[int, dict[str, str], bytes]:
    """Run curl; status, headers in lower case, body."""
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--show-error", "--include", *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    while out.startswith(b"HTTP/1.1 100"):
        out = out.partition(b"\r\n\r\n")[2]
    head, _, body = out.partition(b"\r\n\r\n")
    status, *lines = head.decode("ascii").split("\r\n")
    pairs = [line.split(": ", 1) for line in lines]
    return int(status.split()[1]), {name.lower(): value for name, value in pairs}, body


async def test_curl_creates_sends_in_two_parts_resumes_and_reads_a_range(tmp_path: Path) -> None:
    sample = Sample(data=DATA)
    first, rest, version = tmp_path / "first", tmp_path / "rest", "Tus-Resumable: 1.0.0"
    first.write_bytes(DATA[:700_000])
    rest.write_bytes(DATA[700_000:])
    body = "Content-Type: application/offset+octet-stream"
    async with central(tmp_path) as store:
        base = store.url.removesuffix("/files/")
        created = await curl(
            "-X", "POST", "-H", version, "-H", f"Upload-Length: {len(DATA)}",
            "-H", f"Upload-Metadata: {metadata_header(sample.metadata)}", store.url,
        )  # fmt: skip
        assert created[0] == 201
        url = created[1]["location"]
        sent = await curl("-X", "PATCH", "-H", version, "-H", body, "-H", "Upload-Offset: 0", "-T", str(first), url)
        assert (sent[0], sent[1]["upload-offset"]) == (204, "700000")
        head = await curl("--head", "-H", version, url)
        assert (head[0], head[1]["upload-offset"]) == (200, "700000")
        resumed = await curl(
            "-X", "PATCH", "-H", version, "-H", body, "-H", "Upload-Offset: 700000", "-T", str(rest), url
        )
        assert (resumed[0], resumed[1]["upload-offset"]) == (204, "2048000")
        assert claims_of(resumed[1]["clip-receipt"], store.public_key)["sha256"] == sample.sha256
        part = await curl("--range", "256000-256009", f"{base}/clips/{sample.clip_id}/content")
        assert (part[0], part[2]) == (206, bytes(range(10)))


async def test_curl_with_a_chunked_body_is_taken_too(tmp_path: Path) -> None:
    sample = Sample(data=DATA)
    (tmp_path / "clip").write_bytes(DATA)
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(sample)).headers["Location"]
        sent = await curl(
            "-X", "PATCH", "-H", "Tus-Resumable: 1.0.0", "-H", "Content-Type: application/offset+octet-stream",
            "-H", "Upload-Offset: 0", "-H", "Transfer-Encoding: chunked", "-T", str(tmp_path / "clip"), location,
        )  # fmt: skip
        assert (sent[0], "clip-receipt" in sent[1]) == (204, True)


async def test_aiotus_uploads_a_clip_in_chunks(tmp_path: Path) -> None:
    sample = Sample(data=DATA)
    metadata = {key: value.encode("ascii") for key, value in sample.metadata.items()}
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = await aiotus.upload(store.url, io.BytesIO(DATA), metadata, chunksize=500_000)
        assert location is not None
        head = await tus.head(str(location))
        told = await aiotus.metadata(str(location))
        status, _, body = await tus.read(f"/clips/{sample.clip_id}/content")
        assert claims_of(head.headers["Clip-Receipt"], store.public_key)["length"] == len(DATA)
    assert told is not None
    assert told["station"] == b"north-1"
    assert (status, body) == (200, DATA)
