"""The table of bays as an SVG picture, for a page that no terminal draws.

Owns the picture's frame. It asks for no font from anywhere: whoever shows it uses a monospaced one of its own.
"""

import io
from collections.abc import Mapping

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from dockd.app.view import StationView
from dockd.domain.model import BayId
from dockd.screen.table import station_picture

COLUMNS = 160
FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" class="rich-terminal" viewBox="0 0 {width} {height}">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""The template of rich's `Console.export_svg`, without its fonts."""


def picture_svg(view: StationView, *, elapsed_s: Mapping[BayId, float], store: str, title: str) -> str:
    """Draw a station as `station_picture` does, as SVG text; the same view gives the same text."""
    console = Console(
        file=io.StringIO(),
        record=True,
        width=COLUMNS,
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        legacy_windows=False,
    )
    console.print(station_picture(view, elapsed_s=elapsed_s, store=store, title=title))
    return console.export_svg(title="dockd demo", theme=_theme(), code_format=FORMAT, unique_id="demo")


def _theme() -> TerminalTheme:
    """Give the colours of the sixteen, chosen to be told apart on a dark ground."""
    return TerminalTheme(
        background=(22, 25, 30),
        foreground=(214, 218, 222),
        normal=[
            (42, 46, 52),
            (236, 92, 92),
            (88, 200, 120),
            (236, 200, 84),
            (84, 140, 240),
            (200, 120, 220),
            (84, 196, 208),
            (214, 218, 222),
        ],
        bright=[
            (112, 118, 126),
            (255, 120, 120),
            (120, 224, 148),
            (255, 222, 120),
            (104, 168, 255),
            (220, 150, 240),
            (120, 220, 230),
            (255, 255, 255),
        ],
    )
