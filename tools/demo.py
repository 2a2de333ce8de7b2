#!/usr/bin/env python3
"""Debian goes from a host of one kind to one of another while it works, and comes back.

    demo.py cross-host HOST

It boots under build/godwit; then files are written and a chain of checksums is made. In the middle of both the
machine is saved, goes on under build-HOST/godwit (started by QEMU's user mode), is saved there, and comes back.
At the end the guest reads every file again and looks for gaps in the chain, whose end is calculated here, too.
Needs GODWIT_KERNEL, GODWIT_INITRD, GODWIT_ROOTFS, GODWIT_SYSROOT and the emulator's GODWIT_QEMU_..., which
./dev demo sets. Status 0: nothing was lost.
"""
import argparse
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tools"))
from aptbox import Failure, main_guard  # noqa: E402

FILES, LEAVES_AT, RETURNS_AT = 60, 20, 30
HERE = platform.machine()
START = "curlew"  # what the chain begins with

# Two loops at once, one in the background: a file a round with its checksum, and the chain, whose every link is
# the checksum of the one before.
WORK = f"""
cd /root && mkdir files
( n=0 link={START}
  while [ ! -e stop ]; do
      link=$(printf %s $link | sha256sum | cut -d ' ' -f 1) n=$((n + 1))
      echo $n $link >>chain
  done ) &
n=0
while [ $n -lt {FILES} ]; do
    n=$((n + 1))
    head -c 100000 /dev/urandom >files/$n
    sha256sum files/$n >>sums
    echo "demo: file $n is written"
done
touch stop
wait
sync
echo 3 >/proc/sys/vm/drop_caches
sha256sum -c --quiet sums && echo "demo: $(wc -l <sums) files as they were written"
awk '$1 != NR {{ exit 1 }}' chain && echo "demo: chain of $(tail -n 1 chain)"
echo "demo: complaints: $(dmesg | grep -cE 'Oops|BUG:|Call Trace|I/O error|EXT4-fs error|stall')"
poweroff
"""


