#!/usr/bin/env python3
"""The house at a glance: house.py [--depth N] [ROOT]

Arrows between rooms (includes, and how many headers they name), at folder depth N (1: rooms; 2: the
rooms within them); circles among them; and the largest sources. Works on any tree of C sources,
whether its includes are by path from the root or by name.
"""
import argparse
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

ROOMS = ("include", "spec", "frontend", "translator", "backend-*", "devices", "snapshot", "machine", "usermode",
         "control", "cli")


def sources(root):
    return sorted(p for room in ROOMS for folder in root.glob(room)
                  for p in folder.rglob("*") if p.suffix in (".c", ".h", ".inc", ".S", ".s"))


def room_of(path, depth):
    """Of a path from the root: frontend/riscv64 is one room, a file above its folder's rooms is the folder."""
    parts = path.parts[:-1]
    wanted = depth + (parts[0] == "frontend" and len(parts) > 1)
    return "/".join(parts[:wanted])


def arrows(root, depth):
    files = [p.relative_to(root) for p in sources(root)]
    by_name = defaultdict(list)
    for f in files:
        by_name[f.name].append(f)
    known = set(files)
    found = defaultdict(Counter)
    for f in files:
        for name in re.findall(r'^\s*#\s*include\s*"([^"]+)"', (root / f).read_text(errors="replace"), re.M):
            target = next((t for t in (Path(name), Path("include") / name) if t in known), None)
            if target is None and len(by_name[Path(name).name]) == 1:
                target = by_name[Path(name).name][0]
            if target is not None and room_of(f, depth) != room_of(target, depth):
                found[room_of(f, depth), room_of(target, depth)][target] += 1
    return found


def circles(pairs):
    """Sets of rooms that reach one another, two at least: strongly connected components."""
    graph = {a: {d for c, d in pairs if c == a} for a, _ in pairs}

    def reached(start):
        seen, todo = set(), [start]
        while todo:
            for b in graph.get(todo.pop(), set()) - seen:
                seen.add(b)
                todo.append(b)
        return seen

    reach = {a: reached(a) for a in graph}
    groups = {frozenset({a} | {b for b in reach[a] if a in reach.get(b, ())}) for a in graph if a in reach[a]}
    return sorted(sorted(g) for g in groups)


def main():
    parser = argparse.ArgumentParser(description="arrows between rooms, circles, the largest sources")
    parser.add_argument("--depth", type=int, default=1)
    parser.add_argument("root", nargs="?", default=Path(__file__).resolve().parent.parent)
    args = parser.parse_args()
    root = Path(args.root).resolve()
    if not sources(root):
        sys.exit(f"house: no rooms in {root}")
    found = arrows(root, args.depth)
    print("arrows (includes; headers):")
    for (a, b), names in sorted(found.items()):
        print(f"  {a:24} -> {b:24} {sum(names.values()):4} {len(names):4}")
    print(f"{len(found)} arrows; circles: {circles(found) or 'none'}")
    sizes = sorted(((len((root / p).read_text(errors='replace').splitlines()), str(p))
                    for p in (s.relative_to(root) for s in sources(root))), reverse=True)
    print("largest:")
    for lines, name in sizes[:10]:
        print(f"  {lines:5} {name}")


if __name__ == "__main__":
    main()
