"""A private apt: another suite or architecture, from the machine's own mirror, nothing installed.

Each box has lists, caches and an empty dpkg status of its own under .cache/apt-SUITE-ARCH, so the
machine's package state is neither read nor changed. The mirror is taken from the machine's apt
configuration and never written down here. apt checks the archive's signature against the Debian
keyring on the machine and every package against the signed lists.
"""
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CACHE = os.path.abspath(os.environ.get("GODWIT_CACHE") or os.path.join(ROOT, ".cache"))
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


# Other names under which an archive serves the same release. A mirror in the middle of a sync may
# have an index that does not match the signed Release under one name and does under the other.
ALIASES = {"bookworm": ("oldstable",), "trixie": ("stable", "oldstable"), "sid": ("unstable",)}


def native():
    """This machine's architecture, by Debian's name."""
    return subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True,
                          text=True).stdout.strip()


class Failure(Exception):
    """A step that failed, with the command that may mend it."""

    def __init__(self, text, hint=None):
        super().__init__(text)
        self.hint = hint


def say(text):
    print(f"dev: {text}", file=sys.stderr, flush=True)


def main_guard(main):
    """Runs main() and turns failures into one line and status 1."""
    try:
        sys.exit(main())
    except Failure as e:
        print(f"dev: error: {e}", file=sys.stderr)
        if e.hint:
            print(f"hint: {e.hint}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def mirror():
    """URI of the Debian archive that this machine uses: main, neither security nor updates."""
    if os.environ.get("GODWIT_MIRROR"):
        return os.environ["GODWIT_MIRROR"]
    out = subprocess.run(
        ["apt-get", "indextargets", "--no-release-info",  # works before the first apt-get update
         "--format", "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(CREATED_BY)"],
        capture_output=True, text=True, check=False).stdout
    for line in out.splitlines():
        uri, release, component, made_by = line.split("|")[:4]
        if component == "main" and made_by == "Packages" and "-" not in release \
                and re.search(r"/debian/?$", uri):
            return uri
    raise Failure("no Debian mirror in this machine's apt configuration",
                  "apt-get indextargets (or set GODWIT_MIRROR to an archive's URI)")


class AptBox:
    def __init__(self, suite, arch):
        self.suite, self.arch = suite, arch
        self.dir = os.path.join(CACHE, f"apt-{suite}-{arch}")
        self.conf = os.path.join(self.dir, "apt.conf")

    def _write_conf(self, served_as):
        d = self.dir
        for sub in ("state/lists/partial", "cache/archives/partial", "etc/parts", "debs"):
            os.makedirs(os.path.join(d, sub), exist_ok=True)
        open(os.path.join(d, "status"), "a").close()
        with open(os.path.join(d, "etc/sources.list"), "w") as f:
            f.write(f"deb [signed-by={KEYRING}] {mirror()} {served_as} main\n")
        lines = [
            "#clear APT::Architectures;",
            f'APT::Architecture "{self.arch}";',
            f'APT::Architectures {{ "{self.arch}"; }};',
            'APT::Install-Recommends "false";',
            'APT::Get::List-Cleanup "true";',
            'Acquire::Languages "none";',
            'Acquire::Retries "3";',
            f'Dir::State "{d}/state";',
            f'Dir::State::status "{d}/status";',
            f'Dir::State::extended_states "{d}/state/extended_states";',
            f'Dir::Cache "{d}/cache";',
            f'Dir::Etc::sourcelist "{d}/etc/sources.list";',
            f'Dir::Etc::sourceparts "{d}/etc/parts";',
            f'Dir::Etc::preferencesparts "{d}/etc/parts";',
            f'Dir::Etc::preferences "{d}/etc/preferences";',
            'Dir::Etc::trusted "/dev/null";',
            'Dir::Log "/dev/null";',
        ]
        if os.geteuid() == 0:
            # apt's download user may not be able to write below a directory that only root enters.
            lines.append('APT::Sandbox::User "root";')
        with open(self.conf, "w") as f:
            f.write("\n".join(lines) + "\n")

    def _conf_is_ours(self):
        """False once the tree was moved or copied: the configuration names its place."""
        try:
            with open(self.conf, encoding="utf-8") as f:
                return f'Dir::State "{self.dir}/state";' in f.read()
        except OSError:
            return False

    def _run(self, *argv, cwd=None):
        env = dict(os.environ, APT_CONFIG=self.conf, DEBIAN_FRONTEND="noninteractive", LC_ALL="C")
        p = subprocess.run(argv, env=env, cwd=cwd or self.dir, capture_output=True, text=True,
                           check=False)
        if p.returncode != 0:
            text = (p.stderr.strip() or p.stdout.strip()).splitlines()
            raise Failure(f"{argv[0]} {argv[1]} ({self.suite}/{self.arch}): "
                          + (" / ".join(text[-3:]) or f"status {p.returncode}"))
        return p.stdout

    def update(self, max_age=6 * 3600):
        """Reads the suite's signed package lists, unless that was done lately."""
        stamp = os.path.join(self.dir, "updated")
        if os.path.exists(stamp) and time.time() - os.path.getmtime(stamp) < max_age \
                and self._conf_is_ours():
            return
        say(f"reading package lists of {self.suite} ({self.arch})")
        first = None
        for name in (self.suite, *ALIASES.get(self.suite, ())):
            self._write_conf(name)
            try:
                self._run("apt-get", "update", "-q", "-o", "APT::Update::Error-Mode=any")
            except Failure as e:
                first = first or e
                continue
            if self._codename() == self.suite:
                break
        else:
            raise first or Failure(f"no release at this mirror is signed as {self.suite}")
        if name != self.suite:
            say(f"{self.suite} ({self.arch}) does not verify at this mirror; "
                f"'{name}', signed as {self.suite}, does: using that")
        with open(stamp, "w"):
            pass

    def _codename(self):
        """The release's codename by its signed Release file, which apt has just verified."""
        lists = os.path.join(self.dir, "state/lists")
        for n in os.listdir(lists):
            if n.endswith("_InRelease"):
                with open(os.path.join(lists, n), encoding="utf-8") as f:
                    m = re.search(r"^Codename: (\S+)$", f.read(), re.M)
                    return m.group(1) if m else None
        return None

    def available(self):
        """The package lists, as one text of stanzas."""
        return self._run("apt-cache", "dumpavail")

    def depends(self, package):
        """Names of the packages that PACKAGE depends on (first alternatives)."""
        text = self._run("apt-cache", "show", "--no-all-versions", package)
        m = re.search(r"^Depends: (.*)$", text, re.M)
        if not m:
            return []
        return [re.split(r"[ (|:]", d.strip())[0] for d in m.group(1).split(",")]

    def version(self, package):
        m = re.search(r"^Version: (.*)$",
                      self._run("apt-cache", "show", "--no-all-versions", package), re.M)
        return m.group(1)

    def _pick(self, where, name, version):
        """Path of a package's file in WHERE; its name has the version, percent-encoded."""
        for file in os.listdir(where):
            if urllib.parse.unquote(file) in (f"{name}_{version}_{self.arch}.deb",
                                              f"{name}_{version}_all.deb"):
                return os.path.join(where, file)
        raise Failure(f"{name} {version} ({self.suite}/{self.arch}) was not downloaded")

    def download(self, *packages):
        """Downloads the packages themselves; returns the paths of the .deb files."""
        where = os.path.join(self.dir, "debs")
        say(f"downloading {' '.join(packages)} ({self.suite}/{self.arch})")
        self._run("apt-get", "download", "-q", *packages, cwd=where)
        return [self._pick(where, p, self.version(p)) for p in packages]

    def download_closure(self, *packages):
        """Downloads the packages and all that they need to run, the C library included."""
        sim = self._run("apt-get", "install", "-s", "-qq", "-y", *packages)
        chosen = re.findall(r"^Inst (\S+) \(([^ ]+) ", sim, re.M)
        say(f"downloading {' '.join(packages)} and what they need ({len(chosen)} packages, "
            f"{self.suite}/{self.arch})")
        self._run("apt-get", "install", "--download-only", "-qq", "-y", *packages)
        where = os.path.join(self.dir, "cache/archives")
        return [self._pick(where, name.split(":")[0], version) for name, version in chosen]


def extract(deb, where):
    os.makedirs(where, exist_ok=True)
    subprocess.run(["dpkg-deb", "-x", deb, where], check=True)


def extract_kernel(box, package, prefix, where):
    """The one package with that prefix which `package` depends on, and a static BusyBox, extracted to an empty
    folder: the kernel's package and its release."""
    images = [d for d in box.depends(package) if d.startswith(prefix)]
    if len(images) != 1:
        raise Failure(f"{package} of {box.suite} names no kernel {prefix}*: {images}")
    shutil.rmtree(where, ignore_errors=True)
    for deb in box.download(images[0], "busybox-static"):
        extract(deb, where)
        os.unlink(deb)
    return images[0], images[0].removeprefix("linux-image-")
