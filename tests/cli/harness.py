"""Runs the program under test and checks what the command line promises."""
import atexit
import os
import re
import shutil
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["GODWIT_PROGRAM"]
# Whatever the tests are started from, what they start has no terminal unless they give it one.
with open(os.devnull, "rb") as null:
    os.dup2(null.fileno(), 0)
# Where the key of seals is made: not in the home of whoever runs the tests.
CONFIG = os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="godwit-test-config.")
atexit.register(shutil.rmtree, CONFIG, ignore_errors=True)
# A machine whose process the test meddles with, which root alone could where it becomes another user.
# Where there is no sandbox it stays what it was.
DOCTOR = subprocess.run([PROGRAM, "doctor"], capture_output=True, text=True, check=False).stdout
STAYS = ("--user", "root") if os.geteuid() == 0 and re.search(r"^root is given up +yes", DOCTOR, re.M) else ()
# TSan keeps the addresses for itself that programs would have.
EXEC = subprocess.run([PROGRAM, "exec", "/"], capture_output=True, check=False).returncode != 66
ERROR = re.compile(r"^godwit: error: .+\n(hint: .+\n)?$")


class CliTest(unittest.TestCase):
    def setUp(self):
        self.tmp = tempfile.TemporaryDirectory()
        self.addCleanup(self.tmp.cleanup)
        os.chmod(self.tmp.name, 0o777)  # machines that root starts save there as somebody else

    def path(self, name, data=None):
        p = os.path.join(self.tmp.name, name)
        if data is not None:
            with open(p, "wb") as f:
                f.write(data if isinstance(data, bytes) else data.encode())
        return p

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def call(self, *args, stdin=b"", timeout=60):
        return subprocess.run([PROGRAM, *args], input=stdin, capture_output=True, timeout=timeout,
                              check=False)

    def fails(self, status, pattern, *args):
        """One clear line, perhaps a hint, the status, and nothing on stdout."""
        r = self.call(*args)
        err = r.stderr.decode()
        self.assertEqual((r.returncode, r.stdout), (status, b""), f"{args}: {err}")
        self.assertRegex(err, ERROR, str(args))
        self.assertRegex(err, pattern, str(args))
        return r
