#!/usr/bin/env python3
"""Rules of the house: check_house.py ROOT RULE...; prints each breach, status 1 if there is one.

includes  a room includes, by path from the root, its own headers, include/ and what it may compose,
          and nothing else; a kind of virtio device includes no transport; USES and SEES in its
          CMakeLists.txt name no more than that
order     within a room whose folders stand in a row, files include what is before them in it only
visible   the same of what a compiler would find, by the search paths of a build (GODWIT_BUILD)
tests     each room has a folder of tests, and tests/ holds no folder that is neither a room's nor a kind of test
layers    the files of the backends stand in layers: none calls or includes one that calls or includes it
headers   every header of include/godwit compiles alone, by gcc and clang where they are
sizes     no tracked file is larger than 1 MB
leftovers no tracked file is what an editor, a patch or a merge left behind
states    each table of saved fields is in tests/machine/layouts.txt, by its name and version
markers   no unfinished work is marked in tracked files
built     each source of a room is in a list of CMake
names     names with a prefix of ours, in documents and in comments of C sources, are in the code
links     links and paths that README, ARCHITECTURE and docs/ name exist, and files that comments of C sources name
ir        docs/ir.md names the operations of ir_ops.inc, and no others
verbs     README names the two commands, and each ./dev verb that documents name exists
"""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

SKIP = 77
MEGABYTE = 1_000_000
# What a room may include beside its own headers and include/: rooms that it composes, single headers
# of others. A room that is not here includes nothing else.
ENGINE = ["translator/engine.h", "translator/debug.h"]
SPEC = ["spec/spec.h"]
GUESTS = ["frontend/guests.h"]
HOSTS = ["backend-common/hosts.h"]
COMPOSES = {
    "machine": ["frontend/riscv64", "devices", "translator/interp/interp.h", "snapshot/snapshot.h"]
    + ENGINE + SPEC + GUESTS + HOSTS,
    "snapshot": SPEC,
    "usermode": ["frontend/riscv64"] + ENGINE + GUESTS + HOSTS,
    "control": SPEC + ["machine/machine.h"],
    "cli": ["control/control.h", "usermode/usermode.h", "machine/machine.h", "snapshot/snapshot.h"] + SPEC + GUESTS,
}
OF_BACKENDS = ["backend-common"]
# Within a room: what lies in the folder includes none of these, but for the file that each of them is of.
APART = {"devices/virtio": ["devices/virtio/mmio.h"]}
# Rooms whose folders stand in a row; "." is the room's own files, which are below all of them.
ORDERS = {
    "translator": [".", "ir", "interp", "code", "memory", "run"],
    "devices": [".", "host", "virtio", "board", "riscv"],
}
# Folders of tests that are no room's.
OTHER_TESTS = ["house", "model"]


def rooms(root):
    names = ["spec", "translator", "devices", "snapshot", "machine", "usermode", "control", "cli"]
    names += [f"frontend/{p.name}" for p in sorted(root.glob("frontend/*")) if p.is_dir()]
    names += ["frontend"]  # the registry of guests: its own files alone
    names += [p.name for p in sorted(root.glob("backend-*")) if p.is_dir()]
    return [n for n in names if (root / n).is_dir()]


def allowed_in(room):
    is_backend = room.startswith("backend-") and room not in OF_BACKENDS
    return [room, *COMPOSES.get(room, OF_BACKENDS if is_backend else [])]


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
    for room in rooms(root):
        allowed = allowed_in(room)
        for path in sources(root / room):
            yield from includes_of(root, room, allowed, path)
            yield from hidden_includes(root, path)
        yield from uses_of(root, room, allowed)
    for folder, headers in APART.items():
        for path in sources(root / folder):
            for line, name in quoted_includes(path):
                if name in headers and path.stem != Path(name).stem:
                    yield f"{path}:{line}: {folder} is to know nothing of {name}"
    for path in sources(root / "include"):
        yield from hidden_includes(root, path)
        for line, name in quoted_includes(path):
            if ".." in name.split("/") or not (root / "include" / name).is_file():
                yield f"{path}:{line}: a contract includes {name}, which is not one"


