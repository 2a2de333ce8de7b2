"""What a machine costs besides computing: several vCPUs, system calls, idling, determinism; see
bench.py."""
import os
import re
import select
import statistics
import subprocess
import time

import guest
from aptbox import Failure

IDLE_S, SETTLE_S, BOOT_S = 10, 3, 120


def with_program(b, name, script, *flags):
    """Builds bench/NAME.c for both; returns kernel and an initrd that holds it and runs SCRIPT."""
    b.compile_c("gcc", f"{b.OUT}/native/{name}", [f"{b.SRC}/{name}.c"], *flags)
    b.compile_c(b.RISCV_CC, f"{b.OUT}/riscv64/{name}", [f"{b.SRC}/{name}.c"], "-static", *flags)
    kernel, initrd = guest.ensure()
    with open(f"{b.OUT}/riscv64/{name}", "rb") as f:
        files = {name: (f.read(), 0o755), "run.sh": (script.encode(), 0o755)}
    guest.append(f"{b.OUT}/initrd-{name}.cpio", initrd, files)
    return kernel, f"{b.OUT}/initrd-{name}.cpio"


TRAPS = ("calls", "programs", "pages")


def trap_rates(b, runner, cpus):
    """A second, of each kind: as many processes as CPUs, all at it."""
    kernel, initrd = with_program(b, "traps", f"/traps {cpus}\n", "-static")
    if runner == "native":
        command = [f"{b.OUT}/native/traps", str(cpus)]
    else:
        command = b.machine_command(runner, kernel, initrd, "console=ttyS0 quiet run=script", cpus)
    lines = "\n".join(b.must(command)[2])
    found = dict(re.findall(r"traps: (\w+) (\d+)", lines))
    if set(found) != set(TRAPS):
        raise Failure(f"{runner}: {lines[-300:]}")
    return [float(found[kind]) for kind in TRAPS]


def bench_traps(b, opt):
    """What two processes on two vCPUs do over what one does on one; the two are a turn."""
    found = {r: {n: [] for n in (1, 2)} for r in opt.runners}
    for r in b.take_turns(opt.runners, opt.reps or 5):
        for n in found[r]:
            found[r][n].append(trap_rates(b, r, n))
    rows = []
    for r, of in found.items():
        once = [statistics.median(v) for v in zip(*of[1])]
        times = [statistics.median(two / one for one, two in zip(*v))
                 for v in zip(zip(*of[1]), zip(*of[2]))]
        rows.append([r, *(f"{v:.0f}" for v in once), *(f"{v:.2f}" for v in times)])
    b.table("traps a second by one process on one vCPU, and by two on two over that",
            ["", *TRAPS, *(f"{kind} x" for kind in TRAPS)], rows)
    return found


def bench_smp(b, opt):
    return {"work": bench_work(b, opt), "traps": bench_traps(b, opt)}


def bench_work(b, opt):
    """Scaling is time by one thread over time by two; a pair of a guest's and native's is a turn."""
    rounds = 3
    kernel, initrd = with_program(b, "parallel", f"/parallel {rounds}\n", "-pthread")
    found = {r: [] for r in opt.runners}
    for r in b.take_turns(opt.runners, opt.reps or 9):
        if r == "native":
            command = [f"{b.OUT}/native/parallel", str(rounds)]
        else:
            command = b.machine_command(r, kernel, initrd, "console=ttyS0 quiet run=script", 2)
        lines = "\n".join(b.must(command)[2])
        pairs = re.findall(r"parallel: (\d+) (\d+)", lines)
        if len(pairs) != rounds:
            raise Failure(f"{r}: {lines[-300:]}")
        found[r].append([statistics.median(int(p[i]) for p in pairs) for i in (0, 1)] +
                        [statistics.median(int(p[0]) / int(p[1]) for p in pairs)])
    rows = []
    for r in opt.runners:
        one, two, scaling = (statistics.median(f[i] for f in found[r]) for i in range(3))
        row = [r, f"{one / 1e6:.0f} ms", f"{two / 1e6:.0f} ms", f"{scaling:.2f}"]
        if r != "native" and found.get("native"):
            each = [f[2] / n[2] for f, n in zip(found[r], found["native"])]
            row.append(f"{statistics.median(each):.2f}")
        rows.append(row + ["-"] * (5 - len(row)))
    b.table("one amount of work by one and two threads, 2 vCPUs",
            ["", "one", "two", "scaling", "of native's"], rows)
    return found


