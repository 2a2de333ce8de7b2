"""cmake --install: the program runs from there, and its page and completions are where they are
looked for. GODWIT_BUILD: the build tree."""
import os
import shutil
import subprocess
import unittest

import rvasm
from harness import CliTest


class Install(CliTest):
    def test_everything_is_in_its_place(self):
        cmake, to = shutil.which("cmake"), self.path("usr")
        subprocess.run([cmake, "--install", os.environ["GODWIT_BUILD"], "--prefix", to], check=True,
                       capture_output=True)
        program = os.path.join(to, "bin", "godwit")
        for name, words in (("share/man/man1/godwit.1", ["man-page"]),
                            ("share/bash-completion/completions/godwit", ["completion", "bash"]),
                            ("share/zsh/site-functions/_godwit", ["completion", "zsh"]),
                            ("share/fish/vendor_completions.d/godwit.fish", ["completion", "fish"])):
            said = subprocess.run([program, *words], capture_output=True, check=True).stdout
            self.assertEqual(self.read(os.path.join("usr", name)), said, name)
        guest = self.path("g.elf", rvasm.elf([rvasm.say("up\n"), rvasm.power(0x5555)]))
        r = subprocess.run([program, "run", "-k", guest, "-b", "none"], capture_output=True,
                           check=False, env={"PATH": "/nonexistent"})
        self.assertEqual((r.returncode, r.stdout, r.stderr), (0, b"up\n", b""))


if __name__ == "__main__":
    unittest.main()
