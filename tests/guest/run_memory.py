#!/usr/bin/env python3
"""A hostile guest's memory on the host: run_memory.py GODWIT PROGRAM

What a machine uses at its peak is its RAM and a bounded overhead, whatever the guest does.
"""
import json
import os
import subprocess
import sys
import tempfile

RAM = 64 << 20
# Page maps (3072 pieces of 16 KiB at worst), code and what belongs to it, the program itself.
OVERHEAD = 128 << 20


def peak(godwit, program, options):
    with tempfile.TemporaryDirectory() as scratch:
        report = os.path.join(scratch, "report.json")
        subprocess.run([godwit, "run", "--bios", "none", "-k", program, "-m", str(RAM >> 20) + "M",
                        "--timeout", "200s", "--report", report, *options], check=True,
                       stdin=subprocess.DEVNULL)
        with open(report, encoding="utf-8") as f:
            return json.load(f)


def main():
    failed = False
    for options in ([], ["--engine", "interp"], ["--no-flat-map"]):
        r = peak(sys.argv[1], sys.argv[2], options)
        name = " ".join(options) or "the usual settings"
        print(f"{name}: {r['insns']} instructions, peak {r['peak_rss_bytes'] >> 20} MiB, "
              f"overhead at the end {r['overhead_bytes'] >> 20} MiB")
        failed |= r["peak_rss_bytes"] > RAM + OVERHEAD or r["overhead_bytes"] > OVERHEAD
    if failed:
        print(f"over {OVERHEAD >> 20} MiB beside {RAM >> 20} MiB of RAM")
    return failed


sys.exit(main())
