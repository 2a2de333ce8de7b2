/*
 * Harts by the firmware's calls (RISC-V SBI 2.0: HSM in chapter 9, IPI in 7, RFENCE in 8, timers in
 * 6). Runs in S mode, on whatever firmware there is.
 */
#include "guest.h"

enum { EXT_TIME = 0x54494d45, EXT_IPI = 0x735049, EXT_RFENCE = 0x52464e43, EXT_HSM = 0x48534d };
enum { HSM_START, HSM_STOP, HSM_STATUS, HSM_SUSPEND };
enum { STARTED, STOPPED, START_PENDING, STOP_PENDING, SUSPENDED, SUSPEND_PENDING };
enum { INVALID_PARAM = -3, INVALID_ADDRESS = -5, ALREADY_AVAILABLE = -6 };
enum { RFENCE_I, RFENCE_VMA, RFENCE_VMA_ASID };
enum { ROUNDS = 10, FENCES = 12, SPAN = 80, TICKS_PER_MS = 10000, LIMIT_MS = 10000 };

#define DATA          UINT64_C(0x140000000)
#define RETENTIVE     0
#define NOT_RETENTIVE UINT64_C(0x80000000)
#define OTHERS        ((BIT(HARTS) - 1) & ~BIT(boot_hart))

struct sbi_result {
    int64_t error, value;
};

extern char hart_entry[], __stack_top[];
extern uint64_t hart_stacks[HARTS];
void hart_main(uint64_t hart, uint64_t opaque, uint64_t satp, uint64_t sstatus);

static uint64_t boot_hart;
static struct {
    void (*job)(unsigned hart);
    uint64_t opaque, satp, sstatus, entries, done, ipis, seen;
    uint64_t pad[8];
} of[HARTS] __attribute__((aligned(128)));
static uint64_t stop_watching, *pages[2], *code;
static struct space sp;

static struct sbi_result sbi(uint64_t ext, uint64_t function, uint64_t x0, uint64_t x1, uint64_t x2,
                             uint64_t x3, uint64_t x4)
{
    register uint64_t a0 __asm__("a0") = x0;
    register uint64_t a1 __asm__("a1") = x1;
    register uint64_t a2 __asm__("a2") = x2;
    register uint64_t a3 __asm__("a3") = x3;
    register uint64_t a4 __asm__("a4") = x4;
    register uint64_t a6 __asm__("a6") = function;
    register uint64_t a7 __asm__("a7") = ext;
    __asm__ volatile("ecall"
                     : "+r"(a0), "+r"(a1)
                     : "r"(a2), "r"(a3), "r"(a4), "r"(a6), "r"(a7)
                     : "memory");
    return (struct sbi_result){(int64_t)a0, (int64_t)a1};
}

static int64_t hsm(unsigned function, uint64_t a, uint64_t b, uint64_t c)
{
    return sbi(EXT_HSM, function, a, b, c, 0, 0).error;
}

static int64_t status_of(uint64_t hart)
{
    struct sbi_result r = sbi(EXT_HSM, HSM_STATUS, hart, 0, 0, 0, 0);
    return r.error ? r.error : r.value;
}

static bool on_opensbi(void)
{
    return sbi(0x10, 1, 0, 0, 0, 0, 0).value == 1;
}

