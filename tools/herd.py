#!/usr/bin/env python3
"""Compares the rows of docs/memory-model.md with the models of both architectures, by herd7.

Small programs of two to four threads are written down once, as accesses with what stands between them, and made
into litmus tests: in RISC-V, for riscv.cat, and in what the AArch64 backend emits for that, for aarch64.cat, with
FEAT_LSE and with exclusives. What the first forbids the others must forbid. Then each barrier and each annotation of
the table is left out in turn, and a program must tell: what is emitted is no more than needed, but for rows that
are named as stronger, with their reason. tests/model/litmus has programs of what the translator does between its own
threads. herd7 comes from Debian's herdtools7, privately (tools/peers.py).
"""
import itertools
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402
from aptbox import ROOT, Failure, main_guard  # noqa: E402

ORDERS = ("", ".aq", ".rl", ".aqrl")
SETS = ("r", "w", "rw")
# Cycles of accesses, a thread each: the last of one and the first of the next are of one location.
SHAPES = {"SB": "WR WR", "MP": "WW RR", "LB": "RW RW", "S": "WW RW", "R": "WW WR", "2+2W": "WW WW",
          "WRC": "W RW RR", "RWC": "W RR WR", "WWC": "W RW WR", "ISA2": "WW RW RR", "IRIW": "W RR W RR"}
PLAIN = ("plain", "")
STRONG = (PLAIN, ("fence", "rw", "rw"), PLAIN)
# Parts of the table that no program here misses, and why they are there.
FAILS = "for an AMOCAS that fails, which riscv.cat does not know"
STRONGER = {f"cas{order}, lse: DMB ISH": FAILS for order in (".rl", ".aqrl")}


class Thread:
    """The code of one. Registers: 20 on hold addresses, 5 and 6 what the accesses read, 7 what stands between
    them does; 9 is 0 and comes of what a dependency is of."""

    def __init__(self, number):
        self.number = number
        self.lines, self.addresses, self.zero = [], [], []

    def address(self, location):
        if location not in self.addresses:
            self.addresses.append(location)
        return 20 + self.addresses.index(location)

    def emit(self, *lines):
        self.lines += lines

    def is_zero(self, register):
        """In the end, or the run does not count: a store by condition has failed there."""
        self.zero.append(register)

    def fresh(self):
        return 14 + len(self.zero)


class RiscV:
    name, letter = "RISCV", "x"

    def number(self, t, to, n):
        t.emit(f"ori x{to},x0,{n}")

    def plain(self, t, _, to, value, at):
        t.emit(f"lw x{to},0(x{at})" if value is None else f"sw x{value},0(x{at})")

    def lr(self, t, order, to, _, at):
        t.emit(f"lr.w{order} x{to},(x{at})")

    def amo(self, t, order, to, value, at):
        t.emit(f"amoor.w{order} x{to},x0,(x{at})" if value is None else
               f"amoswap.w{order} x{to},x{value},(x{at})")

    def pair(self, t, orders, to, value, at):
        lr, sc = orders
        failed = t.fresh()
        t.emit(f"lr.w{lr} x{to},(x{at})",
               f"sc.w{sc} x{failed},x{to if value is None else value},(x{at})")
        t.is_zero(failed)

    def fence(self, t, *sets):
        t.emit(f"fence {','.join(sets)}")

    def tso(self, t):
        t.emit("fence.tso")

    def comes_of(self, t, of, on, to):
        t.emit(f"xor x9,x{of},x{of}", f"add x{to},x{on},x9")

    def control(self, t, of):
        label = f"L{t.number}"
        t.emit(f"bne x{of},x0,{label}", f"{label}:")


