"""A machine that is talked to on its console."""
import os
import subprocess
import sys

from env import need


def fail(what, out="", err=""):
    print(out[-3000:], err[-2000:], "failed: " + what, sep="\n")
    sys.exit(1)


class Session:
    """A machine that is talked to on its console."""

    def __init__(self, *args, timeout="240s"):
        self.seen, self.at = b"", 0
        self.p = subprocess.Popen([need("PROGRAM"), "run", "-q", "-m", "1G", "--timeout", timeout,
                                   *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)

    def until(self, text):
        """What came up to and with TEXT, after what was returned before."""
        while self.seen.find(text.encode(), self.at) < 0:
            got = os.read(self.p.stdout.fileno(), 65536)
            if not got:
                fail(f"ended before: {text}", self.seen.decode("utf-8", "replace"))
            self.seen += got
        start, self.at = self.at, self.seen.find(text.encode(), self.at) + len(text)
        return self.seen[start:self.at].decode("utf-8", "replace")

    def say(self, text):
        self.p.stdin.write(text.encode() + b"\n")
        self.p.stdin.flush()
