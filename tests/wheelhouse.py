"""What is installed here, as wheels again: a registry for pip that needs no network.

Owns how an installed package becomes a wheel. Must not know what is done with it.
"""

import hashlib
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

_NOT_OF_A_WHEEL = {"INSTALLER", "REQUESTED", "direct_url.json"}


def wheelhouse(folder: Path, names: Iterable[str]) -> str:
    """Put a wheel of each of these packages into a folder, and give the lock that names them by their hashes."""
    lines = []
    for name in sorted(names):
        package = distribution(name)
        digest = hashlib.sha256(_wheel(folder, package).read_bytes()).hexdigest()
        lines.append(f"{name}=={package.version} \\\n    --hash=sha256:{digest}\n")
    return "".join(lines)


def _wheel(folder: Path, package: Distribution) -> Path:
    said = (package.read_text("WHEEL") or "").splitlines()
    # Of a wheel for Python 2 and 3 the last one is for 3; of several for Linux each will do here.
    tag = [line.removeprefix("Tag: ") for line in said if line.startswith("Tag: ")][-1]
    made = folder / f"{package.name.replace('-', '_')}-{package.version}-{tag}.whl"
    if not made.exists():
        with zipfile.ZipFile(made, "w", compression=zipfile.ZIP_STORED) as wheel:
            for file in package.files or []:
                # Not the commands in bin/, which are made anew, nor what was compiled here.
                if ".." not in file.parts and file.suffix != ".pyc" and file.name not in _NOT_OF_A_WHEEL:
                    wheel.write(str(file.locate()), str(file))
    return made
