"""What the tests that boot guests are given by their environment."""
import atexit
import os
import shutil
import sys
import tempfile

# Whatever the tests are started from, what they start has no terminal unless they give it one.
with open(os.devnull, "rb") as null:
    os.dup2(null.fileno(), 0)
# Where the key of seals is made: not in the home of whoever runs the tests.
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="godwit-test-config.")
atexit.register(shutil.rmtree, os.environ["XDG_CONFIG_HOME"], ignore_errors=True)


def need(name, hint=""):
    """The file that GODWIT_<name> names; without it the test is skipped, by status 77."""
    value = os.environ.get("GODWIT_" + name, "")
    if not os.path.exists(value):
        print(f"skipped: GODWIT_{name} names no file{hint}")
        sys.exit(77)
    return value


def tool(name):
    """A program of the host's, which may be for administrators only; without it the test is skipped."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/sbin:/usr/sbin")
    if not path:
        print(f"skipped: no {name}")
        sys.exit(77)
    return path
