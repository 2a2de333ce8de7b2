"""Boots Debian's kernel: boot.py WHAT. Needs GODWIT_PROGRAM, GODWIT_KERNEL and GODWIT_INITRD (./dev
check sets them); skipped without, by status 77."""
import json
import os
import pty
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

from env import need

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "tools"))
import guest

PROGRAM, KERNEL, INITRD = (need(n) for n in ("PROGRAM", "KERNEL", "INITRD"))


class Boot:
    def __init__(self, tmp):
        self.tmp = tmp
        self.report = os.path.join(tmp, "report")

    def run(self, append, *args, initrd=True, status=0, stdin=b""):
        cmd = [PROGRAM, "run", "-k", KERNEL, "-m", "512M", "-a", "console=ttyS0 " + append,
               "--timeout", "300s", "--report", self.report, *args]
        if initrd:
            cmd += ["-i", INITRD]
        r = subprocess.run(cmd, input=stdin, capture_output=True, timeout=400, check=False)
        out = r.stdout.decode("utf-8", "replace")
        if r.returncode != status:
            print(out[-3000:], r.stderr.decode()[-2000:], f"status {r.returncode}", sep="\n")
            sys.exit(1)
        with open(self.report, encoding="utf-8") as f:
            return out, r.stderr.decode(), json.load(f)


def expect(condition, what):
    if not condition:
        print("failed:", what)
        sys.exit(1)


def engine(boot, name):
    out, err, report = boot.run("run=poweroff", "--engine", name)
    expect("godwit-guest: up: Linux 6." in out, "the guest's first words")
    expect("reboot: Power down" in out, "power-off by the kernel")
    expect(report["ended"] == "poweroff" and report["insns"] > 10**8, report)
    expect(err == "", err)


def disk(boot):
    path = os.path.join(boot.tmp, "disk")
    with open(path, "wb") as f:
        f.truncate(32 << 20)
    out, err, _ = boot.run("run=disktest", "-d", path)
    expect("disktest: ok raw" in out, out[-2000:])
    expect("2 MiB written to" in err and "overlay=FILE keeps them" in err, err)
    with open(path, "rb") as f:
        expect(not any(f.read()), "the file behind a temporary overlay stays as it was")
    mkfs = shutil.which("mkfs.ext4") or shutil.which("mkfs.ext4", path="/sbin:/usr/sbin")
    if not mkfs:
        return
    subprocess.run([mkfs, "-q", "-F", path], check=True)
    out, err, _ = boot.run("run=disktest", "-d", path + ",rw")
    expect("disktest: ok ext4" in out, out[-2000:])
    expect("discarded" not in err, err)
    fsck = subprocess.run([mkfs.replace("mkfs.ext4", "e2fsck"), "-fn", path], capture_output=True,
                          check=False)
    expect(fsck.returncode == 0, fsck.stdout)


def shell(boot):
    """Input that was there before the guest's driver was is not lost."""
    out, _, _ = boot.run("run=shell", stdin=b"echo 40$((1+1)); exit\n")
    expect("402" in out, out[-2000:])


def keys(boot):
    """The keys that send signals do so at the console of a terminal, and jobs are held and go on."""
    main, side = pty.openpty()
    p = subprocess.Popen(["setsid", "-c", PROGRAM, "run", "-k", KERNEL, "-i", INITRD, "-a", "console=ttyS0",
                          "--timeout", "240s", "--report", boot.report], stdin=side, stdout=side, stderr=side)
    os.close(side)
    seen = b""

    def until(text):
        nonlocal seen
        while text not in seen:
            try:
                seen += os.read(main, 4096)
            except OSError:
                expect(False, (text, seen[-2000:]))
        seen = seen[seen.find(text) + len(text):]

    # What is typed before the program runs finds the shell itself, which goes on.
    until(b"/ # ")
    for key, status in ((b"\x03", b"130"), (b"\x1c", b"131"), (b"\x1a", b"148|147|146")):
        os.write(main, b"echo go$((1)); sleep 1000\n")
        until(b"go1\r")
        time.sleep(1)
        os.write(main, key)
        until(b"/ # ")
        os.write(main, b"echo status=$?\n")
        until(b"status=$?\r")
        until(b"status=")
        got = seen
        while b"\r" not in got:
            got += os.read(main, 100)
        expect(got.split(b"\r")[0] in status.split(b"|"), (key, got))
        seen = got
    os.write(main, b"kill %1; echo a$(echo b); cat\n")
    until(b"ab\r")
    os.write(main, b"\x04")
    os.write(main, b"poweroff\n")
    until(b"reboot: Power down")
    expect(p.wait(60) == 0, p.returncode)
    os.close(main)


