#!/usr/bin/env python3
"""Runs tests of build-aarch64 on an emulated AArch64 machine, under Debian's kernel for it.

QEMU's user mode has no seccomp, no Landlock, one size of pages, and signals, vfork and mappings of its
own making. Here they are the kernel's, on two processors. The machine has no disk: an initrd holds
BusyBox, the tests, the programs and libraries that they need, and says what came of each.
"""
import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from aptbox import CACHE, ROOT, AptBox, Failure, extract_kernel, main_guard, say  # noqa: E402
from cpio import Cpio  # noqa: E402
from guest import applets  # noqa: E402

SUITE, ARCH, HOST = "trixie", "arm64", "aarch64"
KERNELS = {"4k": "linux-image-arm64", "16k": "linux-image-arm64-16k"}
BUILD = os.path.join(ROOT, f"build-{HOST}")
GUEST_LIBS = "/usr/riscv64-linux-gnu"

# What an emulator of user mode cannot show, and what all else rests on.
TESTS = (r"hosts|sites|jit_ir|jit_executed|interp|interp_ffi|ir_eval|control_(rundir|server)"
         r"|machine_(sandbox|user|debug|dirty_small|dirty_threads)|um_(space|elf|stack|debug|programs)"
         r"|guest_(page_faults|misaligned|straddle|self_modifying|traps|interrupts|atomics|hostile)_jit"
         r"|guest_(page_faults|straddle|hostile)_tlb|guest_smp_(litmus|atomics|code|tlb|irq)_threads"
         r"|guest_sbi_harts_threads")
# What programs are made of needs pages of theirs; um_programs says so.
SMALL_PAGES = ("um_space", "um_elf", "um_stack", "um_debug")
# Things are slower there.
TIMES_SLOWER = 6

INIT = """#!/bin/sh
export PATH=/bin HOME=/tmp TMPDIR=/tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /tmp
mount -t tmpfs shm /dev/shm
chmod 1777 /tmp /dev/shm
ip link set lo up
dmesg -n 1
echo "@@ host $(uname -r), pages of $(grep -m1 KernelPageSize /proc/self/smaps | tr -dc 0-9) KiB, $(nproc) processors"

# t NAME SECONDS FOLDER COMMAND...
t() {
    name=$1 limit=$2 folder=$3
    shift 3
    start=$(date +%s)
    (cd "$folder" && exec timeout -s KILL "$limit" env "$@") </dev/null >/tmp/out 2>&1
    status=$?
    echo "@@ test $name $status $(($(date +%s) - start))"
    [ $status = 0 ] && [ $name != doctor ] || head -c 6000 /tmp/out
    rm -f /tmp/out
}
. /tests
echo "@@ end"
poweroff -f
"""


def fetch(pages):
    """Paths of the kernel and of BusyBox."""
    top = os.path.join(CACHE, "hosts", f"{HOST}-{pages}")
    kernel, busybox = os.path.join(top, "vmlinuz"), os.path.join(top, "busybox")
    if os.path.exists(kernel) and os.path.exists(busybox):
        return kernel, busybox
    box = AptBox(SUITE, ARCH)
    box.update()
    root = os.path.join(top, "root")
    image, release = extract_kernel(box, KERNELS[pages], "linux-image-", root)
    os.replace(os.path.join(root, "usr/bin/busybox"), busybox)
    os.replace(os.path.join(root, f"boot/vmlinuz-{release}"), kernel)
    shutil.rmtree(root)
    say(f"host: {image}")
    return kernel, busybox


def chosen(pattern):
    """(name, seconds, folder, words) of the tests that ctest knows, without the emulator in front."""
    out = subprocess.run(["ctest", "--test-dir", BUILD, "--show-only=json-v1"], check=True,
                         capture_output=True, text=True).stdout
    for test in json.loads(out)["tests"]:
        if not re.fullmatch(pattern, test["name"]):
            continue
        has = {p["name"]: p["value"] for p in test["properties"]}
        words = test["command"]
        while words and not words[0].startswith(BUILD):
            words = words[1:]
        if not words or "PASS_REGULAR_EXPRESSION" in has:
            raise Failure(f"{test['name']} is no test that runs on the host itself")
        words = [w for w in words if w != "--no-sandbox"]
        if "--timeout" in words:
            at = words.index("--timeout") + 1
            words[at] = f"{int(words[at].removesuffix('s')) * TIMES_SLOWER}s"
        yield (test["name"], int(has.get("TIMEOUT", 120)) * TIMES_SLOWER, has["WORKING_DIRECTORY"],
               list(has.get("ENVIRONMENT", [])) + words)


def needed(words):
    """Files of this machine that a test's command names; a folder stands for what lies in it."""
    for word in words:
        if os.path.isfile(word):
            yield word
        elif word == GUEST_LIBS:
            yield from (f"{word}/lib/{n}" for n in ("ld-linux-riscv64-lp64d.so.1", "libc.so.6", "libm.so.6"))
        elif word.startswith(BUILD) and os.path.isdir(word):
            for name in sorted(os.listdir(word)):
                if os.path.isfile(os.path.join(word, name)):
                    yield os.path.join(word, name)


