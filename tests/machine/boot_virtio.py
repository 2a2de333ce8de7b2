"""Debian's own virtio drivers against our devices: boot_virtio.py packed|split. Needs GODWIT_PROGRAM,
GODWIT_KERNEL, GODWIT_INITRD and GODWIT_DRIVERS (./dev check sets them); skipped without, by status
77."""
import hashlib
import http.server
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
from cpio import Cpio  # noqa: E402
from env import need  # noqa: E402

GUEST = r"""
say() { echo "virtio: $*"; }
modprobe -a virtio_net virtio_rng || say no modules
say rng $(cat /sys/class/misc/hw_random/rng_current) $(dd if=/dev/hwrng bs=100 count=3 2>/dev/null | wc -c)
say rings $(cut -c29,35 /sys/bus/virtio/devices/*/features | sort -u)
cat >/tmp/dhcp <<'END'
[ "$1" = bound ] || exit 0
ip addr add $ip/24 dev eth0
ip route add default via $router
echo "virtio: lease $ip from $serverid, router $router, dns $dns" >/tmp/lease
END
chmod +x /tmp/dhcp
ip link set lo up
ip link set eth0 up
udhcpc -i eth0 -s /tmp/dhcp -n -q -t 5 >/dev/null 2>&1
cat /tmp/lease
say wget $(wget -q -O - http://10.0.2.2:PORT/data | md5sum)
dd if=/dev/zero bs=64k count=32 2>/dev/null | nc 10.0.2.2 SINK
say sent
[ -e /dev/vda ] && {
    say discard $(cat /sys/block/vda/queue/discard_max_bytes) $(cat /sys/block/vda/queue/write_zeroes_max_bytes)
    yes godwit | head -c 1048576 | dd of=/dev/vda bs=64k conv=fsync 2>/dev/null
    blkdiscard -o 262144 -l 131072 /dev/vda && say discarded
    echo 3 >/proc/sys/vm/drop_caches
    say disk $(dd if=/dev/vda bs=64k count=16 2>/dev/null | md5sum)
}
echo "hello from hvc0" >/dev/hvc0
channel=$(basename $(dirname $(grep -l org.godwit.test /sys/class/virtio-ports/*/name)))
exec 3<>/dev/$channel
echo "question" >&3
read -r line <&3
say channel $line
echo "hello from the guest" | nc -l -p 7070 &
say listening
wait
"""
PROGRAM, KERNEL, INITRD, DRIVERS = (need(n) for n in ("PROGRAM", "KERNEL", "INITRD", "DRIVERS"))
if not os.path.exists(os.path.join(os.path.dirname(PROGRAM), "godwit-net.so")):
    print("skipped: built without libslirp")
    sys.exit(77)
DATA = bytes(range(256)) * 4096 + b"the end"
DISK_BYTES = 8 << 20


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA)

    def log_message(self, *args):
        pass


class Sink:
    """Counts what one connection sends."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.bytes = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        peer, _ = self.listener.accept()
        while chunk := peer.recv(1 << 16):
            self.bytes += len(chunk)
        peer.close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def ask_guest(port, answer):
    """Once the guest says that it listens: until it does, connections end without a word."""
    end = time.monotonic() + 120
    while not answer and time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
                s.settimeout(5)
                word = s.recv(100)
                if word:
                    answer.append(word)
        except OSError:
            pass
        time.sleep(0.2)


def serve_channel(path, got):
    """The host's end of the guest's channel: an answer to what it asks."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(path)
                while not got or not got[-1:] == b"\n":
                    part = s.recv(100)
                    if not part:
                        return
                    got += part
                s.sendall(b"answer\n")
                s.recv(100)
                return
        except OSError:
            time.sleep(0.2)


def expect(condition, what):
    if not condition:
        print("failed:", what)
        sys.exit(1)


def boot(tmp, rings):
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    sink, published, answer = Sink(), free_port(), []
    disk, archive = os.path.join(tmp, "disk"), os.path.join(tmp, "initrd")
    extra = Cpio()
    script = GUEST.replace("PORT", str(web.server_port)).replace("SINK", str(sink.port))
    extra.file("run.sh", script.encode(), 0o755)
    with open(archive, "wb") as out:
        for part in (INITRD, DRIVERS):
            with open(part, "rb") as f:
                out.write(f.read())
        out.write(extra.finish())
    with open(disk, "wb") as f:
        f.truncate(DISK_BYTES)
    asker = threading.Thread(target=ask_guest, args=(published, answer), daemon=True)
    channel, console, asked = os.path.join(tmp, "ch"), os.path.join(tmp, "hvc0"), bytearray()
    threading.Thread(target=serve_channel, args=(channel, asked), daemon=True).start()
    r = subprocess.Popen(
        [PROGRAM, "run", "-k", KERNEL, "-i", archive, "-m", "512M", "-d", disk + ",rw",
         "-a", "console=ttyS0 quiet run=script", "-p", f"{published}:7070",
         "--console", "file:" + console, "--port", "org.godwit.test=unix:" + channel, "--timeout", "300s",
         *(["--no-packed-rings"] if rings == "split" else [])],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    out = ""
    for line in r.stdout:
        out += line.decode("utf-8", "replace")
        if b"virtio: listening" in line:
            asker.start()
    errors = r.communicate()[1].decode()
    lines = {k: v for k, _, v in (line[8:].strip().partition(" ") for line in out.splitlines()
                                  if line.startswith("virtio: "))}
    if asker.ident:
        asker.join(10)
    web.shutdown()
    expect(r.returncode == 0, (r.returncode, out[-3000:], errors[-500:]))
    with open(console, "rb") as f:
        expect(f.read() == b"hello from hvc0\r\n", "the console's output")
    expect(asked == b"question\n", asked)
    return lines, sink, answer, disk, out


def main():
    rings = sys.argv[1]
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o777)  # a machine that root starts removes its socket as somebody else
        lines, sink, answer, disk, out = boot(tmp, rings)
        md5 = hashlib.md5
        expect(lines.get("rng") == "virtio_rng.0 300", out[-3000:])
        # bits 28 and 34 of the features: indirect tables, and packed rings
        expect(lines.get("rings") == ("11" if rings == "packed" else "10"), lines)
        expect(lines.get("lease") == "10.0.2.15 from 10.0.2.2, router 10.0.2.2, dns 10.0.2.3", out)
        expect(lines.get("wget", "").split() == [md5(DATA).hexdigest(), "-"], lines)
        expect(lines.get("channel") == "answer", out[-3000:])
        expect(sink.bytes == 2 << 20, sink.bytes)
        expect("discarded" in lines and lines.get("discard") == "1073741824 1073741824", lines)
        text = (b"godwit\n" * 150000)[:1 << 20]
        want = text[:262144] + bytes(131072) + text[262144 + 131072:]
        expect(lines.get("disk", "").split() == [md5(want).hexdigest(), "-"], lines)
        with open(disk, "rb") as f:
            expect(f.read(1 << 20) == want, "the disk's file has what the guest wrote")
        expect(os.stat(disk).st_blocks * 512 <= (1 << 20) - 131072 + 65536, "discards free storage")
        expect(answer == [b"hello from the guest\n"], answer)


main()
