# The guest's first process when a machine is started with a command (`godwit run ... -- CMD`). It
# makes the usual mounts, opens the console, runs the command, and tells the board's test device how
# that ended. tools/assemble.py makes it a part of godwit-machine.so, and command.c puts it into an
# ELF file, together with the page at DATA: everything that differs between runs is in there, laid
# out by command.c (struct init_data), so there is nothing to parse here.
#
# What is written to the test device's word is CODE << 16 | 0x3333; command.c reads CODE:
#     0x100 | N   the command ended with status N
#     0x200 | N   no such command could be started: the kernel's errno is N
#     0x300 | N   signal N killed it
#     0x400       the console is ready for input
#     0x8000 | N  so many bytes of frames were taken (devices/host/console.h)
# In registers: s0 the data, s1 a walk through some list, s2 the command's process,
# s5 the test device, s6 and s7 the pipe that is the command's input, or -1.

.equ DATA_PAGE, 0x20
.equ ARGV, 0
.equ ENVP, 8
.equ PATHS, 16          # the files to try, in order; a null pointer ends them
.equ FLAGS, 24
.equ POWER, 32          # the test device's address
.equ FAILED, 40         # errno of the start
.equ STATUS, 48         # of wait4
.equ PIPE, 56           # two descriptors
.equ TERMIOS, 64
.equ FRAME_BYTES, 1040  # a header and what follows it, at most
.equ FLAG_TERMINAL, 1   # a person types at the console
.equ FLAG_NO_INPUT, 2   # there is nothing to read
.equ FLAG_FRAMES, 4     # what is to be read comes in frames

.equ SYS_dup3, 24
.equ SYS_ioctl, 29
.equ SYS_mkdirat, 34
.equ SYS_mount, 40
.equ SYS_openat, 56
.equ SYS_close, 57
.equ SYS_pipe2, 59
.equ SYS_read, 63
.equ SYS_write, 64
.equ SYS_sync, 81
.equ SYS_exit, 93
.equ SYS_rt_sigprocmask, 135
.equ SYS_reboot, 142
.equ SYS_setsid, 157
.equ SYS_clone, 220
.equ SYS_execve, 221
.equ SYS_mmap, 222
.equ SYS_wait4, 260
.equ AT_FDCWD, -100
.equ SIGTTOU_BIT, 1<<21
.equ ENOENT, 2
.equ EACCES, 13
.equ ENOTDIR, 20
.equ NO_MEMORY_BYTES, 74

.globl _start
_start:
    lui s0, DATA_PAGE

# Each mount's point is also made, unless it says otherwise; what cannot be is left as it is.
    lla s1, mounts
next_mount:
    lbu s3, 0(s1)
    beqz s3, mounted
    addi s1, s1, 1
    mv s4, s1
    jal skip_text
    li a0, '+'
    bne s3, a0, mount
    li a0, AT_FDCWD
    mv a1, s4
    li a2, 0x1ed        # 0755
    li a7, SYS_mkdirat
    ecall
mount:
    mv a0, s1
    mv a1, s4
    mv a2, s1
    li a3, 0
    li a4, 0
    li a7, SYS_mount
    ecall
    jal skip_text
    j next_mount
mounted:

# Standard input, output and error. What the kernel has opened stays if there is no console.
    lla a1, console
    li a2, 0x102        # O_RDWR | O_NOCTTY
    jal open
    bltz a0, opened
    mv s1, a0
    li a1, 0
    jal dup
    li a1, 1
    jal dup
    li a1, 2
    jal dup
    li a0, 2
    bge a0, s1, opened
    mv a0, s1
    li a7, SYS_close
    ecall
opened:

# The host's side sees the bytes as the command writes them (no OPOST). Where nobody types, what
# comes in is not echoed, and no byte of it means anything to the terminal.
    li a0, 0
    li a1, 0x5401       # TCGETS
    addi a2, s0, TERMIOS
    li a7, SYS_ioctl
    ecall
    lw a0, TERMIOS+4(s0)
    andi a0, a0, ~1     # c_oflag: OPOST
    sw a0, TERMIOS+4(s0)
    lw a3, FLAGS(s0)
    andi a3, a3, FLAG_TERMINAL
    bnez a3, set_terminal
    sw zero, TERMIOS+0(s0)      # c_iflag
    sw zero, TERMIOS+12(s0)     # c_lflag
