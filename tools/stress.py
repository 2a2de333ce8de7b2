#!/usr/bin/env python3
"""Debian with systemd under stress-ng: boots, logs in on the serial port, loads every vCPU with
computing, memory, processes, futexes and timers for a while, and looks whether all ended well and
the kernel complained of nothing. Needs GODWIT_PROGRAM, GODWIT_KERNEL, GODWIT_INITRD and
GODWIT_STRESS_ROOTFS, which ./dev suite sets.
"""
import argparse
import os
import re
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "machine"))
from env import need  # noqa: E402
from session import Session, fail  # noqa: E402

LOAD = "--cpu 2 --vm 2 --vm-bytes 128M --fork 2 --futex 2 --timer 1"
# What the kernel says when something went wrong in it, and what it says of a machine that stood still.
COMPLAINTS = re.compile(r"Oops|BUG:|WARNING:|Call Trace|panic|stall|lockup|blocked for more than|"
                        r"Unable to handle|segfault|unhandled signal|I/O error")


def main():
    ap = argparse.ArgumentParser(prog="./dev suite stress", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("seconds", nargs="?", type=int, default=300)
    ap.add_argument("-c", "--cpus", type=int, default=1, help="vCPUs (default: 1)")
    opt = ap.parse_args()
    start = time.monotonic()
    s = Session("-k", need("KERNEL"), "-i", need("INITRD"), "-d", need("STRESS_ROOTFS"), "-c",
                str(opt.cpus), "-a", "console=ttyS0 run=root", timeout=f"{opt.seconds * 3 + 600}s")
    s.until("godwit login: ")
    s.say("root")
    s.until("# ")
    print(f"logged in after {time.monotonic() - start:.0f} s; {LOAD} for {opt.seconds} s", flush=True)
    start = time.monotonic()
    # What is typed comes back: the words that are waited for are not in it.
    s.say(f"stress-ng {LOAD} --timeout {opt.seconds}s --metrics-brief; echo stress-ng: sta\"\"tus $?")
    out = s.until("stress-ng: status ") + s.until("\n")
    print(out, flush=True)
    status = out.split("stress-ng: status ")[1].strip()
    if status != "0":
        fail(f"stress-ng ended with {status}")
    if "successful run completed" not in out:
        fail("stress-ng does not say that it was successful")
    s.say("dmesg; echo nproc $(nproc) dmesg do\"\"ne")
    seen = s.until(" dmesg done")
    if not re.search(rf"nproc {opt.cpus} dmesg done", seen):
        fail(f"Linux does not use {opt.cpus} CPUs")
    words = [line for line in seen.splitlines() if COMPLAINTS.search(line)]
    if words:
        fail("the kernel complained", "\n".join(words))
    s.say("poweroff")
    s.until("reboot: Power down")
    if s.p.wait(60) != 0:
        fail(f"status {s.p.returncode}")
    print(f"stress: {opt.cpus} vCPU(s), {opt.seconds} s asked, {time.monotonic() - start:.0f} s taken: "
          "no complaints")
    return 0


if __name__ == "__main__":
    sys.exit(main())