def quoted_includes(path):
    for number, text in enumerate(path.read_text().splitlines(), 1):
        m = re.match(r'\s*#\s*include\s*"([^"]+)"', text)
        if m:
            yield number, m.group(1)


def hidden_includes(root, path):
    """Ways around what can be read off quoted includes: brackets and macros. What links lead to has a parent too, so
    a compiler finds a/../b.h."""
    for number, text in enumerate(path.read_text().splitlines(), 1):
        m = re.match(r"\s*#\s*include\b\s*(\S+)", text)
        name = m.group(1).strip("<>") if m else ""
        if name.startswith('"') or not m:
            continue
        if not m.group(1).startswith("<"):
            yield f"{path}:{number}: an include that only a compiler can read"
        elif ".." in name.split("/") or (root / name).is_file() or (root / "include" / name).is_file():
            yield f"{path}:{number}: {name} is ours, and stands in quotes"


def within(path, allowed):
    """Is it one of the allowed headers, or in one of the allowed rooms? frontend is its own files alone."""
    folder = path.rpartition("/")[0]
    return any(path == a or folder == a or (a != "frontend" and path.startswith(a + "/")) for a in allowed)


def includes_of(root, room, allowed, path):
    for line, name in quoted_includes(path):
        up = ".." in name.split("/")
        if name.startswith("godwit/") and not up and (root / "include" / name).is_file():
            continue
        if up or "/" not in name:
            yield f"{path}:{line}: {name} is no path from the root"
        elif not within(name, allowed):
            yield f"{path}:{line}: {room} includes {name}"
        elif not (root / name).is_file() and not is_made(root, name):
            yield f"{path}:{line}: {name} is nowhere"


def check_order(root):
    for room, order in ORDERS.items():
        for path in sources(root / room):
            place = folder_of(room, path.relative_to(root).as_posix())
            if place not in order:
                yield f"{path}: {place} has no place in the order of {room}"
                continue
            for line, name in quoted_includes(path):
                if name.startswith(room + "/") and folder_of(room, name) not in order[:order.index(place) + 1]:
                    yield f"{path}:{line}: {place} comes before {name}"


def folder_of(room, path):
    inner = path[len(room) + 1:].split("/")
    return inner[0] if len(inner) > 1 else "."


def is_made(root, name):
    """A generated file: the CMakeLists.txt of its room names it."""
    folders = [root / f for f in Path(name).parents if (root / f / "CMakeLists.txt").is_file() and str(f) != "."]
    return any(Path(name).name in (f / "CMakeLists.txt").read_text() for f in folders)


def uses_of(root, room, allowed):
    """What CMake makes visible is no more than the rules say."""
    cmake = root / room / "CMakeLists.txt"
    if not cmake.is_file():
        return
    targets = {}
    for other in rooms(root):
        if (root / other / "CMakeLists.txt").is_file():
            for target in re.findall(r"\bgw_room\((\w+)", (root / other / "CMakeLists.txt").read_text()):
                targets[target] = other
    text = cmake.read_text()
    values = dict(re.findall(r"\bset\((\w+)\s+([^)$]*)\)", text))
    text = re.sub(r"\$\{(\w+)\}", lambda m: values.get(m.group(1), m.group(0)), text)
    for m in re.finditer(r"\bgw_(?:room|program)\(\w+([^)]*)\)", text):
        for used in words_behind("USES", m.group(1)):
            folder = targets.get(used, used)
            if not within(folder, allowed) and not any(a.rpartition("/")[0] == folder for a in allowed):
                yield f"{cmake}: {room} may not use {used}"
        for seen in words_behind("SEES", m.group(1)):
            if not within(seen, allowed):
                yield f"{cmake}: {room} may not see {seen}"