class Arm:
    """What backend-aarch64 emits. weak: a part that is left out or is weaker, see weaken(); parts: all there were."""

    name, letter = "AArch64", "X"

    def __init__(self, lse, weak=None):
        self.lse, self.weak, self.parts = lse, weak, {}

    def weaken(self, row, part, instead=""):
        """The part of a row, or what stands for it in the run that asks whether it is needed."""
        name = f"{row}: {part}" + (f" ({instead} instead)" if instead else "")
        self.parts[name] = True
        return instead if name == self.weak else part

    def number(self, t, to, n):
        t.emit(f"MOV W{to},#{n}")

    def plain(self, t, _, to, value, at):
        t.emit(f"LDR W{to},[X{at}]" if value is None else f"STR W{value},[X{at}]")

    def barrier(self, t, row, part, *instead):
        for other in instead or ("",):
            part = self.weaken(row, part, other)
        if part:
            t.emit(part)

    def lr(self, t, order, to, _, at):
        if "rl" in order:
            self.barrier(t, "load that releases", "DMB ISH", "DMB ISHST", "DMB ISHLD", "")
        t.emit(f"LDR W{to},[X{at}]")
        if "aq" in order:
            self.barrier(t, "load that acquires", "DMB ISHLD")

    def form(self, row):
        return self.weaken(row, "A") + self.weaken(row, "L")

    def exclusives(self, row, releases, to, value, at, failed):
        store = self.weaken(row, "STLXR", "STXR") if releases else "STXR"
        return (f"LDXR W{to},[X{at}]", f"{store} W{failed},W{value},[X{at}]")

    def amo(self, t, order, to, value, at):
        if self.lse:
            form = self.form(f"amo{order}, lse")
            t.emit("MOV W8,#0", f"LDSET{form} W8,W{to},[X{at}]") if value is None else \
                t.emit(f"SWP{form} W{value},W{to},[X{at}]")
            return
        row, failed = f"amo{order}, exclusives", t.fresh()
        load, store = self.exclusives(row, "rl" in order, to, 8 if value is None else value, at, failed)
        t.emit(load, *([f"ORR W8,W{to},WZR"] if value is None else []), store)
        t.is_zero(failed)
        self.barrier(t, row, "DMB ISH", "DMB ISHLD", "DMB ISHST", "")

    def pair(self, t, orders, to, value, at):
        lr, sc = orders
        self.lr(t, lr, to, None, at)
        new = to if value is None else value
        if self.lse:
            row = f"cas{sc}, lse"
            if "rl" in sc:
                self.barrier(t, row, "DMB ISH")
            t.emit(f"MOV W8,W{to}", f"CAS{self.form(row)} W8,W{new},[X{at}]")
        else:
            row, failed = f"cas{sc}, exclusives", t.fresh()
            load, store = self.exclusives(row, "rl" in sc, 8, 4, at, failed)
            t.emit(load, f"CMP W8,W{to}", f"CSEL W4,W{new},W8,EQ", store)
            t.is_zero(failed)
            self.barrier(t, row, "DMB ISH", "DMB ISHLD", "DMB ISHST", "")
        differs = t.fresh()
        t.emit(f"EOR W{differs},W8,W{to}")
        t.is_zero(differs)

    def fence(self, t, p, s):
        row = f"fence {p},{s}"
        if p == "r":
            self.barrier(t, row, "DMB ISHLD")
        elif (p, s) == ("w", "w"):
            self.barrier(t, row, "DMB ISHST")
        else:
            self.barrier(t, row, "DMB ISH", "DMB ISHLD", "DMB ISHST", "")

    def tso(self, t):
        self.barrier(t, "fence.tso", "DMB ISHLD")
        self.barrier(t, "fence.tso", "DMB ISHST")

    def comes_of(self, t, of, on, to):
        t.emit(f"EOR W9,W{of},W{of}", f"ADD X{to},X{on},X9" if on >= 20 else f"ADD W{to},W{on},W9")

    def control(self, t, of):
        label = f"L{t.number}"
        t.emit(f"CBNZ W{of},{label}", f"{label}:")


# --- programs --------------------------------------------------------------------------------------


def atomics(kind):
    """How an access may be made by other than a plain one."""
    yield from (("amo", order) for order in ORDERS)
    yield from (("pair", orders) for orders in (("", ""), (".aq", ""), ("", ".rl"), (".aq", ".rl"),
                                                ("", ".aqrl"), (".aqrl", ".aqrl")))
    if kind == "R":
        yield from (("lr", order) for order in (".aq", ".aqrl"))


def variants(kinds):
    """Threads of these accesses: (how the first is made, what stands between, how the second is)."""
    if len(kinds) == 1:
        yield (PLAIN, None, None)
        return
    yield (PLAIN, None, PLAIN)
    yield from ((PLAIN, ("fence", p, s), PLAIN) for p, s in itertools.product(SETS, SETS))
    yield (PLAIN, ("tso",), PLAIN)
    if kinds[0] == "R":
        yield from ((PLAIN, (kind,), PLAIN) for kind in ("address", "control"))
        if kinds[1] == "W":
            yield (PLAIN, ("data",), PLAIN)
    else:
        yield (PLAIN, ("own",), PLAIN)
    for how in atomics(""):
        yield (PLAIN, ("other", how, False), PLAIN)
        yield (PLAIN, ("other", how, True), PLAIN)
    for first in atomics(kinds[0]):
        yield (first, None, PLAIN)
        if kinds[0] == "W":
            yield (first, ("own",), PLAIN)
        else:
            yield (first, ("address",), PLAIN)
    for second in atomics(kinds[1]):
        yield (PLAIN, None, second)
    yield from ((("amo", order), None, ("amo", order)) for order in ORDERS)


