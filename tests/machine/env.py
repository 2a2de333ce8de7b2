"""What the tests that boot guests are given by their environment."""
import os
import sys


def need(name, hint=""):
    """The file that GODWIT_<name> names; without it the test is skipped, by status 77."""
    value = os.environ.get("GODWIT_" + name, "")
    if not os.path.exists(value):
        print(f"skipped: GODWIT_{name} names no file{hint}")
        sys.exit(77)
    return value