def smp(boot):
    """Several CPUs, each on a thread of its own: all come up, work, and power off."""
    # The shell's end hangs its terminal up, and what that has not sent yet is lost; stty waits until
    # all is sent.
    for cpus in (2, 4):
        out, err, report = boot.run("run=shell", "-c", str(cpus), stdin=b"echo n=$(nproc); "
                                    b"cat /proc/interrupts; stty -echo; exit\n")
        expect(f"n={cpus}" in out and f"smp: Brought up 1 node, {cpus} CPUs" in out, out[-3000:])
        ipis = [l.split() for l in out.splitlines() if "Function call interrupts" in l]
        expect(len(ipis) == 1 and all(int(n) > 0 for n in ipis[0][1:1 + cpus]), ipis)
        expect("reboot: Power down" in out and report["ended"] == "poweroff", report)
        expect("stall" not in out and "BUG" not in out and err == "", err)


def panic(boot):
    out, err, report = boot.run("", initrd=False, status=123)
    expect("Kernel panic - not syncing" in out and "panicked" in err, out[-1000:])
    expect(report["ended"] == "panic", report)


def call(boot, *cmd, status=0):
    """A run of the program that ends as it should; what it said on stdout, and its report."""
    r = subprocess.run([PROGRAM, *cmd], input=b"", capture_output=True, timeout=400, check=False)
    if r.returncode != status:
        print(cmd, r.stdout.decode()[-2000:], r.stderr.decode()[-2000:], r.returncode, sep="\n")
        sys.exit(1)
    with open(boot.report, encoding="utf-8") as f:
        return r.stdout.decode("utf-8", "replace"), json.load(f)


# Four processes at once: text, gzip's computing, pipes, and a disk that is written, flushed and read.
LOAD = """
for n in 1 2 3 4; do (
    i=0
    while [ $i -lt 5 ]; do
        seq $n$i 30000 >/load.$n
        gzip -c /load.$n | gunzip | cmp - /load.$n || echo BUG: gzip
        dd if=/load.$n of=/dev/vda bs=4k seek=$((n * 256)) conv=fsync 2>/dev/null
        echo 1 >/proc/sys/vm/drop_caches
        dd if=/dev/vda bs=4k skip=$((n * 256)) count=64 2>/dev/null | head -c $(stat -c %s /load.$n) |
            cmp - /load.$n || echo BUG: disk
        i=$((i + 1))
    done
) & done
wait
echo all lo""aded
"""


def loaded(boot):
    """Command line, initrd, about how many instructions it is long, and its last word but one."""
    initrd = os.path.join(boot.tmp, "initrd")
    guest.append(initrd, INITRD, {"run.sh": (LOAD.encode(), 0o755)})
    return "run=script", initrd, 5_000_000_000, "all loaded"


def booting(_):
    return "run=disktest", INITRD, 4_200_000_000, "disktest: ok raw"


def moved(boot, stops, cpus=1, what=booting, seed=1):
    """A machine with a disk that is saved and restored at random stops, on changing engines: each
    save of what was just restored is the same file, and the guest notices nothing."""
    rng = random.Random(seed)
    append, initrd, length, word = what(boot)
    disk_path, here, there, again = (os.path.join(boot.tmp, n) for n in ("d", "0", "1", "2"))
    with open(disk_path, "wb") as f:
        f.truncate(32 << 20)
    step, at, out = length // stops, 0, ""
    where, report = [], None
    while report is None or report["ended"] == "stop-insn":
        at = (report["insns"] if report else 0) + rng.randrange(1, 2 * step)
        ends = ["--stop-insn", str(at), "--save-at-end", there, "--engine",
                rng.choice(["jit", "jit", "interp"]), "-q", "--report", boot.report]
        if report is None:
            text, report = call(boot, "run", "-k", KERNEL, "-i", initrd, "-m", "256M", "-d",
                                disk_path, "-c", str(cpus), "-a", "console=ttyS0 " + append, *ends)
        else:
            text, report = call(boot, "restore", *ends, here)
        out += text
        where.append(report["insns"])
        call(boot, "restore", "--stop-insn", "1", "--save-at-end", again, "-q", "--report",
             boot.report, "--engine", rng.choice(["jit", "interp"]), there)
        with open(there, "rb") as a, open(again, "rb") as b:
            expect(a.read() == b.read(), f"the same file at {at}, seed {seed}")
        here, there = there, here
    expect(report["ended"] == "poweroff", report)
    expect(word in out and "reboot: Power down" in out, out[-2000:])
    expect(out.count("Linux version") == 1 and "BUG" not in out and "stall" not in out, out[-4000:])
    print(f"{what.__name__}, {cpus} vCPU(s): {len(where)} stops, {where[-1]} instructions", flush=True)


def state_hash(path):
    r = subprocess.run([PROGRAM, "snap", "--json", "verify", path], capture_output=True, check=True)
    return json.loads(r.stdout)["state_hash"]