def bench_syscall(b, opt):
    kernel, initrd = with_program(b, "getppid", "/getppid\n")
    found = {r: [] for r in opt.runners}
    for r in b.take_turns(opt.runners, opt.reps or 5):
        if r == "native":
            lines = b.must([f"{b.OUT}/native/getppid"])[2]
        else:
            lines = b.must(b.machine_command(r, kernel, initrd,
                                             "console=ttyS0 quiet run=script"))[2]
        got = re.findall(r"getppid: ([\d.]+)", "\n".join(lines))
        if not got:
            raise Failure(f"{r}: the guest measured nothing: {lines[-3:]}")
        found[r].append(float(got[0]))
    m = {r: statistics.median(v) for r, v in found.items()}
    rows = [[r, f"{v:.0f} ns"] for r, v in m.items()]
    b.table("getppid in the machine, each", ["", "ns"], rows)
    if b.against(m) != "-":
        print(f"  peer/godwit {b.against(m)}")
    return found


FORKS = 200
FORK_SCRIPT = f"""
up() {{ read -r up idle </proc/uptime; echo "$1 $up"; }}
up began
i=0
while [ $i -lt {FORKS} ]; do /bin/cat /dev/null; i=$((i + 1)); done
up ended
"""


def bench_fork(b, opt):
    """A shell that starts a program, waits for it, and starts it again, by the guest's clock."""
    kernel, initrd = guest.ensure()
    guest.append(f"{b.OUT}/initrd-fork.cpio", initrd, {"run.sh": (FORK_SCRIPT.encode(), 0o755)})
    runners = [r for r in opt.runners if r != "native"]
    found = {n: {r: [] for r in runners} for n in (1, 4)}
    for n in found:
        for r in b.take_turns(runners, opt.reps or 3):
            lines = b.must(b.machine_command(r, kernel, f"{b.OUT}/initrd-fork.cpio",
                                             "console=ttyS0 quiet run=script", n))[2]
            times = dict(re.findall(r"^(began|ended) ([\d.]+)", "\n".join(lines), re.M))
            if len(times) != 2:
                raise Failure(f"{r}, {n} vCPUs: {lines[-3:]}")
            found[n][r].append((float(times["ended"]) - float(times["began"])) / FORKS * 1000)
    m = {n: {r: statistics.median(v) for r, v in of.items()} for n, of in found.items()}
    rows = [[r, *(f"{m[n][r]:.2f} ms" for n in m)] for r in runners]
    b.table("fork, exec, exit and wait in the machine, each", ["", "1 vCPU", "4 vCPUs"], rows)
    print("  peer/godwit", ", ".join(b.against(m[n]) for n in m))
    return found


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle_percent(b, runner, cpus):
    """Host CPU of a machine whose shell waits for input."""
    kernel, initrd = guest.ensure()
    p = subprocess.Popen(b.machine_command(runner, kernel, initrd, "console=ttyS0", cpus),
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seen, deadline = b"", time.monotonic() + BOOT_S
    try:
        while b"powers the machine off" not in seen:
            ready = select.select([p.stdout], [], [], max(0, deadline - time.monotonic()))[0]
            got = os.read(p.stdout.fileno(), 65536) if ready else b""
            if not got:
                raise Failure(f"{runner}, {cpus} vCPUs: no shell within {BOOT_S} s: {seen[-200:]}")
            seen += got
        time.sleep(SETTLE_S)
        start, cpu = time.monotonic(), cpu_seconds(p.pid)
        time.sleep(IDLE_S)
        return 100 * (cpu_seconds(p.pid) - cpu) / (time.monotonic() - start)
    finally:
        p.kill()
        p.wait()
        p.stdin.close()
        p.stdout.close()


def bench_idle(b, opt):
    runners = [r for r in opt.runners if r != "native"]
    found = {r: {n: [] for n in (1, 4)} for r in runners}
    for n in (1, 4):
        for r in b.take_turns(runners, opt.reps or 3):
            found[r][n].append(idle_percent(b, r, n))
    b.table(f"an idle guest's host CPU, over {IDLE_S} s", ["", "1 vCPU", "4 vCPUs"],
            [[r, *(f"{statistics.median(found[r][n]):.2f} %" for n in (1, 4))] for r in runners])
    return found


def bench_deterministic(b, opt):
    """CPU time of a boot, by the host's clock and by instructions; a pair is a turn."""
    kernel, initrd = guest.ensure()
    kinds = {"host clock": [], "--deterministic": ["--deterministic"]}
    cpu = {k: [] for k in kinds}
    for k in b.take_turns([*kinds], opt.reps or 9):
        command = b.machine_command("godwit", kernel, initrd, "console=ttyS0 run=poweroff")
        usage = b.must(command + kinds[k])[1]
        cpu[k].append(usage.ru_utime + usage.ru_stime)
    ratio = [d / h for h, d in zip(*cpu.values())]
    b.table("Debian kernel and BusyBox to power-off, 1 vCPU, CPU time", ["", "median", "least"],
            [[k, f"{statistics.median(v):.3f} s", f"{min(v):.3f} s"] for k, v in cpu.items()])
    print(f"  deterministic by host clock: {statistics.median(ratio):.3f} (of medians "
          f"{statistics.median(cpu['--deterministic']) / statistics.median(cpu['host clock']):.3f})")
    return {"cpu_s": cpu}
