"""What waits for its time, and what wakes it up earlier."""

import pytest

from dockd.app.waiting import Waiting


def test_what_waits_is_due_at_its_time() -> None:
    waiting: Waiting[str] = Waiting()
    assert waiting.next_in_s(0.0) is None
    waiting.put_off("a", until_s=10.0)
    waiting.put_off("b", until_s=20.0)
    assert waiting.now(5.0) == waiting.all() == frozenset({"a", "b"})
    assert waiting.next_in_s(5.0) == 5.0
    assert waiting.all() == frozenset({"a", "b"})
    assert waiting.next_in_s(11.0) == 0.0
    assert waiting.now(10.0) == waiting.all() == frozenset({"b"})
    assert waiting.next_in_s(10.0) == 10.0


@pytest.mark.promise("I17")
def test_what_is_hastened_waits_no_longer_unless_its_time_is_firm() -> None:
    waiting: Waiting[str] = Waiting()
    waiting.put_off("soon", until_s=5.0)
    waiting.put_off("late", until_s=300.0)
    waiting.put_off("asked for", until_s=200.0, firm=True)
    waiting.hasten(until_s=30.0)
    assert waiting.now(4.0) == {"soon", "late", "asked for"}
    assert waiting.now(29.0) == {"late", "asked for"}
    assert waiting.now(30.0) == {"asked for"}
    assert waiting.now(200.0) == frozenset()


def test_a_later_word_replaces_an_earlier_one_and_its_firmness() -> None:
    waiting: Waiting[str] = Waiting()
    waiting.put_off("a", until_s=200.0, firm=True)
    waiting.put_off("a", until_s=100.0)
    waiting.put_off("b", until_s=100.0, firm=True)
    waiting.forget("b")
    waiting.put_off("b", until_s=100.0)
    waiting.hasten(until_s=10.0)
    assert waiting.now(10.0) == frozenset()
