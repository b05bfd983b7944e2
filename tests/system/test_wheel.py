"""What is installed: a wheel, without the checkout it was made from."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ASK = "import dockd.edges.boards as it; print(it.__file__); print(it.load_board('emulated-14').name)"


def test_an_installed_dockd_finds_the_boards_of_hw(tmp_path: Path) -> None:
    made = tmp_path / "made"
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", made],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = made.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    said = subprocess.run([sys.executable, "-c", ASK], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert said.stdout.decode().splitlines() == [
        f"{tmp_path}/installed/dockd/edges/boards.py",
        "emulated station, two hubs of 8 ports",
    ]
