"""A deterministic writer of newc cpio archives, the form that Linux takes as an initrd.

Times are 0, owners root, inode numbers count up: the same input gives the same bytes.
"""
import stat


class Cpio:
    def __init__(self):
        self._out = bytearray()
        self._ino = 0
        self._dirs = set()

    def _entry(self, name, mode, data=b"", rdev=(0, 0), nlink=1):
        self._ino += 1
        raw = name.encode() + b"\0"
        fields = (self._ino, mode, 0, 0, nlink, 0, len(data), 0, 0, rdev[0], rdev[1], len(raw), 0)
        self._out += b"070701" + b"".join(b"%08X" % f for f in fields) + raw
        self._pad()
        self._out += data
        self._pad()

    def _pad(self):
        self._out += bytes(-len(self._out) % 4)

    def _parents(self, name):
        parts = name.split("/")[:-1]
        for i in range(1, len(parts) + 1):
            self.dir("/".join(parts[:i]))

    def dir(self, name):
        if name in self._dirs:
            return
        self._parents(name)
        self._dirs.add(name)
        self._entry(name, stat.S_IFDIR | 0o755, nlink=2)

    def file(self, name, data, mode=0o644):
        self._parents(name)
        self._entry(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        self._parents(name)
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def char(self, name, major, minor):
        self._parents(name)
        self._entry(name, stat.S_IFCHR | 0o600, rdev=(major, minor))

    def finish(self):
        self._ino = -1
        self._entry("TRAILER!!!", 0)
        self._out += bytes(-len(self._out) % 512)
        return bytes(self._out)
