#!/usr/bin/env python3
"""Machines that obey, whatever their guests and their clients do.

    obey.py WHAT GODWIT DIRECTORY-OF-GUESTS
"""
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

WHAT, GODWIT, GUESTS = sys.argv[1:4]
TMP = tempfile.TemporaryDirectory()
RUN = os.path.join(TMP.name, "run")
os.chmod(TMP.name, 0o777)  # a machine that root starts removes its sockets as somebody else
# What answers, answers in a fraction of this; sanitizers and busy hosts take longer.
SOON_S, FORCE_S = 10, 2.5
DISK_BYTES = 512 << 20


def path(name):
    return os.path.join(TMP.name, name)


def check(condition, what):
    if not condition:
        sys.exit("failed: %s" % what)


def godwit(*args, timeout=120, **more):
    return subprocess.run([GODWIT, *args], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=timeout, check=False, **more)


def soon(seconds, *args, status=0):
    """A verb that ends in time, with this status; its output."""
    began = time.monotonic()
    r = godwit(args[0], "--run-dir", RUN, *args[1:], timeout=seconds)
    check(r.returncode == status,
          "%s: status %d: %s" % (args, r.returncode, r.stderr.decode()))
    print("%-40s %.2f s" % (" ".join(args), time.monotonic() - began))
    return r.stdout.decode()


