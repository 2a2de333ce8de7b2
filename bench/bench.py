#!/usr/bin/env python3
"""Compares Godwit with native code and with QEMU (sid's and bookworm's) in one run.

WHAT is one of
  user       kernels in bench/kernels as static programs: native, godwit exec, qemu-riscv64
  machine    the same programs inside a booted machine
  boot       Debian's kernel and BusyBox to power-off: CPU time; memory above guest RAM
  systemd    a Debian root file system on a virtio disk to its login prompt: CPU time
  hello      a static hello: wall time and memory
  net        TCP through user networking, both ways
  disk       sequential reads of 128 KiB from a virtio disk
  smp        one amount of work by one and two threads on two vCPUs, against native scaling; system calls,
             programs started and pages touched by two processes on two vCPUs over one on one
  syscall    getppid in the machine, ns each
  fork       a shell that starts programs, ms each, 1 and 4 vCPUs
  idle       host CPU of an idle machine, 1 and 4 vCPUs
  deterministic  CPU time of a boot with --deterministic against the same by the host's clock
  translate  straight-line code that runs once: ns per guest instruction
  hosts      host instructions executed per guest instruction, by another host's build (emulated) and by
             this one, which count what they execute
  all        all of these but hosts

Kernels are timed by the host's clock, at the lines that they print before and after their work.
Runners take turns; figures are medians. QEMU runs with -cpu rv64 and, as a machine, with
-M virt -m 1G and as many CPUs as ours. The peer is the faster of the two QEMUs. Raw results: build/bench/results.json.
--against PROGRAM pairs this build with another of Godwit, such as one of the commit before: both take
turns in one run, and each figure's ratio stands at the end.
"""
import argparse
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import guest  # noqa: E402
import hosts_bench  # noqa: E402
import io_bench  # noqa: E402
import machine_bench  # noqa: E402
import peers  # noqa: E402
import rootfs  # noqa: E402
from aptbox import Failure, main_guard, say  # noqa: E402

OUT = os.path.join(ROOT, "build", "bench")
SRC = os.path.join(ROOT, "bench")
INT = ("coremark", "sieve", "sort", "sha256", "crc32", "interp", "indirect", "fib")
FP = ("matmul", "nbody", "mandelbrot")
RISCV_CC = "riscv64-linux-gnu-gcc"
PEERS = ("qemu-sid", "qemu-bookworm")
GUEST_RAM_KIB = 1 << 20
BEFORE = "godwit-before"    # the runner that --against names
before_program = None


def godwit(runner="godwit"):
    if runner == BEFORE:
        return before_program
    return os.environ.get("GODWIT_PROGRAM") or os.path.join(ROOT, "build", "godwit")


def user_command(runner, program):
    if runner == "native":
        return [f"{OUT}/native/{program}"]
    path = f"{OUT}/riscv64/{program}"
    if runner.startswith("godwit"):
        return [godwit(runner), "exec", path]
    return [os.path.join(peers.BIN, runner.replace("qemu", "qemu-riscv64")), "-cpu", "rv64", path]


def machine_command(runner, kernel, initrd, append, cpus=1):
    if runner.startswith("godwit"):
        engine = ["--engine", "interp"] if runner == "godwit-interp" else []
        return [godwit(runner), "run", *engine, "-k", kernel, "-i", initrd, "-a", append, "-m", "1G",
                *(["-c", str(cpus)] if cpus > 1 else [])]
    return [os.path.join(peers.BIN, runner.replace("qemu", "qemu-system-riscv64")), "-M", "virt",
            "-cpu", "rv64", "-smp", str(cpus), "-m", "1G", "-nographic", "-no-reboot",
            "-kernel", kernel, "-initrd", initrd, "-append", append]


# ---- programs -----------------------------------------------------------------------------------