def words_behind(keyword, arguments):
    arguments = re.sub(r"#.*", "", arguments)
    found = re.search(rf"\b{keyword}\b(.*?)(?=\b(?:USES|LIBS|SOURCES|SEES|OWN|SHOWS|IPO)\b|$)", arguments, re.S)
    return found.group(1).split() if found else []


def check_visible(root):
    """By the search paths that the compiler was given in the build."""
    build = os.environ.get("GODWIT_BUILD")
    commands = json.loads((Path(build) / "compile_commands.json").read_text()) if build else []
    if not commands:
        yield "GODWIT_BUILD names no build"
    headers = [str(p.relative_to(root)) for room in rooms(root) for p in sources(root / room) if p.suffix != ".c"]
    tops = {room.split("/")[0] for room in rooms(root)}
    for room, paths in sorted(search_paths(root, commands).items()):
        allowed = allowed_in(room)
        for header in headers:
            if any((Path(p) / header).is_file() for p in paths) and not within(header, allowed):
                yield f"{room} could include {header}"
        for path in paths:
            if root == Path(path) or (root in Path(path).parents and Path(path).parts[len(root.parts)] in tops):
                yield f"{room} has {path} as a search path"


def search_paths(root, commands):
    found = {}
    for entry in commands:
        source = Path(entry["file"])
        for room in rooms(root):
            if root / room in source.parents and (room != "frontend" or source.parent == root / room):
                found.setdefault(room, set()).update(re.findall(r"-I\s*(\S+)", entry["command"]))
    return found


# ---- tests ---------------------------------------------------------------------------------------

def check_tests(root):
    names = rooms(root)
    for room in names:
        if room != "frontend" and not any((root / "tests" / room).rglob("CMakeLists.txt")):
            yield f"tests/{room}: the room has no tests"
    for folder in sorted((root / "tests").glob("*/")):
        if folder.name not in names + OTHER_TESTS:
            yield f"{folder}: neither a room's tests nor one of {', '.join(OTHER_TESTS)}"


# ---- layers --------------------------------------------------------------------------------------

def bare(text):
    """C without comments and strings."""
    return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\])*"', " ", text, flags=re.S)


def stems(root):
    """Files of the backends by name without .c and .h: a source and its header are one."""
    found = {}
    for room in rooms(root):
        if room.startswith("backend-"):
            for path in sources(root / room):
                if path.suffix != ".inc":
                    found.setdefault(str(path.relative_to(root).with_suffix("")), []).append(path)
    return found


# What stands before a function's name, at the margin. Layout is clang-format's: a body's brace stands alone.
RETURNS = r"^(?!static\b|typedef\b)\w[\w \t\n*]*?\b"


def functions(path):
    """Names that the source defines for others."""
    return re.findall(RETURNS + r"(\w+)\([^;{}]*\)\n\{", bare(path.read_text()), re.M)


def words(path):
    """What the file uses; to declare a function is not to use it."""
    return set(re.findall(r"\w+", re.sub(RETURNS + r"\w+\([^;{}]*\);", " ", bare(path.read_text()), flags=re.M)))


def calls(root):
    """Which files each file needs: by a function that they define, or by a header of theirs."""
    files = stems(root)
    owns = {stem: {n for p in paths if p.suffix == ".c" for n in functions(p)} for stem, paths in files.items()}
    owner = {name: stem for stem, names in owns.items() for name in names}
    needs = {}
    for stem, paths in files.items():
        names = {w for p in paths for w in words(p)} - owns[stem]
        needed = {owner[n] for n in names & owner.keys()}
        needed |= {name.rpartition(".")[0] for p in paths for _, name in quoted_includes(p)} & files.keys()
        needs[stem] = sorted(needed - {stem})
    return needs


