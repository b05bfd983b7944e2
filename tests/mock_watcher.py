"""A feed among mock devices: says a JSON array a line, what it tells and how much it heard. Started by `mock_dock`."""

import asyncio
import json
from pathlib import Path

from dockd.app.ports import Attached, ChargeRead, Detached, Empty, FeedEvent, Unknown
from dockd.edges.boards import read_board
from dockd.edges.udev import UdevFeed
from dockd.edges.udev.watch import Heard, Watch

BOARD = Path(__file__).resolve().parents[1] / "hw/boards/emulated-14.toml"


class Counting(Watch):
    """Says how many news it heard in all."""

    total = 0

    def hear(self) -> Heard:
        heard = super().hear()
        if heard.news:
            self.total += len(heard.news)
            say("heard", self.total)
        return heard


def say(*words: object) -> None:
    print(json.dumps(words), flush=True)  # noqa: T201 - whoever started it listens


def tell(event: FeedEvent) -> None:
    match event:
        case Attached(bay=bay, camera=camera):
            say("attached", bay, camera.serial, camera.volume, camera.model)
        case Detached(bay=bay):
            say("detached", bay)
        case Empty(bay=bay):
            say("empty", bay)
        case Unknown(bay=bay, ids=ids, why=why):
            say("unknown", bay, str(ids), why)
        case ChargeRead():
            pass


async def main() -> None:
    feed = UdevFeed(
        board=read_board(BOARD),
        known=lambda ids, _card: ids.vendor == "2672",
        listen=lambda host: Counting(host=host),
        reconcile_s=5.0,
        settle_s=1.0,
    )
    async for event in feed.events():
        tell(event)


if __name__ == "__main__":
    asyncio.run(main())