def compile_c(cc, out, sources, *flags):
    newest = max(os.path.getmtime(s) for s in (*sources, f"{SRC}/kernels/bench.h"))
    if os.path.exists(out) and os.path.getmtime(out) > newest:
        return
    os.makedirs(os.path.dirname(out), exist_ok=True)
    subprocess.run([cc, "-O2", "-std=c17", "-D_GNU_SOURCE", *flags, "-o", out, *sources, "-lm"],
                   check=True)


def build_kernels():
    for k in INT + FP:
        compile_c("gcc", f"{OUT}/native/{k}", [f"{SRC}/kernels/{k}.c"])
        compile_c(RISCV_CC, f"{OUT}/riscv64/{k}", [f"{SRC}/kernels/{k}.c"], "-static")


def straight_line(insns, seed):
    """Assembly of a function of INSNS instructions that each run once, in blocks of about six."""
    rng = random.Random(seed)
    regs = ["a1", "a2", "a3", "a4", "a5", "t0", "t1", "t2", "t3", "a6", "a7", "t4"]
    out = [".text", ".globl once", ".type once, @function", "once:", "addi sp, sp, -512"]
    label = 0
    for _ in range(insns):
        d, a, b = (rng.choice(regs) for _ in range(3))
        kind = rng.random()
        if kind < 0.17:
            # Either way the next instruction but one follows: a block ends here.
            label += 1
            out += [f"{rng.choice(('beq', 'bne', 'bltu', 'bge'))} {a}, {b}, 1f", "1:"]
        elif kind < 0.35:
            out.append(f"ld {d}, {rng.randrange(0, 64) * 8}(sp)")
        elif kind < 0.47:
            out.append(f"sd {d}, {rng.randrange(0, 64) * 8}(sp)")
        elif kind < 0.67:
            out.append(f"addi {d}, {a}, {rng.randrange(-2048, 2048)}")
        elif kind < 0.77:
            out.append(f"{rng.choice(('slli', 'srli', 'srai'))} {d}, {a}, {rng.randrange(1, 63)}")
        elif kind < 0.83:
            out.append(f"mv {d}, {a}")
        elif kind < 0.86:
            out.append(f"lui {d}, {rng.randrange(0, 1 << 20)}")
        elif kind < 0.88:
            out.append(f"mul {d}, {a}, {b}")
        else:
            op = rng.choice(("add", "sub", "xor", "or", "and", "addw", "sltu"))
            out.append(f"{op} {d}, {a}, {b}")
    out += ["mv a0, a1", "addi sp, sp, 512", "ret", '.section .note.GNU-stack,"",@progbits']
    return "\n".join(out) + "\n"


ONCE_MAIN = """
#include "bench.h"
BENCH_INT("once", 0u)
extern uint64_t once(void);
static uint64_t kernel(void) { return once() & 0; }
"""


def build_once(insns):
    exe = f"{OUT}/riscv64/once{insns}"
    if not os.path.exists(exe):
        os.makedirs(f"{OUT}/riscv64", exist_ok=True)
        with open(f"{exe}.s", "w") as f:
            f.write(straight_line(insns, 1))
        with open(f"{exe}.c", "w") as f:
            f.write(ONCE_MAIN)
        compile_c(RISCV_CC, exe, [f"{exe}.c", f"{exe}.s"], "-static", "-I", f"{SRC}/kernels")
    return os.path.basename(exe)


# ---- running ------------------------------------------------------------------------------------

def watch(command, timeout, env=None):
    """Runs a command; returns ({kernel: (host ns, result)}, status, rusage, output).

    The times are those between a kernel's two lines as they arrive.
    """
    p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, env=env)
    began, found, lines = {}, {}, []
    deadline = time.monotonic() + timeout
    for raw in p.stdout:
        now = time.monotonic_ns()
        line = raw.decode("utf-8", "replace").strip()
        lines.append(line)
        m = re.search(r"bench: begin (\w+)", line)
        if m:
            began[m[1]] = now
        m = re.search(r"bench: end (\w+) result=(\S+) ok=(\d)", line)
        if m and m[1] in began:
            if m[3] != "1":
                raise Failure(f"{m[1]} computed {m[2]} under {' '.join(command[:2])}")
            found[m[1]] = (now - began[m[1]], m[2])
        if time.monotonic() > deadline:
            p.kill()
            raise Failure(f"no end within {timeout} s: {' '.join(command)}")
    p.stdout.close()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    return found, p.returncode, usage, lines


