# A program for tests that watch one: it forks once, counts rounds, with a system call in each, and
# exits with what s2 holds then: rounds, and how its child ended. What follows the first jump tells the
# test where things are.
#
# In registers: s1 rounds begun, s2 rounds as they count, s3 rounds to go, s4 the data.

.equ ROUNDS, 200
.equ DATA_PAGE, 0x20
.equ SYS_exit, 93
.equ SYS_getpid, 172
.equ SYS_clone, 220
.equ SYS_wait4, 260
.equ SIGCHLD, 17

    j start
    j loop
    j callee
    j call
    j patch
    j finish

start:
    li s1, 0
    li s3, ROUNDS
    lui s4, DATA_PAGE
    li a0, SIGCHLD          # a child, which runs over the same places
    li a1, 0
    li a2, 0
    li a3, 0
    li a4, 0
    li a7, SYS_clone
    ecall
    bnez a0, parent
    jal callee
    li a0, 0
    li a7, SYS_exit
    ecall
parent:
    li a0, -1
    addi a1, s4, 8
    li a2, 0
    li a3, 0
    li a7, SYS_wait4
    ecall
    lw s2, 8(s4)            # 0
loop:
    addi s1, s1, 1
    sd s1, 0(s4)
    jal callee
    li a7, SYS_getpid
call:
    ecall
patch:
    addi s2, s2, 1
    blt s1, s3, loop
finish:
    mv a0, s2
    li a7, SYS_exit
    ecall

callee:
    li t2, 5
again:
    addi t2, t2, -1
    bnez t2, again
    ret