def is_light(variant):
    """Without a pair of LR and SC, whose translation has many runs."""
    first, between, second = variant
    other = between[1] if between and between[0] == "other" else PLAIN
    return "pair" not in (first[0], other[0], second and second[0])


def programs():
    """(name, shape's kinds, a variant for each thread)."""
    for name, shape in SHAPES.items():
        kinds = shape.split()
        strong = tuple((PLAIN, None, None) if len(k) == 1 else STRONG for k in kinds)
        seen = set()
        for i, k in enumerate(kinds):
            for variant in variants(k):
                if is_light(variant) or len(kinds) == 2:
                    seen.add(strong[:i] + (variant,) + strong[i + 1:])
        if len(kinds) == 2:
            both = [list(variants(k)) for k in kinds]
            same = kinds[0] == kinds[1]
            seen.update((v, v) for v in both[0] if is_light(v) and (same or v in both[1]))
        for n, chosen in enumerate(sorted(seen, key=repr)):
            yield f"{name}-{n}", kinds, chosen


def write_thread(language, t, kinds, variant, locations, values):
    """One thread, in one language."""
    first, between, second = variant
    at = [t.address(location) for location in locations]
    for k, value in enumerate(values):
        if kinds[k] == "W":
            language.number(t, 28 + k, value)

    def access(k, how, where, value):
        getattr(language, how[0])(t, how[1], 5 + k, value, where)

    access(0, first, at[0], 28 if kinds[0] == "W" else None)
    if len(kinds) == 1:
        return
    where, value = at[1], 29 if kinds[1] == "W" else None
    if between and between[0] in ("fence", "tso"):
        getattr(language, between[0])(t, *between[1:])
    elif between and between[0] == "address":
        language.comes_of(t, 5, where, 27)
        where = 27
    elif between and between[0] == "data":
        language.comes_of(t, 5, value, 19)
        value = 19
    elif between and between[0] == "control":
        language.control(t, 5)
    elif between and between[0] == "own":
        language.plain(t, "", 7, None, at[0])
        language.comes_of(t, 7, where, 27)
        where = 27
    elif between and between[0] == "other":
        _, how, depends = between
        getattr(language, how[0])(t, how[1], 7, None, t.address(f"m{t.number}"))
        if depends:
            language.comes_of(t, 7, where, 27)
            where = 27
    access(1, second, where, value)


def litmus(language, name, kinds, chosen):
    """The text of the test, whose condition is the cycle."""
    threads = [Thread(i) for i in range(len(kinds))]
    count = sum(len(k) == 2 for k in kinds)
    place, condition, accesses = 0, [], []
    for i, k in enumerate(kinds):
        here = [place % count] if len(k) == 1 else [place % count, (place + 1) % count]
        place += len(k) - 1
        locations = ["xyzw"[p] for p in here]
        write_thread(language, threads[i], k, chosen[i], locations, [i + 1] * len(k))
        accesses.append([(k[j], locations[j], f"{i}:{language.letter}{5 + j}", i + 1)
                         for j in range(len(k))])
    for i, those in enumerate(accesses):
        last, following = those[-1], accesses[(i + 1) % len(accesses)][0]
        if last[0] == "W" and following[0] == "R":
            condition.append(f"{following[2]}={last[3]}")
        elif last[0] == "R" and following[0] == "W":
            condition.append(f"{last[2]}=0")
        elif last[0] == "W":
            condition.append(f"{last[1]}={following[3]}")
        else:
            raise Failure(f"{name}: two reads are no edge of a cycle")
    condition += [f"{t.number}:{language.letter}{r}=0" for t in threads for r in t.zero]
    init = "".join(f"{t.number}:{language.letter}{20 + n}={where}; "
                   for t in threads for n, where in enumerate(t.addresses))
    rows = max(len(t.lines) for t in threads)
    table = [[f"P{t.number}" for t in threads]] + [
        [t.lines[r] if r < len(t.lines) else "" for t in threads] for r in range(rows)]
    return (f"{language.name} {name}\n{{ {init}}}\n" +
            "".join(" | ".join(line) + " ;\n" for line in table) +
            "exists (" + " /\\ ".join(condition) + ")\n")


# --- runs ------------------------------------------------------------------------------------------