class Machine:
    """One run of godwit, on either host, whose console is read and written here."""

    def __init__(self, program, args):
        self.seen, self.at = b"", 0
        self.p = subprocess.Popen([*program, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)

    def read(self):
        got = os.read(self.p.stdout.fileno(), 65536)
        self.seen += got
        return bool(got)

    def text(self):
        return self.seen.decode("utf-8", "replace").replace("\r", "")

    def until(self, text):
        while self.seen.find(text.encode(), self.at) < 0:
            if not self.read():
                raise Failure(f"the machine ended before it said '{text}':\n{self.text()[-2000:]}")
        self.at = self.seen.find(text.encode(), self.at) + len(text)

    def say(self, text):
        self.p.stdin.write(text.encode())
        self.p.stdin.flush()

    def end(self):
        while self.read():
            pass
        if self.p.wait() != 0:
            raise Failure(f"the machine ended with status {self.p.returncode}:\n{self.text()[-2000:]}")
        return self.text()

    def kill(self):
        self.p.kill()
        self.p.wait()


class Demo:
    def __init__(self, folder, host):
        self.dir, self.start, self.host = folder, time.monotonic(), host
        self.here = [f"{ROOT}/build/godwit"]
        self.there = [os.environ[f"GODWIT_QEMU_{host.upper()}"], "-L", os.environ["GODWIT_SYSROOT"],
                      f"{ROOT}/build-{host}/godwit"]
        self.disk = ["-d", os.environ["GODWIT_ROOTFS"]]
        self.insns = 0
        # Where the key of seals is: one for both.
        os.environ["XDG_CONFIG_HOME"] = folder

    def tell(self, text):
        print(f"[{time.monotonic() - self.start:6.1f} s] {text}", flush=True)

    def finish(self, machine):
        """To the end of a run: what it said, and the instructions that the guest executed in it."""
        text = machine.end()
        with open(f"{self.dir}/report", encoding="utf-8") as f:
            report = json.load(f)
        before, self.insns = self.insns, report["insns"]
        return text, f"{(self.insns - before) / 1e6:.0f} million instructions"

    def run(self, program, args, use):
        machine = Machine(program, [args[0], "-q", "--timeout", "30m", "--report",
                                    f"{self.dir}/report", *args[1:]])
        try:
            use(machine)
            return self.finish(machine)
        finally:
            machine.kill()

    def stops_at(self, name, file):
        return ["--stop-text", f"demo: file {file} is written", "--save-at-end", f"{self.dir}/{name}"]

    def saved(self, name):
        return f"{os.path.getsize(f'{self.dir}/{name}') >> 20} MiB"

    def boots_and_works(self, machine):
        machine.until("login: ")
        self.tell(f"{HERE}: Debian is up; root logs in")
        machine.say("root\n")
        machine.until("# ")
        # Without echo nothing of what is typed can be taken for what is said.
        machine.say("stty -echo; echo rea''dy\n")
        machine.until("ready")
        machine.say(f"cat >/work <<'END'\n{WORK}END\nsh /work\n")
        machine.until("demo: file 1 is written")
        self.tell(f"{HERE}: files are written, a chain of checksums is made")

    def cross(self):
        self.tell(f"{HERE}: build/godwit boots Debian 13 with systemd")
        _, count = self.run(self.here, [
            "run", "-k", os.environ["GODWIT_KERNEL"], "-i", os.environ["GODWIT_INITRD"], "-m", "512M",
            "-a", "console=ttyS0 run=root quiet", *self.disk, *self.stops_at("going", LEAVES_AT)],
            self.boots_and_works)
        self.tell(f"{HERE}: saved in the middle, at file {LEAVES_AT} of {FILES}: {self.saved('going')}, "
                  f"after {count}")
        text, count = self.run(self.there, [
            "restore", "--no-sandbox", *self.disk, *self.stops_at("coming", RETURNS_AT),
            f"{self.dir}/going"], lambda m: m.until(f"demo: file {LEAVES_AT + 1} is written"))
        self.tell(f"{self.host}: build-{self.host}/godwit went on and wrote {text.count('is written')} files, "
                  f"{count}")
        self.tell(f"{self.host}: saved again, at file {RETURNS_AT}: {self.saved('coming')}")
        text, count = self.run(self.here, ["restore", *self.disk, f"{self.dir}/coming"],
                               lambda m: m.until("demo: complaints"))
        self.tell(f"{HERE}: back; {text.count('is written')} files more, {count}; powered off")
        return text

    def judge(self, text):
        """What the guest found out at the end; and the chain, once more."""
        chain = re.search(r"demo: chain of (\d+) ([0-9a-f]{64})\n", text)
        if f"demo: {FILES} files as they were written\n" not in text:
            raise Failure(f"files are not what was written:\n{text[-2000:]}")
        if not chain:
            raise Failure(f"the chain has a gap:\n{text[-2000:]}")
        if "demo: complaints: 0\n" not in text:
            raise Failure(f"the guest's kernel complained:\n{text[-2000:]}")
        link = START
        for _ in range(int(chain[1])):
            link = hashlib.sha256(link.encode()).hexdigest()
        if link != chain[2]:
            raise Failure(f"link {chain[1]} of the chain should be {link}, and is {chain[2]}")
        self.tell(f"nothing was lost: {FILES} files are as they were written, and the chain of {chain[1]} "
                  "checksums has no gap")


def main():
    ap = argparse.ArgumentParser(prog="./dev demo", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=["cross-host"])
    ap.add_argument("host")
    opt = ap.parse_args()
    with tempfile.TemporaryDirectory(prefix="godwit-demo.") as folder:
        os.chmod(folder, 0o777)  # a machine that root starts saves there as somebody else
        demo = Demo(folder, opt.host)
        demo.judge(demo.cross())
    return 0


if __name__ == "__main__":
    main_guard(main)
