"""The structural check says of each crafted card what is wrong, of each odd one that it holds together (I7)."""

import pytest

from dockd.structure import Structure, check
from tests.card_images import Image
from tests.crafted_cards import CRAFTED, ODD

MOST_READS = 400


def checked(image: Image) -> tuple[Structure, dict[bytes, int]]:
    """Check an image; gives the verdict and the files that were met."""
    met: dict[bytes, int] = {}

    def found(path: bytes, length: int) -> None:
        met[path] = length

    return check(image.disk.read, size_bytes=image.disk.size_bytes, found=found), met


@pytest.mark.promise("I7")
@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_card_is_refused_with_what_is_wrong_and_where(name: str) -> None:
    crafted = CRAFTED[name]
    image = crafted.make()
    structure, _ = checked(image)
    assert not structure.sound
    found = [(problem.kind.value, problem.where) for problem in structure.problems]
    assert crafted.kind in {kind for kind, _ in found}, [str(problem) for problem in structure.problems]
    if crafted.where:
        assert (crafted.kind, crafted.where) in found
    assert image.disk.reads < MOST_READS


@pytest.mark.promise("I7")
@pytest.mark.parametrize("name", ODD)
def test_an_odd_card_holds_together_and_gives_exactly_its_files(name: str) -> None:
    image = ODD[name].make()
    structure, met = checked(image)
    assert structure.problems == ()
    assert met == {path: len(data) for path, data in image.files.items()}
