#!/usr/bin/env python3
"""Rules of the house: check_house.py ROOT RULE...; prints each breach, status 1 if there is one.

includes  a room includes its own headers, include/ and what it may compose, and nothing else;
          USES in its CMakeLists.txt names no more than that
headers   every header of include/godwit compiles alone, by gcc and clang where they are
sizes     no tracked file is larger than 1 MB
markers   no unfinished work is marked in tracked files
links     links and paths that README, ARCHITECTURE and docs/ name exist
ir        docs/ir.md names the operations of ir_ops.inc, and no others
verbs     README names the two commands, and each ./dev verb that documents name exists
"""
import re
import shutil
import subprocess
import sys
from pathlib import Path

SKIP = 77
MEGABYTE = 1_000_000
# Rooms that compose others, and which; a room that is not here composes none.
ALL_BELOW = ["frontend", "frontend/riscv64", "translator", "backend-x86_64", "backend-aarch64", "devices", "snapshot"]
COMPOSES = {
    "machine": ALL_BELOW,
    "usermode": ALL_BELOW,
    "control": ALL_BELOW + ["machine"],
    "cli": ALL_BELOW + ["machine", "usermode", "control"],
}


def rooms(root):
    names = ["translator", "devices", "snapshot", "machine", "usermode", "control", "cli"]
    names += [f"frontend/{p.name}" for p in sorted(root.glob("frontend/*")) if p.is_dir()]
    names += ["frontend"]  # the registry of guests: its own files alone
    names += [p.name for p in sorted(root.glob("backend-*")) if p.is_dir()]
    return [n for n in names if (root / n).is_dir()]


def sources(folder):
    files = folder.glob("*") if folder.name == "frontend" else folder.rglob("*")
    return sorted(p for p in files if p.suffix in (".c", ".h", ".inc"))


def tracked(root):
    """Tracked files, or None where this is no git checkout."""
    if not (root / ".git").exists() or not shutil.which("git"):
        return None
    out = subprocess.run(["git", "-c", f"safe.directory={root}", "-C", str(root), "ls-files", "-z"],
                         capture_output=True, check=False)
    if out.returncode:
        return None
    return [root / name for name in out.stdout.decode().split("\0") if name]


# ---- includes -----------------------------------------------------------------------------------

def check_includes(root):
    all_rooms = rooms(root)
    owner = {}  # header's name -> rooms that have one
    for room in all_rooms:
        for path in sources(root / room):
            owner.setdefault(path.name, set()).add(room)
    for room in all_rooms:
        allowed = {room, *COMPOSES.get(room, [])}
        for path in sources(root / room):
            yield from includes_of(root, room, allowed, owner, path)
        yield from uses_of(root, room, allowed)
    for path in sources(root / "include"):
        for line, name in quoted_includes(path):
            if not (root / "include" / name).is_file():
                yield f"{path}:{line}: a contract includes {name}, which is not one"


def quoted_includes(path):
    for number, text in enumerate(path.read_text().splitlines(), 1):
        m = re.match(r'\s*#\s*include\s*"([^"]+)"', text)
        if m:
            yield number, m.group(1)


def includes_of(root, room, allowed, owner, path):
    for line, name in quoted_includes(path):
        if (path.parent / name).is_file():
            if root / room not in (path.parent / name).resolve().parents:
                yield f"{path}:{line}: {name} leads out of {room}"
            continue
        if (root / "include" / name).is_file():
            continue
        rooms_with_it = owner.get(Path(name).name)
        if rooms_with_it is None:  # a generated file: its room's CMakeLists.txt names it
            made = any(Path(name).name in (root / r / "CMakeLists.txt").read_text()
                       for r in allowed if (root / r / "CMakeLists.txt").is_file())
            if not made:
                yield f"{path}:{line}: {name} is nowhere"
        elif not rooms_with_it & allowed:
            yield f"{path}:{line}: {room} includes {name} of {', '.join(sorted(rooms_with_it))}"


def uses_of(root, room, allowed):
    cmake = root / room / "CMakeLists.txt"
    if not cmake.is_file():
        return
    targets = set()
    for other in allowed:
        if (root / other / "CMakeLists.txt").is_file():
            targets |= set(re.findall(r"\bgw_room\((\w+)", (root / other / "CMakeLists.txt").read_text()))
    text = cmake.read_text()
    values = dict(re.findall(r"\bset\((\w+)\s+([^)$]*)\)", text))
    text = re.sub(r"\$\{(\w+)\}", lambda m: values.get(m.group(1), m.group(0)), text)
    for m in re.finditer(r"\bUSES\b([^)]*?)(?=\bLIBS\b|\bSOURCES\b|\))", text):
        for used in m.group(1).split():
            if used not in targets:
                yield f"{cmake}: {room} may not use {used}"