def deterministic(boot, whole, cpus=1):
    """The same console, instruction count and final state: on each engine, and when the machine was
    moved on the way, to the other engine and back. whole: all of it on the interpreter too, with a
    disk."""
    end, mid, later = (os.path.join(boot.tmp, n) for n in ("end", "mid", "later"))
    disk_path = os.path.join(boot.tmp, "d")
    with open(disk_path, "wb") as f:
        f.truncate(32 << 20)
    start = ["run", "-q", "-k", KERNEL, "-i", INITRD, "-m", "256M", "-d", disk_path,
             "--deterministic", "--seed", "7", "-c", str(cpus), "-a", "console=ttyS0 run=" + ("disktest" if whole else "poweroff"),
             "--report", boot.report]

    def straight(engine):
        out, report = call(boot, *start, "--engine", engine, "--save-at-end", end)
        return out, report["insns"], state_hash(end)

    def moved_on_the_way(first, second):
        half = straight_jit[1] // 2
        at = ["--report", boot.report, "-q", "--save-at-end"]
        a, _ = call(boot, *start, "--stop-insn", str(half), "--engine", first, "--save-at-end", mid)
        b, r = call(boot, "restore", *at, later, "--stop-insn", str(half + 10**8), "--engine",
                    second, mid)
        expect(half <= r["insns"] - 10**8 < half + (1 << 23), r)
        c, r = call(boot, "restore", *at, end, "--engine", first, later)
        return a + b + c, r["insns"], state_hash(end)

    straight_jit = straight("jit")
    expect("reboot: Power down" in straight_jit[0], straight_jit[0][-2000:])
    others = {"jit again": straight("jit"), "moved": moved_on_the_way("jit", "interp")}
    if whole:
        others["interp"] = straight("interp")
        others["moved, interp first"] = moved_on_the_way("interp", "jit")
    for name, other in others.items():
        expect(other[1:] == straight_jit[1:], f"{name}: {other[1:]} is {straight_jit[1:]}")
        expect(other[0] == straight_jit[0], f"{name}: the same output")
    start[start.index("--seed") + 1] = "8"
    expect(straight("jit")[2] != straight_jit[2], "another seed, another run")


def trap_counts(boot, calls):
    """Of two processes on two vCPUs that make so many pairs of system calls each."""
    dd = f"dd if=/dev/zero of=/dev/null bs=1 count={calls}"  # a read and a write each
    initrd = os.path.join(boot.tmp, "initrd")
    guest.append(initrd, INITRD, {"run.sh": (f"{dd} & {dd}; wait; echo both are through\n".encode(), 0o755)})
    out, err, _ = boot.run("run=script", "-i", initrd, "-c", "2", "--stats", initrd=False)
    expect("both are through" in out, out[-3000:])
    return {k: int(v) for k, v in re.findall(r"engine: (\w+) (\d+)", err)}


def traps(boot):
    """System calls on two vCPUs take no lock, wait for none and do not stop the world. What the boot takes differs
    from one to the next, by less than a lock for forty calls."""
    few, calls = 1000, 300000
    before, after = trap_counts(boot, few), trap_counts(boot, few + calls)
    more = {k: after[k] - before[k] for k in after}
    traps = 4 * calls
    expect(before["lock_takes"] > 0 and before["world_stops"] > 0, before)  # they are counted
    expect(more["exits_helper"] + more["exits_saved"] > traps, more)
    expect(more["lock_takes"] < traps // 40, more)
    expect(more["lock_waits"] < traps // 200, more)
    expect(more["world_stops"] < 500, more)


def repeat(boot):
    """By the instruction clock a run is the same each time, and on each engine."""
    for cpus in ("1", "3"):
        runs = [boot.run("run=poweroff", "--clock", "insns", "-c", cpus, "--engine", e)
                for e in ("jit", "jit", "interp")]
        expect(len({r[0] for r in runs}) == 1, "the same output")
        expect(len({r[2]["insns"] for r in runs}) == 1, [r[2]["insns"] for r in runs])


def main():
    what = sys.argv[1]
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o777)  # machines that root starts save there as somebody else
        boot = Boot(tmp)
        if what in ("jit", "interp"):
            engine(boot, what)
        elif what in ("deterministic", "deterministic_whole"):
            deterministic(boot, what == "deterministic_whole")
        elif what in ("deterministic_smp", "deterministic_whole_smp"):
            deterministic(boot, what == "deterministic_whole_smp", 2 if "whole" in what else 4)
        elif what == "moved_smp":
            moved(boot, 20, cpus=4)
        elif what == "moved_loaded":
            moved(boot, 8, cpus=4, what=loaded)
        elif what == "moved_long":  # ./dev suite moved
            for stops_of in (booting, loaded):
                for cpus in (1, 4):
                    moved(boot, int(sys.argv[2]), cpus, stops_of)
        elif what in ("moved", "moved_often"):
            moved(boot, 110 if what == "moved_often" else 10)
        else:
            {"disk": disk, "shell": shell, "keys": keys, "smp": smp, "panic": panic, "repeat": repeat,
             "traps": traps}[what](boot)


main()
