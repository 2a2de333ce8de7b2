#!/usr/bin/env python3
"""Line coverage: runs the tests of build-cover and sums up gcov's counts per folder.

Also prints the guest instructions that no test lifted and ran: the lift tests leave that list in
build-cover/decode-coverage.txt, a name and a count a line.
"""
import argparse
import collections
import gzip
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from aptbox import ROOT, Failure, main_guard  # noqa: E402

BUILD = os.path.join(ROOT, "build-cover")
LISTING = os.path.join(BUILD, "decode-coverage.txt")


def line_counts():
    """{source: {line: count}} over every object of the build."""
    notes = [os.path.join(where, n) for where, _, names in os.walk(BUILD)
             for n in names if n.endswith(".gcda")]
    if not notes:
        raise Failure("the tests left no counts", "./dev build --preset cover")
    counts = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory() as tmp:
        for i in range(0, len(notes), 50):
            subprocess.run(["gcov", "--json-format", "--preserve-paths", *notes[i:i + 50]], cwd=tmp,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        for n in os.listdir(tmp):
            with gzip.open(os.path.join(tmp, n), "rt") as f:
                data = json.load(f)
            for src in data["files"]:
                path = os.path.join(data["current_working_directory"], src["file"])
                name = os.path.relpath(os.path.realpath(path), os.path.realpath(ROOT))
                if name.startswith(("..", "build", "tests")):
                    continue
                for line in src["lines"]:
                    counts[name][line["line_number"]] += line["count"]
    return counts


def main():
    ap = argparse.ArgumentParser(prog="./dev cover", description=__doc__)
    ap.add_argument("--files", action="store_true", help="a line for each file, not each folder")
    ap.add_argument("--tests", default="slow|boot", help="labels of tests to leave out (%(default)s)")
    opt = ap.parse_args()
    for where, _, names in os.walk(BUILD):
        for n in names:
            if n.endswith(".gcda"):
                os.unlink(os.path.join(where, n))
    tests = subprocess.run(["ctest", "--test-dir", BUILD, "-LE", opt.tests, "--output-on-failure",
                            "-j", str(os.cpu_count())], check=False,
                           env={**os.environ, "GODWIT_DECODE_COVERAGE": LISTING})
    sums = collections.defaultdict(lambda: [0, 0])
    for name, lines in line_counts().items():
        key = name if opt.files else os.path.dirname(name)
        sums[key][0] += sum(1 for c in lines.values() if c)
        sums[key][1] += len(lines)
    print()
    for key, (hit, total) in sorted(sums.items()):
        print(f"{key:40} {hit:7} of {total:7} lines  {100 * hit / total:5.1f} %")
    hit, total = (sum(s[i] for s in sums.values()) for i in (0, 1))
    print(f"{'all':40} {hit:7} of {total:7} lines  {100 * hit / total:5.1f} %")
    if os.path.exists(LISTING):
        with open(LISTING) as f:
            rows = [line.split() for line in f if line.strip()]
        missed = [r[0] for r in rows if r[1] == "0"]
        print(f"\n{len(rows) - len(missed)} of {len(rows)} instructions executed by a test"
              + (f"; not: {' '.join(missed)}" if missed else ""))
    return tests.returncode


if __name__ == "__main__":
    main_guard(main)
