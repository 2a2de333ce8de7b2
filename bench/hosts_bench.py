"""./dev bench hosts: host instructions executed per guest instruction, by the builds of two hosts. See bench.py."""
import os
import re
import shlex
import subprocess

# Guest instructions: what the kernel runs between the two stops is measured, and not how it starts.
FROM, TO = 2000000, 12000000


def executed(b, command, kernel, stop):
    """(host instructions in blocks, guest instructions) up to there."""
    args = ["exec", "--stats", "--count-host", "--stop-insn", str(stop), f"{b.OUT}/riscv64/{kernel}"]
    p = subprocess.run([*command, *args], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                       text=True, check=False)
    found = {name: int(value) for name, value in re.findall(r"^engine\.(\w+) (\d+)$", p.stderr, re.M)}
    if not found.get("host_insns_run"):
        raise b.Failure(f"{' '.join(command)}: {kernel}: nothing was counted", p.stderr.strip()[-300:])
    return found["host_insns_run"], found["retired_insns"]


def bench_hosts(b, opt):
    other = os.environ.get("GODWIT_OTHER_HOST")
    if not other:
        raise b.Failure("no other host's build", "./dev bench hosts")
    b.build_kernels()
    commands = {"this host": [b.godwit()],
                other: [*shlex.split(os.environ.get("GODWIT_EMULATOR", "")),
                        os.path.join(b.ROOT, f"build-{other}", "godwit")]}
    each = {name: {} for name in commands}
    for kernel in opt.kernels:
        for name, command in commands.items():
            (h0, g0), (h1, g1) = (executed(b, command, kernel, n) for n in (FROM, TO))
            each[name][kernel] = (h1 - h0) / (g1 - g0)
    ours, theirs = each.values()
    rows = [[k, f"{ours[k]:.3f}", f"{theirs[k]:.3f}", f"{theirs[k] / ours[k]:.3f}"] for k in opt.kernels]
    rows.append(["geomean", *(f"{b.geomean(v):.3f}" for v in (
        ours.values(), theirs.values(), [theirs[k] / ours[k] for k in opt.kernels]))])
    b.table("host instructions executed per guest instruction, in user mode",
            ["", *commands, "ratio"], rows)
    return each
