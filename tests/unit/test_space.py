import pytest

from dockd.domain.space import RESERVE_FILES, lacks

GIB = 1 << 30


def shortage(
    length_bytes: int, *, free_bytes: int = 10 * GIB, free_files: int = 100_000, promised_bytes: int = 0
) -> str:
    return lacks(
        length_bytes=length_bytes,
        free_bytes=free_bytes,
        free_files=free_files,
        promised_bytes=promised_bytes,
        reserve_bytes=2 * GIB,
    )


def test_a_file_that_fits_beside_the_reserve_is_taken() -> None:
    assert shortage(8 * GIB) == ""


@pytest.mark.promise("I16")
def test_a_file_that_would_eat_one_byte_of_the_reserve_is_refused() -> None:
    assert shortage(8 * GIB + 1) == (
        "spool: 8589934592 bytes to spare (10737418240 free, 0 promised, 2147483648 reserved),"
        " expected at least 8589934593"
    )


@pytest.mark.promise("I16")
def test_what_was_promised_to_copies_under_way_is_not_promised_again() -> None:
    assert shortage(3 * GIB, promised_bytes=5 * GIB) == ""
    assert shortage(3 * GIB + 1, promised_bytes=5 * GIB) != ""


def test_an_empty_file_needs_no_bytes_beyond_the_reserve() -> None:
    assert shortage(0, free_bytes=2 * GIB) == ""


def test_no_less_than_nothing_is_ever_said_to_be_to_spare() -> None:
    assert shortage(1, free_bytes=GIB).startswith("spool: 0 bytes to spare ")


@pytest.mark.promise("I16")
def test_the_last_inodes_belong_to_the_ledger() -> None:
    assert shortage(1, free_files=RESERVE_FILES + 1) == ""
    assert shortage(1, free_files=RESERVE_FILES) == "spool: 1024 inodes free, expected more than 1024"
    assert shortage(1, free_files=0) != ""


def test_a_filesystem_that_counts_no_inodes_never_lacks_them() -> None:
    assert shortage(1, free_files=-1) == ""