def circle(needs):
    """A path that ends where it begins, or None."""
    done, path = set(), []

    def walk(stem):
        if stem in path:
            return path[path.index(stem):] + [stem]
        if stem in done:
            return None
        path.append(stem)
        found = next(filter(None, map(walk, needs[stem])), None)
        path.pop()
        done.add(stem)
        return found

    return next(filter(None, map(walk, needs)), None)


def check_layers(root):
    found = circle(calls(root))
    if found:
        yield "files need one another in a circle: " + " -> ".join(found)


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


COMMENT = re.compile(r"/\*.*?\*/", re.S)


# ---- files --------------------------------------------------------------------------------------

def check_sizes(root):
    for path in tracked(root):
        if path.is_file() and path.stat().st_size > MEGABYTE:
            yield f"{path}: {path.stat().st_size} bytes"


def check_leftovers(root):
    for path in tracked(root):
        if re.search(r"(\.(orig|rej|bak|swp|swo|pyc)|~)$", path.name):
            yield f"{path}: nobody's file"


# ---- tables of state ----------------------------------------------------------------------------

def tables(root):
    """(source, name, version) of each table with fields in the rooms; None where a designator is not to be read."""
    for room in rooms(root):
        for path in sources(root / room):
            for body in re.findall(r"\bstruct state_desc \w+ = \{(.*?)\};", path.read_text(), re.S):
                name, version = re.search(r'\.name = "([\w-]+)"', body), re.search(r"\.version = (\d+)\b", body)
                if ".fields" in body:
                    yield path, name and name.group(1), version and version.group(1)


def check_states(root):
    """The test machine_layouts compares fields; this finds the table that was not shown to it."""
    golden = root / "tests" / "machine" / "layouts.txt"
    known = set(re.findall(r"^(\S+) (\d+) ", golden.read_text() if golden.is_file() else "", re.M))
    for path, name, version in tables(root):
        if (name, version) not in known:
            yield f"{path}: the table {name}, version {version}, is not in tests/machine/layouts.txt"


def check_markers(root):
    marks = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b")
    for path in tracked(root):
        if not is_read(path):
            continue  # what is no text has no marks
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if marks.search(line):
                yield f"{path}:{number}: {line.strip()}"


def is_read(path):
    return path.is_file() and b"\0" not in path.read_bytes()


def check_built(root):
    lists = {}
    for path in tracked(root):
        name = path.relative_to(root).as_posix()
        room = next((r for r in rooms(root) if name.startswith(r + "/")), None)
        if room and path.suffix == ".c":
            if room not in lists:
                lists[room] = "".join(p.read_text() for p in (root / room).rglob("*")
                                      if p.name == "CMakeLists.txt" or p.suffix == ".cmake")
            named = rf"(?<![\w.-]){re.escape(path.name)}(?![\w.-])"
            of_hosts = re.findall(r"gw_host_source\(\w+ (?:\S*/)?(\w+) ", lists[room])
            if not re.search(named, lists[room]) and \
                    not any(re.fullmatch(rf"{base}_(x86_64|aarch64|s390x)\.c", path.name) for base in of_hosts):
                yield f"{path}: no list of {room} names it"


# First words of names that are ours alone, so that who names one means something here.
OURS = ("gw", "ir", "rv", "x64", "place", "um", "vm", "dev", "virtio", "virtq", "snap", "spec", "cli", "sbi",
        "board", "maps", "jumps", "spaces", "debug", "engine", "fz", "sf", "asks")
NAME_OF_OURS = re.compile(rf"(?<![\w./*<-])(?:{'|'.join(OURS)})_[a-z0-9_]*[a-z0-9](?![\w.*-])")


