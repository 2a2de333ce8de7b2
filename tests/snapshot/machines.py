"""The machines of the fixtures: what they are made of, and how they are saved and restored.

A file that a machine needs is made from this table each time, of the same size and time of change, so
that a snapshot of it can be restored anywhere.
"""
import os
import socket
import subprocess
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
MTIME_NS = 1_700_000_000_123_456_789
SETTING = 0x80800000  # see guest/say.h: exact, panic, second_port
SPAN = 1 << 23  # repeatable runs can be saved at multiples of it

DISKS = ["-d", "{dir}/disk0", "-d", "{dir}/disk1,iops=10"]
PORTS = ["--console", "file:{dir}/console", "--port", "org.test=file:{dir}/port"]
TWO = ["--serial", "stdio", "--serial", "file:{dir}/serial1"]
FW_CFG = ["--fw-cfg", "opt/x={dir}/blob"]
NET = ["--net", "socket:{dir}/net,mac=52:54:00:ab:cd:ef"]
M = ["-b", "none"]
EXACT = ["--deterministic", "--seed", "7"]


class Machine:
    """run: what made it; outside: what a restore must be told, too, of the world around it.

    later: its state is a function of the count, so that it can be compared further on. moves: fields
    that the world changes at once. uses: fields that it is there for.
    """

    def __init__(self, guest, setting, run, outside=(), stop=5_000_000, later=False, harts=1,
                 status=0, restores=True, typed=b"", uses=(), moves=(), command=()):
        self.guest, self.setting, self.stop, self.later = guest, setting, stop, later
        self.outside, self.status, self.restores = list(outside), status, restores
        self.typed, self.uses, self.moves = typed, uses, moves
        self.harts, self.command = harts, list(command)
        self.run = ["-m", "16M", "-c", str(harts), *run]


