#!/usr/bin/env python3
"""Runs a libFuzzer target: run_fuzzer.py PROGRAM [SECONDS [CORPUS]]

SECONDS defaults to GODWIT_FUZZ_SECONDS, and that to 10. Without CORPUS, a folder where what the
fuzzer learns is kept, it starts from nothing. The input of a finding is left beside the program.
"""
import os
import subprocess
import sys
import tempfile


def main():
    program = os.path.abspath(sys.argv[1])
    seconds = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("GODWIT_FUZZ_SECONDS", "10")
    name = os.path.basename(program).removeprefix("godwit-fuzz-")
    with tempfile.TemporaryDirectory() as scratch:
        corpus = sys.argv[3] if len(sys.argv) > 3 else scratch
        os.makedirs(corpus, exist_ok=True)
        result = subprocess.run(
            [program, f"-max_total_time={int(float(seconds))}", "-max_len=4096", "-timeout=20",
             "-rss_limit_mb=2048", f"-artifact_prefix={os.path.dirname(program)}/{name}-",
             "-print_final_stats=1", "-verbosity=0", corpus], check=False)
    return result.returncode


sys.exit(main())
