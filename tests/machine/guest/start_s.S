/*
 * Entry in S mode, for programs that firmware starts: one hart, in a0; the others by SBI calls, at
 * hart_entry, with hart_stacks[hart] as their stack.
 */
#include "offsets.h"

    .section .text.start, "ax"
    .globl _start
_start:
    la sp, __stack_top
    la t0, __bss_start
    la t1, __bss_end
1:  bgeu t0, t1, 2f
    sd zero, (t0)
    addi t0, t0, 8
    j 1b
2:  mv tp, a0
    la t0, stray
    csrw stvec, t0
    call guest_main
    call guest_pass

    .globl hart_entry
hart_entry:
    csrr a2, satp
    csrr a3, sstatus
    mv tp, a0
    la t0, hart_stacks
    slli t1, a0, 3
    add t0, t0, t1
    ld sp, (t0)
    la t0, stray
    csrw stvec, t0
    call hart_main
3:  j 3b

    .balign 4
stray:
    csrr a0, scause
    csrr a1, sepc
    csrr a2, stval
    call guest_stray_trap

    /* What guest.c refers to, and programs in S mode don't use. */
    .text
    .globl ctx_trap
ctx_trap:
    j stray
