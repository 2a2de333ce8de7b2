"""The recipes of docs/ci.md, on a small project: built for the guest, tested through godwit exec."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

GODWIT, DOCS = sys.argv[1:3]
PROGRAM = """
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
int main(int argc, char **argv)
{
    struct utsname u;
    uname(&u);
    puts(u.machine);
    return strcmp(u.machine, "riscv64") != 0 || (argc > 1 && strcmp(argv[1], "fail") == 0);
}
"""


def recipe(title):
    """The indented block behind a title, with the program in godwit's place."""
    with open(DOCS, encoding="utf-8") as f:
        text = f.read()
    block = re.search(rf"\*\*{title}[\s\S]*?\n\n((?:    .*\n)+)", text)[1]
    return re.sub(r"\bgodwit\b", GODWIT, re.sub(r"(?m)^    ", "", block))


class Recipes(unittest.TestCase):
    def setUp(self):
        tmp = tempfile.TemporaryDirectory()
        self.addCleanup(tmp.cleanup)
        self.dir = tmp.name
        self.write("prog.c", PROGRAM)

    def write(self, name, text):
        with open(os.path.join(self.dir, name), "w", encoding="utf-8") as f:
            f.write(text)

    def run_in(self, *argv, status=0):
        r = subprocess.run(argv, cwd=self.dir, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(r.returncode, status, r.stdout + r.stderr)
        return r.stdout + r.stderr

    def need(self, *tools):
        for t in tools:
            if not shutil.which(t):
                self.skipTest(f"no {t}")

    def test_cmake(self):
        self.need("cmake", "ninja")
        self.write("riscv64.cmake", recipe("CMake"))
        self.write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.20)\nproject(p C)\nenable_testing()\n"
                   "add_executable(prog prog.c)\nadd_test(NAME good COMMAND prog)\n"
                   "add_test(NAME bad COMMAND prog fail)\n"
                   "try_run(RAN BUILT ${CMAKE_BINARY_DIR} ${CMAKE_SOURCE_DIR}/prog.c)\n"
                   "message(STATUS \"ran ${RAN}\")\n")
        out = self.run_in("cmake", "-G", "Ninja", "-B", "b", "-DCMAKE_TOOLCHAIN_FILE=riscv64.cmake")
        self.assertIn("ran 0", out)
        self.run_in("ninja", "-C", "b")
        self.assertIn("1 tests failed out of 2", self.run_in("ctest", "--test-dir", "b", status=8))

    def test_make(self):
        self.need("make")
        self.write("Makefile", f"RUN = {GODWIT} exec\nCC = riscv64-linux-gnu-gcc\ncheck: prog\n\t$(RUN) ./prog\n"
                   "bad: prog\n\t$(RUN) ./prog fail\n")
        self.assertIn("\nriscv64\n", self.run_in("make", "check"))
        self.run_in("make", "bad", status=2)

    def test_meson(self):
        self.need("meson", "ninja")
        self.write("cross.ini", recipe("Meson"))
        self.write("meson.build", "project('p', 'c')\np = executable('prog', 'prog.c')\ntest('good', p)\n"
                   "test('bad', p, args: 'fail', should_fail: true)\n"
                   "r = meson.get_compiler('c').run(files('prog.c'))\nassert(r.returncode() == 0)\n")
        self.run_in("meson", "setup", "b", "--cross-file", "cross.ini")
        self.assertIn("Fail:               0", self.run_in("meson", "test", "-C", "b"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