def must(command, timeout=300, env=None):
    found, code, usage, lines = watch(command, timeout, env)
    if code != 0:
        tail = "\n".join(lines[-5:])
        raise Failure(f"status {code}: {' '.join(command)}\n{tail}")
    return found, usage, lines


def geomean(values):
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def table(title, head, rows):
    print(f"\n{title}")
    width = [max(len(str(r[i])) for r in [head, *rows]) for i in range(len(head))]
    for r in [head, *rows]:
        print("  " + "  ".join(str(c).ljust(w) if i == 0 else str(c).rjust(w)
                               for i, (c, w) in enumerate(zip(r, width))))
    sys.stdout.flush()


def ratio_table(title, times, runners):
    """times: {kernel: {runner: [ns]}}. Prints times native, and geomeans of both groups."""
    med = {k: {r: statistics.median(v) for r, v in by.items() if v} for k, by in times.items()}
    rest = [r for r in runners if r != "native"]
    rows = []
    for k, m in med.items():
        rows.append([k, f"{m['native'] / 1e6:.0f} ms" if "native" in m else "-"]
                    + [f"{m[r] / m['native']:.2f}" if r in m and "native" in m else "-" for r in rest]
                    + [against(m)])
    for name, group in (("geomean, integer", INT), ("geomean, FP", FP)):
        ks = [k for k in group if k in med and "native" in med[k]]
        if ks:
            g = {r: geomean(med[k][r] / med[k]["native"] for k in ks if r in med[k]) for r in rest}
            rows.append([name, ""] + [f"{g[r]:.2f}" for r in rest] + [against(g)])
    table(title, ["", "native", *(f"{r} x" for r in rest), "peer/godwit"], rows)


def against(m):
    """How many times faster Godwit is than the faster of the two QEMUs."""
    seen = [m[p] for p in PEERS if p in m]
    return f"{min(seen) / m['godwit']:.2f}" if seen and "godwit" in m else "-"


def pair(result, path=()):
    """Rows of this build's figure by the other's, wherever RESULT has both: the names down to it, and the
    ratios of the medians, of the least and of the greatest. Where a machine is noisy, times are told by
    their least and rates by their greatest."""
    if not isinstance(result, dict):
        return []
    if BEFORE not in result or "godwit" not in result:
        return [row for k, v in result.items() for row in pair(v, (*path, str(k)))]
    now, then = ([v] if isinstance(v, (int, float)) else v
                 for v in (result["godwit"], result[BEFORE]))
    if isinstance(now, dict):
        return [row for k in now for row in pair({"godwit": now[k], BEFORE: then[k]}, (*path, str(k)))]
    if not now or not then:
        return []
    if isinstance(now[0], (list, tuple)):  # runs of several figures
        return [row for i in range(len(now[0])) for row in
                pair({"godwit": [v[i] for v in now], BEFORE: [v[i] for v in then]}, (*path, str(i)))]
    return [[" ".join(path) or "-", *(f"{of(now) / of(then):.3f}" if of(then) else "nan"
                                      for of in (statistics.median, min, max))]]


def take_turns(runners, reps):
    for i in range(reps):
        for j in range(len(runners)):
            yield runners[(i + j) % len(runners)]


# ---- what is measured ---------------------------------------------------------------------------

def paddings(reps):
    """Environments of all lengths, the same each time. Where a program's stack begins decides how its data lie to
    cache lines and to each other, which is worth up to 1.4 times: so each repetition has its own, for all alike."""
    rng = random.Random(1)
    return [dict(os.environ, BENCH_PADDING="x" * rng.randrange(4096)) for _ in range(reps)]


