"""Restores one snapshot of Debian's kernel three times: clones.py WHAT. Needs GODWIT_PROGRAM,
GODWIT_KERNEL and GODWIT_INITRD; skipped without, by status 77."""
import os
import re
import subprocess
import sys
import tempfile
import time

from env import need

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "tools"))
import guest

PROGRAM, KERNEL, INITRD = (need(n) for n in ("PROGRAM", "KERNEL", "INITRD"))

# Saved at the word "ready"; what it says after that, each clone says by itself.
SCRIPT = """
cat /proc/sys/kernel/random/boot_id >/dev/null
i=0
while [ $i -lt 120 ]; do
    read -r up rest </proc/uptime
    echo "at $up $(cat /proc/sys/kernel/random/uuid) $(head -c 16 /dev/urandom | md5sum)"
    i=$((i + 1)); [ $i != 20 ] || echo re""ady
done
echo "rtc $(cat /sys/class/rtc/rtc0/since_epoch)"
echo "boot $(cat /proc/sys/kernel/random/boot_id)"
dmesg | grep 'crng reseeded'
"""


def expect(condition, what):
    if not condition:
        print("failed:", what)
        sys.exit(1)


def call(*args):
    r = subprocess.run([PROGRAM, *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=400,
                       check=False)
    out = r.stdout.decode("utf-8", "replace")
    if r.returncode != 0:
        print(out[-3000:], r.stderr.decode()[-2000:], r.returncode, sep="\n")
        sys.exit(1)
    return out


def saved(tmp, *args):
    initrd, snap = os.path.join(tmp, "initrd"), os.path.join(tmp, "up.snap")
    guest.append(initrd, INITRD, {"run.sh": (SCRIPT.encode(), 0o755)})
    call("run", "--machine", "virt-2", "-k", KERNEL, "-i", initrd, "-a", "console=ttyS0 run=script",
         "--stop-text", "ready", "--save-at-end", snap, "--timeout", "300s", *args)
    return snap


def said(out):
    """Of each line: VM time, and what was random. The first may have been begun before the save."""
    lines = re.findall(r"^at (\S+) (\S+) (\S+)", out, re.M)
    expect(len(lines) >= 99, out[-2000:])
    return [(float(at), uuid, random) for at, uuid, random in lines]


def differ(tmp, *args):
    snap = saved(tmp, *args)
    time.sleep(2)
    seen, boots = set(), set()
    for _ in range(3):
        began = time.time()
        out = call("restore", "--timeout", "300s", snap)
        took = time.time() - began
        lines = said(out)
        soon = lines[0][0] + 0.1
        words = [word for at, *random in lines if at >= soon for word in random]
        expect(words and seen.isdisjoint(words), f"twins: {seen.intersection(words)}")
        seen.update(words)
        boots.add(re.search(r"^boot (\S+)", out, re.M)[1])
        expect("crng reseeded due to virtual machine fork" in out, out[-2000:])
        told = int(re.search(r"^rtc (\d+)", out, re.M)[1])
        expect(began - 2 <= told <= began + took + 2, f"rtc {told}, the host {began}")
    expect(len(boots) == 1, "the boot's name stays: Linux makes it once")


def same(tmp):
    """What can be repeated is: nothing of it is another's."""
    snap = saved(tmp, "--deterministic")
    outs = {call("restore", "--timeout", "300s", snap) for _ in range(2)}
    expect(len(outs) == 1 and "crng reseeded" not in outs.pop(), "restores that differ")


WHAT = {"jit": differ, "smp": lambda tmp: differ(tmp, "-c", "4"), "deterministic": same}

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o777)  # machines that root starts save there as somebody else
        WHAT[sys.argv[1]](d)
