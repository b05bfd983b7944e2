"""A port whose answers come late."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def late(call: Callable[..., Awaitable[T]], *, seconds: float) -> Callable[..., Awaitable[T]]:
    """Let the answers of a port come late."""

    async def answered(*args: object, **known: object) -> T:
        answer = await call(*args, **known)
        await asyncio.sleep(seconds)
        return answer

    return answered
