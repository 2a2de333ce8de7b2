"""Runs Debian's static riscv64 BusyBox under godwit exec: its shell, with applets of each kind, on data
whose results Python knows. Needs GODWIT_PROGRAM and GODWIT_CACHE (./dev check sets them); skipped
without, by status 77."""
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

PROGRAM = os.environ.get("GODWIT_PROGRAM", "")
BUSYBOX = os.path.join(os.environ.get("GODWIT_CACHE", ""), "guests/riscv64/root/usr/bin/busybox")
if not os.path.exists(PROGRAM) or not os.path.exists(BUSYBOX):
    print("skipped: GODWIT_PROGRAM or the cached BusyBox is not there")
    sys.exit(77)

SCRIPT = r"""
set -e
bb() { "$BB" "$@"; }
bb sha256sum data | bb cut -d' ' -f1
bb md5sum data | bb cut -d' ' -f1
bb wc -c < data | bb tr -d ' '
bb sort -n numbers | bb head -n 3 | bb tr '\n' ' '; echo
bb awk '{s += $1} END {print s}' numbers
bb sed -n 's/^1\(.*\)5$/<\1>/p' numbers | bb wc -l | bb tr -d ' '
bb grep -c 7 numbers
bb gzip -c data > data.gz && bb gunzip -c data.gz | bb cmp - data && echo same
bb zcat by_host.gz | bb cmp - data && echo same
bb mkdir -p a/b/c && bb touch a/b/c/d && bb find a | bb sort | bb tr '\n' ' '; echo
bb tar cf t.tar a && bb rm -r a && bb tar xf t.tar && bb ls a/b/c
bb ln -s data link && bb readlink link && bb stat -c %s link/../data 2>/dev/null || bb stat -c %s data
i=0; while [ $i -lt 300 ]; do i=$((i + 1)); done; echo $i
(exit 7) || echo status $?
bb expr 123456789 \* 987654321
bb printf '%05d|%x|%s\n' 42 255 text
trap 'echo trapped' USR1; kill -USR1 $$
bb sh -c 'kill -TERM $$' || echo died $?
bb uname -m
"""


def expected(data, numbers):
    ordered = sorted(numbers)
    texts = [str(n) for n in numbers]
    return [
        hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest(), str(len(data)),
        " ".join(map(str, ordered[:3])), str(sum(numbers)),
        str(sum(t[0] == "1" and t[-1] == "5" and len(t) > 1 for t in texts)),
        str(sum("7" in t for t in texts)), "same", "same", "a a/b a/b/c a/b/c/d", "d", "data",
        str(len(data)), "300", "status 7", str(123456789 * 987654321), "00042|ff|text", "trapped",
        "died 143", "riscv64",
    ]


def run(tmp, engine, want):
    work = os.path.join(tmp, engine)
    os.makedirs(work)
    for name in ("data", "numbers", "by_host.gz"):
        os.link(os.path.join(tmp, name), os.path.join(work, name))
    r = subprocess.run([PROGRAM, "exec", "--engine", engine, "--timeout", "100s",
                        "-E", f"BB={BUSYBOX}", BUSYBOX, "sh", "-c", SCRIPT],
                       cwd=work, capture_output=True, text=True, timeout=120, check=False)
    got = [line.rstrip() for line in r.stdout.splitlines()]
    if r.returncode != 0 or got != want:
        for g, w in zip(got + ["-"] * len(want), want):
            print("  " if g == w else "! ", g, "" if g == w else f"(want {w})")
        print(engine, "status", r.returncode, r.stderr[-2000:])
        sys.exit(1)


ROOT_SCRIPT = r"""
set -e
for n in uname env tr sleep; do /bin/ln -s busybox /bin/$n; done
/bin/uname -m
/script one two
exec 3>&- 4>&-
/bin/sh -c '/script three; exit 5' || echo status $?
/bin/env -i /bin/sh -c 'cd /tmp; echo $PWD; ../bin/sh -c "echo deep \$0" zero'
/bin/ln -s /nowhere /bin/gone; /bin/gone 2>/tmp/err || echo status $?
if [ -e /dynamic ]; then /dynamic x >/tmp/out 2>/tmp/err || true; /bin/busybox grep -x 1:x /tmp/out; else echo 1:x; fi
/bin/sleep 1000 & kill $!; wait $! || echo died $?
"""


def run_root(tmp, engine):
    """In a root of their own, which has nothing of the host's, programs start others: by name, by an
    interpreter's name, by a dynamic linker's."""
    root = os.path.join(tmp, "root." + engine)
    for d in ("bin", "lib", "tmp"):
        os.makedirs(os.path.join(root, d))
    shutil.copy(BUSYBOX, os.path.join(root, "bin/busybox"))
    for n in ("sh", "ln"):
        os.symlink("busybox", os.path.join(root, "bin", n))
    os.mkdir(os.path.join(root, "dev"))
    with open(os.path.join(root, "dev/null"), "wb"):
        pass  # a shell opens it for what it starts in the background
    with open(os.path.join(root, "script"), "w", encoding="ascii") as f:
        f.write("#!/bin/sh\necho $0 $# $1\n")
    os.chmod(os.path.join(root, "script"), 0o755)
    if len(sys.argv) > 2 and sys.argv[2]:
        shutil.copy(sys.argv[1], os.path.join(root, "dynamic"))
        for lib in ("ld-linux-riscv64-lp64d.so.1", "libc.so.6", "libm.so.6"):
            shutil.copy(os.path.join(sys.argv[2], "lib", lib), os.path.join(root, "lib", lib))
    report, trace = os.path.join(tmp, "report"), os.path.join(tmp, "trace")
    r = subprocess.run([PROGRAM, "exec", "--engine", engine, "--timeout", "100s", "--report", report,
                        "--strace=" + trace, "--root", root, "/bin/sh", "-c", ROOT_SCRIPT],
                       capture_output=True, text=True, timeout=120, check=False)
    want = ["riscv64", "/script 2 one", "/script 1 three", "status 5", "/tmp", "deep zero", "status 127",
            "1:x", "died 143"]
    if r.returncode != 0 or r.stdout.splitlines() != want:
        print(engine, "in a root:", r.stdout, r.stderr[-2000:], r.returncode, sep="\n")
        sys.exit(1)
    with open(report, encoding="ascii") as f:
        assert json.load(f)["ended"] == "exit"
    with open(trace, encoding="ascii", errors="replace") as f:
        assert "script 1 three" in f.read(), "children are traced"
    assert sorted(os.listdir(root)) == sorted(["bin", "dev", "lib", "tmp", "script"] + ["dynamic"] * (len(sys.argv) > 2 and sys.argv[2] != ""))


def main():
    numbers = [(i * 7919) % 3571 for i in range(2000)]
    data = b"".join(hashlib.sha256(bytes([i & 255, i >> 8])).digest() for i in range(4000)) * 2
    with tempfile.TemporaryDirectory() as tmp:
        with open(os.path.join(tmp, "data"), "wb") as f:
            f.write(data)
        with open(os.path.join(tmp, "numbers"), "w", encoding="ascii") as f:
            f.writelines(f"{n}\n" for n in numbers)
        with gzip.open(os.path.join(tmp, "by_host.gz"), "wb") as f:
            f.write(data)
        for engine in ("jit", "interp"):
            run(tmp, engine, expected(data, numbers))
            if os.geteuid() == 0 and os.path.exists(os.path.join(os.path.dirname(PROGRAM), "godwit-exec")):
                run_root(tmp, engine)
    print("BusyBox: as expected by both engines")


main()
