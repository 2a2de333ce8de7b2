"""run ... -- CMD with Debian's kernel: command.py WHAT. Needs GODWIT_PROGRAM, GODWIT_KERNEL and
GODWIT_INITRD, and what WHAT needs; skipped without, by status 77."""
import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile

from env import need

PROGRAM, KERNEL, INITRD = (need(n) for n in ("PROGRAM", "KERNEL", "INITRD"))


def check(args, command, status=0, out="", err="", initrd=True, stdin=subprocess.DEVNULL):
    cmd = [PROGRAM, "run", "-k", KERNEL, "--timeout", "300s", *(["-i", INITRD] if initrd else []),
           *args, "--", *command]
    r = subprocess.run(cmd, stdin=stdin, capture_output=True, timeout=400, check=False)
    got = (r.returncode, r.stdout.decode(), r.stderr.decode())
    if got != (status, out, err):
        print(command, "gave", got, "and not", (status, out, err), sep="\n")
        sys.exit(1)


def jit():
    check([], ["uname", "-m"], out="riscv64\n")
    check([], ["sh", "-c", "exit 42"], 42)
    check([], ["sh", "-c", "kill -9 $$"], 137)
    check([], ["sh", "-c", 'printf "<%s>\\n" "$@"; pwd; echo $HOME $TERM', "sh", "a b", "", "\\"],
          out="<a b>\n<>\n<\\>\n/\n/root dumb\n")
    check([], ["nosuch"], 127, err="godwit: error: cannot run in the guest: nosuch: No such file or "
          "directory\n")
    check([], ["/etc"], 126, err="godwit: error: cannot run in the guest: /etc: Permission denied\n")


def world():
    """The mounts, the terminal, orphans, and no input where there is none."""
    check([], ["sh", "-c", "cut -d' ' -f3 /proc/mounts | sort | tr '\\n' ' '; test -c /dev/null; "
               "echo $?; echo tty >/dev/tty; cat; (sleep 0.1 &); sleep 0.5; "
               "ps -o stat | grep -c Z; exit 3"], 3,
          out="devpts devtmpfs proc rootfs sysfs tmpfs tmpfs 0\ntty\n0\n")
    check([], ["nosuch"], 127, initrd=False, err="godwit: error: cannot run in the guest: nosuch: "
          "No such file or directory\n")


def run(args, command, **kw):
    cmd = [PROGRAM, "run", "-k", KERNEL, "--timeout", "300s", "-i", INITRD, *args, "--", *command]
    return subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=400, check=False, **kw)


def same(got, want):
    if got != want:
        print("got", repr(got)[:2000], "and not", repr(want)[:2000], sep="\n")
        sys.exit(1)


def stdin():
    """Bytes of every value arrive once, as they are, however many and slow, and have an end; so do those
    that the command writes."""
    every = random.Random(1).randbytes(150000) + bytes(range(256)) * 8 + b"\n\x04no newline"
    for args, command, data in (([], ["cat"], every), ([], ["cat"], b""), ([], ["cat"], b"\x04"),
                                (["-c", "4"], ["sh", "-c", "sleep 1; cat"], every),
                                (["--deterministic"], ["cat"], every[:20000])):
        r = run(args, command, input=data)
        same((r.returncode, r.stdout, r.stderr), (0, data, b""))
    with tempfile.TemporaryFile() as f:
        f.write(every)
        f.seek(0)
        r = run([], ["sha1sum"], stdin=f)
        same((r.returncode, r.stdout.split()[:1]), (0, [hashlib.sha1(every).hexdigest().encode()]))
    with subprocess.Popen(["echo", "echo $((6*7)); exit 9"], stdout=subprocess.PIPE) as p:
        check([], ["sh", "/proc/self/fd/0"], 9, out="42\n", stdin=p.stdout)


def stdin_ends():
    """The command need not read it all; nor need it be a file's or a pipe's; nobody may be there at all."""
    with open("/dev/zero", "rb") as zero:
        r = run([], ["sh", "-c", "head -c 3 | wc -c; test -t 0; echo $?"], stdin=zero)
        same((r.returncode, r.stdout), (0, b"3\n1\n"))
    ours, its = socket.socketpair()
    with ours, its:
        ours.sendall(b"by a socket\x03\n")
        ours.shutdown(socket.SHUT_WR)
        r = run([], ["cat"], stdin=its)
        same((r.returncode, r.stdout), (0, b"by a socket\x03\n"))
    words = [PROGRAM, "run", "-k", KERNEL, "-i", INITRD, "--timeout", "300s", "--", "sh", "-c", "cat; echo end"]
    r = subprocess.run(["sh", "-c", '"$0" "$@" <&-', *words], capture_output=True, timeout=400, check=False)
    same((r.returncode, r.stdout, r.stderr), (0, b"end\n", b""))


def stdin_saved():
    """A machine that is restored goes on with the standard input that it has there."""
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o777)  # a machine that root starts saves there as somebody else
        snap = os.path.join(tmp, "s")
        reads, writes = os.pipe()
        os.write(writes, b"one\n")
        r = run(["-q", "--stop-text", "got one", "--save-at-end", snap],
                ["sh", "-c", "read x; echo got $x; cat; exit 5"], stdin=reads)
        os.close(reads)
        os.close(writes)
        same((r.returncode, r.stdout[:7]), (0, b"got one"))
        r = subprocess.run([PROGRAM, "restore", "-q", "-k", KERNEL, "-i", INITRD, snap], input=b"two\x04\n",
                           capture_output=True, timeout=400, check=False)
        same((r.returncode, r.stdout[-5:]), (5, b"two\x04\n"))


def output():
    """What cannot be written is a failure, and a reader that is gone ends the run."""
    with open("/dev/full", "wb") as full:
        cmd = [PROGRAM, "run", "-k", KERNEL, "-i", INITRD, "--timeout", "300s", "--", "echo", "x"]
        r = subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
                           timeout=400, check=False)
        same((r.returncode, b"No space left" in r.stderr), (125, True))
    cmd[cmd.index("echo"):] = ["yes"]
    with subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        same(p.stdout.readline(), b"y\n")
        p.stdout.close()
        same((p.wait(400), p.stderr.read()), (128 + signal.SIGPIPE, b""))


def interp():
    check(["--engine", "interp"], ["sh", "-c", "uname -m; exit 5"], 5, out="riscv64\n")


def opensbi():
    firmware = os.path.join(need("OPENSBI", ": ./dev firmware"), "fw_dynamic.bin")
    cmd = [PROGRAM, "run", "-b", firmware, "-k", KERNEL, "-i", INITRD, "--timeout", "300s", "--",
           "sh", "-c", "uname -m; exit 6"]
    r = subprocess.run(cmd, stdin=subprocess.DEVNULL, capture_output=True, timeout=400, check=False)
    if r.returncode != 6 or not r.stdout.endswith(b"riscv64\n") or b"OpenSBI" not in r.stdout:
        print(r)
        sys.exit(1)


{"jit": jit, "world": world, "stdin": stdin, "stdin_ends": stdin_ends,
 "stdin_saved": stdin_saved, "output": output, "interp": interp, "opensbi": opensbi}[sys.argv[1]]()
