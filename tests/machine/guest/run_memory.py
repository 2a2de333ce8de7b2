#!/usr/bin/env python3
"""A hostile guest's memory on the host: run_memory.py GODWIT PROGRAM

What a machine uses at its peak is its RAM and a bounded overhead, whatever the guest does.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

RAM = 64 << 20
# Page maps (3072 pieces of 16 KiB at worst), code and what belongs to it, the program itself.
OVERHEAD = 128 << 20
# What the host's kernel spends on top: it is no part of what a process has resident.
PAGE_TABLES = 40 << 20


def page_tables(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as f:
            return next((int(line.split()[1]) << 10 for line in f if line.startswith("VmPTE:")), 0)
    except OSError:
        return 0


def peak(godwit, program, options):
    with tempfile.TemporaryDirectory() as scratch:
        report = os.path.join(scratch, "report.json")
        tables = 0
        with subprocess.Popen([godwit, "run", "--bios", "none", "-k", program, "-m",
                               str(RAM >> 20) + "M", "--timeout", "200s", "--report", report,
                               *options], stdin=subprocess.DEVNULL) as child:
            while child.poll() is None:
                tables = max(tables, page_tables(child.pid))
                time.sleep(0.05)
        if child.returncode != 0:
            sys.exit(f"the guest's checks failed: status {child.returncode}")
        with open(report, encoding="utf-8") as f:
            return json.load(f), tables


def main():
    failed = False
    for options in ([], ["--engine", "interp"], ["--no-flat-map"]):
        r, tables = peak(sys.argv[1], sys.argv[2], options)
        name = " ".join(options) or "the usual settings"
        print(f"{name}: {r['insns']} instructions, peak {r['peak_rss_bytes'] >> 20} MiB, "
              f"overhead at the end {r['overhead_bytes'] >> 20} MiB, "
              f"page tables {tables >> 20} MiB at most")
        failed |= r["peak_rss_bytes"] > RAM + OVERHEAD or r["overhead_bytes"] > OVERHEAD
        failed |= tables > PAGE_TABLES
    if failed:
        print(f"over {OVERHEAD >> 20} MiB beside {RAM >> 20} MiB of RAM, or {PAGE_TABLES >> 20} MiB "
              "of page tables")
    return failed


sys.exit(main())
