"""Scripts for the client core: answers of a store in, steps out.

An answer is a status, or a word: `201` creates; `at:N` says the store has N bytes, `at:N!` with a receipt; `cut` is a
broken connection; `503/30` asks for 30 seconds.
"""

from dockd.errors import Reason
from dockd.tus.upload import Done, Keep, Poll, Refused, Response, Restarted, Send, Upload, Wait

ENDPOINT = "https://store.example/files/"
URL = "https://store.example/files/u1"
TUS = {"tus-resumable": "1.0.0"}
PORTAL = Response(status=200, headers={"content-type": "text/html; charset=utf-8"}, body=b"<h1>Welcome</h1>")


def new(*, url: str | None = None, length_bytes: int = 100, endpoint: str = ENDPOINT) -> Upload:
    return Upload(endpoint=endpoint, length_bytes=length_bytes, metadata_header="clip_id YWJj", url=url)


def answer(word: str, *, length_bytes: int = 100) -> Response:
    status, _, delay = word.partition("/")
    if word.startswith("at:"):
        headers = {**TUS, "upload-offset": word[3:].rstrip("!"), "upload-length": str(length_bytes)}
        return Response(status=204, headers={**headers, **({"clip-receipt": "e.y.z"} if word.endswith("!") else {})})
    if status == "201":
        return Response(status=201, headers={**TUS, "location": URL})
    return Response(status=int(status), headers={**TUS, **({"retry-after": delay} if delay else {})}, body=b"No.\n")


def shown(upload: Upload) -> str:
    action = upload.next()
    if isinstance(action, Send):
        body = action.request.body
        return action.request.method + (f":{body.offset_bytes}+{body.length_bytes}" if body else "")
    if isinstance(action, Wait):
        delay = "" if action.retry_after_s is None else f"/{action.retry_after_s:g}"
        return f"wait:{action.reason}{delay}{'+' if action.progressed else ''}"
    if isinstance(action, Refused):
        return f"refused:{action.reason}"
    if isinstance(action, Done):
        return "done!" if action.receipt else "done"
    words: dict[type, str] = {Keep: "keep", Poll: "poll", Restarted: "lost"}
    return words[type(action)]


def run(upload: Upload, script: str, *, length_bytes: int = 100) -> str:
    """Feed answers; heed every other action at once. Gives all steps, the one that waits for an answer last."""
    steps = [shown(upload)]
    for word in script.split():
        if word == "cut":
            upload.broken(reason=Reason.NETWORK, detail="connection reset")
        elif word == "portal":
            upload.receive(PORTAL)
        elif word == "settle":
            upload.settle()
        elif word == "go":
            upload.resume()
        else:
            upload.receive(answer(word, length_bytes=length_bytes))
        steps.append(shown(upload))
        if isinstance(upload.next(), Keep):
            upload.kept()
            steps.append(shown(upload))
    return " ".join(steps)