MACHINES = {
    "devices": Machine(
        "state_m", [1, 0, 1], [*M, *EXACT, "--cpu", "rv64,sscofpmf=on"],
        [*DISKS, *PORTS, *TWO], stop=20_000_000, later=True, typed=b"typed ahead, more than fits\n",
        uses=["uart0.rx_count", "uart1.polls", "rtc.alarm_running", "rtc.irq_pending",
              "rtc.set_ns", "rtc.set_high",
              "clint.mtimecmp", "clint.mtime_offset", "fw-cfg.dma_at", "pci-host.command",
              "flash0.mode", "flash1.words", "virtio-mmio1.dev.stalled",
              "virtio-mmio1.dev.rate.ops_paid_ns", "virtio-mmio1.queue[0].avail_wrap",
              "virtio-mmio6.dev.owed", "virtio-mmio6.dev.open", "virtio-mmio7.dev.state",
              "plic.claimed", "plic.pending", "plic.enable", "plic.threshold", "cpu0.f",
              "cpu0.mhpmevent", "cpu0.mhpm_offset", "cpu0.hpm_counting", "cpu0.time_offset",
              "disk0.pages", "flash-bytes0.pages", "flash-bytes1.pages", "machine.tohost",
              "machine.panic_matched"]),
    "harts": Machine(
        "state_m", [1, 0, 0], [*M, *EXACT, "--cpu", "rv64,sscofpmf=on"], DISKS, stop=20_000_000,
        later=True, harts=4, typed=b"typed ahead, more than fits\n",
        uses=["machine.turn", "cpu0.reserved_value", "cpu1.satp", "cpu2.satp", "cpu3.halted",
              "clint.msip", "console0.input_count", "cpu1.mcountinhibit"]),
    "max": Machine(
        "state_m", [1, 0, 0], [*M, *EXACT, "--cpu", "max"], DISKS, later=True, harts=4),
    "host": Machine(
        "state_m", [0, 0, 1],
        [*M, "--name", "fixture", "--flash", "1={dir}/flash", "--cpu", "rv64,sscofpmf=on"],
        [*DISKS, *PORTS, *TWO], uses=["virtio-mmio1.dev.stalled"]),
    # A card that sends what it can when it is there again.
    "net": Machine(
        "state_m", [0, 0, 0], M, [*DISKS, *NET], moves=("virtio-mmio6.", "ram."),
        uses=["virtio-mmio6.dev.link_up", "virtio-mmio6.dev.tx_stalled"]),
    "threads": Machine(
        "state_m", [0, 0, 0], [*M, "--cpu", "rv64,sscofpmf=on"], DISKS, harts=4,
        stop=80_000_000, uses=["cpu0.reserved_value", "cpu1.satp", "cpu2.satp", "cpu3.halted"]),
    "clock": Machine(
        "state_m", [0, 0, 0], [*M, "--clock", "insns:200"], DISKS,
        uses=["machine.clock_ns"]),
    # Of files by fixed names, so it can be opened and not more.
    "files": Machine(
        "state_m", [1, 0, 0],
        [*M, "--clock", "insns", "--seed", "9", "--fw-cfg", "opt/x={dir}/blob", "--flash",
         "1={dir}/flash,rw", "-i", "{dir}/blob", "--load", "{dir}/blob@0x80900000", "--net", "user"],
        ["-d", "{dir}/disk0,rw", "-d", "{dir}/disk1,overlay={dir}/overlay"], restores=False),
    "sbi": Machine(
        "state_s", [1, 0, 0], [*EXACT, "-a", "a command line", "--cpu",
                                  "rv64,sstc=off,sscofpmf=on"], later=True, harts=4,
        uses=["sbi2.state", "sbi2.at", "sbi2.opaque", "sbi3.state", "vcpu0.other_insns",
              "cpu0.mhpmevent"]),
    "sbi_host": Machine(
        "state_s", [0, 0, 0], ["--cpu", "rv64,sstc=off"], harts=4, stop=40_000_000,
        uses=["sbi2.state", "sbi2.at", "sbi2.opaque", "sbi3.state"]),
    # Its standard input has ended before it was saved.
    "command": Machine(
        "state_c", [1, 0, 0], [*M, *EXACT], typed=b"typed ahead, more than fits\n", status=3,
        command=["--", "cmd"],
        uses=["console0.framed", "console0.frame_left", "console0.allowed", "console0.ended",
              "console0.input_count"]),
    "panic": Machine(
        "state_m", [1, 1, 0], [*M, *EXACT], stop=400_000_000, status=123, later=True,
        uses=["machine.panicked", "machine.panic_looks", "machine.panic_output"]),
}


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)
    os.utime(path, ns=(MTIME_NS, MTIME_NS))


def make_files(folder, machine):
    for disk in ("disk0", "disk1"):
        write(f"{folder}/{disk}", bytes(1 << 20))
    write(f"{folder}/blob", b"the file of the firmware\n")
    write(f"{folder}/setting", bytes(machine.setting + [0] * (8 - len(machine.setting))))
    flash = bytearray(b"\xff" * (32 << 20))
    flash[0x40000:0x40004] = b"bank"
    if "--flash" in machine.run:
        write(f"{folder}/flash", flash)


class Listener:
    """The other end of a network card; it reads when it is told to."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(1)
        self.reads = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        peer, _ = self.socket.accept()
        self.reads.wait()
        while peer.recv(65536):
            pass

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.socket.close()


def call(program, folder, args, typed=b"", reads=False):
    """Runs the program on the files of a folder, where a network card needs somebody to talk to."""
    args = [a.replace("{dir}", folder) for a in args]
    os.environ["XDG_CONFIG_HOME"] = folder + "/config"
    net = any(a.startswith("socket:") for a in args)
    if not net:
        return subprocess.run([program, *args], input=typed, capture_output=True, timeout=120,
                              check=False)
    with Listener(f"{folder}/net") as listener:
        if reads:
            listener.reads.set()
        try:
            return subprocess.run([program, *args], input=typed, capture_output=True, timeout=120,
                                  check=False)
        finally:
            os.unlink(f"{folder}/net")
