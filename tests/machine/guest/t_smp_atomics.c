/*
 * Atomics between harts (RISC-V unprivileged manual, chapter 13): what ends a reservation does so
 * from another hart too, through whatever mapping, even where the value comes back; increments add
 * up; misaligned ones fault while others are at work.
 */
#include "smp.h"

enum { WAYS = 8, TURNS = 16, COUNT = 1000, NODES = 8, MOVES = 300, TEARS = 10000 };

/* a1: where, a2: what to store, a4: tells that it is reserved, a5: waits for this to be set. */
#define HELD(name, width)                                                                          \
    SNIPPET(name, "lr." width " a0, (a1)\nsd a2, (a4)\n1: ld a3, (a5)\nbeqz a3, 1b\n"              \
                  "sc." width " a0, a2, (a1)\necall")
HELD(snip_held_w, "w");
HELD(snip_held_d, "d");
SNIPPET(snip_sd, "sd a2, (a1)\necall");
SNIPPET(snip_sw, "sw a2, (a1)\necall");
SNIPPET(snip_sb, "sb a2, (a1)\necall");
SNIPPET(snip_amo, "amoswap.d a0, a2, (a1)\necall");
SNIPPET(snip_pair, "1: lr.d a0, (a1)\nsc.d a0, a2, (a1)\nbnez a0, 1b\necall");
SNIPPET(snip_sc, "sc.d a0, a2, (a1)\necall");
SNIPPET(snip_zero, ".word 0x0045a00f\necall"); /* cbo.zero (a1) */
SNIPPET(snip_twice, "sd a3, (a1)\nsd a2, (a1)\necall");
SNIPPET(snip_lr_bad, "lr.d a0, (a1)\necall");
SNIPPET(snip_amo_bad, "amoadd.d a0, a2, (a1)\necall");

#define NEAR UINT64_C(0x40000000)
#define FAR  UINT64_C(0x40400000) /* the same page again */

static struct space sp;
static uint64_t snippets_at;
static uint64_t *cells, *flags;
static struct ctx of[HARTS];

/* ---- reservations ------------------------------------------------------------------------------ */

static const struct {
    char *code;
    bool stores, same; /* the value that was there is there again */
} remote[] = {
    {snip_sd, true, false},  {snip_sw, true, false},   {snip_sb, true, false},
    {snip_amo, true, false}, {snip_pair, true, false}, {snip_sc, false, false},
    {snip_sd, true, true},   {snip_twice, true, true}, {snip_pair, true, true},
    {snip_zero, true, true},
};
enum { REMOTES = sizeof remote / sizeof remote[0], OLD = 0x55, NEW = 0x56 };

static void in_s_mode(unsigned hart, char *code, uint64_t where, uint64_t value, uint64_t more)
{
    struct ctx *c = &of[hart];
    c->x[14] = addr(&flags[0]);
    c->x[15] = addr(&flags[16]);
    run4(c, PRIV_S, addr(code) + snippets_at, 0, where, value, more);
    CHECK_EQ(c->cause, CAUSE_ECALL_S);
}

/* Hart 0 holds a reservation while hart 1 does something, through the same address or the other. */
static void reserved(unsigned hart)
{
    csr_write(satp, space_satp(&sp));
    csr_write(menvcfg, UINT64_C(0xf) << 4); /* CBO.ZERO */
    sfence_all();
    for (unsigned n = 0; n < WAYS * REMOTES; n++) {
        unsigned k = n % REMOTES, way = n / REMOTES;
        uint64_t at = 8 * (n % 7), *cell = &cells[n % 7];
        /* QEMU compares values, and takes one that has come back for one that never went. */
        bool skipped = remote[k].same && guest_on_peer();
        uint64_t old = remote[k].code == snip_zero ? 0 : OLD;
        if (hart == 0) {
            *cell = old;
            flags[0] = flags[16] = 0;
        }
        barrier();
        if (skipped)
            continue;
        if (hart == 0) {
            in_s_mode(0, way & 4 ? snip_held_w : snip_held_d, (way & 1 ? NEAR : FAR) + at, 77, 0);
            guest_note("remote", k);
            guest_note("way", way);
            if (remote[k].stores)
                CHECK_EQ(of[0].x[10], 1);
            CHECK_EQ(load(cell), !of[0].x[10]                          ? 77
                                 : remote[k].stores && !remote[k].same ? NEW
                                                                       : old);
        } else {
            wait_until(load(&flags[0]));
            in_s_mode(1, remote[k].code, (way & 2 ? NEAR : FAR) + at, remote[k].same ? old : NEW,
                      NEW);
            if (remote[k].code == snip_sc) /* with no LR of its own */
                CHECK_EQ(of[1].x[10], 1);
            store(&flags[16], 1);
        }
        barrier();
    }
    csr_write(satp, 0);
    sfence_all();
}

