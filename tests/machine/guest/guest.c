/* See guest.h. */
#include "guest.h"

_Static_assert(offsetof(struct ctx, pc) == CTX_PC, "start.S");
_Static_assert(offsetof(struct ctx, mode) == CTX_MODE, "start.S");
_Static_assert(offsetof(struct ctx, set) == CTX_SET, "start.S");
_Static_assert(offsetof(struct ctx, clear) == CTX_CLEAR, "start.S");
_Static_assert(offsetof(struct ctx, cause) == CTX_CAUSE, "start.S");
_Static_assert(offsetof(struct ctx, epc) == CTX_EPC, "start.S");
_Static_assert(offsetof(struct ctx, tval) == CTX_TVAL, "start.S");
_Static_assert(offsetof(struct ctx, status) == CTX_STATUS, "start.S");
_Static_assert(offsetof(struct ctx, home) == CTX_HOME, "start.S");

SNIPPET(snip_ecall, "ecall");

enum { POWER_PASS = 0x5555, POWER_FAIL = 0x3333, POOL_PAGES = 768, NOTES = 8 };

static uint8_t pool[POOL_PAGES][PAGE] __attribute__((aligned(4096)));
static unsigned pool_used;
static struct {
    const char *name;
    uint64_t value;
} notes[NOTES];

/* gcc makes calls to these of its own accord. */
void *memset(void *to, int byte, size_t size);
void *memset(void *to, int byte, size_t size)
{
    for (volatile uint8_t *p = to; size--; p++)
        *p = (uint8_t)byte;
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    const uint8_t *f = from;
    for (volatile uint8_t *p = to; size--; p++)
        *p = *f++;
    return to;
}

static void put_text(const char *s)
{
    for (; *s; s++)
        *(volatile uint8_t *)(uintptr_t)UART_BASE = (uint8_t)*s;
}

static void put_hex(uint64_t v)
{
    char text[19] = "0x";
    for (int i = 0; i < 16; i++)
        text[2 + i] = "0123456789abcdef"[v >> (60 - 4 * i) & 15];
    put_text(text);
}

static void put_dec(uint64_t v)
{
    char text[21];
    int at = sizeof text - 1;
    text[at] = 0;
    do
        text[--at] = (char)('0' + v % 10);
    while (v /= 10);
    put_text(&text[at]);
}

void guest_note(const char *name, uint64_t value)
{
    for (int i = 0; i < NOTES; i++)
        if (!notes[i].name || notes[i].name == name) {
            notes[i].name = name;
            notes[i].value = value;
            return;
        }
}

void guest_print(const char *what, uint64_t count, uint64_t of)
{
    put_text(what);
    put_text(": ");
    put_dec(count);
    put_text(" of ");
    put_dec(of);
    put_text("\n");
}

static void power(uint32_t value)
{
    *mmio32(POWER_BASE) = value;
    for (;;)
        ;
}

bool guest_on_peer(void)
{
    return csr_read(marchid) != 0;
}

void guest_pass(void)
{
    power(POWER_PASS);
    __builtin_unreachable();
}

void guest_fail(int line, const char *what, uint64_t got, uint64_t want)
{
    static unsigned failing; /* the first hart that fails has the word */
    while (__atomic_exchange_n(&failing, 1, __ATOMIC_ACQUIRE))
        ;
    put_text("failed: line ");
    put_dec((unsigned)line);
    put_text(": ");
    put_text(what);
    put_text(": got ");
    put_hex(got);
    put_text(", want ");
    put_hex(want);
    for (int i = 0; i < NOTES && notes[i].name; i++) {
        put_text(i ? ", " : "\nwith ");
        put_text(notes[i].name);
        put_text(" ");
        put_hex(notes[i].value);
    }
    put_text("\n");
    power((uint32_t)line << 16 | POWER_FAIL);
    __builtin_unreachable();
}

void guest_stray_trap(uint64_t cause, uint64_t epc, uint64_t tval)
{
    guest_note("epc", epc);
    guest_note("tval", tval);
    guest_fail(__LINE__, "a trap that no test expects: cause", cause, 0);
}

void guest_start(void)
{
    pmp_open();
    guest_main();
    guest_pass();
}

void pmp_open(void)
{
    csr_write(pmpaddr0, ALL_ONES >> 10);
    csr_write(pmpcfg0, 0x1f);
    sfence_all();
}

void *page_new(void)
{
    CHECK(pool_used < POOL_PAGES);
    return pool[pool_used++];
}

void space_init(struct space *s, int levels, unsigned asid)
{
    s->root = page_new();
    s->levels = levels;
    s->asid = asid;
}

uint64_t space_satp(const struct space *s)
{
    return (uint64_t)(s->levels + 5) << 60 | (uint64_t)s->asid << 44 | addr(s->root) >> 12;
}

uint64_t *space_pte(struct space *s, uint64_t vaddr, int level)
{
    uint64_t *table = s->root;
    for (int i = s->levels - 1;; i--) {
        uint64_t *pte = &table[vaddr >> (12 + 9 * i) & 511];
        if (i == level)
            return pte;
        if (!(*pte & PTE_V))
            *pte = pte_make(addr(page_new()), PTE_V);
        table = (uint64_t *)(uintptr_t)(*pte >> 10 << 12);
    }
}

void space_map(struct space *s, uint64_t vaddr, uint64_t paddr, uint64_t bits)
{
    *space_pte(s, vaddr, 0) = pte_make(paddr, bits);
}

uint64_t space_snippets(struct space *s, uint64_t vaddr, uint64_t bits)
{
    extern char snip_begin[], snip_end[];
    for (uint64_t p = addr(snip_begin); p < addr(snip_end); p += PAGE)
        space_map(s, vaddr + (p - addr(snip_begin)), p, bits);
    return vaddr - addr(snip_begin);
}
