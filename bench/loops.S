/* The loops that docs/performance.md shows the host's code of, each run a few times: as a static program, or with
 * -DMACHINE as a machine's firmware at 0x80000000. */
    .option norelax
    .globl _start
    .text
_start:
#ifdef MACHINE
    li t0, 3 << 13 /* mstatus.FS */
    csrs mstatus, t0
#endif
    la s0, data
    li s1, 64

    /* sum: of 64-bit numbers */
    mv a0, s0
    addi a1, s0, 512
    li a2, 0
sum:
    ld a3, 0(a0)
    add a2, a2, a3
    addi a0, a0, 8
    bne a0, a1, sum

    /* chase: along a list */
    la a0, list
chase:
    ld a0, 0(a0)
    bnez a0, chase

    /* strlen: by bytes */
    la a0, text
    mv a1, a0
strlen:
    lbu a2, 0(a1)
    addi a1, a1, 1
    bnez a2, strlen

    /* dot: product of doubles */
    mv a0, s0
    mv a1, s0
    addi a2, s0, 512
    fmv.d.x fa0, zero
dot:
    fld fa1, 0(a0)
    fld fa2, 0(a1)
    fmadd.d fa0, fa1, fa2, fa0
    addi a0, a0, 8
    addi a1, a1, 8
    bne a0, a2, dot

    /* switch: by a table, as compilers jump */
    li a0, 0
    la a4, table
    li a5, 3
switch:
    andi a1, a0, 3
    bltu a5, a1, join
    slli a1, a1, 3
    add a1, a1, a4
    ld a1, 0(a1)
    jr a1
case0:
    addi a2, a2, 1
    j join
case1:
    addi a2, a2, 2
join:
    addi a0, a0, 1
    bne a0, s1, switch

    /* call and return */
    li a0, 0
call:
    jal ra, callee
    bne a0, s1, call

#ifdef MACHINE
    li t0, 0x100000 /* the test device: power off */
    li t1, 0x5555
    sw t1, 0(t0)
1:  j 1b
#else
    li a7, 93
    li a0, 0
    ecall
#endif

callee:
    addi a0, a0, 1
    ret

    .data
    .balign 4096
data:
    .fill 64, 8, 0
list:
    .dword list + 8, list + 16, list + 24, 0
table:
    .dword case0, case1, case0, case1
text:
    .asciz "The bar-tailed godwit flies from Alaska to New Zealand without a stop."
