#!/usr/bin/env python3
"""Fetches the stock Debian guest and makes its initrd: .cache/guests/ARCH/{vmlinux,initrd.cpio}.
Beside it drivers.cpio, more of the kernel's modules, for whoever appends it to the initrd.

The kernel and BusyBox come from Debian 13's packages (see aptbox.py). The initrd is BusyBox, links
for its applets, the modules that a virtio disk with ext4 needs, and tools/guest/init.
"""
import argparse
import hashlib
import json
import lzma
import os
import re
import shutil
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from aptbox import CACHE, ROOT, AptBox, Failure, extract_kernel, main_guard, say  # noqa: E402
from cpio import Cpio  # noqa: E402

SUITE, ARCH = "trixie", "riscv64"
GUEST = os.path.join(CACHE, "guests", ARCH)
INIT = os.path.join(ROOT, "tools", "guest", "init")
MODULES = ("virtio_mmio", "virtio_blk", "ext4", "crc32c_generic")
DRIVERS = MODULES + ("virtio_net", "virtio_rng")
ALIASES = {"fs-ext4": "ext4", "crypto-crc32c": "crc32c_generic"}


def fetch():
    """Packages -> GUEST/root (extracted) and GUEST/vmlinux. Nothing is done when they are there."""
    manifest = os.path.join(GUEST, "manifest.json")
    if os.path.exists(manifest):
        return
    box = AptBox(SUITE, ARCH)
    box.update()
    root = os.path.join(GUEST, "root")
    image, release = extract_kernel(box, "linux-image-riscv64", "linux-image-6.12.", root)
    shutil.copyfile(os.path.join(root, "boot", f"vmlinux-{release}"), os.path.join(GUEST, "vmlinux"))
    with open(os.path.join(GUEST, "vmlinux"), "rb") as f:
        head = f.read(64)
    kind = "Linux Image (flat)" if head[0x30:0x38] == b"RISCV\0\0\0" else \
        "gzip" if head[:2] == b"\x1f\x8b" else "unknown"
    with open(manifest, "w") as f:
        json.dump({"kernel": image, "kernel_version": box.version(image),
                   "busybox_version": box.version("busybox-static"), "release": release,
                   "kernel_format": kind}, f, indent=1)
    say(f"guest: {image} ({kind}), busybox-static")


def read_manifest():
    with open(os.path.join(GUEST, "manifest.json")) as f:
        return json.load(f)


def modinfo(ko):
    """The NUL-separated key=value strings of a module's .modinfo section."""
    if ko[:6] != b"\x7fELF\x02\x01":
        raise Failure("a kernel module is not a 64-bit little-endian ELF file")
    shoff = struct.unpack_from("<Q", ko, 0x28)[0]
    size, count, names_at = struct.unpack_from("<HHH", ko, 0x3a)
    secs = [struct.unpack_from("<IIQQQQ", ko, shoff + i * size) for i in range(count)]
    strtab = secs[names_at][4]
    for name, _, _, _, off, length in secs:
        if ko[strtab + name:].startswith(b".modinfo\0"):
            text = ko[off:off + length].decode("utf-8", "replace")
            return dict(s.split("=", 1) for s in text.split("\0") if "=" in s)
    raise Failure("a kernel module has no .modinfo section")


def modules(release, wanted):
    """(name, path in the guest, bytes, dependencies) of those wanted and what they depend on."""
    top = os.path.join(GUEST, "root/usr/lib/modules", release)
    files = {}
    for where, _, names in os.walk(os.path.join(top, "kernel")):
        for n in names:
            if n.endswith((".ko", ".ko.xz")):
                files[n.split(".")[0].replace("-", "_")] = os.path.join(where, n)
    found, todo = {}, list(wanted)
    while todo:
        name = todo.pop(0)
        if name in found:
            continue
        if name not in files:
            raise Failure(f"the kernel package has no module {name}")
        with open(files[name], "rb") as f:
            data = f.read()
        if files[name].endswith(".xz"):
            data = lzma.decompress(data)
        needs = [d.replace("-", "_") for d in modinfo(data).get("depends", "").split(",") if d]
        found[name] = (os.path.relpath(files[name], top).removesuffix(".xz"), data, needs)
        todo += needs
    return found


