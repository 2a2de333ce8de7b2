#!/usr/bin/env python3
"""Runs Godwit itself on a lesser host: an x86-64 without extensions, or little address space.

    run_host.py qemu64 GODWIT [GUEST.elf|PROGRAM...]   under qemu-x86_64 -cpu qemu64
    run_host.py limited GODWIT GUEST.elf...            with too little address space for flat maps
"""
import os
import resource
import subprocess
import sys

TIMEOUT_S = 100
# Enough for a machine of 64 MiB, far too little for windows of 512 GiB; and a size where one of the
# two windows of a map fits and the other does not.
LIMITS = (1 << 30, (512 << 30) + (400 << 20))


def fail(what, text=""):
    sys.exit("failed: %s\n%s" % (what, text))


def command_for(godwit, guest, *options):
    if guest.endswith(".elf"):
        return [godwit, "run", "--bios", "none", "-k", guest, "-m", "64M", "--timeout", "60s",
                "--stats", *options]
    return [godwit, "exec", guest]


def run(command, **more):
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S, check=False,
                              **more)
    except subprocess.TimeoutExpired:
        fail("no end: %s" % command)


def must_pass(command, **more):
    result = run(command, **more)
    if result.returncode != 0:
        fail("status %d of %s" % (result.returncode, command), result.stdout)
    return result.stdout


def qemu64(godwit, guests):
    qemu = os.environ.get("GODWIT_QEMU_X86", "")
    if not os.access(qemu, os.X_OK):
        print("GODWIT_QEMU_X86 is not set: skipped")
        sys.exit(77)
    host = [qemu, "-cpu", "qemu64"]
    # This host must be the one that it is meant to be.
    doctor = run(host + [godwit, "doctor"]).stdout
    for line in doctor.splitlines():
        if line.startswith("translation to host code"):
            words = line.split()
            if "yes" not in words or {"bmi1", "bmi2", "avx", "fma", "lzcnt"} & set(words):
                fail("not a plain x86-64", doctor)
            break
    else:
        fail("doctor says nothing of host code", doctor)
    for guest in guests:
        must_pass(host + command_for(godwit, guest, "--no-sandbox"))


def doctor_sees_maps(godwit, **more):
    for line in run([godwit, "doctor"], **more).stdout.splitlines():
        if line.startswith("flat page maps"):
            return line.split()[3] == "yes"
    fail("doctor says nothing of page maps")


def limited(godwit, guests):
    for guest in guests:
        command = command_for(godwit, guest)
        if "page_maps flat" not in must_pass(command):
            print("no flat maps here even without a limit: skipped")
            sys.exit(77)
        if not doctor_sees_maps(godwit):
            fail("doctor sees no flat page maps, and there are")
        for limit in LIMITS:
            def limit_self(limit=limit):
                resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            text = must_pass(command, preexec_fn=limit_self)
            if "page_maps tlb" not in text:
                fail("not in TLB mode with %d bytes" % limit, text)
            if doctor_sees_maps(godwit, preexec_fn=limit_self):
                fail("doctor sees flat page maps with %d bytes" % limit)


def main():
    {"qemu64": qemu64, "limited": limited}[sys.argv[1]](sys.argv[2], sys.argv[3:])


main()
