#!/usr/bin/env python3
"""Each table in bad/ must be refused with exactly the message in its first line.

    check_bad_tables.py GENERATOR

So that a refusal is the fault of what follows them, the lines that all tables begin with must be
accepted with a good instruction behind them.
"""

import pathlib
import subprocess
import sys
import tempfile

PRELUDE_LINES = 5
GOOD_LINE = "addi I i ............ ..... 000 ..... 0010011\n"


def generate(generator, table, outdir):
    return subprocess.run([sys.executable, generator, str(table), str(outdir)],
                          capture_output=True, text=True)


def complaint_about(generator, table, scratch, prelude):
    lines = table.read_text().splitlines(keepends=True)
    expected = lines[0][2:]
    outdir = scratch / table.stem
    result = generate(generator, table, outdir)
    if lines[1:1 + len(prelude)] != prelude:
        return "does not begin as the others do"
    if result.returncode != 1 or result.stderr != expected or outdir.exists():
        return f"expected {expected!r}, got status {result.returncode}, {result.stderr!r}"
    return None


def main(arguments):
    generator = arguments[0]
    tables = sorted((pathlib.Path(__file__).parent / "bad").glob("*.decode"))
    failures = 0
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        prelude = tables[0].read_text().splitlines(keepends=True)[1:1 + PRELUDE_LINES]
        good = scratch / "good.decode"
        good.write_text("".join(prelude) + GOOD_LINE)
        result = generate(generator, good, scratch / "good")
        if result.returncode != 0:
            print(f"a good table is refused: {result.stderr}")
            failures += 1
        for table in tables:
            complaint = complaint_about(generator, table, scratch, prelude)
            if complaint:
                failures += 1
                print(f"{table.name}: {complaint}")
    print(f"{len(tables)} bad tables, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