/* The same with nothing but registers between LR and SC: both know the time. */
static void by_the_clock(unsigned hart)
{
    volatile uint64_t *cell = cells, *plan = &flags[32], *done = &flags[48];
    for (unsigned n = 0; n < TURNS; n++) {
        uint64_t from, to, failed, due, seen;
        if (hart == 0) {
            *cell = OLD;
            store(plan, CLINT_MTIME + 1000);
        }
        barrier();
        due = load(plan);
        if (hart == 0) {
            /* Reserves, waits till 100 us after it is due, and stores. */
            __asm__ volatile("rdtime %0\nlr.d %3, (%4)\nrdtime %0\n1: rdtime %1\nbltu %1, %5, 1b\n"
                             "sc.d %2, %6, (%4)"
                             : "=&r"(from), "=&r"(to), "=&r"(failed), "=&r"(seen)
                             : "r"(cell), "r"(due + 1000), "r"(77)
                             : "memory");
        } else {
            wait_until(CLINT_MTIME >= due);
            *cell = NEW;
            __asm__ volatile("fence rw, rw" ::: "memory");
            *cell = OLD;
            __asm__ volatile("fence rw, rw" ::: "memory");
            store(done, CLINT_MTIME);
        }
        barrier();
        /* If the host let both be in time, it was there and back within the reservation. */
        if (hart == 0 && from < due && load(done) < to && !guest_on_peer()) {
            CHECK_EQ(failed, 1);
            CHECK_EQ(*cell, OLD);
            flags[64]++;
        }
    }
}

/* ---- sums -------------------------------------------------------------------------------------- */

