#!/usr/bin/env python3
"""Runs a bare-metal program in QEMU: its own expectations must hold there too.

GODWIT_QEMU_SYSTEM names the program; without it the test is skipped.
"""
import os
import subprocess
import sys

# The model that virt-1's rv64 is, feature by feature.
CPU = ("rv64,svade=on,svadu=off,sstc=on,zicbom=on,zicboz=on,zicond=on,zba=on,zbb=on,zbs=on,"
       "zbc=off,v=off,h=off,sv57=off,zfa=off,zawrs=off,svnapot=off,svpbmt=off,svinval=off,zihintntl=off")
TIMEOUT_S = 60


def main():
    qemu = os.environ.get("GODWIT_QEMU_SYSTEM", "")
    if not os.access(qemu, os.X_OK):
        print("GODWIT_QEMU_SYSTEM is not set: skipped")
        return 77
    command = [qemu, "-M", "virt", "-kernel", sys.argv[1], "-cpu", CPU,
               "-m", "64M", "-nographic", "-monitor", "none", "-net", "none"]
    # Time by instructions, so that a busy host delays nothing; of several harts, each a thread.
    command += [] if "-smp" in sys.argv else ["-icount", "shift=0"]
    command += [] if "-bios" in sys.argv else ["-bios", "none"]
    command += sys.argv[2:]
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S).returncode
    except subprocess.TimeoutExpired:
        print("no end after %d s" % TIMEOUT_S)
        return 1


sys.exit(main())
