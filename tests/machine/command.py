"""run ... -- CMD with Debian's kernel: command.py WHAT. Needs GODWIT_PROGRAM, GODWIT_KERNEL and
GODWIT_INITRD, and what WHAT needs; skipped without, by status 77."""
import os
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


def stdin():
    """A pipe's bytes arrive once, as they are, and have an end, with and without a last newline."""
    many = "".join(f"line {i}\x03\x11\r\n" for i in range(3000))
    for text in ("a\nb", "a\n", "", many):
        with tempfile.TemporaryFile() as f:
            f.write(text.encode())
            f.seek(0)
            check([], ["cat"], out=text, stdin=f)
    with subprocess.Popen(["echo", "echo $((6*7)); exit 9"], stdout=subprocess.PIPE) as p:
        check([], ["sh", "/proc/self/fd/0"], 9, out="42\n", stdin=p.stdout)


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


{"jit": jit, "world": world, "stdin": stdin, "interp": interp, "opensbi": opensbi}[sys.argv[1]]()
