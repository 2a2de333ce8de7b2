#!/usr/bin/env python3
"""Fetches Debian 13's firmware for riscv64 and its installer: .cache/firmware/.

OpenSBI, U-Boot, EDK2, and the network installer's kernel and initrd, unmodified, from Debian's
packages (see aptbox.py). Prints where they are, as NAME=PATH lines for tests.
"""
import argparse
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from aptbox import CACHE, AptBox, Failure, extract, main_guard, say  # noqa: E402

SUITE, ARCH = "trixie", "riscv64"
WHERE = os.path.join(CACHE, "firmware")
INSTALLER = "usr/lib/debian-installer/images/13/riscv64/text/debian-installer/riscv64"
# package -> (variable, path in it, what must be there)
PACKAGES = {
    "opensbi": ("GODWIT_OPENSBI", "usr/lib/riscv64-linux-gnu/opensbi/generic", "fw_dynamic.bin"),
    "u-boot-qemu": ("GODWIT_UBOOT", "usr/lib/u-boot/qemu-riscv64_smode", "uboot.elf"),
    "qemu-efi-riscv64": ("GODWIT_EDK2", "usr/share/qemu-efi-riscv64", "RISCV_VIRT_CODE.fd"),
    "debian-installer-13-netboot-riscv64": ("GODWIT_INSTALLER", INSTALLER, "initrd.gz"),
}


def ensure(package):
    """The directory of the package's files, fetched if it is not there."""
    _, path, probe = PACKAGES[package]
    root = os.path.join(WHERE, package)
    if os.path.exists(os.path.join(root, path, probe)):
        return os.path.join(root, path)
    box = AptBox(SUITE, ARCH)
    box.update()
    deb, = box.download(package)
    shutil.rmtree(root, ignore_errors=True)
    extract(deb, root + ".new")
    if not os.path.exists(os.path.join(root + ".new", path, probe)):
        raise Failure(f"{package} of {SUITE} has no {path}/{probe}")
    os.rename(root + ".new", root)
    os.unlink(deb)
    say(f"firmware: {package}")
    return os.path.join(root, path)


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    for package, (variable, _, _) in PACKAGES.items():
        print(f"{variable}={ensure(package)}")
    return 0


if __name__ == "__main__":
    main_guard(main)
