"""The copier beside a card that is pulled out: a real kernel remembers much of one, and says so of none of it."""

import json
from pathlib import Path

import pytest

from tests.vm.cards import FileSystem, card, clips
from tests.vm.install import SITE, WHERE
from tests.vm.machine import Machine
from tests.vm.usb import plug

ASK = f"""
import json, os, subprocess, sys

folder, device = sys.argv[1:]
os.mkdir("/root/spool")
readable = os.O_RDONLY | os.O_DIRECTORY
fds = [os.open(folder, readable), os.open("/root/spool", readable), os.open(device, os.O_RDONLY)]
program = [sys.executable, "-I", "-S", "-E", "-B", "{WHERE}/{SITE}/dockd/copier/__main__.py", *map(str, fds)]
child = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=fds)
files = []

def ask(**command):
    child.stdin.write(json.dumps(command).encode() + b"\\n")
    child.stdin.flush()
    while not (said := json.loads(child.stdout.readline())).keys() & {{"done", "error"}}:
        files.extend(said.get("files", []))
    return said.get("error", "done")

said = [ask(do="list")]
name, length, mtime = files[0]
again = dict(do="reread", path=name, length=length)
copy = dict(do="copy", path=name, length=length, mtime_ns=mtime, part="a.part", prefix="00")
said += [ask(**again), ask(**copy)]
open("/root/ready", "w").close()
while (answer := ask(**again)) == "done":
    pass
said += [answer, ask(**copy), ask(**{{**copy, "do": "salvage", "most_s": 60}}), ask(do="list")]
print(json.dumps(said))
"""


@pytest.mark.promise("I7")
@pytest.mark.parametrize("file_system", ["vfat", "exfat"])
def test_of_a_pulled_card_nothing_is_said_but_that_it_is_gone(
    station: Machine, tmp_path: Path, file_system: FileSystem
) -> None:
    made = card(tmp_path / "card.img", file_system, clips(7, count=2, each_bytes=300_000))
    stick = plug(station, made.image, "1.3", serial="GONE-0001")
    stick.settle()
    run = station.agent.shell
    run(f"mkdir -p /mnt/card && mount -o ro,nosuid,nodev,noexec {stick.partition} /mnt/card")
    run("cat >/root/ask.py", stdin=ASK.encode())
    asking = station.agent.start(f"python3 /root/ask.py /mnt/card $(readlink -f {stick.partition})")
    station.agent.until("[ -e /root/ready ]")
    stick.yank()
    done = station.agent.wait(asking, within_s=120)
    assert json.loads(done.out or "[]") == ["done"] * 3 + ["gone"] * 4, done.err
    assert "No such file" in station.agent.run("cat /root/spool/*.part").err
    run("umount -l /mnt/card")
