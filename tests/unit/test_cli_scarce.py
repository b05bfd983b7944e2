"""Want of memory ends a command in words and a code of its own, in whatever form it comes; a bug stays a traceback."""

import pytest

from dockd import cli, ingest

INGEST = ["ingest", "/card", "--to", "http://127.0.0.1:1/files/"]
NO_THREAD = RuntimeError("can't start new thread")
NO_LIBRARY = ImportError("_rust.abi3.so: failed to map segment from shared object")


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (MemoryError(), ["MemoryError"]),
        (NO_THREAD, ["can't start new thread"]),
        (NO_LIBRARY, ["_rust.abi3.so: failed to map segment from shared object"]),
        (ExceptionGroup("tasks", [ExceptionGroup("bay", [MemoryError()]), MemoryError(), NO_THREAD]),
         ["MemoryError", "can't start new thread"]),
    ],
    ids=["memory", "thread", "library", "several"],
)  # fmt: skip
def test_want_of_memory_is_said_in_words_once_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, named: list[str]
) -> None:
    def starved(_: object) -> int:
        raise error

    monkeypatch.setattr(ingest, "run", starved)
    assert cli.main(INGEST) == cli.EX_OSERR
    head = "dockd: the system gives no more memory or threads"
    lines = [f"{head} ({name}): nothing is lost; give dockd more, and run it again\n" for name in named]
    assert capsys.readouterr().err == "".join(lines)


def test_want_of_memory_before_the_command_is_known_is_said_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def starved(_: str) -> str:
        raise MemoryError

    monkeypatch.setattr("dockd.cli.metadata.version", starved)
    assert cli.main(INGEST) == cli.EX_OSERR
    assert "gives no more memory" in capsys.readouterr().err


@pytest.mark.parametrize("error", [RuntimeError("dictionary changed size"), ImportError("no such name"), KeyError(7)])
def test_an_error_that_nobody_expected_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(_: object) -> int:
        raise error

    monkeypatch.setattr(ingest, "run", broken)
    with pytest.raises(type(error)):
        cli.main(INGEST)
