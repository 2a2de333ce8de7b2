#!/usr/bin/env python3
"""Makes a disk with a Debian 13 root file system: .cache/guests/riscv64/root.img, or, for
`stress`, one that has stress-ng too: stress.img.

Debian's packages (see aptbox.py) are unpacked here, with no right that a user does not have, into a
tree with a package database that says so. Their own scripts are riscv64's: a first boot in our
machine runs them (`dpkg --configure`), with the kernel and initrd of ./dev guest. What comes out
boots with systemd to a login prompt; root has no password. Prints GODWIT_ROOTFS=PATH, or
GODWIT_STRESS_ROOTFS=PATH.
"""
import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guest  # noqa: E402
from aptbox import ROOT, AptBox, Failure, main_guard, say  # noqa: E402

# Name -> (variable, packages that it has beside EXTRA). stress-ng alone is small; with the libraries
# that it is linked with, Mesa and LLVM among them, it doubles a disk that other tests only boot.
KINDS = {"root": ("GODWIT_ROOTFS", ()), "stress": ("GODWIT_STRESS_ROOTFS", ("stress-ng",))}
EXTRA = ("systemd-sysv", "udev", "dbus", "kmod", "procps", "iproute2", "netbase", "libpam-systemd",
         "iputils-ping")
# Beside those of the initrd; udev loads them.
MODULES = (*guest.DRIVERS, "autofs4")
DROPPED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info",
           "usr/share/lintian")
SIZE_MIB = 1024
TIMEOUT = "30m"

STAGE2 = """#!/bin/sh
# Runs in the machine, as the packages' own system: configures what was unpacked.
export PATH=/usr/sbin:/usr/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive
export DEBCONF_NONINTERACTIVE_SEEN=true SYSTEMD_OFFLINE=1
cd /
@OWNERS@
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
dpkg --configure --force-configure-any base-passwd base-files
dpkg --configure -a || dpkg --configure -a || exit 1
[ -z "$(dpkg --audit)" ] || { dpkg --audit; exit 1; }
rm -f /usr/sbin/policy-rc.d
depmod @RELEASE@
passwd -d root
systemctl enable systemd-networkd
systemctl mask systemd-networkd-wait-online
rm -f /etc/machine-id /stage2
echo godwit-rootfs: configured
"""


def stanzas(text):
    for block in text.split("\n\n"):
        yield dict(line.split(": ", 1) for line in block.split("\n")
                   if re.match(r"^[A-Za-z-]+: ", line))


def wanted(box, more):
    """What Debian calls essential or required, EXTRA, and more."""
    found = [s["Package"] for s in stanzas(box.available())
             if s.get("Essential") == "yes" or s.get("Priority") == "required"]
    if "dpkg" not in found:
        raise Failure("the package lists name no essential packages", "./dev guest")
    return [*found, *EXTRA, *more]


class Tree:
    """Unpacked packages, their database, and what an unprivileged user cannot give a file."""

    def __init__(self, root):
        self.root, self.status, self.owners = root, [], []
        self.info = os.path.join(root, "var/lib/dpkg/info")
        for d in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers",
                  "var/lib/dpkg/alternatives", "proc", "sys", "dev", "run", "etc"):
            os.makedirs(os.path.join(root, d), exist_ok=True)

    def write(self, path, text, mode=0o644):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)

    def unpack(self, deb):
        subprocess.run(["dpkg-deb", "-x", deb, self.root], check=True)
        names = ["/."]
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as p:
            with tarfile.open(fileobj=p.stdout, mode="r|") as tar:
                for m in tar:
                    name = "/" + m.name.removeprefix("./").strip("/")
                    names += [name] if name not in ("/", "/.") else []
                    if (m.uid or m.gid or m.mode & 0o6000) and not m.issym():
                        self.owners.append((name, m.uname or m.uid, m.gname or m.gid, m.mode))
        self.register(deb, names)

    def register(self, deb, names):
        """As dpkg leaves a package that it has unpacked and not yet configured."""
        control = os.path.join(self.root, "control")
        subprocess.run(["dpkg-deb", "-e", deb, control], check=True)
        with open(os.path.join(control, "control"), encoding="utf-8") as f:
            text = f.read().strip("\n")
        fields = next(stanzas(text))
        name = fields["Package"]
        if fields.get("Multi-Arch") == "same":
            name += ":" + fields["Architecture"]
        lines = text.split("\n")
        lines.insert(1, "Status: install ok unpacked")
        conffiles = os.path.join(control, "conffiles")
        if os.path.exists(conffiles):
            lines.append("Conffiles:")
            with open(conffiles, encoding="utf-8") as f:
                for c in f.read().split("\n"):
                    path = os.path.join(self.root, c.strip().lstrip("/"))
                    if c.startswith("/") and os.path.isfile(path):
                        with open(path, "rb") as g:
                            lines.append(f" {c.strip()} {hashlib.md5(g.read()).hexdigest()}")
        self.status.append("\n".join(lines) + "\n")
        for part in os.listdir(control):
            if part != "control":
                os.replace(os.path.join(control, part), os.path.join(self.info, f"{name}.{part}"))
        self.write(f"var/lib/dpkg/info/{name}.list", "\n".join(names) + "\n")
        shutil.rmtree(control)

    def finish(self, release):
        self.write("var/lib/dpkg/status", "\n".join(self.status))
        self.write("var/lib/dpkg/info/format", "1\n")
        for name in ("available", "diversions", "statoverride"):
            self.write("var/lib/dpkg/" + name, "")
        for d in DROPPED:
            shutil.rmtree(os.path.join(self.root, d), ignore_errors=True)
        # What scripts need before the packages that provide it are configured.
        for name in ("passwd", "group"):
            shutil.copy(os.path.join(self.root, f"usr/share/base-passwd/{name}.master"),
                        os.path.join(self.root, "etc", name))
        awk = os.path.join(self.root, "usr/bin/awk")
        if not os.path.lexists(awk):
            os.symlink("mawk", awk)
        self.write("etc/hostname", "godwit\n")
        self.write("etc/hosts", "127.0.0.1 localhost godwit\n")
        self.write("etc/fstab", "/dev/vda / ext4 defaults 0 1\n")
        self.write("etc/systemd/network/80-dhcp.network",
                   "[Match]\nType=ether\n\n[Network]\nDHCP=yes\n")
        for name, (path, data, _) in guest.modules(release, MODULES).items():
            where = os.path.join(self.root, "usr/lib/modules", release, path)
            os.makedirs(os.path.dirname(where), exist_ok=True)
            with open(where, "wb") as f:
                f.write(data)
        for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
            source = os.path.join(guest.GUEST, "root/usr/lib/modules", release, name)
            if os.path.exists(source):
                shutil.copy(source, os.path.join(self.root, "usr/lib/modules", release, name))
        owners = ["chown -hR 0:0 /boot /etc /home /media /mnt /opt /root /srv /usr /var"]
        for name, user, group, mode in self.owners:
            owners.append(f"chown {user}:{group} {name}; chmod {mode & 0o7777:o} {name}")
        self.write("stage2", STAGE2.replace("@OWNERS@", "\n".join(owners))
                   .replace("@RELEASE@", release), 0o755)


