#!/usr/bin/env python3
"""The same random programs by the builds of two hosts.

    two_hosts.py FUZZER OTHER [OPTIONS]

FUZZER is godwit-fuzz-blocks of this machine's build, or "native" for that in GODWIT_NATIVE; OTHER that of another host's, behind the emulator that
GODWIT_EMULATOR names, if any. Each compares its translator with its interpreter; the digest of all that came
of the runs is to be the same.
"""
import os
import shlex
import subprocess
import sys


def digest(command):
    """The line that begins with the word; what else it says is passed on."""
    env = {k: v for k, v in os.environ.items() if k != "GODWIT_QEMU_USER"}
    p = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=env, check=False)
    lines = p.stdout.splitlines()
    found = [line for line in lines if line.startswith("digest ")]
    print(" ".join(command), *lines, sep="\n  ", flush=True)
    if p.returncode or len(found) != 1:
        sys.exit(f"status {p.returncode}: see above")
    return found[0]


def main():
    fuzzer, other, *options = sys.argv[1:]
    if fuzzer == "native":
        if "GODWIT_NATIVE" not in os.environ:
            print("skipped: GODWIT_NATIVE names no build")
            sys.exit(77)
        fuzzer = os.environ["GODWIT_NATIVE"] + "/godwit-fuzz-blocks"
    emulator = shlex.split(os.environ.get("GODWIT_EMULATOR", ""))
    mine = digest([fuzzer, "--digest", *options])
    theirs = digest([*emulator, other, "--digest", *options])
    if mine != theirs:
        sys.exit(f"the states differ: {mine}, and on the other host {theirs}")


main()
