#!/usr/bin/env python3
"""Fetches the C library and the libraries of another host, privately: nothing is installed.

    sysroot.py HOST PACKAGE...

.cache/sysroot/HOST holds the extracted packages with all that they need, of the release that this
machine's compilers come from. Prints GODWIT_SYSROOT=PATH.
"""
import argparse
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from aptbox import CACHE, AptBox, Failure, extract, main_guard, say  # noqa: E402

SUITE = "bookworm"
ARCHITECTURES = {"aarch64": "arm64", "s390x": "s390x"}


def inner_links(root):
    """Links that name a file from the top, which would be one of this machine's, name it from here."""
    for where, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(where, name)
            if os.path.islink(path) and os.readlink(path).startswith("/"):
                target = os.path.relpath(root + os.readlink(path), where)
                os.unlink(path)
                os.symlink(target, path)


def ensure(host, packages):
    root = os.path.join(CACHE, "sysroot", host)
    stamp = root + ".stamp"
    want = f"{SUITE} {' '.join(packages)} {root}"
    if os.path.exists(stamp):
        with open(stamp, encoding="utf-8") as f:
            if f.read() == want:
                return root
    box = AptBox(SUITE, ARCHITECTURES[host])
    box.update()
    debs = box.download_closure(*packages)
    shutil.rmtree(root, ignore_errors=True)
    for deb in debs:
        extract(deb, root)
    inner_links(root)
    for deb in debs:
        os.unlink(deb)
    with open(stamp, "w", encoding="utf-8") as f:
        f.write(want)
    say(f"sysroot: {host}: {len(debs)} packages")
    return root


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("host", metavar="HOST", help=f"of {', '.join(ARCHITECTURES)}")
    ap.add_argument("packages", nargs="+", metavar="PACKAGE")
    args = ap.parse_args()
    if args.host not in ARCHITECTURES:
        raise Failure(f"no libraries of such a host: {args.host}",
                      f"choose from {', '.join(ARCHITECTURES)}")
    print(f"GODWIT_SYSROOT={ensure(args.host, args.packages)}")
    return 0


if __name__ == "__main__":
    main_guard(main)