# ---- headers ------------------------------------------------------------------------------------

def check_headers(root):
    headers = sorted((root / "include" / "godwit").glob("*.h"))
    compilers = [c for c in ("gcc", "clang") if shutil.which(c)]
    if not headers or not compilers:
        yield "no headers, or no compiler, to check"
    for compiler in compilers:
        for header in headers:
            text = f'#include "godwit/{header.name}"\n' * 2 + "extern int one_declaration;\n"
            run = subprocess.run(
                [compiler, "-std=gnu17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-D_GNU_SOURCE",
                 "-Wno-unused-parameter", "-fsyntax-only", "-I", str(root / "include"), "-x", "c", "-"],
                input=text, capture_output=True, text=True, check=False)
            if run.returncode:
                yield f"{header}: does not stand alone with {compiler}:\n{run.stderr}"


# ---- files --------------------------------------------------------------------------------------

def check_sizes(root):
    for path in tracked(root):
        if path.is_file() and path.stat().st_size > MEGABYTE:
            yield f"{path}: {path.stat().st_size} bytes"


def check_markers(root):
    marks = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b")
    for path in tracked(root):
        if not path.is_file():
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if marks.search(line):
                yield f"{path}:{number}: {line.strip()}"


# ---- documents ----------------------------------------------------------------------------------

def documents(root):
    found = [root / "README.md", root / "ARCHITECTURE.md", *sorted((root / "docs").rglob("*.md"))]
    return [p for p in found if p.is_file()]


def anchors(path):
    """Anchors of headings, as code hosts make them."""
    heads = re.findall(r"^#+\s+(.*)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", h.replace("`", "").strip().lower()).replace(" ", "-") for h in heads}


def check_links(root):
    docs = documents(root)
    if not (root / "README.md").is_file():
        yield "README.md is missing"
    tops = {p.name for p in root.iterdir() if p.is_dir()}
    for doc in docs:
        text = doc.read_text()
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            to = (doc.parent / name) if name else doc
            if not to.exists():
                yield f"{doc}: link to {target}, which does not exist"
            elif anchor and to.suffix == ".md" and anchor not in anchors(to):
                yield f"{doc}: no heading {anchor} in {to.name}"
        for path in re.findall(r"`([\w.*-]+/[\w./*-]*)`", text):
            if path.split("/")[0] in tops and not path.startswith("build") and not any(root.glob(path.rstrip("/"))):
                yield f"{doc}: names {path}, which does not exist"


def dev_usage(root):
    out = subprocess.run(["bash", str(root / "dev"), "help"], capture_output=True, text=True, check=True)
    return set(re.findall(r"^  ([a-z]+)", out.stdout, re.M))


def check_verbs(root):
    verbs = dev_usage(root)
    readme = (root / "README.md").read_text()
    for command in ("./dev boot", "./dev check"):
        if not re.search(rf"^\s*{re.escape(command)}\s*(#.*)?$", readme, re.M):
            yield f"README.md does not give the command {command}"
    if "exec ./dev check" not in (root / ".ci" / "run").read_text():
        yield ".ci/run does not run README's test command"
    for doc in documents(root):
        for verb in re.findall(r"\./dev ([a-z]+)", doc.read_text()):
            if verb not in verbs and verb != "help":
                yield f"{doc}: ./dev {verb} is no verb of ./dev"


def check_ir(root):
    ops = set(re.findall(r'^IR_OP\(\w+,\s*"(\w+)"', (root / "include/godwit/ir_ops.inc").read_text(), re.M))
    page = (root / "docs" / "ir.md").read_text()
    table = re.search(r"^## Operations$(.*?)^## ", page, re.M | re.S)
    rows = re.findall(r"^\| (`.*?) \|", table.group(1) if table else "", re.M)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    for name in sorted(ops - named):
        yield f"docs/ir.md: the operation {name} is missing"
    for name in sorted(named - ops):
        yield f"docs/ir.md: there is no operation {name}"


RULES = {
    "ir": check_ir,
    "includes": check_includes,
    "headers": check_headers,
    "sizes": check_sizes,
    "markers": check_markers,
    "links": check_links,
    "verbs": check_verbs,
}


def main():
    root = Path(sys.argv[1]).resolve()
    for rule in sys.argv[2:]:
        if rule in ("sizes", "markers") and tracked(root) is None:
            print(f"{rule}: skipped, this is no git checkout")
            sys.exit(SKIP)
        breaches = list(RULES[rule](root))
        for breach in breaches:
            print(f"{rule}: {breach}")
        if breaches:
            sys.exit(1)


if __name__ == "__main__":
    main()
