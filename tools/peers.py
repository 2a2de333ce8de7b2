#!/usr/bin/env python3
"""Fetches the programs that Godwit is compared with, privately: nothing is installed.

.cache/peers/SUITE/ARCH holds the extracted packages with all that they need, the C library
included; .cache/peers/bin has a wrapper for each that starts it through its own loader.
"""
import argparse
import glob
import os
import shlex
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from aptbox import CACHE, AptBox, Failure, extract, main_guard, native, say  # noqa: E402

PEERS = os.path.join(CACHE, "peers")
BIN = os.path.join(PEERS, "bin")
# Architecture -> (the loader of its programs, the folder of its libraries).
LOADERS = {"amd64": ("ld-linux-x86-64.so.2", "x86_64-linux-gnu"),
           "arm64": ("ld-linux-aarch64.so.1", "aarch64-linux-gnu")}

# set -> (suite, packages, {wrapper: (program, extra arguments)}); {root} is where it was extracted.
SETS = {
    "qemu-sid": ("sid", ["qemu-system-riscv", "qemu-user", "opensbi"], {
        "qemu-riscv64-sid": ("usr/bin/qemu-riscv64", ""),
        "qemu-x86_64-sid": ("usr/bin/qemu-x86_64", ""),
        "qemu-aarch64-sid": ("usr/bin/qemu-aarch64", ""),
        "qemu-s390x-sid": ("usr/bin/qemu-s390x", ""),
        "qemu-system-riscv64-sid": ("usr/bin/qemu-system-riscv64", "-L {root}/usr/share/qemu"),
    }),
    "qemu-arm-sid": ("sid", ["qemu-system-arm"], {
        "qemu-system-aarch64-sid": ("usr/bin/qemu-system-aarch64", "-L {root}/usr/share/qemu"),
    }),
    "qemu-bookworm": ("bookworm", ["qemu-system-misc", "qemu-user", "opensbi"], {
        "qemu-riscv64-bookworm": ("usr/bin/qemu-riscv64", ""),
        "qemu-system-riscv64-bookworm": ("usr/bin/qemu-system-riscv64", "-L {root}/usr/share/qemu"),
    }),
    "herd-sid": ("sid", ["herdtools7"], {"herd7-sid": ("usr/bin/herd7", "")}),
    "binutils-trixie": ("trixie", ["binutils-riscv64-linux-gnu"], {
        "riscv64-objdump-trixie": ("usr/bin/riscv64-linux-gnu-objdump", ""),
        "riscv64-as-trixie": ("usr/bin/riscv64-linux-gnu-as", ""),
    }),
}
# The variable that tells tests and bench where each wrapper is.
ENV = {"GODWIT_QEMU_USER": "qemu-riscv64-sid", "GODWIT_QEMU_SYSTEM": "qemu-system-riscv64-sid",
       "GODWIT_QEMU_X86": "qemu-x86_64-sid", "GODWIT_QEMU_AARCH64": "qemu-aarch64-sid",
       "GODWIT_QEMU_S390X": "qemu-s390x-sid",
       "GODWIT_QEMU_SYSTEM_AARCH64": "qemu-system-aarch64-sid",
       "GODWIT_OBJDUMP": "riscv64-objdump-trixie"}


def wrapper(root, program, extra):
    """Shell text that runs PROGRAM of ROOT by ROOT's own loader and libraries."""
    if native() not in LOADERS:
        raise Failure(f"no peers are known for {native()} machines")
    loader, folder = LOADERS[native()]
    loaders = [p for p in (f"{root}/usr/lib64/{loader}", f"{root}/lib64/{loader}",
                           f"{root}/usr/lib/{folder}/{loader}",
                           f"{root}/lib/{folder}/{loader}") if os.path.isfile(p)]
    if not loaders:
        raise Failure(f"no loader below {root}")
    libs = [d for d in glob.glob(f"{root}/lib/{folder}") + glob.glob(f"{root}/usr/lib/{folder}")
            if os.path.isdir(d)]
    libs += sorted(d for lib in libs for d in glob.glob(lib + "/*/") if glob.glob(d + "*.so.*"))
    path = ":".join(d.rstrip("/") for d in libs)
    extra = extra.format(root=root)
    return ("#!/bin/sh\n"
            f"exec '{loaders[0]}' --library-path '{path}' --argv0 '{os.path.basename(program)}' "
            f"'{root}/{program}' {extra + ' ' if extra else ''}\"$@\"\n")


def write_wrappers(name, root, wraps):
    """Those that are not as they should be: a set may get a wrapper more, and others may be running."""
    os.makedirs(BIN, exist_ok=True)
    for file, (program, extra) in wraps.items():
        if not os.path.exists(os.path.join(root, program)):
            raise Failure(f"{name}: {program} is not in the packages")
        path, text = os.path.join(BIN, file), wrapper(root, program, extra)
        if os.path.exists(path):
            with open(path) as f:
                if f.read() == text:
                    continue
        with open(path + ".new", "w") as f:
            f.write(text)
        os.chmod(path + ".new", 0o755)
        os.replace(path + ".new", path)


def ensure(name):
    suite, packages, wraps = SETS[name]
    root = os.path.join(PEERS, suite, name)
    stamp = os.path.join(PEERS, f"{name}.stamp")
    if os.path.exists(stamp):
        with open(stamp) as f:
            fetched = f.read()
        if str(packages) in fetched and fetched.endswith(root):
            write_wrappers(name, root, wraps)
            return
    box = AptBox(suite, native())
    box.update()
    debs = box.download_closure(*packages)
    shutil.rmtree(root, ignore_errors=True)
    for deb in debs:
        extract(deb, root)
    write_wrappers(name, root, wraps)
    # The packages are extracted: what was downloaded is not needed twice.
    for deb in debs:
        os.unlink(deb)
    with open(stamp, "w") as f:
        f.write(f"{packages} {root}")
    say(f"peers: {name}: {', '.join(wraps)}")


def unwrapped(command):
    """COMMAND with a wrapper of ours in front replaced by what the wrapper runs."""
    if os.path.dirname(command[0]) != BIN:
        return command
    with open(command[0]) as f:
        words = shlex.split(f.read().split("\n", 1)[1])
    return [*words[1:words.index("$@")], *command[1:]]


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}; all by default")
    for name in ap.parse_args().sets or SETS:
        if name not in SETS:
            raise Failure(f"no such set of peers: {name}", f"choose from {', '.join(SETS)}")
        ensure(name)
    for var, file in ENV.items():
        path = os.path.join(BIN, file)
        if os.path.exists(path):
            print(f"{var}={path}")
    return 0


if __name__ == "__main__":
    main_guard(main)