def check_names(root):
    known, texts = set(), []
    for path in tracked(root):
        if not is_read(path):
            continue
        text = path.read_text(errors="replace")
        if path.suffix == ".md":
            texts.append((path, 0, text))
            continue
        if path.suffix in (".c", ".h", ".inc", ".S", ".s"):
            texts += [(path, m.start(), m.group(0)) for m in COMMENT.finditer(text)]
            text = COMMENT.sub(" ", text)
        known |= {path.stem, *re.findall(r"\w+", text)}
        if path.name.startswith("test_"):
            known.add(f"{path.parent.name}_{path.stem[5:]}")  # as a test
    for path, start, text in texts:
        for m in NAME_OF_OURS.finditer(text):
            if m.group(0) not in known:
                line = path.read_text(errors="replace").count("\n", 0, start + m.start()) + 1
                yield f"{path}:{line}: names {m.group(0)}, which does not exist"


# ---- documents ----------------------------------------------------------------------------------

def documents(root):
    found = [root / "README.md", root / "ARCHITECTURE.md", *sorted((root / "docs").rglob("*.md"))]
    return [p for p in found if p.is_file()]


def anchors(path):
    """Anchors of headings, as code hosts make them."""
    heads = re.findall(r"^#+\s+(.*)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", h.replace("`", "").strip().lower()).replace(" ", "-") for h in heads}


# Whoever says in a comment that something is theirs names files of theirs.
OUTSIDE = re.compile(r"\b(?:Linux|OpenSBI|QEMU)\b")
NAMED_FILE = re.compile(r"(?<![\w./*<-])((?:[\w-]+/)*[\w-]+\.(?:c|h|inc|md|py))\b(?![\w/(])")


def named_in_comments(root):
    """(source, line, name) of each file that a comment of a C source names."""
    for top in sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith((".", "build"))):
        for path in sorted(p for p in top.rglob("*") if p.suffix in (".c", ".h", ".inc", ".S", ".s")):
            text = path.read_text(errors="replace")
            for comment in COMMENT.finditer(text):
                if OUTSIDE.search(comment.group(0)):
                    continue
                for m in NAMED_FILE.finditer(comment.group(0)):
                    yield path, text.count("\n", 0, comment.start() + m.start()) + 1, m.group(1)


def file_names(root):
    """All files, each by its path and by every end of that."""
    files = [str(p.relative_to(root)) for p in root.rglob("*")
             if p.is_file() and not p.relative_to(root).parts[0].startswith((".git", "build"))]
    return {f[i:] for f in files for i in [0, *(m.end() for m in re.finditer("/", f))]}


def check_comments(root, known):
    """A file is named by its path, by the end of that, or is made; zext.h and its like are instructions."""
    made = "".join(p.read_text() for name in ("CMakeLists.txt", "gen_*.py", "*.decode") for p in sorted(root.rglob(name)))
    for path, line, name in named_in_comments(root):
        if name not in known and not re.search(rf"(?<![\w.]){re.escape(name)}\b", made):
            yield f"{path}:{line}: a comment names {name}, which does not exist"


def check_links(root):
    known = file_names(root)
    yield from check_comments(root, known)
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
        for name in re.findall(r"`([\w-]+\.(?:c|h|inc|py|md|pml|decode))`", text):
            if name not in known:
                yield f"{doc}: names {name}, which does not exist"


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
    "order": check_order,
    "visible": check_visible,
    "tests": check_tests,
    "layers": check_layers,
    "headers": check_headers,
    "sizes": check_sizes,
    "leftovers": check_leftovers,
    "states": check_states,
    "markers": check_markers,
    "built": check_built,
    "names": check_names,
    "links": check_links,
    "verbs": check_verbs,
}


def main():
    root = Path(sys.argv[1]).resolve()
    for rule in sys.argv[2:]:
        if rule in ("sizes", "leftovers", "built", "markers", "names") and tracked(root) is None:
            print(f"{rule}: skipped, this is no git checkout")
            sys.exit(SKIP)
        breaches = list(RULES[rule](root))
        for breach in breaches:
            print(f"{rule}: {breach}")
        if breaches:
            sys.exit(1)


if __name__ == "__main__":
    main()
