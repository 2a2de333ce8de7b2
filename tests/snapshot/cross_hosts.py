#!/usr/bin/env python3
"""Machines that go from a host of one kind to one of another, and back.

    cross_hosts.py GODWIT GUESTS NAME...

GODWIT runs on the other kind of host; GODWIT_NATIVE is the folder of a build for this one. A machine of
machines.py is made on both. Where the count decides, they say the same bytes and have the same state and
count, at each stop and at the end, whichever way they went.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

from machines import MACHINES, SETTING, SPAN, call, make_files

SKIPPED = 77


class Crossing:
    def __init__(self, folder, name, programs, show):
        self.dir, self.machine, self.programs, self.show = folder, MACHINES[name], programs, show

    def run(self, host, args, status=0, **more):
        """On that host; what it says, and its report. Files are new each time, as they were saved."""
        report = f"{self.dir}/report"
        make_files(self.dir, self.machine)
        r = call(self.programs[host], self.dir, [args[0], "-q", "--report", report, *args[1:]], **more)
        if r.returncode != status:
            sys.exit(f"{host}: {args}: status {r.returncode}\n{r.stderr.decode()}")
        with open(report, encoding="utf-8") as f:
            return r.stdout, json.load(f)["insns"]

    def made(self, host):
        """Nothing is typed: keys come when they do, on either."""
        m = self.machine
        return self.run(host, ["run", "-k", f"{self.dir}/{m.guest}.elf", "--load",
                               f"{self.dir}/setting@{SETTING:#x}", *m.run, *m.outside, "--stop-insn",
                               str(m.stop), "--save-at-end", f"{self.dir}/{host}", *m.command])

    def later(self, host, saved, name):
        """Restored there, and saved again a span on."""
        at = next(int(line.split()[1], 0) for line in self.state(saved)
                  if line.startswith("machine.clock_ns"))
        said = self.run(host, ["restore", *self.machine.outside, "--stop-insn", str(at + SPAN),
                               "--save-at-end", f"{self.dir}/{name}", f"{self.dir}/{saved}"], reads=True)
        return said, self.state(name)

    def to_the_end(self, host, saved):
        return self.run(host, ["restore", *self.machine.outside, f"{self.dir}/{saved}"],
                        self.machine.status, reads=True)

    def state(self, name):
        return subprocess.run([self.show, f"{self.dir}/{name}"], check=True, capture_output=True,
                              text=True).stdout.splitlines()


def same(what, a, b):
    if a == b:
        return
    if isinstance(a, list):
        a, b = [x for x in a if x not in b], [x for x in b if x not in a]
    sys.exit(f"{what}:\n{str(a)[:2000]}\nis not\n{str(b)[:2000]}")


def exact(c):
    same("made on both", c.made("here"), c.made("there"))
    same("state, made on both", c.state("here"), c.state("there"))
    end = c.to_the_end("here", "here")
    same("made here, ended there", end, c.to_the_end("there", "here"))
    same("made there, ended here", end, c.to_the_end("here", "there"))
    if c.machine.later:
        stays = c.later("here", "here", "stays")
        same("made here, later there", stays, c.later("there", "here", "went"))
        same("made there, later here", stays, c.later("here", "there", "came"))
        rest = c.to_the_end("here", "stays")
        same("there and back", rest, c.to_the_end("here", "went"))
        same("back and there", rest, c.to_the_end("there", "came"))


def loose(c):
    """Of threads that race: what they say at the end counts."""
    for host, other in (("here", "there"), ("there", "here")):
        c.made(host)
        said = c.to_the_end(host, host)[0]
        same(f"made {host}, ended {other}", said, c.to_the_end(other, host)[0])


def main():
    there, guests = sys.argv[1:3]
    native = os.environ.get("GODWIT_NATIVE", "")
    programs = {"here": f"{native}/godwit", "there": there}
    show = f"{native}/tests/snapshot/snapshot_show"
    if not os.path.exists(programs["here"]) or not os.path.exists(show):
        print("GODWIT_NATIVE names no folder with godwit and its tests")
        return SKIPPED
    for name in sys.argv[3:]:
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)  # machines that root starts save there as somebody else
            for guest in ("state_m", "state_s", "state_c"):
                shutil.copy(f"{guests}/{guest}.elf", folder)
            c = Crossing(folder, name, programs, show)
            (exact if "--deterministic" in c.machine.run else loose)(c)
            print(f"{name}: as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
