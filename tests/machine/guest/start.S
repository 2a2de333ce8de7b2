/*
 * Entry in M mode, and the way into code under test and back: ctx_run() enters a context (registers,
 * pc, mode) by mret and returns when that traps to M mode. Every hart may do that, on a stack of its
 * own. Harts other than 0 wait here until hart_work gives them something to run (see smp.h).
 */
#include "offsets.h"

    .section .text.start, "ax"
    .globl _start
_start:
    csrw mscratch, zero
    la t0, ctx_trap
    csrw mtvec, t0
    csrr s0, mhartid
    la sp, __stack_top
    slli t0, s0, STACK_BITS
    sub sp, sp, t0
    bnez s0, park
    la t0, __bss_start
    la t1, __bss_end
1:  bgeu t0, t1, 2f
    sd zero, (t0)
    addi t0, t0, 8
    j 1b
2:  call guest_start
3:  j 3b

/* s0: the hart. Woken by its software interrupt, which is pending and never taken. */
park:
    li t0, HARTS
    bgeu s0, t0, 3b
    la s1, hart_work
    slli t0, s0, 3
    add s1, s1, t0
    li s2, CLINT_BASE_ADDR
    slli t0, s0, 2
    add s2, s2, t0
1:  csrwi mie, 8
    ld t1, (s1)
    bnez t1, 2f
    wfi
    j 1b
2:  csrwi mie, 0
    sw zero, (s2)
    fence rw, rw
    mv a0, s0
    jalr t1
    fence rw, rw
    sd zero, (s1)
    j 1b

    .text
    .globl ctx_run
ctx_run:
    addi sp, sp, -112
    sd ra, 0(sp)
    sd s0, 8(sp)
    sd s1, 16(sp)
    sd s2, 24(sp)
    sd s3, 32(sp)
    sd s4, 40(sp)
    sd s5, 48(sp)
    sd s6, 56(sp)
    sd s7, 64(sp)
    sd s8, 72(sp)
    sd s9, 80(sp)
    sd s10, 88(sp)
    sd s11, 96(sp)
    sd sp, (CTX_HOME + 0)(a0)
    sd gp, (CTX_HOME + 8)(a0)
    sd tp, (CTX_HOME + 16)(a0)
    csrw mscratch, a0
    ld t0, CTX_PC(a0)
    csrw mepc, t0
    li t0, 3 << 11
    csrc mstatus, t0
    ld t0, CTX_MODE(a0)
    slli t0, t0, 11
    csrs mstatus, t0
    ld t0, CTX_CLEAR(a0)
    csrc mstatus, t0
    ld t0, CTX_SET(a0)
    csrs mstatus, t0
    .irp r, 1,2,3,4,5,6,7,8,9,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ld x\r, (8 * \r)(a0)
    .endr
    ld a0, 80(a0)
    mret

    .balign 4
    .globl ctx_trap
ctx_trap:
    csrrw a0, mscratch, a0
    beqz a0, 1f
    .irp r, 1,2,3,4,5,6,7,8,9,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    sd x\r, (8 * \r)(a0)
    .endr
    csrrw t0, mscratch, zero
    sd t0, 80(a0)
    csrr t0, mcause
    sd t0, CTX_CAUSE(a0)
    csrr t0, mepc
    sd t0, CTX_EPC(a0)
    csrr t0, mtval
    sd t0, CTX_TVAL(a0)
    csrr t0, mstatus
    sd t0, CTX_STATUS(a0)
    li t0, 1 << 17 /* MPRV: our own data is at physical addresses */
    csrc mstatus, t0
    ld sp, (CTX_HOME + 0)(a0)
    ld gp, (CTX_HOME + 8)(a0)
    ld tp, (CTX_HOME + 16)(a0)
    ld ra, 0(sp)
    ld s0, 8(sp)
    ld s1, 16(sp)
    ld s2, 24(sp)
    ld s3, 32(sp)
    ld s4, 40(sp)
    ld s5, 48(sp)
    ld s6, 56(sp)
    ld s7, 64(sp)
    ld s8, 72(sp)
    ld s9, 80(sp)
    ld s10, 88(sp)
    ld s11, 96(sp)
    addi sp, sp, 112
    ret
    /* The test itself trapped. */
1:  li t0, 1 << 17
    csrc mstatus, t0
    csrr a0, mcause
    csrr a1, mepc
    csrr a2, mtval
    la sp, __stack_top
    csrr t0, mhartid
    slli t0, t0, STACK_BITS
    sub sp, sp, t0
    call guest_stray_trap

    /* Not in .bss, which hart 0 clears while the others look here. */
    .data
    .balign 8
    .globl hart_work
hart_work:
    .space 8 * HARTS
