"""TOML to frozen structs: one file, every problem at once, nothing of msgspec beyond.

`load` reads a file and its `conf.d`, `parse` a text; both give a `Config` or raise ConfigError. `check_files` looks at
the files that it names. Must not know how a setting is used.
"""

from dockd.config.files import load, parse
from dockd.config.named import check_files
from dockd.config.tables import (
    Bay,
    Charging,
    Config,
    Control,
    Erase,
    Hardware,
    Log,
    LogForm,
    LogLevel,
    Offload,
    Simulate,
    Spool,
    Station,
    Store,
    Switch,
    Verify,
)

__all__ = [
    "Bay",
    "Charging",
    "Config",
    "Control",
    "Erase",
    "Hardware",
    "Log",
    "LogForm",
    "LogLevel",
    "Offload",
    "Simulate",
    "Spool",
    "Station",
    "Store",
    "Switch",
    "Verify",
    "check_files",
    "load",
    "parse",
]