def run(herd, language, wanted):
    """Which of the programs the architecture allows, by name."""
    with tempfile.TemporaryDirectory(prefix="godwit-herd.") as folder:
        names = os.path.join(folder, "@all")
        with open(names, "w", encoding="utf-8") as listing:
            for name, kinds, chosen in wanted:
                path = os.path.join(folder, f"{name}.litmus")
                with open(path, "w", encoding="utf-8") as f:
                    f.write(litmus(language, name, kinds, chosen))
                listing.write(path + "\n")
        done = subprocess.run([*herd, "-speedcheck", "fast", names], capture_output=True, text=True, check=False)
    verdict = {m[1]: m[2] != "Never"
               for m in re.finditer(r"^Observation (\S+) (\w+)", done.stdout, re.M)}
    missing = [name for name, _, _ in wanted if name not in verdict]
    if missing:
        raise Failure(f"herd7 says nothing of {len(missing)} programs, such as {missing[0]}:\n{done.stderr[:2000]}")
    return verdict


def uses(lse, program, parts):
    arm = Arm(lse)
    litmus(arm, *program)
    parts[program[0]] = set(arm.parts)


def special(chosen):
    """What of a program is special, by name: an atomic or what stands between two accesses."""
    names = set()
    for first, between, second in chosen:
        hows = [first, second, between[1] if between and between[0] == "other" else None]
        names.update(" ".join((how[0], *[o for o in how[1:] if isinstance(o, str) and o])) if how[0] != "pair"
                     else "pair " + "+".join(o or "-" for o in how[1]) for how in hows if how and how != PLAIN)
        if between and between[0] != "other" and (first, between, second) != STRONG:
            names.add(" ".join(between))
    return ", ".join(sorted(names)) or "nothing"


def excess(wanted, allowed, arm):
    """How many programs are forbidden that need not be, by what is special of them."""
    counts = {}
    for name, _, chosen in wanted:
        if allowed[name] and not arm[name]:
            counts[special(chosen)] = counts.get(special(chosen), 0) + 1
    return counts


def compare(herd, lse, allowed, wanted, text):
    """Faults of the translation; and parts of it that nothing misses."""
    arm = run(herd, Arm(lse), wanted)
    for program in wanted:
        name = program[0]
        if arm[name] and not allowed[name]:
            yield f"{text}: {name} is forbidden by riscv.cat and allowed by aarch64.cat:\n" + \
                litmus(RiscV(), *program) + litmus(Arm(lse), *program)
    stronger = sum(allowed[name] and not arm[name] for name in allowed)
    print(f"{text}: {len(wanted)} programs, {sum(not a for a in allowed.values())} forbidden by riscv.cat, "
          f"{stronger} more by what is emitted")
    for row, more in sorted(excess(wanted, allowed, arm).items()):
        print(f"{text}: {row}: {more} more")
    parts = {}
    for program in wanted:
        uses(lse, program, parts)
    for part in sorted(set().union(*parts.values())):
        those = [p for p in wanted if part in parts[p[0]] and not allowed[p[0]]]
        weak = run(herd, Arm(lse, part), those) if those else {}
        missed = [name for name in weak if weak[name]]
        if missed:
            print(f"{text}: {part}: {len(missed)} of {len(those)} miss it, {missed[0]}")
        elif part in STRONGER:
            print(f"{text}: {part}: no program misses it; {STRONGER[part]}")
        else:
            yield f"{text}: {part}: no program misses it"


def check_files(herd):
    """tests/model/litmus: what the code relies on between its own threads; each says what herd7 finds."""
    folder = os.path.join(ROOT, "tests", "model", "litmus")
    for file in sorted(os.listdir(folder)):
        path = os.path.join(folder, file)
        with open(path, encoding="utf-8") as f:
            expected = re.search(r"herd7 says: (\w+)", f.read())[1]
        fetches = ["-variant", "ifetch"] if file.startswith("fetch") else []
        done = subprocess.run([*herd, *fetches, path], capture_output=True, text=True, check=False)
        said = re.search(r"^Observation \S+ (\w+)", done.stdout, re.M)
        print(f"{file}: {said[1] if said else 'nothing'}")
        if not said or said[1] != expected:
            yield f"{file}: herd7 does not say {expected}:\n{done.stdout}{done.stderr[:2000]}"


def show(name):
    for program in programs():
        if program[0] == name:
            for language in (RiscV(), Arm(True), Arm(False)):
                print(litmus(language, *program))


def main():
    if len(sys.argv) > 1:
        show(sys.argv[1])
        return 0
    peers.ensure("herd-sid")
    root = os.path.join(peers.PEERS, "sid", "herd-sid")
    herd = [os.path.join(peers.BIN, "herd7-sid"), "-set-libdir",
            os.path.join(root, "usr/share/herdtools7/herd")]
    wanted = list(programs())
    allowed = run(herd, RiscV(), wanted)
    faults = list(check_files(herd))
    faults += [fault for lse, text in ((True, "FEAT_LSE"), (False, "exclusives"))
               for fault in compare(herd, lse, allowed, wanted, text)]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    main_guard(main)
