"""Debian's firmware, unmodified: firmware.py WHAT. Needs GODWIT_PROGRAM, GODWIT_KERNEL,
GODWIT_INITRD and what `./dev firmware` prints (./dev check sets them); skipped without, by status
77."""
import os
import shutil
import struct
import subprocess
import sys
import tempfile

from env import need, tool
from session import Session, fail

POWEROFF = "console=ttyS0 run=poweroff"
MIB = 1 << 20
FETCH = " (./dev firmware fetches firmware)"


def run(*args, memory="1G", status=0):
    r = subprocess.run([need("PROGRAM"), "run", "-m", memory, "--timeout", "240s", *args],
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False)
    out, err = r.stdout.decode("utf-8", "replace"), r.stderr.decode("utf-8", "replace")
    if r.returncode != status:
        fail(f"status {r.returncode}", out, err)
    return out, err


def expect(out, *texts):
    for t in texts:
        if t not in out:
            fail(f"not seen: {t}", out)


def linux():
    return ["-k", need("KERNEL"), "-i", need("INITRD"), "-a", POWEROFF]


def opensbi(_):
    """Raw and ELF; the kind that is told where to go, and the one that always goes to one place."""
    where = need("OPENSBI", FETCH)
    for name, memory in (("fw_dynamic.bin", "3G"), ("fw_dynamic.elf", "256M"),
                         ("fw_jump.bin", "256M"), ("fw_jump.elf", "3G")):
        out, err = run("-b", os.path.join(where, name), *linux(), memory=memory)
        expect(out, "OpenSBI v1.", "SBI implementation ID=0x1 ", "godwit-guest: up: Linux 6.",
               "reboot: Power down")
        if err:
            fail("words on stderr", out, err)


def opensbi_smp(_):
    """Its harts start, wait, and are started by the kernel."""
    out, _err = run("-b", os.path.join(need("OPENSBI", FETCH), "fw_dynamic.bin"), "-c", "4", *linux())
    expect(out, "OpenSBI v1.", "Platform HART Count         : 4", "smp: Brought up 1 node, 4 CPUs",
           "reboot: Power down")


def partitioned(path, tree):
    """A disk with one partition, ext4, that holds the files below TREE."""
    mkfs = tool("mkfs.ext4")
    with open(path, "wb") as f:
        f.truncate(97 * MIB)
    subprocess.run([mkfs, "-q", "-F", "-E", f"offset={MIB}", "-d", tree, path, "96M"], check=True)
    with open(path, "r+b") as f:
        f.seek(446)
        f.write(struct.pack("<B3sB3sII", 0x80, b"\0\2\0", 0x83, b"\xff\xff\xff", MIB // 512,
                            96 * MIB // 512))
        f.seek(510)
        f.write(b"\x55\xaa")


def uboot(tmp):
    """Finds a menu on a virtio disk, and boots the kernel and initrd there."""
    elf = os.path.join(need("UBOOT", FETCH), "uboot.elf")
    tree = os.path.join(tmp, "tree")
    os.makedirs(os.path.join(tree, "extlinux"))
    shutil.copy(need("KERNEL"), os.path.join(tree, "vmlinux"))
    shutil.copy(need("INITRD"), os.path.join(tree, "initrd"))
    with open(os.path.join(tree, "extlinux/extlinux.conf"), "w", encoding="ascii") as f:
        f.write(f"default l0\ntimeout 1\nlabel l0\n kernel /vmlinux\n initrd /initrd\n"
                f" append {POWEROFF}\n")
    disk = os.path.join(tmp, "disk")
    partitioned(disk, tree)
    for bios in ("builtin", os.path.join(need("OPENSBI", FETCH), "fw_dynamic.bin")):
        out, _ = run("-b", bios, "-k", elf, "-d", disk)
        expect(out, "U-Boot 20", "Flash: 32 MiB", "Found /extlinux/extlinux.conf",
               "Starting kernel", "godwit-guest: up: Linux 6.", "reboot: Power down")


def banks(tmp, rw=False):
    where = need("EDK2", FETCH)
    variables = os.path.join(tmp, "vars.fd")
    if not os.path.exists(variables):
        shutil.copy(os.path.join(where, "RISCV_VIRT_VARS.fd"), variables)
    return ["--flash", "0=" + os.path.join(where, "RISCV_VIRT_CODE.fd"),
            "--flash", f"1={variables}" + (",rw" if rw else "")]


def edk2(tmp):
    """Boots the kernel that fw_cfg offers, on our SBI and on OpenSBI."""
    for bios in ("builtin", os.path.join(need("OPENSBI", FETCH), "fw_dynamic.bin")):
        out, err = run("-b", bios, *banks(tmp), *linux())
        expect(out, "efi: EFI v2.7 by Debian", "godwit-guest: up: Linux 6.", "reboot: Power down")
        expect(err, "written to", ",rw keeps them")


def edk2_shell(tmp):
    """Reaches its shell; the variables that it makes are kept, and read the next time."""
    for _ in range(2):
        out, err = run(*banks(tmp, rw=True), "--stop-text", "Shell> ")
        expect(out, "UEFI Interactive Shell")
        if "discarded" in err:
            fail("variables were not kept", out, err)
    with open(os.path.join(tmp, "vars.fd"), "rb") as f:
        if "BootOrder".encode("utf-16-le") not in f.read():
            fail("no BootOrder among the variables in the file")


def installer(_):
    """Debian's installer reaches its first dialog."""
    where = need("INSTALLER", FETCH)
    out, _ = run("-k", os.path.join(where, "linux"), "-i", os.path.join(where, "initrd.gz"),
                 "-a", "console=ttyS0", "--stop-text", "Choose the language to be used")
    expect(out, "Run /init as init process", "Select a language")


def systemd(_, *cpus):
    """Debian on a disk (./dev rootfs): a login, nothing failed, a network if there is one, the end."""
    net = ["--net", "user"]
    probe = subprocess.run([need("PROGRAM"), "run", *net, "--dump-dtb", os.devnull],
                           capture_output=True, check=False)
    if probe.returncode != 0:  # built without user networking
        net = []
    s = Session("-k", need("KERNEL"), "-i", need("INITRD"), "-d", need("ROOTFS", FETCH), "-a",
                "console=ttyS0 run=root", *net, *cpus)
    expect(s.until("godwit login: "), "Debian GNU/Linux 13")
    s.say("root")
    s.until("# ")
    # What is typed comes back: the words that are waited for are not in it.
    s.say('while [ "$(systemctl is-system-running)" = starting ]; do sleep 1; done')
    s.say('echo state: "$(systemctl is-system-running)"; systemctl is-active multi-user.target; '
          'systemctl --failed; echo loo""ked')
    expect(s.until("looked"), "state: running", "\nactive")
    if net:
        s.say('until ip -4 -o address show scope global | grep -o "inet 1.*brd"; do sleep 1; done')
        s.say('ping -c 1 10.0.2.2 | tail -n 2; echo ping""ed')
        expect(s.until("pinged"), "inet 10.0.2.15", "1 received")
    s.say("poweroff")
    s.until("reboot: Power down")
    if s.p.wait(60) != 0:
        fail(f"status {s.p.returncode}")


def systemd_smp(_):
    systemd(_, "-c", "4")


def main():
    tests = {f.__name__: f for f in (opensbi, opensbi_smp, uboot, edk2, edk2_shell, installer, systemd,
                                     systemd_smp)}
    with tempfile.TemporaryDirectory() as tmp:
        tests[sys.argv[1]](tmp)


main()
