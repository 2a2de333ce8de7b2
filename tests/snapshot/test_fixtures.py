#!/usr/bin/env python3
"""Snapshots of each version of the format load, mean what they meant, and go on as they did.

    test_fixtures.py GODWIT SHOW FIXTURES NAME...
"""
import gzip
import json
import os
import subprocess
import sys
import tempfile
import unittest

from machines import HERE, MACHINES, SPAN, call, make_files

LAYOUTS = os.path.join(HERE, "../machine/layouts.txt")

def parsed(text):
    """Field -> its elements, without zeros at the end."""
    fields = {}
    for line in text.splitlines():
        name, _, values = line.partition(" ")
        if name.endswith(".pages"):
            fields[name] = values
            continue
        elements = []
        for v in values.split():
            value, _, count = v.partition("*")
            elements += [int(value, 16)] * int(count or "1")
        fields[name] = elements
    return fields


def upgraded(fields, harts):
    """What has become of fields of older tables, said anew: where it is, and how it follows."""
    def put(name, value):
        if value:
            fields[name] = [value]

    def taken(name):
        values = fields.pop(name, [])
        return values + [0] * (harts - len(values))

    if "machine.retired_insns" in fields:  # machine 2: of all harts in arrays
        insns = taken("machine.retired_insns")
        sbi = {new: taken("machine." + old) for old, new in (
            ("hart_state", "state"), ("hart_at", "at"), ("hart_opaque", "opaque"),
            ("sbi_timer_ns", "timer_ns"))}
        for i in range(harts):
            put(f"vcpu{i}.retired_insns", insns[i])
            put(f"vcpu{i}.other_insns", sum(insns) - insns[i])
            for name, values in sbi.items():
                put(f"sbi{i}.{name}", values[i])
    return fields


class Fixture(unittest.TestCase):
    def __init__(self, folder, name):
        super().__init__("check")
        self.folder, self.name, self.machine = folder, name, MACHINES[name]

    def __str__(self):
        return f"{self.folder} {self.name}"

    def text(self, ending):
        with open(f"{self.folder}/{self.name}.{ending}", encoding="ascii", newline="") as f:
            return f.read()

    def restored(self, *args, status=0):
        r = call(PROGRAM, self.dir, ["restore", "-q", *self.machine.outside, *args,
                                     f"{self.dir}/saved"], reads="--save-at-end" not in args)
        self.assertEqual(r.returncode, status, r.stderr.decode())
        return r.stdout.decode()

    def shown(self, path):
        return subprocess.run([SHOW, path], check=True, capture_output=True, text=True).stdout

    def same_state(self, ending, path):
        want = upgraded(parsed(self.text(ending)), self.machine.harts)
        got = parsed(self.shown(path))
        others = [n for n in sorted({*want, *got}) if want.get(n) != got.get(n) and
                  not n.startswith(self.machine.moves)]
        self.assertEqual({n: want.get(n) for n in others}, {n: got.get(n) for n in others})

    def check(self):
        with tempfile.TemporaryDirectory() as self.dir:
            os.chmod(self.dir, 0o777)  # machines that root starts save there as somebody else
            make_files(self.dir, self.machine)
            with gzip.open(f"{self.folder}/{self.name}.gz") as f, \
                    open(f"{self.dir}/saved", "wb") as out:
                out.write(f.read())
            self.opens()
            if self.machine.restores:
                self.loads()
                self.goes_on()
            if self.machine.later:
                self.stops_later()

    def opens(self):
        self.assertEqual(self.shown(f"{self.dir}/saved"), self.text("state"))

    def loads(self):
        """Saved again before an instruction was done, its state is what it was."""
        self.restored("--stop-insn", "1", "--save-at-end", f"{self.dir}/again")
        self.same_state("state", f"{self.dir}/again")
        self.has_known_layouts()

    def has_known_layouts(self):
        """Each table that is in a snapshot is one of those that tests/machine/layouts.txt keeps."""
        with open(LAYOUTS, encoding="ascii") as f:
            known = {tuple(line.split()[1:]) for line in f if line[0] != " "}
        r = subprocess.run([PROGRAM, "snap", "--json", "info", f"{self.dir}/again"], check=True,
                           capture_output=True)
        for s in json.loads(r.stdout)["sections"]:
            if s["kind"] == "state":
                self.assertIn((str(s["version"]), s["layout"]), known, s["name"])

    def goes_on(self):
        report = f"{self.dir}/report"
        said = self.restored("--report", report, status=self.machine.status)
        self.assertEqual(said, self.text("out"))
        if self.machine.later:
            with open(report, encoding="utf-8") as f:
                self.assertEqual(json.load(f)["insns"], int(self.text("insns")))

    def stops_later(self):
        at = parsed(self.text("state"))["machine.clock_ns"][0]
        self.restored("--stop-insn", str(at + SPAN), "--save-at-end", f"{self.dir}/later")
        self.same_state("later", f"{self.dir}/later")


if __name__ == "__main__":
    PROGRAM, SHOW, root = sys.argv[1:4]
    suite = unittest.TestSuite(Fixture(root, name) for name in sys.argv[4:] or MACHINES)
    sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
