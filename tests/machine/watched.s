# A program for tests that watch a machine: in M mode it sets up Sv39, two timers and its own data,
# then counts in S mode at addresses 1 GiB above the physical ones. One timer is the hart's own (Sstc),
# which interrupts just when it is due; the other is a device (ACLINT), which is looked at now and then,
# and so is what the hart sends itself by that device. When and where they interrupt goes into hashes:
# who watches must not move it.
#
# It is loaded at 0x80000000, all harts start there. What follows the first jump tells the test
# where things are, and the test what it wants.
#
# A hart's data, at 0x80100000 + hart * 4096:
#     0 rounds begun  8 rounds ended, as s2 counts  16 done  24 hash  32 interrupts by the hart's timer
#     40 hash  48 interrupts by the device  64.. the traps' own
# In registers: s0 hart, s1 and s2 rounds, s3 the hart's data, s4 rounds to go.

.equ DATA_MB, 0x801         # 0x80100000 >> 20
.equ RWXAD, 0xcf            # with V
.equ RWX, 0x0f
.equ TABLE_KB, 0x802        # page table at 0x80200000, its flag behind it
.equ POWEROFF, 0x5555
.equ STI, 0x20
.equ MTI_MSI, 0x88
.equ COUNTERS, 7
.equ STCE, 1                # << 63
.equ S_WITH_INTERRUPTS, 0x820   # mstatus: MPP S, SPIE
.equ SIE, 2

    j start
    j loop
    j callee
    j patch
    j finish
    j trap
    j back
harts:
    .byte 1, 0, 0, 0
tick:                       # of the timer
    .byte 0, 0, 0, 0
rounds:
    .byte 0, 0, 0, 0

start:
    csrrs s0, mhartid, zero
    lla t0, machine_trap
    csrw mtvec, t0
    li t0, -1
    csrw pmpaddr0, t0
    li t0, 0x1f
    csrw pmpcfg0, t0
    li s3, DATA_MB
    slli s3, s3, 20
    slli t0, s0, 12
    add s3, s3, t0
    csrw mscratch, s3
    li t0, STI
    csrw mideleg, t0
    li t0, COUNTERS
    csrw mcounteren, t0
    li t0, STCE
    slli t0, t0, 63
    csrw menvcfg, t0
    li t0, TABLE_KB
    slli t0, t0, 20
    lui t1, 1
    add t1, t1, t0          # the flag
    bnez s0, wait_for_table
    lui t2, 0x20000         # 0x80000000 >> 2
    li t3, RWXAD
    sd t3, 0(t0)            # devices
    addi t3, t2, RWXAD
    sd t3, 16(t0)           # where it is
    sd t3, 24(t0)           # 1 GiB above
    addi t3, t2, RWX
    sd t3, 32(t0)           # at 4 GiB, never used: neither accessed nor dirty
    .byte 0x0f, 0, 0xf0, 0x0f # fence
    li t3, 1
    sd t3, 0(t1)
wait_for_table:
    ld t3, 0(t1)
    beqz t3, wait_for_table
    srli t0, t0, 12
    li t1, 8                # Sv39
    slli t1, t1, 60
    or t0, t0, t1
    csrw satp, t0
    sfence.vma zero, zero
    lla t1, tick
    lw t1, 0(t1)
    beqz t1, no_device
    li t0, MTI_MSI
    csrw mie, t0
    jal set_device
no_device:
    li t0, S_WITH_INTERRUPTS
    csrw mstatus, t0
    lla t0, rounds
    lw s4, 0(t0)
    lui t1, 0x40000
    add s3, s3, t1
    csrw sscratch, s3
    lla t0, trap
    add t0, t0, t1
    csrw stvec, t0
    lla t0, begin
    add t0, t0, t1
    csrw mepc, t0
    mret

begin:
    li s1, 0
    li s2, 0
    lla t1, tick
    lw t1, 0(t1)
    beqz t1, loop
    li t0, STI
    csrrs zero, sie, t0
    jal set_timer
    csrrsi zero, sstatus, SIE
loop:
    addi s1, s1, 1
    sd s1, 0(s3)
    jal callee
patch:
    addi s2, s2, 1
    sd s2, 8(s3)
    andi t0, s1, 63
    bnez t0, next
    slli t0, s0, 2
    lui t1, 0x2000
    add t0, t0, t1
    li t1, 1
    sw t1, 0(t0)            # to itself; taken where it has a timer too
next:
    blt s1, s4, loop
    li t0, 1
    sd t0, 16(s3)
    bnez s0, rest
    lla t0, harts
    lw t0, 0(t0)
    li t1, 2
    bltz t0, finish
    blt t0, t1, finish
    lui t1, 1
    add t1, t1, s3
others:
    ld t0, 16(t1)
    beqz t0, others
finish:
    ecall                   # ends the machine
rest:
    wfi
    j rest

callee:
    li t2, 5
again:
    addi t2, t2, -1
    bnez t2, again
    ret

# The timer's. Of t0, t1, ra and t6 nothing is lost.
trap:
    csrrw t6, sscratch, t6
    sd t0, 64(t6)
    sd t1, 72(t6)
    sd ra, 80(t6)
    ld t0, 24(t6)
    slli t1, t0, 5
    sub t0, t1, t0
    csrrs t1, sepc, zero
    add t0, t0, t1
    csrrs t1, instret, zero
    slli t1, t1, 20
    add t0, t0, t1
    sd t0, 24(t6)
    ld t0, 32(t6)
    addi t0, t0, 1
    sd t0, 32(t6)
    lla t1, tick
    lw t1, 0(t1)
    jal set_timer
    ld t0, 64(t6)
    ld t1, 72(t6)
    ld ra, 80(t6)
    csrrw t6, sscratch, t6
    sret

# The hart's next interrupt comes t1 ticks from now.
set_timer:
    csrrs t0, time, zero
    add t1, t1, t0
    csrw stimecmp, t1
    ret

# In M mode: the device's interrupt, or the end. Of t0 to t2, ra and t6 nothing is lost.
machine_trap:
    csrrw t6, mscratch, t6
    sd t0, 96(t6)
    sd t1, 104(t6)
    sd t2, 112(t6)
    sd ra, 120(t6)
    csrrs t0, mcause, zero
    bltz t0, device
    lui t1, 0x100
    li t0, POWEROFF
    sw t0, 0(t1)
stopped:
    j stopped
device:
    ld t0, 40(t6)
    slli t1, t0, 5
    sub t0, t1, t0
    csrrs t1, mepc, zero
    add t0, t0, t1
    csrrs t1, minstret, zero
    slli t1, t1, 20
    add t0, t0, t1
    sd t0, 40(t6)
    ld t0, 48(t6)
    addi t0, t0, 1
    sd t0, 48(t6)
    csrrs t0, mhartid, zero
    slli t0, t0, 2
    lui t1, 0x2000
    add t0, t0, t1
    sw zero, 0(t0)
    lla t1, tick
    lw t1, 0(t1)
    jal set_device
    ld t0, 96(t6)
    ld t1, 104(t6)
    ld t2, 112(t6)
    ld ra, 120(t6)
    csrrw t6, mscratch, t6
back:
    mret

# The device interrupts t1 ticks from now.
set_device:
    lui t0, 0x200c
    ld t2, -8(t0)
    add t1, t1, t2
    csrrs t2, mhartid, zero
    slli t2, t2, 3
    lui t0, 0x2004
    add t0, t0, t2
    sd t1, 0(t0)
    ret