static void count(unsigned hart)
{
    volatile uint32_t *word = (volatile uint32_t *)&cells[64];
    uint64_t t, f;
    for (unsigned n = 0; n < COUNT; n++) {
        __asm__ volatile("1: lr.d %0, (%2)\naddi %0, %0, 1\nsc.d %1, %0, (%2)\nbnez %1, 1b"
                         : "=&r"(t), "=&r"(f)
                         : "r"(&cells[32])
                         : "memory");
        __asm__ volatile("1: lr.w %0, (%2)\naddi %0, %0, 1\nsc.w %1, %0, (%2)\nbnez %1, 1b"
                         : "=&r"(t), "=&r"(f)
                         : "r"(word + 1)
                         : "memory");
        __atomic_fetch_add(&cells[48], 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(word, 1, __ATOMIC_RELAXED);
        __atomic_fetch_xor(&cells[80], UINT64_C(1) << (n & 63), __ATOMIC_RELAXED);
        /* There and back beside increments: neither may be lost. */
        if (hart & 1) {
            __atomic_fetch_xor(&cells[96], BIT(63), __ATOMIC_RELAXED);
            __atomic_fetch_xor(&cells[96], BIT(63), __ATOMIC_RELAXED);
        } else {
            __asm__ volatile("1: lr.d %0, (%2)\naddi %0, %0, 1\nsc.d %1, %0, (%2)\nbnez %1, 1b"
                             : "=&r"(t), "=&r"(f)
                             : "r"(&cells[96])
                             : "memory");
        }
        /* AMOs of words in one doubleword with LR/SC of it. */
        if (hart & 1)
            __atomic_fetch_add((uint32_t *)&cells[112] + 1, 1, __ATOMIC_RELAXED);
        else
            __asm__ volatile("1: lr.d %0, (%2)\naddi %0, %0, 1\nsc.d %1, %0, (%2)\nbnez %1, 1b"
                             : "=&r"(t), "=&r"(f)
                             : "r"(&cells[112])
                             : "memory");
    }
}

/* Constrained loops with branches forward, and one with accesses between, on the same few words as
 * others: whichever way each goes, it adds one, or takes the larger. */
static void count_by_branches(unsigned hart)
{
    uint64_t t, n, f;
    for (unsigned k = 1; k <= COUNT; k++) {
        __asm__ volatile("1: lr.d %0, (%3)\naddi %1, %0, 1\nbgez %0, 2f\nxori %1, %1, 0\n"
                         "addi %1, %1, 0\n2: sc.d %2, %1, (%3)\nbnez %2, 1b"
                         : "=&r"(t), "=&r"(n), "=&r"(f)
                         : "r"(&cells[32])
                         : "memory");
        __asm__ volatile("1: lr.d %0, (%3)\nandi %1, %0, 1\nbnez %1, 2f\naddi %1, %0, 1\n"
                         "sc.d %2, %1, (%3)\nbnez %2, 1b\nj 3f\n2: addi %1, %0, 1\n"
                         "sc.d %2, %1, (%3)\nbnez %2, 1b\n3:"
                         : "=&r"(t), "=&r"(n), "=&r"(f)
                         : "r"(&cells[hart & 1 ? 32 : 48])
                         : "memory");
        __asm__ volatile("1: lr.w %0, (%3)\nmv %1, %0\nbge %0, %4, 2f\nmv %1, %4\n"
                         "2: sc.w %2, %1, (%3)\nbnez %2, 1b"
                         : "=&r"(t), "=&r"(n), "=&r"(f)
                         : "r"(&cells[64]), "r"((k << 3) + hart)
                         : "memory");
        __asm__ volatile("1: lr.d %0, (%3)\nld %1, 8(%3)\nbltz %1, 2f\naddi %1, %0, 1\n"
                         "2: sd %1, 8(%4)\nsc.d %2, %1, (%3)\nbnez %2, 1b"
                         : "=&r"(t), "=&r"(n), "=&r"(f)
                         : "r"(&cells[80]), "r"(&cells[96 + 2 * hart])
                         : "memory");
    }
}

/* Each AMO of a device's register is one step. */
static void count_on_device(unsigned hart)
{
    volatile uint64_t *at = mmio64(CLINT_BASE + 0x4000 + 8 * (HARTS - 1));
    for (unsigned k = 0; k < COUNT; k++)
        __asm__ volatile("amoadd.d zero, %1, (%0)" ::"r"(at), "r"(1 + (uint64_t)hart) : "memory");
}

static void sums_by_branches(void)
{
    volatile uint64_t *at = mmio64(CLINT_BASE + 0x4000 + 8 * (HARTS - 1));
    for (unsigned i = 32; i < 128; i++)
        cells[i] = 0;
    harts_run(ALL_HARTS, count_by_branches);
    CHECK_EQ(cells[32], (HARTS + HARTS / 2) * COUNT);
    CHECK_EQ(cells[48], (HARTS - HARTS / 2) * COUNT);
    CHECK_EQ(cells[64], (COUNT << 3) + HARTS - 1);
    CHECK_EQ(cells[80], HARTS * COUNT);
    *at = 0;
    harts_run(ALL_HARTS, count_on_device);
    CHECK_EQ(*at, HARTS * (HARTS + 1) / 2 * COUNT);
    *at = ALL_ONES;
}

static void sums(void)
{
    for (unsigned i = 32; i < 128; i++)
        cells[i] = 0;
    harts_run(ALL_HARTS, count);
    CHECK_EQ(cells[32], HARTS * COUNT);
    CHECK_EQ(cells[48], HARTS * COUNT);
    CHECK_EQ(cells[64], (uint64_t)HARTS * COUNT << 32 | HARTS * COUNT);
    CHECK_EQ(cells[80], 0);
    CHECK_EQ(cells[96], HARTS / 2 * COUNT);
    CHECK_EQ(cells[112], (uint64_t)HARTS / 2 * COUNT << 32 | HARTS / 2 * COUNT);
}

/* ---- stacks ------------------------------------------------------------------------------------ */

static struct node {
    struct node *next;
    unsigned owner, index;
    uint64_t pad[14];
} nodes[NODES] __attribute__((aligned(4096)));
static struct node *volatile top __attribute__((aligned(4096)));
static uint64_t tagged_top; /* index + 1 below, count of changes above */

/* Reads the node between LR and SC: only a reservation keeps this from ABA. */
static struct node *pop(void)
{
    struct node *n, *next;
    uint64_t failed;
    __asm__ volatile("1: lr.d.aq %0, (%3)\nli %2, 0\nbeqz %0, 2f\nld %1, (%0)\n"
                     "sc.d %2, %1, (%3)\nbnez %2, 1b\n2:"
                     : "=&r"(n), "=&r"(next), "=&r"(failed)
                     : "r"(&top)
                     : "memory");
    return n;
}

static void push(struct node *n)
{
    struct node *seen;
    uint64_t failed;
    do {
        struct node *old = top;
        n->next = old;
        __asm__ volatile("fence rw, rw\nli %1, 1\nlr.d %0, (%2)\nbne %0, %3, 1f\n"
                         "sc.d %1, %4, (%2)\n1:"
                         : "=&r"(seen), "=&r"(failed)
                         : "r"(&top), "r"(old), "r"(n)
                         : "memory");
    } while (failed);
}

/* The same by branches forward: over an instruction, and to an SC that changes nothing. */
static struct node *pop_by_branches(void)
{
    struct node *n, *next;
    uint64_t failed;
    __asm__ volatile("1: lr.d.aq %0, (%3)\nli %2, 0\nbeqz %0, 3f\nld %1, (%0)\nbnez %1, 2f\n"
                     "li %1, 0\n2: sc.d %2, %1, (%3)\nbnez %2, 1b\n3:"
                     : "=&r"(n), "=&r"(next), "=&r"(failed)
                     : "r"(&top)
                     : "memory");
    return n;
}

static void push_by_branches(struct node *n)
{
    struct node *seen;
    uint64_t failed;
    do {
        struct node *old = top;
        n->next = old;
        __asm__ volatile("fence rw, rw\nlr.d %0, (%2)\nbne %0, %3, 1f\nsc.d %1, %4, (%2)\nj 2f\n"
                         "1: sc.d %1, %0, (%2)\nli %1, 1\n2:"
                         : "=&r"(seen), "=&r"(failed)
                         : "r"(&top), "r"(old), "r"(n)
                         : "memory");
    } while (failed);
}

static bool swap_tagged(uint64_t old, uint64_t to)
{
    return __atomic_compare_exchange_n(&tagged_top, &old, ((old >> 32) + 1) << 32 | to, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static struct node *pop_tagged(void)
{
    for (;;) {
        uint64_t old = load(&tagged_top);
        struct node *n = &nodes[(uint32_t)old - 1], *next;
        if (!(uint32_t)old)
            return NULL;
        next = *(struct node *volatile *)&n->next;
        if (swap_tagged(old, next ? next->index + 1 : 0))
            return n;
    }
}

static void push_tagged(struct node *n)
{
    for (;;) {
        uint64_t old = load(&tagged_top);
        n->next = (uint32_t)old ? &nodes[(uint32_t)old - 1] : NULL;
        if (swap_tagged(old, n->index + 1))
            return;
    }
}

static struct node *(*pop_it)(void);
static void (*push_it)(struct node *n);

/* Takes two and puts them back the other way round: what ABA breaks. Nobody has a node twice. */
static void shuffle(unsigned hart)
{
    for (unsigned n = 0; n < MOVES; n++) {
        struct node *a = pop_it(), *b = pop_it();
        if (a)
            CHECK_EQ(swap(&a->owner, hart + 1), 0);
        if (b)
            CHECK_EQ(swap(&b->owner, hart + 1), 0);
        if (a) {
            CHECK_EQ(swap(&a->owner, 0), hart + 1);
            push_it(a);
        }
        if (b) {
            CHECK_EQ(swap(&b->owner, 0), hart + 1);
            push_it(b);
        }
    }
}

static void stack(struct node *(*pop_fn)(void), void (*push_fn)(struct node *))
{
    unsigned found = 0;
    pop_it = pop_fn;
    push_it = push_fn;
    for (unsigned i = 0; i < NODES; i++) {
        nodes[i].index = i;
        push_it(&nodes[i]);
    }
    harts_run(ALL_HARTS, shuffle);
    for (struct node *n = pop_it(); n; n = pop_it()) {
        CHECK(!(found >> n->index & 1));
        found |= 1u << n->index;
    }
    CHECK_EQ(found, (1u << NODES) - 1);
}

/* ---- whole, or a fault ------------------------------------------------------------------------- */

static void whole(unsigned hart)
{
    struct ctx *c = &of[hart];
    volatile uint64_t *cell = &cells[128];
    for (unsigned n = 0; n < TEARS; n++) {
        if (hart == 1) {
            *cell = n & 1 ? ALL_ONES : 0;
        } else if (hart == 2) {
            uint64_t got = *cell;
            if (got != 0 && got != ALL_ONES)
                guest_fail(__LINE__, "half of a doubleword", got, 0);
        } else if (hart == 3) {
            __atomic_fetch_add(&cells[129], 1, __ATOMIC_RELAXED);
        } else if (n % 64 == 0) {
            uint64_t at = addr(cell) + 1 + n / 64 % 7;
            run4(c, PRIV_M, addr(snip_amo_bad), 0, at, 1, 0);
            CHECK_TRAP(c, CAUSE_STORE_MISALIGNED, addr(snip_amo_bad), at);
            run4(c, PRIV_M, addr(snip_sc), 0, at, 1, 0);
            CHECK_TRAP(c, CAUSE_STORE_MISALIGNED, addr(snip_sc), at);
            run4(c, PRIV_M, addr(snip_lr_bad), 0, at, 1, 0);
            CHECK_TRAP(c, CAUSE_LOAD_MISALIGNED, addr(snip_lr_bad), at);
        }
    }
}

static void nothing_reserved(unsigned hart)
{
    uint64_t failed, *cell = &cells[256 + hart];
    *cell = OLD;
    for (unsigned n = 0; n < 100; n++) {
        barrier();
        __asm__ volatile("sc.d %0, %1, (%2)" : "=&r"(failed) : "r"(77), "r"(cell) : "memory");
        CHECK_EQ(failed, 1);
        CHECK_EQ(*cell, OLD);
    }
}

void guest_main(void)
{
    cells = page_new();
    flags = page_new();
    space_init(&sp, 3, 1);
    snippets_at = space_snippets(&sp, UINT64_C(0x50000000), PTE_RX);
    *space_pte(&sp, UINT64_C(0x80000000), 2) = pte_make(UINT64_C(0x80000000), PTE_RWX);
    space_map(&sp, NEAR, addr(cells), PTE_RW);
    space_map(&sp, FAR, addr(cells), PTE_RW);
    harts_run(3, reserved);
    harts_run(3, by_the_clock);
    guest_print("there and back within a reservation", flags[64], TURNS);
    harts_run(3, nothing_reserved);
    sums();
    sums_by_branches();
    stack(pop_tagged, push_tagged);
    if (!guest_on_peer()) { /* QEMU's pairs compare values */
        stack(pop, push);
        stack(pop_by_branches, push_by_branches);
    }
    harts_run(ALL_HARTS, whole);
    CHECK_EQ(cells[129], TEARS);
}
