"""Debian's kernel on a host that fails it: boot_faults.py disks|tap. Disks: a file system whose file is
cut short, an overlay that has no room left, a hang-up after a flush. Tap: the host takes it away. Needs
GODWIT_PROGRAM, GODWIT_KERNEL, GODWIT_INITRD and for tap GODWIT_DRIVERS (./dev check sets them), and the
right to make a tap; skipped without, by status 77."""
import hashlib
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
from cpio import Cpio  # noqa: E402
from env import need, tool  # noqa: E402

PROGRAM, KERNEL, INITRD = (need(n) for n in ("PROGRAM", "KERNEL", "INITRD"))

# vda: ext4 on a file that is cut short meanwhile. vdb: an overlay with room for 4 MiB.
GUEST = r"""
say() { echo "faults: $*"; }
mount -t ext4 /dev/vda /mnt || say no mount
say data $(md5sum </mnt/data)
echo 3 >/proc/sys/vm/drop_caches
say cut
read -r line
cat /mnt/data 2>&1 >/dev/null | sed 's/^/faults: /'
echo more >/mnt/more && sync /mnt/more || say no more
say $(cut -d' ' -f4 /proc/mounts | grep -c ^ro)
yes kept | head -c 1048576 >/tmp/kept
dd if=/tmp/kept of=/dev/vdb bs=64k conv=fsync 2>/dev/null && say kept
dd if=/dev/zero of=/dev/vdb bs=64k seek=16 count=128 conv=fsync 2>&1 | grep error | sed 's/^/faults: /'
dd if=/tmp/kept of=/dev/vdb bs=4k count=1 conv=fsync,notrunc 2>/dev/null && say goes on
"""
AGAIN = r"""
echo "faults: again $(dd if=/dev/vda bs=64k count=16 2>/dev/null | md5sum)"
echo flushed | dd of=/dev/vda bs=512 seek=4096 conv=fsync,sync 2>/dev/null
echo "faults: flushed"
read -r line
"""
LAST = r"""
echo "faults: last $(dd if=/dev/vda bs=512 skip=4096 count=1 2>/dev/null | head -n 1)"
"""
# Frames go out until the link is down; then the machine goes on without.
TAP = r"""
modprobe virtio_net || echo "faults: no module"
i=0
until [ -d /sys/class/net/eth0 ] || [ $i = 50 ]; do i=$((i + 1)); sleep 0.1; done
ip link set eth0 up && ip address add 10.9.8.2/24 dev eth0
ping -c 1 -w 10 10.9.8.1 >/dev/null && echo "faults: reached"
read -r line
until [ "$(cat /sys/class/net/eth0/carrier)" = 0 ]; do ping -c 1 -w 1 10.9.8.1 >/dev/null; done
echo "faults: no carrier"
"""


def expect(condition, what):
    if not condition:
        print("failed:", what)
        sys.exit(1)


class Machine:
    def __init__(self, tmp, script, *args, parts=(INITRD,)):
        archive, extra = os.path.join(tmp, "initrd"), Cpio()
        extra.file("run.sh", script.encode(), 0o755)
        with open(archive, "wb") as out:
            for part in parts:
                with open(part, "rb") as f:
                    out.write(f.read())
            out.write(extra.finish())
        self.p = subprocess.Popen(
            [PROGRAM, "run", "-k", KERNEL, "-i", archive, "-m", "512M", *args,
             "-a", "console=ttyS0 quiet run=script", "--timeout", "300s"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE)
        self.out = ""

    def until(self, text):
        for line in self.p.stdout:
            self.out += line.decode("utf-8", "replace")
            if text in self.out:
                return
        expect(False, f"'{text}' in {self.out[-2000:]} {self.p.stderr.read().decode()}")

    def go_on(self):
        self.p.stdin.write(b"\n")
        self.p.stdin.flush()

    def end(self, status=0):
        out, err = self.p.communicate(timeout=400)
        self.out += out.decode("utf-8", "replace")
        expect(self.p.returncode == status, (self.p.returncode, self.out[-2000:], err))
        return err.decode()


def disks(tmp):
    mkfs = tool("mkfs.ext4")
    tree, ext4, disk, overlay = (os.path.join(tmp, n) for n in ("tree", "ext4", "disk", "overlay"))
    os.mkdir(tree)
    with open(os.path.join(tree, "data"), "wb") as f:
        f.write(os.urandom(1 << 20))
    for path in (ext4, disk):
        with open(path, "wb") as f:
            f.truncate(16 << 20)
    subprocess.run([mkfs, "-q", "-F", "-d", tree, ext4], check=True)

    # Limits are set by one of the same user, which a machine of root's is not where it has a sandbox.
    doctor = subprocess.run([PROGRAM, "doctor"], capture_output=True, text=True,
                            check=False).stdout
    given_up = os.geteuid() == 0 and re.search(r"^root is given up +yes", doctor, re.M)
    stays = ["--user", "root"] if given_up else []
    m = Machine(tmp, GUEST, *stays, "-d", ext4, "-d", disk + ",overlay=" + overlay)
    m.until("faults: cut")
    os.truncate(ext4, 65536)
    resource.prlimit(m.p.pid, resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))
    m.go_on()
    err = m.end()
    expect("Input/output error" in m.out or "I/O error" in m.out, m.out[-3000:])
    expect("faults: kept" in m.out and "faults: goes on" in m.out, m.out[-3000:])
    expect(err.count(f"godwit: error: cannot read the disk: {ext4}: Input/output error\n") == 1, err)
    expect(err.count(f"godwit: error: cannot write to the disk: {disk}: File too large\n") == 1, err)
    # Beside these: what went to the temporary overlay of the first disk, and a write that needed the
    # rest of a cluster from its file.
    expect(err.count("godwit: error") in (2, 3), err)

    m = Machine(tmp, AGAIN, "-d", disk + ",overlay=" + overlay)
    m.until("faults: flushed")
    m.p.send_signal(signal.SIGHUP)
    expect("error" not in m.end(129), "no error")
    kept = (b"kept\n" * 300000)[:1 << 20]
    expect("faults: again " + hashlib.md5(kept).hexdigest() in m.out, m.out[-2000:])

    m = Machine(tmp, LAST, "-d", disk + ",overlay=" + overlay)
    m.end()
    expect("faults: last flushed" in m.out, m.out[-2000:])


def ip(*words):
    return subprocess.run([tool("ip"), *words], capture_output=True, check=False).returncode == 0


def tap(tmp):
    name = f"gw{os.getpid()}"
    if not ip("tuntap", "add", name, "mode", "tap"):
        print("skipped: no tap can be made here")
        sys.exit(77)
    try:
        expect(ip("address", "add", "10.9.8.1/24", "dev", name), "an address")
        expect(ip("link", "set", name, "up"), "up")
        m = Machine(tmp, TAP, "--net", "tap:" + name, parts=(INITRD, need("DRIVERS")))
        m.until("faults: reached")
        expect(ip("link", "del", name), "the tap goes")
        m.go_on()
        err = m.end()
    finally:
        ip("link", "del", name)
    expect("faults: no carrier" in m.out, m.out[-2000:])
    expect(err.count("the network device is gone") == 1, err)


with tempfile.TemporaryDirectory() as where:
    {"disks": disks, "tap": tap}[sys.argv[1]](where)