set_terminal:
    li a0, 0
    li a1, 0x5402       # TCSETS
    addi a2, s0, TERMIOS
    li a7, SYS_ioctl
    ecall

# s5: the test device's word, or 0.
    li s5, 0
    lla a1, memory
    li a2, 0x101002     # O_RDWR | O_SYNC
    jal open
    bltz a0, not_mapped
    mv a4, a0
    mv s1, a0
    li a0, 0
    li a1, 0x1000
    li a2, 3            # PROT_READ | PROT_WRITE
    li a3, 1            # MAP_SHARED
    ld a5, POWER(s0)
    li a7, SYS_mmap
    ecall
    mv s5, a0
    mv a0, s1
    li a7, SYS_close
    ecall
    li a1, -4096
    bltu s5, a1, mapped
    li s5, 0
    j not_mapped
mapped:
    li a1, 0x04003333
    sw a1, 0(s5)
not_mapped:

# The session is init's and not the command's: its leader's exit would hang up the console, and throw
# away what the command has written last. The command is in init's process group, so that the keys
# that send signals reach it; to init, they do nothing.
    li a7, SYS_setsid
    ecall
    li a0, 1
    li a1, 0x540e       # TIOCSCTTY
    li a2, 1
    li a7, SYS_ioctl
    ecall

# Input in frames becomes a pipe's: a process takes them apart. It has a session of its own, so that it
# may read what is the terminal of another one's.
    li s6, -1
    lw a0, FLAGS(s0)
    andi a0, a0, FLAG_FRAMES
    beqz a0, input_is_there
    addi a0, s0, PIPE
    li a1, 0
    li a7, SYS_pipe2
    ecall
    bltz a0, no_process
    lw s6, PIPE(s0)
    lw s7, PIPE+4(s0)
    li a0, 0x11         # SIGCHLD
    li a1, 0
    li a2, 0
    li a3, 0
    li a4, 0
    li a7, SYS_clone
    ecall
    beqz a0, feeder
    bltz a0, no_process
    mv a0, s7
    li a7, SYS_close
    ecall
input_is_there:

# The child shares this memory until it has become the command, or has written why not.
    li a0, 0x4111       # CLONE_VM | CLONE_VFORK | SIGCHLD
    li a1, 0
    li a2, 0
    li a3, 0
    li a4, 0
    li a7, SYS_clone
    ecall
    beqz a0, child
    bltz a0, no_process
    mv s2, a0
    mv a0, s6           # its reader is the command alone, so that the feeder ends with it
    li a7, SYS_close
    ecall
    lw a0, FAILED(s0)
    bnez a0, not_started

# Orphans end up here, too.
wait:
    li a0, -1
    addi a1, s0, STATUS
    li a2, 0
    li a3, 0
    li a7, SYS_wait4
    ecall
    bne a0, s2, wait
    lw a0, STATUS(s0)
    andi a1, a0, 0x7f
    bnez a1, killed
    srli a0, a0, 8
    andi a0, a0, 0xff
    ori a0, a0, 0x100
    j tell
killed:
    ori a0, a1, 0x300
    j tell
no_process:
    neg a0, a0
not_started:
    ori a0, a0, 0x200

# a0: CODE. The console's last bytes are on their way first: the machine ends with the store. SIGTTOU
# is blocked, or that would be refused where a shell has left the terminal to a job.
tell:
    mv s3, a0
    li a0, 0            # SIG_BLOCK
    li a1, SIGTTOU_BIT
    sd a1, STATUS(s0)
    addi a1, s0, STATUS
    li a2, 0
    li a3, 8
    li a7, SYS_rt_sigprocmask
    ecall
    li a0, 1
    li a1, 0x5409       # TCSBRK
    li a2, 1            # as tcdrain
    li a7, SYS_ioctl
    ecall
    li a7, SYS_sync
    ecall
    beqz s5, cannot_tell
    slli a1, s3, 16
    li a2, 0x3333
    or a1, a1, a2
    sw a1, 0(s5)