def libraries(sysroot, files):
    """Shared libraries that the files are linked with, and theirs: name -> path."""
    found, todo = {}, list(files)
    places = [os.path.join(sysroot, p, f"{HOST}-linux-gnu") for p in ("lib", "usr/lib")]
    while todo:
        out = subprocess.run([f"{HOST}-linux-gnu-readelf", "-d", *todo], check=False, capture_output=True,
                             text=True).stdout
        todo = []
        for name in re.findall(r"\(NEEDED\)\s+Shared library: \[(.*?)\]", out):
            paths = [p for p in (os.path.join(d, name) for d in places) if os.path.exists(p)]
            if name not in found and paths:
                found[name] = paths[0]
                todo.append(paths[0])
    return found


def read(path):
    with open(path, "rb") as f:
        return f.read()


def is_host_program(path):
    """An ELF file of AArch64."""
    with open(path, "rb") as f:
        head = f.read(20)
    return head[:4] == b"\x7fELF" and head[18:20] == b"\xb7\0"


def initrd(tests, busybox, sysroot):
    out = Cpio()
    for d in ("dev", "proc", "sys", "tmp", "root", "run"):
        out.dir(d)
    out.char("dev/console", 5, 1)
    out.file("init", INIT.encode(), 0o755)
    program = read(busybox)
    out.file("bin/busybox", program, 0o755)
    for name in applets(program):
        if name != "busybox":
            out.link(f"bin/{name}", "busybox")
    out.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    out.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    out.file("etc/resolv.conf", b"nameserver 192.0.2.1\n")
    files = {os.path.join(BUILD, n) for n in ("godwit", "godwit-exec")}
    files |= {os.path.join(BUILD, n) for n in os.listdir(BUILD) if n.endswith(".so")}
    for test in tests:
        files |= set(needed(test[3]))
        out.dir(test[2][1:])
    programs = [f for f in sorted(files) if is_host_program(f)]
    for name, path in sorted(libraries(sysroot, programs).items()):
        out.file(f"lib/{HOST}-linux-gnu/{name}", read(path), 0o755)
    out.link(f"lib/ld-linux-{HOST}.so.1", f"{HOST}-linux-gnu/ld-linux-{HOST}.so.1")
    with tempfile.TemporaryDirectory() as tmp:
        for path in sorted(files):
            source = path
            if path in programs: # what debuggers want fills the machine's memory
                source = os.path.join(tmp, "program")
                subprocess.run([f"{HOST}-linux-gnu-strip", "-o", source, path], check=True)
            out.file(path[1:], read(source), os.stat(path).st_mode & 0o777)
    lines = [f"t doctor 60 / {BUILD}/godwit doctor"]
    lines += [f"t {name} {limit} {shlex.quote(folder)} {shlex.join(words)}"
              for name, limit, folder, words in tests]
    out.file("tests", ("\n".join(lines) + "\n").encode())
    return out.finish()


def run(args, kernel, image, seconds):
    """Runs the machine; yields its lines as they come."""
    command = [os.environ["GODWIT_QEMU_SYSTEM_AARCH64"], "-M", "virt", "-cpu", args.cpu, "-smp", "2",
               "-m", "3G", "-nographic", "-no-reboot", "-nic", "none", "-kernel", kernel,
               "-initrd", image, "-append", "console=ttyAMA0 quiet panic=-1"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as p:
        os.set_blocking(p.stdout.fileno(), False)
        end, text = time.monotonic() + seconds, b""
        while time.monotonic() < end:
            more = p.stdout.read()
            if more == b"":
                break
            if more is None:
                time.sleep(0.2)
                continue
            *lines, text = (text + more).split(b"\n")
            yield from (line.decode("utf-8", "replace").rstrip("\r") for line in lines)
        p.kill()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--pages", choices=KERNELS, default="4k", help="the kernel's; 4k by default")
    ap.add_argument("--cpu", default="neoverse-n1", help="as qemu-system-aarch64 names them")
    ap.add_argument("--minutes", type=int, default=60, help="60 by default")
    ap.add_argument("-R", dest="tests", default=TESTS, metavar="REGEX", help="other tests, by whole names")
    args = ap.parse_args()
    kernel, busybox = fetch(args.pages)
    tests = [t for t in chosen(args.tests) if args.pages == "4k" or t[0] not in SMALL_PAGES]
    if not tests:
        raise Failure(f"no test of {BUILD} is named so", f"ctest --test-dir {BUILD} -N")
    done, bad, ended = 0, [], False
    with tempfile.NamedTemporaryFile(dir=BUILD, prefix="initrd-") as image:
        image.write(initrd(tests, busybox, os.environ["GODWIT_SYSROOT"]))
        image.flush()
        say(f"{len(tests)} tests on {args.cpu}; an initrd of {os.path.getsize(image.name) >> 20} MiB")
        for line in run(args, kernel, image.name, args.minutes * 60):
            m = re.match(r"@@ test (\S+) (\d+) (\d+)$", line)
            ended = ended or line == "@@ end"
            if not m:
                print(line.removeprefix("@@ "), flush=True)
                continue
            name, status = m.group(1), int(m.group(2))
            done += name != "doctor"
            if status not in (0, 77):
                bad.append(name)
            verdict = {0: "Passed", 77: "Skipped"}.get(status, f"***Failed, status {status}")
            print(f"{done:3}/{len(tests)} {name} {'.' * (50 - len(name))} {verdict} {m.group(3)} s",
                  flush=True)
    if bad or not ended or done != len(tests):
        raise Failure(f"{len(bad)} failed of {done} that ran, of {len(tests)}: {' '.join(bad)}")
    print(f"all {done} passed")
    return 0


if __name__ == "__main__":
    main_guard(main)