def bench_user(opt):
    build_kernels()
    reps = opt.reps or 5
    environments = paddings(reps)
    times = {k: {r: [] for r in opt.runners} for k in opt.kernels}
    results = {}
    for k in opt.kernels:
        for n, r in enumerate(take_turns(opt.runners, reps)):
            env = environments[n // len(opt.runners)]
            ns, result = must(user_command(r, k), env=env)[0][k]
            times[k][r].append(ns)
            # One binary, one result, to the last bit, whoever runs it.
            if r != "native" and results.setdefault(k, result) != result:
                raise Failure(f"{k}: {r} computed {result}, another {results[k]}")
    ratio_table("kernels in user mode, times native", times, opt.runners)
    return times


def bench_machine(opt):
    build_kernels()
    kernel, initrd = guest.ensure()
    files = {}
    for k in opt.kernels:
        with open(f"{OUT}/riscv64/{k}", "rb") as f:
            files[f"bench/{k}"] = (f.read(), 0o755)
    guest.append(f"{OUT}/initrd-bench.cpio", initrd, files)
    times = {k: {r: [] for r in opt.runners} for k in opt.kernels}
    append = f"console=ttyS0 quiet run=bench bench={','.join(opt.kernels)}"
    for r in take_turns(opt.runners, opt.reps or 3):
        if r == "native":
            for k in opt.kernels:
                times[k][r].append(must(user_command(r, k))[0][k][0])
            continue
        found, _, lines = must(machine_command(r, kernel, f"{OUT}/initrd-bench.cpio", append))
        if set(found) != set(opt.kernels):
            raise Failure(f"{r}: the guest did not end {set(opt.kernels) - set(found)}: {lines[-3:]}")
        for k, (ns, _) in found.items():
            times[k][r].append(ns)
    ratio_table("kernels in the machine, times native", times, opt.runners)
    return times


def smaps_overhead(pid):
    """KiB resident in a process besides guest RAM (a mapping of 1 GiB), page tables included. What is
    mapped twice, as a code cache is under W^X, or shared with other processes counts by its share."""
    total = ram = 0
    with open(f"/proc/{pid}/smaps") as f:
        size = 0
        for line in f:
            if line.startswith("Size:"):
                size = int(line.split()[1])
            elif line.startswith("Pss:"):
                total += int(line.split()[1])
                if size >= GUEST_RAM_KIB and size < GUEST_RAM_KIB + 4096:
                    ram = max(ram, int(line.split()[1]))
    with open(f"/proc/{pid}/status") as f:
        tables = int(re.search(r"VmPTE:\s+(\d+)", f.read())[1])
    return total - ram + tables


def booted_overhead(runner, kernel, initrd):
    """Starts a machine, waits for its shell, and returns smaps_overhead() there."""
    command = machine_command(runner, kernel, initrd, "console=ttyS0")
    p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL)
    try:
        for line in p.stdout:
            if b"powers the machine off" in line:
                time.sleep(1)
                return smaps_overhead(p.pid)
        raise Failure(f"{runner}: no shell")
    finally:
        p.kill()
        p.wait()


def bench_boot(opt):
    kernel, initrd = guest.ensure()
    runners = [r for r in opt.runners if r != "native"]
    cpu, wall, memory = ({r: [] for r in [*runners, "godwit-interp"]} for _ in range(3))

    def once(r):
        start = time.monotonic()
        _, usage, lines = must(machine_command(r, kernel, initrd, "console=ttyS0 run=poweroff"))
        if not any("godwit-guest: powering off" in line for line in lines):
            raise Failure(f"{r}: the guest did not come up: {lines[-3:]}")
        wall[r].append(time.monotonic() - start)
        cpu[r].append(usage.ru_utime + usage.ru_stime)

    for r in take_turns(runners, opt.reps or 5):
        once(r)
    if "godwit" in runners:
        once("godwit-interp")
    for r in runners:
        memory[r].append(booted_overhead(r, kernel, initrd))
    rows = [[r, f"{statistics.median(cpu[r]):.2f} s", f"{statistics.median(wall[r]):.2f} s",
             f"{memory[r][0] / 1024:.0f} MiB" if memory[r] else "-"] for r in cpu if cpu[r]]
    table("Debian kernel and BusyBox to power-off, 1 vCPU, 1 GiB",
          ["", "CPU time", "wall", "memory above guest RAM"], rows)
    return {"cpu_s": cpu, "wall_s": wall, "overhead_kib": memory}


