#!/usr/bin/env python3
"""Makes a Debian package of a build: the program, its modules, man page and completions.

    package.py [--quick] [--host HOST] BUILD

The package lies in BUILD; its name goes to standard output. It is asked for what it holds, lintian looks at it, and it is tried: this machine's in a clean root that mmdebstrap makes (by root), HOST's
by QEMU's user mode, in a tree of nothing but its own packages. Tried is: --version, doctor, and a boot of
GODWIT_KERNEL and GODWIT_INITRD. --quick: it is made, and asked for what it holds, and that is all.
"""
import argparse
import glob
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from aptbox import ROOT, AptBox, Failure, extract, main_guard, mirror, native, say  # noqa: E402
from sysroot import ARCHITECTURES, SUITE, inner_links  # noqa: E402

DESCRIPTION = """\
emulator of machines and programs of another instruction set
 Godwit runs whole machines, and Linux programs, of one instruction set on a
 host of another: RISC-V guests on x86-64 and AArch64. Guest code is translated
 to host code while it runs. Machines are saved and go on elsewhere, on another
 kind of host, too."""
# What stands in a package of any host. {lib}: where modules lie.
CONTENTS = ("usr/bin/godwit", "{lib}/godwit-exec", "{lib}/godwit-machine.so", "{lib}/godwit-snapshot.so",
            "{lib}/godwit-net.so", "{lib}/godwit-disasm.so", "usr/share/man/man1/godwit.1.gz",
            "usr/share/bash-completion/completions/godwit", "usr/share/zsh/vendor-completions/_godwit",
            "usr/share/fish/vendor_completions.d/godwit.fish", "usr/share/doc/godwit/changelog.gz")
# What lintian is not asked about, and why.
OVERRIDES = """\
# It is a program, which needs no library: exec --root starts it in a root that has none of this machine's.
godwit: shared-library-lacks-prerequisites [{lib}/godwit-exec]
"""
# The licence is for the owners of the code to say.
SUPPRESSED = "no-copyright-file"


def run(*argv, **more):
    return subprocess.run(argv, check=True, capture_output=True, text=True, **more).stdout


def git(*argv):
    return run("git", "-C", ROOT, *argv).strip()