def first_boot(image, kernel, initrd):
    program = os.environ.get("GODWIT_PROGRAM") or os.path.join(ROOT, "build/godwit")
    log = image.removesuffix(".new") + ".log"
    say("rootfs: configuring the packages in the machine (some minutes)")
    with open(log, "wb") as f:
        r = subprocess.run([program, "run", "-k", kernel, "-i", initrd, "-d", image + ",rw", "-m",
                            "1G", "-a", "console=ttyS0 run=stage2", "--timeout", TIMEOUT],
                           stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.STDOUT,
                           check=False)
    with open(log, "rb") as f:
        out = f.read().decode("utf-8", "replace")
    if r.returncode != 0 or "godwit-rootfs: configured" not in out:
        raise Failure(f"the packages were not configured: {log}", f"tail {log}")


def make(name, image):
    kernel, initrd = guest.ensure()
    release = guest.read_manifest()["release"]
    box = AptBox(guest.SUITE, guest.ARCH)
    box.update()
    root = os.path.join(guest.GUEST, name + "fs")
    shutil.rmtree(root, ignore_errors=True)
    tree = Tree(root)
    debs = box.download_closure(*wanted(box, KINDS[name][1]))
    say(f"rootfs: unpacking {len(debs)} packages")
    # The links from / into /usr are base-files', which others' files must find.
    for deb in sorted(debs, key=lambda d: not os.path.basename(d).startswith("base-files_")):
        tree.unpack(deb)
    tree.finish(release)
    mke2fs = shutil.which("mke2fs") or shutil.which("mke2fs", path="/sbin:/usr/sbin")
    if not mke2fs:
        raise Failure("no mke2fs", "./dev deps test")
    with open(image + ".new", "wb") as f:
        f.truncate(SIZE_MIB << 20)
    subprocess.run([mke2fs, "-q", "-F", "-t", "ext4", "-d", root, image + ".new"], check=True)
    shutil.rmtree(root)
    first_boot(image + ".new", kernel, initrd)
    os.replace(image + ".new", image)


def ensure(name="root"):
    image = os.path.join(guest.GUEST, name + ".img")
    stamp = image + ".stamp"
    with open(os.path.abspath(__file__), "rb") as f:
        key = hashlib.sha256(f.read()).hexdigest()
    if os.path.exists(image) and os.path.exists(stamp):
        with open(stamp, encoding="ascii") as f:
            if f.read() == key:
                return image
    make(name, image)
    with open(stamp, "w", encoding="ascii") as f:
        f.write(key)
    say(f"rootfs: {os.path.getsize(image) >> 20} MiB, "
        f"{os.stat(image).st_blocks * 512 >> 20} of them used")
    return image


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("kind", nargs="?", default="root", choices=KINDS)
    name = ap.parse_args().kind
    print(f"{KINDS[name][0]}={ensure(name)}")
    return 0


if __name__ == "__main__":
    main_guard(main)