class Machine:
    def __init__(self, guest, *args):
        self.p = subprocess.Popen(
            [GODWIT, "run", "--run-dir", RUN, "--name", "one", "-b", "none", "-m", "64M", "-k",
             os.path.join(GUESTS, guest + ".elf"), *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        check(self.p.stdout.read(3) == b"up\n", "the guest is up: %s" % self.p.stderr)

    def ended(self, status, seconds=SOON_S):
        began = time.monotonic()
        try:
            got = self.p.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.p.kill()
            sys.exit("failed: no end within %d s" % seconds)
        check(got == status, "status %d, not %d: %s" % (got, status, self.p.stderr.read()))
        print("%-40s %.2f s" % ("the end", time.monotonic() - began))
        self.p.stderr.close()


def killed(m, word="killed 137 "):
    """Within a second, whatever its threads do; how it ended is known, and its name is free."""
    began = time.monotonic()
    soon(FORCE_S, "stop", "--force", "one")
    took = time.monotonic() - began
    check(took < FORCE_S, "it took %.2f s" % took)
    m.ended(128 + signal.SIGKILL if word else -signal.SIGKILL)
    with open(RUN + "/one.ended", encoding="ascii") as f:
        check(f.read().startswith(word), "how it ended is known")
    check(sorted(os.listdir(RUN)) == ["one.ended", "one.grants", "one.lock", "one.own"] and
          not os.listdir(RUN + "/one.own"), "nothing else stays")


def sparse(name, size):
    with open(path(name), "wb") as f:
        f.truncate(size)
    return path(name)


def glutton(*args):
    disk = sparse("disk", DISK_BYTES)
    m = Machine("glutton", "-d", disk + ",rw", *args)
    time.sleep(1)
    return m


def everything_is_answered(*args):
    """With writes of gigabytes under way."""
    m = glutton(*args)
    for _ in range(3):
        check("virtio-blk: writes" in soon(SOON_S, "stats", "one"), "stats are stats")
        check("running" in soon(SOON_S, "ps"), "it runs")
    # One that can be repeated is saved at certain counts, between which its disk may have work.
    soon(SOON_S if not args else 100, "save", "one", path("snap"))
    check(godwit("snap", "verify", path("snap")).returncode == 0, "the snapshot is whole")
    soon(SOON_S, "pause", "one")
    soon(SOON_S, "stats", "one")
    soon(SOON_S, "resume", "one")
    soon(SOON_S, "reset", "one")
    soon(SOON_S, "stop", "one")
    m.ended(0)
    m = glutton(*args)
    m.p.terminate()
    m.ended(128 + signal.SIGTERM)
    m = glutton(*args)
    killed(m)
    m = glutton("--timeout", "2s", *args)
    m.ended(124)


def disk_host():
    everything_is_answered()


def disk_repeatable():
    everything_is_answered("--deterministic")


def disk_limits():
    """A limit is in the manifest, and holds when the machine goes on elsewhere."""
    sparse("disk", DISK_BYTES)
    m = Machine("glutton", "-d", path("disk") + ",bps=8M,iops=40")
    soon(SOON_S, "save", "one", path("snap"))
    info = godwit("snap", "--json", "info", path("snap")).stdout.decode()
    check('"bps": 8388608' in info and '"iops": 40' in info, "the limits are saved: " + info)
    soon(SOON_S, "stop", "one")
    m.ended(0)
    # On its own, and with its disk named again: three seconds are worth 120 requests, and a burst.
    for again in ((), ("-d", path("disk"))):
        r = godwit("restore", "-q", "--stats", "--timeout", "3s", *again, path("snap"))
        check(r.returncode == 124, "it goes on: %s" % r.stderr)
        writes = int(re.search(rb"virtio-blk: writes (\d+)", r.stderr)[1])
        check(writes < 3 * 40 + 40, "%d writes in 3 seconds" % writes)


def writer():
    """Without FLUSH, what is acknowledged outlives the machine."""
    sparse("disk", 4 << 20)
    m = Machine("writer", "-d", path("disk") + ",overlay=" + path("overlay"))
    m.p.kill()
    m.ended(-signal.SIGKILL)
    with open(path("overlay"), "rb") as f:
        overlay = f.read()
    for i in range(200):  # header, a block of bitmap, then the clusters at their places
        check(overlay[4096 + i // 8] >> i % 8 & 1, "the overlay names sector %d" % (8 * i))
        at = 8192 + 4096 * i
        check(overlay[at:at + 512] == bytes([i + 1]) * 512, "sector %d is there" % (8 * i))


def flows():
    if not os.path.exists(os.path.join(os.path.dirname(GODWIT), "godwit-net.so")):
        print("built without user networking: skipped")
        sys.exit(77)
    m = Machine("flows", "--net", "user")
    time.sleep(1)
    own = len(os.listdir("/proc/%d/fd" % m.p.pid))
    check(own < 100, "the machine has %d descriptors" % own)
    for _ in range(20):
        soon(SOON_S, "stats", "one")
    soon(SOON_S, "save", "one", path("snap"))
    soon(SOON_S, "stop", "one")
    m.ended(0)


def console():
    """A reader that stalls: a run that can be repeated waits for it, and for nobody else."""
    for how in ("--deterministic", "--clock=insns", "--clock=host"):
        m = Machine("talker", how)
        time.sleep(0.5)
        soon(SOON_S, "stats", "one")
        soon(SOON_S, "save", "one", path("snap"))
        soon(SOON_S, "pause", "one")
        soon(SOON_S, "resume", "one")
        soon(SOON_S, "stop", "one")
        m.ended(0)
        m = Machine("talker", how, "--timeout", "1s")
        m.ended(124)
        m = Machine("talker", how)
        m.p.terminate()
        m.ended(128 + signal.SIGTERM)


def clients():
    """Who does nothing does not keep others out, and who listens to nobody is heard of."""
    m = Machine("talker")
    idle = crowd()
    soon(SOON_S, "stop", "one")
    m.ended(0)
    del idle
    m = Machine("talker")
    idle = crowd()
    killed(m)
    del idle


def crowd():
    said = (b"", b"godwit 1 sta", b"godwit 1 wait\n", b"godwit 1 stats\n" * 5000)
    clients_all = []
    for i in range(200):
        s = socket.socket(socket.AF_UNIX)
        s.connect(RUN + "/one.own/sock")
        s.setblocking(False)
        if said[i % 4]:
            s.send(said[i % 4])
        clients_all.append(s)
        if i % 40 == 0:
            soon(SOON_S, "stats", "one")
    return clients_all


def held():
    """Threads that will not move: the control thread needs none of them, the client not even that."""
    PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000
    libc = ctypes.CDLL(None, use_errno=True)
    disk = sparse("disk", DISK_BYTES)
    sandbox = re.search(rb"^sandbox of machines +yes", godwit("doctor").stdout, re.M)
    for saves in (False, True):
        m = Machine("glutton", "-d", disk + ",rw", "--serial", "stdio", "--serial",
                    "unix:" + path("line"), "--report", path("report"))
        waits = subprocess.Popen([GODWIT, "wait", "--run-dir", RUN, "one"])
        save = saves and subprocess.Popen([GODWIT, "save", "--run-dir", RUN, "one", path("snap")],
                                          stderr=subprocess.DEVNULL)
        threads = sorted(map(int, os.listdir("/proc/%d/task" % m.p.pid)))
        threads.pop(1)  # the control thread, which is made first
        for t in threads:
            if libc.ptrace(PTRACE_SEIZE, t, 0, 0) or libc.ptrace(PTRACE_INTERRUPT, t, 0, 0):
                print("no thread can be held: skipped")
                sys.exit(77)
            os.waitpid(t, WALL)
        began = time.monotonic()
        force = subprocess.Popen([GODWIT, "stop", "--run-dir", RUN, "--force", "one"],
                                 stderr=subprocess.PIPE)
        # Those that are held are not gone before we have heard so.
        for t in threads[1:]:
            os.waitpid(t, WALL)
        check(force.wait() == 0 and time.monotonic() - began < FORCE_S, "it is killed")
        check(waits.wait(timeout=FORCE_S) == 128 + signal.SIGKILL, "who waits is told")
        m.ended(128 + signal.SIGKILL)
        with open(path("report"), encoding="ascii") as f:
            check('"ended": "killed", "status": 137' in f.read(), "the report is written")
        until = time.monotonic() + SOON_S
        # By the broker, which a machine has that is locked in.
        while sandbox and os.path.exists(path("line")):
            check(time.monotonic() < until, "its sockets are removed")
        if save:
            check(save.wait(timeout=SOON_S) != 0, "there is no snapshot")
            check(not os.path.exists(path("snap")), "there is no snapshot")
    m = Machine("glutton", "-d", disk + ",rw")
    m.p.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, m.p.pid, os.WSTOPPED)
    killed(m, "")


def hung():
    """A disk on a file server that does not answer: a thread is in a call that no signal ends."""
    where = path("served")
    os.mkdir(where)
    program = os.path.join(os.path.dirname(__file__), "file_server.py")
    server = subprocess.Popen([sys.executable, "-B", program, where], stdout=subprocess.PIPE)
    try:
        if server.stdout.readline() != b"mounted\n":
            print("no file server can be had: skipped")
            sys.exit(77)
        m = Machine("glutton", "-d", where + "/disk,rw")
        time.sleep(1)
        soon(SOON_S, "stats", "one")
        check("one" in soon(SOON_S, "ps"), "it is there")
        force = godwit("stop", "--run-dir", RUN, "--force", "one", timeout=FORCE_S)
        check(force.returncode == 0 and b"still holds process" in force.stderr,
              "it is killed, and held: %s" % force.stderr)
        check(re.search(" killed +137 ", soon(SOON_S, "ps", "-a")), "how it ended is known")
        server.kill()  # and the call comes back
        m.ended(128 + signal.SIGKILL)
    finally:
        server.kill()
        server.wait()
        subprocess.run(["umount", "-l", where], check=False, capture_output=True)


os.mkdir(RUN, 0o700)
{f.__name__: f for f in (disk_host, disk_repeatable, disk_limits, writer, flows, console,
                         clients, held, hung)}[WHAT]()