class Package:
    def __init__(self, build, host):
        self.build, self.host, self.tree = os.path.abspath(build), host, tempfile.mkdtemp(prefix="godwit-package.")
        self.arch = ARCHITECTURES[host] if host else native()
        self.tools = f"{host}-linux-gnu-" if host else ""
        with open(f"{self.build}/CMakeCache.txt", encoding="utf-8") as f:
            self.version = re.search(r"CMAKE_PROJECT_VERSION:STATIC=(\S+)", f.read())[1]
        self.maintainer = git("log", "-1", "--format=%an <%ae>")
        self.file = f"{self.build}/godwit_{self.version}_{self.arch}.deb"

    def path(self, name):
        return os.path.join(self.tree, name)

    def write(self, name, text, packed=False):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        data = text.encode()
        with open(self.path(name), "wb") as f:
            f.write(gzip.compress(data, 9, mtime=0) if packed else data)

    def install(self):
        """What cmake installs, with what Debian has elsewhere moved there."""
        run("cmake", "--install", self.build, "--prefix", "/usr", env=dict(os.environ, DESTDIR=self.tree))
        os.renames(self.path("usr/share/zsh/site-functions"), self.path("usr/share/zsh/vendor-completions"))
        with open(self.path("usr/share/man/man1/godwit.1"), encoding="utf-8") as f:
            self.write("usr/share/man/man1/godwit.1.gz", f.read(), packed=True)
        os.unlink(self.path("usr/share/man/man1/godwit.1"))
        what = textwrap.fill(git("log", "-1", "--format=As of %h: %s"), 75, initial_indent="  * ",
                             subsequent_indent="    ")
        self.write("usr/share/doc/godwit/changelog.gz",
                   f"godwit ({self.version}) unstable; urgency=medium\n\n{what}\n\n -- {self.maintainer}  "
                   f"{git('log', '-1', '--format=%aD')}\n", packed=True)
        self.lib = os.path.relpath(glob.glob(self.path("usr/lib/**/godwit"), recursive=True)[0], self.tree)
        self.write("usr/share/lintian/overrides/godwit", OVERRIDES.format(lib=self.lib))

    def programs(self):
        return [p for p in [self.path("usr/bin/godwit"), *glob.glob(self.path(self.lib + "/*"))]
                if not os.path.islink(p)]

    def strip(self):
        for p in self.programs():
            run(self.tools + "strip", "--remove-section=.comment", "--remove-section=.note", p)
            os.chmod(p, 0o644 if p.endswith(".so") else 0o755)

    def depends(self):
        """Packages of the libraries that are linked, by the release that they were linked from."""
        needed = set()
        for p in self.programs():
            needed |= set(re.findall(r"NEEDED\s+(\S+)", run(self.tools + "objdump", "-p", p)))
        found = set()
        for lib in needed:
            if lib.startswith("ld-linux"):
                continue
            owners = run("dpkg-query", "-S", f"*/{native_folder()}/{lib}")
            found.add(re.match(r"([^:]+):", owners)[1])
        return ", ".join(f"{p} (>= {upstream(p)})" for p in sorted(found))

    def control(self):
        kib = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(self.tree) for f in files) >> 10
        self.write("DEBIAN/control", f"Package: godwit\nVersion: {self.version}\nSection: otherosfs\nPriority: optional\n"
                   f"Architecture: {self.arch}\nMaintainer: {self.maintainer}\nInstalled-Size: {kib}\n"
                   f"Depends: {self.depends()}\nDescription: {DESCRIPTION}\n")
        sums = []
        for d, _, files in sorted(os.walk(self.tree)):
            if os.path.basename(d) != "DEBIAN":
                sums += [os.path.relpath(p, self.tree) for p in (os.path.join(d, f) for f in sorted(files))
                         if not os.path.islink(p)]
        self.write("DEBIAN/md5sums", run("md5sum", *sums, cwd=self.tree))

    def make(self):
        os.chmod(self.tree, 0o755)
        self.install()
        self.strip()
        self.control()
        for d, _, files in os.walk(self.tree):
            os.chmod(d, 0o755)
            for f in files:
                if not os.access(os.path.join(d, f), os.X_OK):
                    os.chmod(os.path.join(d, f), 0o644)
        env = dict(os.environ, SOURCE_DATE_EPOCH=git("log", "-1", "--format=%ct"))
        run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", self.tree, self.file, env=env)

    def holds(self):
        """What has to be there is there, and no other program."""
        listed = re.findall(r"^-(\S+) root/root .* \./(\S+)$", run("dpkg-deb", "-c", self.file), re.M)
        names = {name for _, name in listed}
        for name in (c.format(lib=self.lib) for c in CONTENTS):
            if name not in names:
                raise Failure(f"{self.file}: has no {name}")
        odd = [n for mode, n in listed if "x" in mode and n != "usr/bin/godwit" and not n.endswith("/godwit-exec")]
        if odd:
            raise Failure(f"{self.file}: these should not be programs: {' '.join(odd)}")

    def judged(self):
        out = subprocess.run(["lintian", "--fail-on", "error", "--suppress-tags", SUPPRESSED, "--allow-root",
                              self.file], capture_output=True, text=True, check=False)
        sys.stderr.write(out.stdout + out.stderr)
        if out.returncode:
            raise Failure(f"lintian has errors in {self.file}")


def native_folder():
    return run("dpkg-architecture", "-qDEB_HOST_MULTIARCH").strip() if shutil.which("dpkg-architecture") \
        else run("gcc", "-print-multiarch").strip()


def upstream(package):
    """The version that is installed here, less what Debian changed of it."""
    version = run("dpkg-query", "-W", "-f", "${Version}\n", package).splitlines()[0]
    return re.sub(r"(\+dfsg.*)?-[^-]*$", "", version)


