"""Throughput of a machine's disk and network; see bench.py."""
import os
import re
import socket
import statistics
import threading

import guest
from aptbox import Failure

NET_MIB, DISK_MIB = 128, 512


def serve(handle):
    """A listener on the loopback whose connections go to handle(); returns its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=handle, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def sink(peer):
    buf = bytearray(1 << 18)
    while peer.recv_into(buf):
        pass
    peer.close()


def source(peer):
    block = bytes(1 << 18)
    try:
        while True:
            peer.sendall(block)
    except OSError:
        peer.close()


def measure(b, opt, script, extra, reps):
    """{word: {runner: [MiB/s]}} of the lines that the guest's program prints."""
    program = f"{b.OUT}/riscv64/guest_io"
    b.compile_c(b.RISCV_CC, program, [f"{b.SRC}/guest_io.c"], "-static")
    kernel, initrd = guest.ensure()
    with open(program, "rb") as f:
        files = {"guest_io": (f.read(), 0o755), "run.sh": (script.encode(), 0o755)}
    archive = f"{b.OUT}/initrd-io.cpio"
    with open(guest.archive("drivers", guest.make_drivers), "rb") as f:
        drivers = f.read()
    base = archive + ".base"
    with open(initrd, "rb") as f, open(base, "wb") as out:
        out.write(f.read() + drivers)
    guest.append(archive, base, files)
    found = {}
    runners = [r for r in opt.runners if r != "native"]
    for r in b.take_turns(runners, reps):
        command = b.machine_command(r, kernel, archive, "console=ttyS0 quiet run=script")
        lines = b.must(command + extra("godwit" if r.startswith("godwit") else "qemu"))[2]
        got = re.findall(r"io: (\w+) ([\d.]+)", "\n".join(lines))
        if not got:
            raise Failure(f"{r}: the guest measured nothing: {lines[-3:]}")
        for word, mib in got:
            found.setdefault(word, {}).setdefault(r, []).append(float(mib))
    rows = []
    for word, by in found.items():
        m = {r: statistics.median(v) for r, v in by.items()}
        best = max((m[p] for p in b.PEERS if p in m), default=0)
        rows.append([word, *(f"{m[r]:.0f}" for r in runners),
                     f"{m['godwit'] / best:.2f}" if best and "godwit" in m else "-"])
    return found, runners, rows


def bench_net(b, opt):
    to, away = serve(sink), serve(source)
    script = f"""modprobe virtio_net
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
/guest_io send 10.0.2.2 {to} {NET_MIB}
/guest_io recv 10.0.2.2 {away} {NET_MIB}
"""
    found, runners, rows = measure(
        b, opt, script,
        lambda who: ["--net", "user"] if who == "godwit" else
        ["-netdev", "user,id=n", "-device", "virtio-net-device,netdev=n"], opt.reps or 3)
    b.table("TCP through user networking, MiB/s", ["", *runners, "godwit/peer"], rows)
    return found


def bench_disk(b, opt):
    disk = f"{b.OUT}/disk.img"
    if not os.path.exists(disk):
        with open(disk, "wb") as f:
            for _ in range(DISK_MIB):
                f.write(os.urandom(1 << 20))
    script = "".join(f"/guest_io read /dev/vda {DISK_MIB}\n" for _ in range(3))
    found, runners, rows = measure(
        b, opt, script,
        lambda who: ["-q", "-d", disk] if who == "godwit" else
        ["-drive", f"file={disk},format=raw,if=none,id=d,snapshot=on",
         "-device", "virtio-blk-device,drive=d"], opt.reps or 3)
    b.table("sequential reads of 128 KiB, the file in the host's memory, MiB/s",
            ["", *runners, "godwit/peer"], rows)
    return found
