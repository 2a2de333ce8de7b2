"""Runs Debian's static riscv64 BusyBox under godwit exec: its shell, with applets of each kind, on data
whose results Python knows. Needs GODWIT_PROGRAM and GODWIT_CACHE (./dev check sets them); skipped
without, by status 77."""
import gzip
import hashlib
import os
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
    print("BusyBox: as expected by both engines")


main()
