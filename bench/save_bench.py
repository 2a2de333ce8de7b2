"""What saving and restoring cost: a machine that was saved goes on under two builds, is paused, saved and
restored in turns, with a seal and without. Prints medians of wall time and of CPU time, client and all.

    python3 bench/save_bench.py SNAPSHOT BEFORE AFTER [OPTIONS...]

BEFORE and AFTER are programs. BEFORE must restore SNAPSHOT by itself; OPTIONS are those that AFTER wants for it
(-d DISK -m 1G). Files go to $TMPDIR."""
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 5
TICKS = os.sysconf("SC_CLK_TCK")


class Case:
    def __init__(self, name, program, seals, options, folder):
        self.name, self.program, self.options = name, program, options
        self.run_dir, self.file = folder + "/run-" + name, folder + "/" + name
        home = folder + "/config" if seals else "/proc/nowhere"  # where no key can be made
        self.env = dict(os.environ, XDG_CONFIG_HOME=home)
        self.figures = {"save": [], "restore": []}
        self.machine = self.said = ""

    def call(self, *args):
        """Seconds by the wall and of CPU; those of processes that stay are not in it."""
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        r = subprocess.run([self.program, *args], env=self.env, stdin=subprocess.DEVNULL,
                           capture_output=True, check=False)
        wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        if r.returncode:
            sys.exit(f"{self.name}: {args}: {r.stderr.decode()}")
        self.said = r.stdout.decode()
        return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def start(self, snapshot):
        self.call("restore", "-D", "--run-dir", self.run_dir, *self.options, snapshot)
        self.machine = self.said.strip()  # vm-PID
        self.call("pause", "--run-dir", self.run_dir, self.machine)

    def machine_s(self):
        with open(f"/proc/{self.machine[3:]}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def save(self):
        before = self.machine_s()
        wall, cpu = self.call("save", "--run-dir", self.run_dir, self.machine, self.file)
        self.figures["save"].append((wall, cpu + self.machine_s() - before))

    def restore(self):
        self.figures["restore"].append(
            self.call("restore", "-q", "--stop-insn", "1", *self.options, self.file))

    def stop(self):
        self.call("stop", "--force", "--run-dir", self.run_dir, self.machine)


def main():
    snapshot, before, after, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        cases = [Case("before", before, False, [], folder),
                 Case("bare", after, False, options, folder),
                 Case("sealed", after, True, options, folder)]
        for c in cases:
            c.start(snapshot)
        for what in (Case.save, Case.restore):
            for i in range(ROUNDS):
                for c in cases[i % 3:] + cases[:i % 3]:
                    what(c)
        for c in cases:
            c.stop()
            print(f"{c.name:8}", *(
                f"{what}: {statistics.median(w for w, _ in f):.2f} s, "
                f"CPU {statistics.median(u for _, u in f):.2f} s" for what, f in c.figures.items()),
                  f"{os.path.getsize(c.file) / 1e6:.0f} MB", sep="   ")


if __name__ == "__main__":
    main()