# Power off without having told: the host says that the command's end is not known.
cannot_tell:
    li a0, 2
    lla a1, no_memory
    li a2, NO_MEMORY_BYTES
    li a7, SYS_write
    ecall
    li a0, 1
    li a1, 0x5409
    li a2, 1
    li a7, SYS_ioctl
    ecall
    li a0, 0xfee1dead-0x100000000
    li a1, 0x28121969
    li a2, 0x4321fedc   # LINUX_REBOOT_CMD_POWER_OFF
    li a3, 0
    li a7, SYS_reboot
    ecall
forever:
    j forever

# Reads frames and writes what is in them, until the empty one, or until nobody reads.
feeder:
    mv a0, s6
    li a7, SYS_close
    ecall
    li a7, SYS_setsid
    ecall
    addi sp, sp, -FRAME_BYTES
next_frame:
    mv s1, sp
    li s3, 2
    jal read_all
    lhu s4, 0(sp)
    beqz s4, fed
    mv s1, sp
    mv s3, s4
    jal read_all
    mv s1, sp
    mv s3, s4
write_rest:
    mv a0, s7
    mv a1, s1
    mv a2, s3
    li a7, SYS_write
    ecall
    bge zero, a0, fed
    add s1, s1, a0
    sub s3, s3, a0
    bnez s3, write_rest
    beqz s5, next_frame
    addi a0, s4, 2
    li a1, 0x8000
    or a0, a0, a1
    slli a0, a0, 16
    li a1, 0x3333
    or a0, a0, a1
    sw a0, 0(s5)
    j next_frame
fed:
    li a0, 0
    li a7, SYS_exit
    ecall

# s3 bytes, one at least, to s1. Does not return where there are no more.
read_all:
    li a0, 0
    mv a1, s1
    mv a2, s3
    li a7, SYS_read
    ecall
    bge zero, a0, fed
    add s1, s1, a0
    sub s3, s3, a0
    bnez s3, read_all
    ret

child:
    li a0, -1
    beq s6, a0, no_pipe
    mv s1, s6
    li a1, 0
    jal dup
    mv a0, s6
    li a7, SYS_close
    ecall
    j start
no_pipe:
    lw a0, FLAGS(s0)
    andi a0, a0, FLAG_NO_INPUT
    beqz a0, start
    lla a1, null
    li a2, 0
    jal open
    bltz a0, start
    mv s1, a0
    li a1, 0
    jal dup
    mv a0, s1
    li a7, SYS_close
    ecall

# As execvp: the next file is tried where there is no such one, or we may not run it; that it was
# there is what is told in the end.
start:
    ld s1, PATHS(s0)
    li s3, ENOENT
try:
    ld a0, 0(s1)
    beqz a0, give_up
    addi s1, s1, 8
    ld a1, ARGV(s0)
    ld a2, ENVP(s0)
    li a7, SYS_execve
    ecall
    neg a0, a0
    li a1, ENOENT
    beq a0, a1, try
    li a1, ENOTDIR
    beq a0, a1, try
    mv s3, a0
    li a1, EACCES
    beq a0, a1, try
give_up:
    sw s3, FAILED(s0)
    li a0, 127
    li a7, SYS_exit
    ecall

# a1: path, a2: flags.
open:
    li a0, AT_FDCWD
    li a3, 0
    li a7, SYS_openat
    ecall
    ret

# s1 becomes a1; where it is that already, the kernel refuses, and all is well.
dup:
    mv a0, s1
    li a2, 0
    li a7, SYS_dup3
    ecall
    ret

# s1 moves over its text to the next one.
skip_text:
    lbu a0, 0(s1)
    addi s1, s1, 1
    bnez a0, skip_text
    ret

# A mark (+: make it), the point, the type.
mounts:
    .asciz "+/proc"
    .asciz "proc"
    .asciz "+/sys"
    .asciz "sysfs"
    .asciz "+/dev"
    .asciz "devtmpfs"
    .asciz "+/dev/pts"
    .asciz "devpts"
    .asciz "+/dev/shm"
    .asciz "tmpfs"
    .asciz "=/tmp"
    .asciz "tmpfs"
    .asciz "=/run"
    .asciz "tmpfs"
    .byte 0
console:
    .asciz "/dev/console"
null:
    .asciz "/dev/null"
memory:
    .asciz "/dev/mem"
no_memory:
    .asciz "godwit: the kernel has no /dev/mem, by which the command's status is told\n"
