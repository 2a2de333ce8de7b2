"""A file server that never answers a write, for a disk that the host will not come back from.

    file_server.py DIRECTORY    mounts itself there, with one file, "disk", and says "mounted"

Status 77: this host lets nobody do that.
"""
import ctypes
import os
import struct
import sys

BYTES = 512 << 20
DIRECT_IO = 1
# Numbers of the kernel's fuse.h
LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE = 1, 2, 3, 4, 14, 15, 16
RELEASE, FSYNC, FLUSH, INIT, OPENDIR, INTERRUPT, DESTROY, BATCH_FORGET = 18, 20, 25, 26, 27, 36, 38, 42
ENOENT, ENOSYS = 2, 38


def mount(at):
    try:
        fd = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        sys.exit(77)
    options = b"fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other" % (fd, os.getuid(), os.getgid())
    if ctypes.CDLL(None).mount(b"godwit-test", at.encode(), b"fuse", 0, options):
        sys.exit(77)
    return fd


def attributes(node):
    size, mode = (0, 0o40755) if node == 1 else (BYTES, 0o100666)
    return struct.pack("<6Q10I", node, size, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(op, node, body):
    """The bytes, or an error's number; None: no answer."""
    if op == INIT:
        return struct.pack("<4I2H2I2H8I", 7, 31, 65536, 0, 16, 12, 65536, 1, 0, 0, *[0] * 8)
    if op == LOOKUP:
        if body.rstrip(b"\0") != b"disk":
            return ENOENT
        return struct.pack("<4Q2I", 2, 0, 10, 10, 0, 0) + attributes(2)
    if op in (GETATTR, SETATTR):
        return struct.pack("<Q2I", 10, 0, 0) + attributes(node)
    if op in (OPEN, OPENDIR):
        return struct.pack("<Q2I", 1, DIRECT_IO if op == OPEN else 0, 0)
    if op == READ:
        _, offset, size = struct.unpack_from("<QQI", body)
        return bytes(max(0, min(size, BYTES - offset)))
    if op in (RELEASE, FSYNC, FLUSH, DESTROY):
        return b""
    return None if op in (FORGET, BATCH_FORGET, INTERRUPT, WRITE) else ENOSYS


def main():
    fd = mount(sys.argv[1])
    print("mounted", flush=True)
    while True:
        try:
            request = os.read(fd, 1 << 21)
        except OSError:  # is unmounted
            return
        size, op, unique, node = struct.unpack_from("<IIQQ", request)
        said = answer(op, node, request[40:size])
        if said is None:
            continue
        error, data = (-said, b"") if isinstance(said, int) else (0, said)
        os.write(fd, struct.pack("<IiQ", 16 + len(data), error, unique) + data)


main()
