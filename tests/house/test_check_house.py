#!/usr/bin/env python3
"""check_house.py finds what it is made to find: one broken rule per small house."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import check_house

HOUSE = Path(__file__).resolve().parents[2] / "tools" / "house.py"
USAGE = "usage() { cat <<T\n  boot   boots\n  check  checks\nT\n}\nusage\n"
SOUND = {
    "README.md": "    ./dev boot\n    ./dev check\nsee [docs](docs/a.md#one-thing) and `translator/t.h`\n",
    "docs/a.md": "# One thing\n",
    "docs/ir.md": "## Operations\n| text | is |\n| `add` `sub` | x |\n## Next\n",
    "include/godwit/ir_ops.inc": 'IR_OP(ADD, "add", I, 2, 0)\nIR_OP(SUB, "sub", I, 2, 0)\n',
    "dev": USAGE,
    ".ci/run": "exec ./dev check\n",
    "include/godwit/a.h": "#ifndef A\n#define A\n#include <stdint.h>\nuint8_t a(void);\n#endif\n",
    "frontend/toy/f.h": "",
    "frontend/toy/f.c": '#include "frontend/toy/f.h"\n#include "godwit/a.h"\n#include "frontend/toy/made.inc"\n',
    "frontend/toy/CMakeLists.txt": "gw_room(toy SOURCES f.c made.inc)\n",
    "translator/t.h": "",
    "translator/engine.h": "",
    "translator/t.c": '#include "translator/t.h"\n',
    "machine/m.c": '#include "translator/engine.h"\n#include "snapshot/snapshot.h"\n',
    "snapshot/snapshot.h": "",
    "snapshot/s.h": "",
    "translator/CMakeLists.txt": "gw_room(translator SOURCES t.c)\ngw_room(ffi SOURCES i.c)\n",
    "machine/CMakeLists.txt": "set(x ffi)\ngw_room(machine SOURCES m.c USES translator ${x} SEES snapshot/snapshot.h LIBS y)\n",
    **{f"tests/{room}/CMakeLists.txt": "" for room in ("frontend/toy", "translator", "machine", "snapshot")},
}


@unittest.skipUnless(shutil.which("git"), "needs git")
class Houses(unittest.TestCase):
    def breaches(self, rule, changes):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve()
            for name, text in {**SOUND, **changes}.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            subprocess.run(["git", "init", "-q", str(root)], check=True)
            subprocess.run(["git", "-C", str(root), "add", "-A"], check=True)
            return list(check_house.RULES[rule](root))

    def refused(self, rule, name, text):
        found = self.breaches(rule, {name: text})
        self.assertEqual(len(found), 1, found)

    def test_a_sound_house_passes(self):
        for rule in check_house.RULES.keys() - {"visible"}:
            self.assertEqual(self.breaches(rule, {}), [])

    def test_rooms_do_not_include_one_another(self):
        self.refused("includes", "translator/t.c", '#include "frontend/toy/f.h"\n')
        self.refused("includes", "translator/t.c", '#include "translator/nowhere.h"\n')
        self.refused("includes", "include/godwit/a.h", '#include "t.h"\n')
        self.refused("includes", "translator/CMakeLists.txt", SOUND["translator/CMakeLists.txt"] + "gw_room(b SOURCES b.c USES toy)\n")

    def test_includes_are_by_path_from_the_root(self):
        self.refused("includes", "translator/t.c", '#include "t.h"\n')
        self.refused("includes", "frontend/toy/f.c", '#include "../../translator/t.h"\n')

    def test_no_include_hides_where_it_leads(self):
        self.refused("includes", "translator/t.c", '#include "godwit/../../machine/m.c"\n')
        self.refused("includes", "translator/t.c", "#include <translator/../machine/m.c>\n")
        self.refused("includes", "translator/t.c", "#include <translator/t.h>\n")
        self.refused("includes", "translator/t.c", "#include <godwit/a.h>\n")
        self.refused("includes", "translator/t.c", "# include ANY\n")
        self.refused("includes", "include/godwit/a.h", '#include "../translator/t.h"\n')
        self.refused("includes", "include/godwit/a.h", "#include <godwit/../../translator/t.h>\n")

    def test_kinds_of_virtio_devices_know_no_transport(self):
        files = {"devices/virtio/mmio.h": "", "devices/virtio/mmio.c": '#include "devices/virtio/mmio.h"\n'}
        self.assertEqual(self.breaches("includes", files), [])
        found = self.breaches("includes", {**files, "devices/virtio/blk.c": '#include "devices/virtio/mmio.h"\n'})
        self.assertEqual(len(found), 1, found)

    def test_composing_rooms_compose_downwards_only(self):
        self.refused("includes", "machine/m.c", '#include "cli/c.h"\n')

    def test_backends_see_what_they_share_and_no_other(self):
        files = {"backend-common/p.h": "", "backend-x/x.h": "", "backend-x/x.c": '#include "backend-common/p.h"\n'}
        self.assertEqual(self.breaches("includes", files), [])
        for name, text in {"backend-common/p.c": "backend-x/x.h", "backend-y/y.c": "backend-x/x.h"}.items():
            self.assertEqual(len(self.breaches("includes", {**files, name: f'#include "{text}"\n'})), 1)

    def test_folders_of_a_room_stand_in_a_row(self):
        self.assertEqual(self.breaches("order", {"translator/run/r.c": '#include "translator/ir/i.h"\n', "translator/ir/i.h": ""}), [])
        self.refused("order", "translator/ir/i.c", '#include "translator/run/r.h"\n')
        self.refused("order", "translator/t.h", '#include "translator/ir/i.h"\n')
        self.refused("order", "translator/odd/o.c", "")

    def test_devices_stand_in_a_row_too(self):
        files = {"devices/host/h.h": "", "devices/virtio/v.c": '#include "devices/host/h.h"\n', "devices/c.h": ""}
        self.assertEqual(self.breaches("order", files), [])
        found = self.breaches("order", {**files, "devices/board/b.h": "", "devices/host/h.c": '#include "devices/board/b.h"\n'})
        self.assertEqual(len(found), 1, found)

    def test_of_some_rooms_single_headers_are_seen(self):
        self.refused("includes", "machine/m.c", '#include "snapshot/s.h"\n')
        self.refused("includes", "machine/m.c", '#include "translator/t.h"\n')
        self.refused("includes", "machine/CMakeLists.txt", "gw_room(machine SOURCES m.c SEES snapshot/s.h)\n")

    def test_a_compiler_finds_no_more_than_the_rules_say(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve()
            for name in ("translator/t.c", "translator/t.h", "machine/m.h", "build/see/machine/m.h", "build/see/translator/t.h"):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text("")
            command = {"file": f"{root}/translator/t.c", "command": f"cc -I{root}/build/see -c t.c"}
            (root / "build/compile_commands.json").write_text(json.dumps([command]))
            os.environ["GODWIT_BUILD"] = f"{root}/build"
            self.assertEqual(list(check_house.check_visible(root)), ["translator could include machine/m.h"])
            (root / "build/see/machine/m.h").unlink()
            self.assertEqual(list(check_house.check_visible(root)), [])
            command["command"] += f" -I{root}/translator"
            (root / "build/compile_commands.json").write_text(json.dumps([command]))
            self.assertEqual(list(check_house.check_visible(root)), [f"translator has {root}/translator as a search path"])

    def test_files_of_a_backend_stand_in_layers(self):
        low = '#include "backend-x/low.h"\nint low(int a)\n{\n    return a;\n}\n'
        high = '#include "backend-x/low.h"\nint high(void)\n{\n    return low(1);\n}\n'
        sound = {"backend-x/low.h": "int low(int a);\nint high(void);\n", "backend-x/low.c": low, "backend-x/high.c": high}
        self.assertEqual(self.breaches("layers", sound), [])
        self.assertEqual(len(self.breaches("layers", {**sound, "backend-x/low.c": low.replace("return a", "return high()")})), 1)
        includes_back = {"backend-x/high.h": "", "backend-x/low.c": '#include "backend-x/high.h"\n' + low}
        self.assertEqual(len(self.breaches("layers", {**sound, **includes_back})), 1)

    def test_each_room_has_tests(self):
        self.refused("tests", "devices/d.c", "")
        self.refused("tests", "tests/odd/CMakeLists.txt", "")

    def test_arrows_and_circles_are_found(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve()
            files = {"machine/m.c": '#include "devices/d.h"\n#include "godwit/a.h"\n', "include/godwit/a.h": "",
                     "devices/d.h": '#include "t.h"\n', "translator/t.h": '#include "devices/d.h"\n'}
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            out = subprocess.run([sys.executable, "-B", str(HOUSE), str(root)], capture_output=True, text=True, check=True)
        self.assertRegex(out.stdout, r"machine +-> devices +1 +1")
        self.assertIn("4 arrows; circles: [['devices', 'translator']]", out.stdout)

    def test_headers_stand_alone(self):
        found = self.breaches("headers", {"include/godwit/a.h": "uint8_t a(void);\n"})
        self.assertTrue(found)

    def test_large_files_are_refused(self):
        self.refused("sizes", "big.bin", "x" * 1_000_001)

    def test_what_tools_leave_behind_is_refused(self):
        self.refused("leftovers", "translator/t.c.orig", "")
        self.refused("leftovers", "docs/a.md~", "")

    def test_tables_of_state_are_known(self):
        table = 'const struct state_desc d = {\n    .name = "x-y",\n    .version = 2, /* since */\n    .fields = f,\n};\n'
        golden = {"tests/machine/layouts.txt": "w 2 00\n    a u8\nx-y 2 00\n    a u8\n"}
        self.assertEqual(self.breaches("states", {**golden, "translator/t.c": table}), [])
        for other in (table.replace("x-y", "x-z"), table.replace("2,", "3,"), table.replace('"x-y"', "NAME")):
            self.assertEqual(len(self.breaches("states", {**golden, "translator/t.c": other})), 1)
        self.refused("states", "translator/t.c", table)
        self.assertEqual(self.breaches("states", {"translator/t.c": table.replace("    .fields = f,\n", "")}), [])

    def test_marks_of_unfinished_work_are_refused(self):
        self.refused("markers", "translator/t.c", "/* TO" "DO: more */\n")

    def test_each_source_is_built(self):
        self.refused("built", "translator/u.c", "")
        hosts = {"machine/CMakeLists.txt": SOUND["machine/CMakeLists.txt"] + "gw_host_source(h run/of m.c)\n"}
        self.assertEqual(self.breaches("built", {**hosts, "machine/run/of_aarch64.c": ""}), [])
        self.assertEqual(len(self.breaches("built", {**hosts, "machine/run/of_all.c": ""})), 1)

    def test_names_of_ours_exist(self):
        self.refused("names", "translator/t.c", "/* as gw_gone() has it */\n")
        self.refused("names", "translator/t.h", "/* one\n * struct gw_gone */\nint gw_here;\n")
        self.refused("names", "docs/a.md", "# One thing\n`gw_gone`\n")
        for good in ("gw_here()", "gw_a_...", "rv_h_NAME, gw_*", "toy_gone", "machine/gw_h.c"):
            self.assertEqual(self.breaches("names", {"translator/t.c": f"/* {good} */\nint gw_here, gw_a;\n"}), [], good)

    def test_links_lead_somewhere(self):
        self.refused("links", "README.md", "[a](docs/b.md)\n")
        self.refused("links", "README.md", "[a](docs/a.md#another-thing)\n")
        self.refused("links", "README.md", "`translator/gone.c`\n")
        self.refused("links", "README.md", "see `gone.c`\n")

    def test_comments_name_files_that_exist(self):
        self.refused("links", "translator/t.c", "/* as in gone.c */\n")
        self.refused("links", "translator/t.c", "/* of\n * the page docs/gone.md */\n")
        self.refused("links", "translator/t.h", "/* see machine/t.h */\n")
        for good in ("see t.h", "translator/t.h", "toy/f.c, m.c", "made.inc is made", "Linux, mm/fault.c", "gone.c()", "*.c"):
            self.assertEqual(self.breaches("links", {"translator/t.c": f'/* {good} */\nchar *s = "gone.c";\n'}), [], good)

    def test_operations_are_documented(self):
        self.refused("ir", "include/godwit/ir_ops.inc", SOUND["include/godwit/ir_ops.inc"] + 'IR_OP(X, "x", I, 1, 0)\n')
        self.refused("ir", "include/godwit/ir_ops.inc", 'IR_OP(ADD, "add", I, 2, 0)\n')

    def test_commands_exist(self):
        self.refused("verbs", "docs/a.md", "run ./dev frobnicate\n")
        self.refused("verbs", "README.md", "    ./dev boot\n")
        self.refused("verbs", ".ci/run", "true\n")


if __name__ == "__main__":
    unittest.main()