#define load(p)     __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define await(condition)                                                                           \
    do {                                                                                           \
        uint64_t end_ = csr_read(time) + (uint64_t)LIMIT_MS * TICKS_PER_MS;                        \
        while (!(condition))                                                                       \
            if (csr_read(time) > end_)                                                             \
                guest_fail(__LINE__, "never: " #condition, 0, 1);                                  \
    } while (0)

uint64_t hart_stacks[HARTS]; /* start_s.S */

static uint64_t opaque_of(unsigned hart)
{
    return UINT64_C(0xfedcba9876543210) + hart;
}

void hart_main(uint64_t hart, uint64_t opaque, uint64_t satp, uint64_t sstatus)
{
    of[hart].opaque = opaque;
    of[hart].satp = satp;
    of[hart].sstatus = sstatus;
    of[hart].entries++;
    of[hart].job((unsigned)hart);
    store(&of[hart].done, of[hart].done + 1);
    hsm(HSM_STOP, 0, 0, 0);
    guest_fail(__LINE__, "a hart that was stopped goes on", hart, 0);
}

static void start(unsigned hart, void (*job)(unsigned hart))
{
    of[hart].job = job;
    CHECK_EQ(hsm(HSM_START, hart, addr(hart_entry), opaque_of(hart)), 0);
}

#define for_others(h)                                                                              \
    for (unsigned h = 0; h < HARTS; h++)                                                           \
        if (h != boot_hart)

/* ---- start, status, stop ----------------------------------------------------------------------- */

static void nothing(unsigned hart)
{
}

static void states(void)
{
    /* Where no hart may start: OpenSBI's own memory; ours has none, and checks for RAM. */
    uint64_t nowhere = on_opensbi() ? UINT64_C(0x80000000) : 0;
    CHECK_EQ(status_of(boot_hart), STARTED);
    CHECK_EQ(status_of(HARTS), INVALID_PARAM);
    CHECK_EQ(status_of(ALL_ONES), INVALID_PARAM);
    CHECK_EQ(hsm(HSM_START, boot_hart, addr(hart_entry), 0), ALREADY_AVAILABLE);
    CHECK_EQ(hsm(HSM_START, HARTS, addr(hart_entry), 0), INVALID_PARAM);
    for (unsigned n = 1; n <= ROUNDS; n++)
        for_others(h)
        {
            guest_note("hart", h);
            guest_note("round", n);
            await(status_of(h) == STOPPED);
            CHECK_EQ(hsm(HSM_START, h, nowhere, 0), INVALID_ADDRESS);
            CHECK_EQ(status_of(h), STOPPED);
            start(h, nothing);
            CHECK(status_of(h) != SUSPENDED);
            await(load(&of[h].done) == n);
            CHECK_EQ(of[h].entries, n);
            CHECK_EQ(of[h].opaque, opaque_of(h));
            CHECK_EQ(of[h].satp, 0);
            CHECK_EQ(of[h].sstatus & MSTATUS_SIE, 0);
        }
    for_others(h)
    {
        await(status_of(h) == STOPPED);
        of[h].entries = of[h].done = 0;
    }
}

/* ---- interrupts -------------------------------------------------------------------------------- */

static void take_ipis(unsigned hart)
{
    csr_write(sie, BIT(IRQ_SSI));
    while (!load(&stop_watching)) {
        while (!(csr_read(sip) & BIT(IRQ_SSI)))
            __asm__ volatile("wfi" ::: "memory");
        csr_clear(sip, BIT(IRQ_SSI));
        store(&of[hart].ipis, of[hart].ipis + 1);
    }
    csr_write(sie, 0);
}

static void interrupts(void)
{
    stop_watching = 0;
    for_others(h) start(h, take_ipis);
    for_others(h) await(status_of(h) == STARTED);
    for (unsigned n = 1; n <= ROUNDS; n++) {
        /* By one, by many, and by all: which is this hart too. */
        switch (n % 3) {
        case 0: for_others(h) CHECK_EQ(sbi(EXT_IPI, 0, 1, h, 0, 0, 0).error, 0); break;
        case 1: CHECK_EQ(sbi(EXT_IPI, 0, OTHERS, 0, 0, 0, 0).error, 0); break;
        default:
            CHECK_EQ(sbi(EXT_IPI, 0, 0, ALL_ONES, 0, 0, 0).error, 0);
            await(csr_read(sip) & BIT(IRQ_SSI));
            csr_clear(sip, BIT(IRQ_SSI));
        }
        for_others(h) await(load(&of[h].ipis) == n);
        CHECK_EQ(csr_read(sip) & BIT(IRQ_SSI), 0);
    }
    CHECK_EQ(sbi(EXT_IPI, 0, 1, HARTS, 0, 0, 0).error, INVALID_PARAM);
    store(&stop_watching, 1);
    CHECK_EQ(sbi(EXT_IPI, 0, OTHERS, 0, 0, 0, 0).error, 0);
    for_others(h) await(status_of(h) == STOPPED);
}

/* ---- sleep ------------------------------------------------------------------------------------- */

static void sleep_and_go_on(unsigned hart)
{
    csr_write(sie, BIT(IRQ_SSI));
    CHECK_EQ(hsm(HSM_SUSPEND, RETENTIVE, 0, 0), 0);
    CHECK(csr_read(sip) & BIT(IRQ_SSI));
    csr_clear(sip, BIT(IRQ_SSI));
    store(&of[hart].seen, 1);
}

static void woken(unsigned hart)
{
    CHECK(csr_read(sip) & BIT(IRQ_SSI));
    csr_clear(sip, BIT(IRQ_SSI));
    store(&of[hart].seen, 2);
}

static void sleep_and_come_back(unsigned hart)
{
    csr_write(sie, BIT(IRQ_SSI));
    of[hart].job = woken;
    hsm(HSM_SUSPEND, NOT_RETENTIVE, addr(hart_entry), opaque_of(hart));
    guest_fail(__LINE__, "a hart that is woken goes on where it slept", hart, 0);
}

static void suspend(void)
{
    CHECK_EQ(hsm(HSM_SUSPEND, 1, 0, 0), INVALID_PARAM); /* reserved */
    for (unsigned kind = 1; kind <= 2; kind++)
        for_others(h)
        {
            guest_note("kind", kind);
            of[h].entries = 0;
            start(h, kind == 1 ? sleep_and_go_on : sleep_and_come_back);
            await(status_of(h) == SUSPENDED);
            CHECK(hsm(HSM_START, h, addr(hart_entry), 0) < 0);
            CHECK_EQ(sbi(EXT_IPI, 0, 1, h, 0, 0, 0).error, 0);
            await(load(&of[h].seen) == kind);
            await(status_of(h) == STOPPED);
            CHECK_EQ(of[h].entries, kind);
            if (kind == 1 || !on_opensbi()) /* 1.9 hands over 0 after a suspend */
                CHECK_EQ(of[h].opaque, opaque_of(h));
        }
}

/* ---- fences ------------------------------------------------------------------------------------ */

static uint64_t call_code(void)
{
    register uint64_t a0 __asm__("a0");
    __asm__ volatile("jalr %1" : "=r"(a0) : "r"(code) : "ra", "memory");
    return a0;
}

static uint64_t fenced; /* what all harts have fenced for */

/* Code and a page, of which no older state may be seen than the last remote fence was about. */
static void watch(unsigned hart)
{
    csr_write(satp, space_satp(&sp));
    sfence_all();
    fence_i();
    while (!load(&stop_watching)) {
        uint64_t least = load(&fenced), got = *(volatile uint64_t *)DATA;
        if (got < least)
            guest_fail(__LINE__, "a remote SFENCE.VMA was not done: got", got, least);
        least = load(&fenced);
        got = call_code();
        if (got < least)
            guest_fail(__LINE__, "a remote FENCE.I was not done: got", got, least);
        store(&of[hart].seen, of[hart].seen + 1);
    }
    csr_write(satp, 0);
    sfence_all();
}

static void fences(void)
{
    stop_watching = fenced = 0;
    for (unsigned i = 0; i < 2; i++)
        pages[i] = page_new();
    code = page_new();
    put32(code, insn_li_a0(0));
    put32((uint32_t *)code + 1, INSN_RET);
    fence_i();
    space_init(&sp, 3, 3);
    for (uint64_t big = 0; big < 4; big++) /* devices and RAM, where they are */
        *space_pte(&sp, big << 30, 2) = pte_make(big << 30, PTE_RWX);
    space_map(&sp, DATA, addr(pages[0]), PTE_RW);
    for_others(h)
    {
        of[h].seen = 0;
        start(h, watch);
        await(load(&of[h].seen) > 0);
    }
    for (uint64_t k = 1; k <= FENCES; k++) {
        struct sbi_result r;
        pages[k & 1][0] = k;
        *(volatile uint32_t *)code = insn_li_a0((int)k);
        store(space_pte(&sp, DATA, 0), pte_make(addr(pages[k & 1]), PTE_RW));
        CHECK_EQ(sbi(EXT_RFENCE, RFENCE_I, OTHERS, 0, 0, 0, 0).error, 0);
        if (k % 3 == 0)
            r = sbi(EXT_RFENCE, RFENCE_VMA, OTHERS, 0, DATA, PAGE, 0);
        else if (k % 3 == 1)
            r = sbi(EXT_RFENCE, RFENCE_VMA_ASID, OTHERS, 0, DATA, PAGE, 3);
        else
            r = sbi(EXT_RFENCE, RFENCE_VMA, 0, ALL_ONES, 0, ALL_ONES, 0);
        CHECK_EQ(r.error, 0);
        store(&fenced, k);
        if (k % 4 == 0) /* they have looked since */
            for_others(h)
            {
                uint64_t before = load(&of[h].seen);
                await(load(&of[h].seen) > before + 1);
            }
    }
    CHECK_EQ(sbi(EXT_RFENCE, RFENCE_I, 1, HARTS, 0, 0, 0).error, INVALID_PARAM);
    store(&stop_watching, 1);
    for_others(h) await(status_of(h) == STOPPED);
}

/* ---- fences of many pages -------------------------------------------------------------------- */

static uint64_t span; /* pages that move together */

static uint64_t oldest_seen(void)
{
    uint64_t oldest = ALL_ONES;
    for (uint64_t i = 0; i < span; i++) {
        uint64_t got = *(volatile uint64_t *)(DATA + i * PAGE);
        oldest = got < oldest ? got : oldest;
    }
    return oldest;
}

static void watch_span(unsigned hart)
{
    csr_write(satp, space_satp(&sp));
    sfence_all();
    while (!load(&stop_watching)) {
        uint64_t least = load(&fenced), got = oldest_seen();
        if (got < least)
            guest_fail(__LINE__, "a page of the range was not fenced: got", got, least);
        store(&of[hart].seen, of[hart].seen + 1);
    }
    csr_write(satp, 0);
    sfence_all();
}

static void move_pages(uint64_t first, uint64_t count, uint64_t k)
{
    pages[k & 1][0] = k;
    for (uint64_t i = first; i < first + count; i++)
        store(space_pte(&sp, DATA + i * PAGE, 0), pte_make(addr(pages[k & 1]), PTE_RW));
}

static void ranges(void)
{
    static const struct {
        uint64_t pages, from, size; /* bytes from DATA */
    } range[] = {
        {1, 0, PAGE},       {2, PAGE - 1, 2},       {20, 8, 20 * PAGE - 16},
        {64, 0, 64 * PAGE}, {SPAN, 0, SPAN * PAGE},
    };
    uint64_t rounds = on_opensbi() ? 2 : 8; /* where one host thread takes turns, each takes long */
    for (unsigned r = 0; r < sizeof range / sizeof *range; r++) {
        guest_note("pages", range[r].pages);
        span = range[r].pages;
        move_pages(0, SPAN, 0);
        sfence_all();
        stop_watching = fenced = 0;
        for_others(h)
        {
            of[h].seen = 0;
            start(h, watch_span);
            await(load(&of[h].seen) > 0);
        }
        for (uint64_t k = 1; k <= rounds; k++) {
            move_pages(0, SPAN, k);
            CHECK_EQ(sbi(EXT_RFENCE, k & 2 ? RFENCE_VMA_ASID : RFENCE_VMA, OTHERS, 0,
                         DATA + range[r].from, range[r].size, 3)
                         .error,
                     0);
            store(&fenced, k);
            if (k % 4 == 0)
                for_others(h)
                {
                    uint64_t before = load(&of[h].seen);
                    await(load(&of[h].seen) > before + 1);
                }
        }
        store(&stop_watching, 1);
        for_others(h) await(status_of(h) == STOPPED);
    }
}

static uint64_t naps;

/* Harts that sleep are fenced too: page by page, more often than anybody counts for them. */
static void sleep_through(unsigned hart)
{
    csr_write(satp, space_satp(&sp));
    sfence_all();
    csr_write(sie, BIT(IRQ_SSI));
    for (uint64_t k = 1; k <= naps; k++) {
        oldest_seen();
        while (!(csr_read(sip) & BIT(IRQ_SSI))) /* a fence may wake it too */
            CHECK_EQ(hsm(HSM_SUSPEND, RETENTIVE, 0, 0), 0);
        csr_clear(sip, BIT(IRQ_SSI));
        uint64_t got = oldest_seen();
        if (got != k)
            guest_fail(__LINE__, "a fence was slept through: got", got, k);
        store(&of[hart].seen, k);
    }
    csr_write(sie, 0);
    csr_write(satp, 0);
    sfence_all();
}

static void sleepers(void)
{
    naps = on_opensbi() ? 2 : 5;
    span = SPAN;
    move_pages(0, SPAN, 0);
    sfence_all();
    for_others(h)
    {
        of[h].seen = 0;
        start(h, sleep_through);
    }
    for (uint64_t k = 1; k <= naps; k++) {
        for_others(h) await(status_of(h) == SUSPENDED);
        uint64_t step = k == 1 ? 4 : k == 2 ? SPAN : 1 + k;
        for (uint64_t i = 0; i < SPAN; i += step) {
            uint64_t n = i + step > SPAN ? SPAN - i : step;
            move_pages(i, n, k);
            CHECK_EQ(sbi(EXT_RFENCE, RFENCE_VMA, OTHERS, 0, DATA + i * PAGE, n * PAGE, 0).error, 0);
        }
        CHECK_EQ(sbi(EXT_IPI, 0, OTHERS, 0, 0, 0, 0).error, 0);
        for_others(h) await(load(&of[h].seen) == k);
    }
    for_others(h) await(status_of(h) == STOPPED);
}

/* ---- timers ------------------------------------------------------------------------------------ */

static void timer(unsigned hart)
{
    uint64_t due = csr_read(time) + TICKS_PER_MS * (1 + hart);
    csr_write(sie, BIT(IRQ_STI));
    CHECK_EQ(sbi(EXT_TIME, 0, due, 0, 0, 0, 0).error, 0);
    while (!(csr_read(sip) & BIT(IRQ_STI)))
        __asm__ volatile("wfi" ::: "memory");
    CHECK(csr_read(time) >= due);
    CHECK_EQ(sbi(EXT_TIME, 0, ALL_ONES, 0, 0, 0, 0).error, 0);
    CHECK_EQ(csr_read(sip) & BIT(IRQ_STI), 0);
    csr_write(sie, 0);
}

static void timers(void)
{
    for (unsigned n = 0; n < 5; n++) {
        for_others(h) start(h, timer);
        timer((unsigned)boot_hart);
        for_others(h) await(status_of(h) == STOPPED);
    }
}

void guest_main(void)
{
    __asm__("mv %0, tp" : "=r"(boot_hart));
    CHECK(boot_hart < HARTS);
    for (unsigned h = 0; h < HARTS; h++) /* the first is hart boot_hart's, who is on it */
        hart_stacks[h] = addr(__stack_top) - ((h + HARTS - boot_hart) % HARTS << STACK_BITS);
    for (unsigned i = 0; i < 4; i++) {
        static const uint64_t wanted[] = {EXT_TIME, EXT_IPI, EXT_RFENCE, EXT_HSM};
        struct sbi_result r = sbi(0x10, 3, wanted[i], 0, 0, 0, 0);
        guest_note("extension", wanted[i]);
        CHECK_EQ(r.error, 0);
        CHECK(r.value != 0);
    }
    states();
    interrupts();
    suspend();
    fences();
    ranges();
    sleepers();
    timers();
}