def login_cost(runner, kernel, initrd, disk):
    """CPU seconds and wall seconds until the login prompt, where the machine is killed."""
    command = machine_command(runner, kernel, initrd, "console=ttyS0 run=root")
    if runner.startswith("godwit"):
        command += ["-q", "-d", disk]
    else:
        command += ["-drive", f"file={disk},format=raw,if=none,id=d,snapshot=on",
                    "-device", "virtio-blk-device,drive=d"]
    start, tail = time.monotonic(), b""
    p = subprocess.Popen(peers.unwrapped(command), stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while b" login: " not in tail:
        got = os.read(p.stdout.fileno(), 65536)
        if not got:
            raise Failure(f"{runner}: ended before its login prompt")
        tail = tail[-64:] + got
    p.kill()
    _, _, usage = os.wait4(p.pid, 0)
    p.returncode = 0
    p.stdout.close()
    return usage.ru_utime + usage.ru_stime, time.monotonic() - start


def bench_systemd(opt):
    kernel, initrd = guest.ensure()
    disk = rootfs.ensure()
    runners = [r for r in opt.runners if r != "native"]
    cost = {r: [] for r in runners}
    for r in take_turns(runners, opt.reps or 3):
        cost[r].append(login_cost(r, kernel, initrd, disk))
    rows = [[r] + [f"{statistics.median(c[i] for c in cost[r]):.2f} s" for i in range(2)]
            for r in runners]
    table("Debian with systemd to its login prompt, 1 vCPU, 1 GiB", ["", "CPU time", "wall"], rows)
    return cost


def bench_hello(opt):
    compile_c("gcc", f"{OUT}/native/hello", [f"{SRC}/hello.c"], "-static")
    compile_c(RISCV_CC, f"{OUT}/riscv64/hello", [f"{SRC}/hello.c"], "-static")
    compile_c("gcc", f"{OUT}/native/spawn", [f"{SRC}/spawn.c"], "-static")
    wall, rss = ({r: [] for r in opt.runners} for _ in range(2))
    for r in take_turns(opt.runners, opt.reps or 50):
        # The wrapper scripts of the peers would add a shell's start to their figure.
        command = ["1", *peers.unwrapped(user_command(r, "hello"))]
        p = subprocess.run([f"{OUT}/native/spawn", *command], capture_output=True, text=True,
                           check=False)
        if p.returncode != 0:
            raise Failure(p.stderr.strip())
        ns, kib = map(int, p.stdout.split())
        wall[r].append(ns)
        rss[r].append(kib)
    table("static hello", ["", "wall", "peak memory"],
          [[r, f"{statistics.median(wall[r]) / 1e6:.2f} ms",
            f"{statistics.median(rss[r]) / 1024:.1f} MiB"] for r in opt.runners])
    return {"wall_ns": wall, "rss_kib": rss}


def bench_translate(opt):
    insns = 1000000
    program = build_once(insns)
    runners = [r for r in opt.runners if r != "native"]
    ns = {r: [] for r in runners}
    for r in take_turns(runners, opt.reps or 7):
        ns[r].append(must(user_command(r, program))[0]["once"][0] / insns)
    rows = [[r, f"{statistics.median(ns[r]):.0f} ns"] for r in runners]
    table("code that runs once: translation and its one run, per guest instruction",
          ["", "wall"], rows)
    counters = {}
    if "godwit" in runners:
        command = [godwit(), "exec", "--stats", f"{OUT}/riscv64/{program}"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        for name in ("translate_ns", "translated_insns"):
            m = re.search(rf"\b{name}\b\W+(\d+)", text)
            if m:
                counters[name] = int(m[1])
        if len(counters) == 2 and counters["translated_insns"]:
            each = counters["translate_ns"] / counters["translated_insns"]
            print(f"  godwit's own count: {each:.0f} ns per translated instruction")
    return {"ns_per_insn": ns, "counters": counters}


def bench_net(opt):
    return io_bench.bench_net(sys.modules[__name__], opt)


def bench_disk(opt):
    return io_bench.bench_disk(sys.modules[__name__], opt)


def bench_hosts(opt):
    return hosts_bench.bench_hosts(sys.modules[__name__], opt)


def machine_costs(name):
    return lambda opt: getattr(machine_bench, "bench_" + name)(sys.modules[__name__], opt)


WHAT = {"user": bench_user, "machine": bench_machine, "boot": bench_boot, "systemd": bench_systemd,
        "net": bench_net, "disk": bench_disk, "hello": bench_hello,
        **{n: machine_costs(n) for n in ("smp", "syscall", "fork", "idle", "deterministic")},
        "translate": bench_translate, "hosts": bench_hosts}
RUNNERS = ("native", "godwit", *PEERS)


def main():
    global before_program
    ap = argparse.ArgumentParser(prog="./dev bench", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", nargs="?", default="all", choices=[*WHAT, "all"])
    ap.add_argument("--reps", type=int, help="runs of each (default: 5 user, 3 machine, 5 boot, "
                    "3 systemd, net, disk, fork and idle, 5 syscall and smp's traps, 9 smp and "
                    "deterministic, 50 hello, 7 translate)")
    ap.add_argument("--kernels", help="which kernels, comma-separated")
    ap.add_argument("--runners", help=f"which runners, of {','.join(RUNNERS)}")
    ap.add_argument("--against", metavar="PROGRAM",
                    help="another build's godwit: runs by turns with this one, and alone but for --runners")
    opt = ap.parse_args()
    given_runners = opt.runners is not None
    opt.kernels = opt.kernels.split(",") if opt.kernels else [*INT, *FP]
    opt.runners = opt.runners.split(",") if opt.runners else [*RUNNERS]
    for given, known in ((opt.kernels, INT + FP), (opt.runners, RUNNERS)):
        for g in given:
            if g not in known:
                raise Failure(f"no such thing to bench: {g}", f"choose from {','.join(known)}")
    if opt.against:
        if not os.access(opt.against, os.X_OK):
            raise Failure(f"no program at {opt.against}")
        before_program = os.path.abspath(opt.against)
        opt.runners = [r for r in opt.runners if r != "godwit"] if given_runners else []
        opt.runners = ["godwit", BEFORE, *opt.runners]
    for name in ("qemu-sid", "qemu-bookworm"):
        if name in opt.runners:
            peers.ensure(name)
    os.makedirs(OUT, exist_ok=True)
    path = os.path.join(OUT, "results.json")
    raw = {}
    if os.path.exists(path):
        with open(path) as f:
            raw = json.load(f)
    for what in [w for w in WHAT if w != "hosts"] if opt.what == "all" else [opt.what]:
        say(f"bench {what}")
        result = WHAT[what](opt)
        raw[what] = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                     "runners": opt.runners, "result": result}
        if opt.against:
            rows = pair(result)
            if len(rows) > 2:
                rows.append(["geomean", *(f"{geomean(float(r[i]) for r in rows):.3f}" for i in (1, 2, 3))])
            table(f"{what}: this build's figure by the other's",
                  ["", "of medians", "of least", "of greatest"], rows)
        with open(path, "w") as f:
            json.dump(raw, f, indent=1)
    say(f"raw results: {os.path.relpath(path, ROOT)}")
    return 0


if __name__ == "__main__":
    main_guard(main)