def tried(say_what, command, *argv, want, status=0):
    p = subprocess.run([*command, *argv], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if p.returncode != status or not re.search(want, p.stdout):
        raise Failure(f"{say_what}: {' '.join(argv)}: status {p.returncode}:\n{(p.stdout + p.stderr)[-2000:]}")
    say(f"{say_what}: {' '.join(argv[:2])}: {re.search(want, p.stdout)[0].strip()}")


def try_all(what, command, kernel, initrd, more):
    tried(what, command, "--version", want=r"godwit \d\S*")
    tried(what, command, "doctor", want=r"machines \(godwit run\) +yes")
    tried(what, command, "run", "-q", *more, "-k", kernel, "-i", initrd, "-m", "512M", "-a",
          "console=ttyS0 run=poweroff", "--timeout", "10m", want=r"godwit-guest: powering off")


def try_here(pkg):
    """Installed by apt in a root that has nothing else, with what it depends on from the archive."""
    if os.geteuid() != 0:
        say("not root: the package is not tried in a clean root")
        return
    root = tempfile.mkdtemp(prefix="godwit-root.")
    mounted = []
    try:
        os.chmod(root, 0o755)
        say(f"mmdebstrap: {SUITE} with {os.path.basename(pkg.file)}")
        run("mmdebstrap", "--quiet", "--variant=apt", "--include", os.path.abspath(pkg.file), SUITE, root,
            f"deb {mirror()} {SUITE} main", "--hook-dir=/usr/share/mmdebstrap/hooks/file-mirror-automount")
        for name, var in (("vmlinux", "KERNEL"), ("initrd.cpio", "INITRD")):
            shutil.copy(os.environ["GODWIT_" + var], f"{root}/srv/{name}")
        for kind, at in (("proc", "proc"), ("tmpfs", "dev/shm")):
            os.makedirs(f"{root}/{at}", exist_ok=True)
            run("mount", "-t", kind, kind, f"{root}/{at}")
            mounted.append(f"{root}/{at}")
        try_all("clean root", ["chroot", root, "godwit"], "/srv/vmlinux", "/srv/initrd.cpio", [])
    except subprocess.CalledProcessError as e:
        raise Failure(f"{e.cmd[0]}: {e.stderr[-2000:]}") from e
    finally:
        for at in reversed(mounted):
            subprocess.run(["umount", at], check=False)
        if not any(os.path.ismount(at) for at in mounted):
            shutil.rmtree(root)


def try_there(pkg):
    """Its own packages alone, unpacked, and the emulator's idea of a root."""
    box = AptBox(SUITE, pkg.arch)
    box.update()
    names = re.findall(r"(?:^|, )([^ ,]+) \(", pkg.depends())
    with tempfile.TemporaryDirectory(prefix="godwit-root.") as root:
        for deb in box.download_closure(*names):
            extract(deb, root)
            os.unlink(deb)
        extract(pkg.file, root)
        inner_links(root)
        try_all(f"{pkg.host}, its packages alone",
                [os.environ[f"GODWIT_QEMU_{pkg.host.upper()}"], "-L", root, f"{root}/usr/bin/godwit"],
                os.environ["GODWIT_KERNEL"], os.environ["GODWIT_INITRD"], ["--no-sandbox"])


def main():
    ap = argparse.ArgumentParser(prog="./dev package", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--quick", action="store_true")
    ap.add_argument("--host", choices=sorted(ARCHITECTURES))
    ap.add_argument("build")
    opt = ap.parse_args()
    pkg = Package(opt.build, opt.host)
    try:
        pkg.make()
        pkg.holds()
        if not opt.quick:
            pkg.judged()
            (try_there if opt.host else try_here)(pkg)
    except subprocess.CalledProcessError as e:
        raise Failure(f"{e.cmd[0]}: {(e.stderr or '')[-2000:]}") from e
    finally:
        shutil.rmtree(pkg.tree, ignore_errors=True)
    print(os.path.relpath(pkg.file, ROOT))
    return 0


if __name__ == "__main__":
    main_guard(main)