def all_needs(found, name):
    """Dependencies in the order that modules.dep wants: nearest first, each after its users."""
    out = []
    for d in found[name][2]:
        for n in [d, *all_needs(found, d)]:
            if n in out:
                out.remove(n)
            out.append(n)
    return out


def applets(busybox):
    """BusyBox's applet names: the sorted NUL-separated table in its read-only data."""
    at = busybox.find(b"[\0[[\0acpid\0")
    if at < 0:
        raise Failure("no applet table in busybox")
    names = busybox[at:busybox.index(b"\0\0", at)].decode().split("\0")
    return [n for n in names if re.fullmatch(r"[\w.\[+-]+", n)]


def add_modules(out, release, wanted):
    lib = f"lib/modules/{release}"
    found = modules(release, wanted)
    for name in sorted(found):
        out.file(f"{lib}/{found[name][0]}", found[name][1])
    dep = "".join(f"{found[n][0]}:" + "".join(" " + found[d][0] for d in all_needs(found, n)) + "\n"
                  for n in sorted(found))
    out.file(f"{lib}/modules.dep", dep.encode())
    out.file(f"{lib}/modules.alias",
             "".join(f"alias {a} {m}\n" for a, m in sorted(ALIASES.items())).encode())
    out.file(f"{lib}/modules.symbols", b"")


def make_drivers():
    out = Cpio()
    add_modules(out, read_manifest()["release"], DRIVERS)
    return out.finish()


def make_initrd():
    release = read_manifest()["release"]
    with open(os.path.join(GUEST, "root/usr/bin/busybox"), "rb") as f:
        busybox = f.read()
    with open(INIT, "rb") as f:
        init = f.read()
    out = Cpio()
    for d in ("bin", "dev", "etc", "mnt", "proc", "root", "sbin", "sys", "tmp"):
        out.dir(d)
    out.char("dev/console", 5, 1)
    out.char("dev/null", 1, 3)
    out.file("init", init, 0o755)
    out.file("bin/busybox", busybox, 0o755)
    for n in applets(busybox):
        if n != "busybox":
            out.link(f"bin/{n}", "busybox")
    out.link("sbin/modprobe", "../bin/busybox")
    add_modules(out, release, MODULES)
    return out.finish()


def archive(name, make):
    """GUEST/NAME.cpio, made anew when what goes into it has changed."""
    path, stamp = os.path.join(GUEST, name + ".cpio"), os.path.join(GUEST, name + ".stamp")
    key = hashlib.sha256()
    here = os.path.dirname(os.path.abspath(__file__))
    for f in (INIT, os.path.abspath(__file__), os.path.join(here, "cpio.py"),
              os.path.join(GUEST, "manifest.json")):
        with open(f, "rb") as g:
            key.update(g.read())
    if os.path.exists(path) and os.path.exists(stamp):
        with open(stamp) as f:
            if f.read() == key.hexdigest():
                return path
    data = make()
    with open(path + ".new", "wb") as f:
        f.write(data)
    os.replace(path + ".new", path)
    with open(stamp, "w") as f:
        f.write(key.hexdigest())
    say(f"guest: {name} of {len(data) >> 10} KiB")
    return path


def append(archive_out, base, files):
    """Writes BASE followed by an archive of FILES (guest path -> (bytes, mode)): Linux reads both."""
    extra = Cpio()
    for name in sorted(files):
        extra.file(name, *files[name])
    with open(base, "rb") as f:
        data = f.read()
    with open(archive_out, "wb") as f:
        f.write(data + extra.finish())


def ensure():
    fetch()
    return os.path.join(GUEST, "vmlinux"), archive("initrd", make_initrd)


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    kernel, rd = ensure()
    drivers = archive("drivers", make_drivers)
    print(f"GODWIT_KERNEL={kernel}\nGODWIT_INITRD={rd}\nGODWIT_DRIVERS={drivers}")
    return 0


if __name__ == "__main__":
    main_guard(main)
