/*
 * Litmus tests of memory order between harts (RISC-V unprivileged manual, chapter 18, RVWMO): what
 * fences and acquire and release forbid must not be seen, however often it is tried. What is allowed
 * is counted and shown.
 */
#include "smp.h"

enum { CELLS = 1024, PACE = 16, ROUNDS = 12, SPENT_TICKS = 30 * TICKS_PER_MS };

struct cell {
    uint64_t v;
    uint64_t pad[LINE / 8 - 1];
};
static struct cell xs[CELLS], ys[CELLS], paces[HARTS];
static uint64_t seen[HARTS][CELLS][2];

typedef void thread_fn(struct cell *x, struct cell *y, uint64_t *r);

/* a, b: results, 0 at first; x, y: addresses; one, two: what is stored; t: for what lies between */
#define THREAD(name, text)                                                                         \
    static void name(struct cell *x, struct cell *y, uint64_t *r)                                  \
    {                                                                                              \
        uint64_t a = 0, b = 0, t;                                                                  \
        __asm__ volatile(text                                                                      \
                         : [a] "+&r"(a), [b] "+&r"(b), [t] "=&r"(t)                                \
                         : [x] "r"(&x->v), [y] "r"(&y->v), [one] "r"(1), [two] "r"(2)              \
                         : "memory");                                                              \
        r[0] = a;                                                                                  \
        r[1] = b;                                                                                  \
    }

#define AFTER(dest, value) /* dest depends on value, which makes no difference to it */            \
    "xor %[t], " value ", " value "\nadd %[t], %[t], " dest "\n"

THREAD(mp_write, "sd %[one], (%[x])\nsd %[one], (%[y])")
THREAD(mp_write_ww, "sd %[one], (%[x])\nfence w, w\nsd %[one], (%[y])")
THREAD(mp_write_tso, "sd %[one], (%[x])\nfence.tso\nsd %[one], (%[y])")
THREAD(mp_write_rl, "sd %[one], (%[x])\namoswap.d.rl zero, %[one], (%[y])")
THREAD(mp_write_sc_rl, "sd %[one], (%[x])\n1: lr.d %[t], (%[y])\nsc.d.rl %[t], %[one], (%[y])\n"
                       "bnez %[t], 1b")
THREAD(mp_write_amo, "amoswap.d.aq zero, %[one], (%[x])\nsd %[one], (%[y])")
THREAD(mp_read, "ld %[a], (%[y])\nld %[b], (%[x])")
THREAD(mp_read_rr, "ld %[a], (%[y])\nfence r, r\nld %[b], (%[x])")
THREAD(mp_read_tso, "ld %[a], (%[y])\nfence.tso\nld %[b], (%[x])")
THREAD(mp_read_aq, "amoor.d.aq %[a], zero, (%[y])\nld %[b], (%[x])")
THREAD(mp_read_lr_aq, "lr.d.aq %[a], (%[y])\nld %[b], (%[x])")
THREAD(mp_read_addr, "ld %[a], (%[y])\n" AFTER("%[x]", "%[a]") "ld %[b], (%[t])")
THREAD(mp_read_ctrl, "ld %[a], (%[y])\nbeqz %[a], 1f\n1: fence r, r\nld %[b], (%[x])")

THREAD(sb_x, "sd %[one], (%[x])\nld %[a], (%[y])")
THREAD(sb_y, "sd %[one], (%[y])\nld %[a], (%[x])")
THREAD(sb_x_rw, "sd %[one], (%[x])\nfence rw, rw\nld %[a], (%[y])")
THREAD(sb_y_rw, "sd %[one], (%[y])\nfence rw, rw\nld %[a], (%[x])")
THREAD(sb_x_wr, "sd %[one], (%[x])\nfence w, r\nld %[a], (%[y])")
THREAD(sb_y_wr, "sd %[one], (%[y])\nfence w, r\nld %[a], (%[x])")
THREAD(sb_x_aq, "amoswap.d.aq zero, %[one], (%[x])\nld %[a], (%[y])")
THREAD(sb_y_aq, "amoswap.d.aq zero, %[one], (%[y])\nld %[a], (%[x])")
THREAD(sb_x_rcsc, "amoswap.d.rl zero, %[one], (%[x])\nlr.d.aq %[a], (%[y])")
THREAD(sb_y_rcsc, "amoswap.d.rl zero, %[one], (%[y])\namoadd.d.aq %[a], zero, (%[x])")
THREAD(sb_x_sc, "1: lr.d %[t], (%[x])\nsc.d %[t], %[one], (%[x])\nbnez %[t], 1b\n"
                "fence w, r\nld %[a], (%[y])")
THREAD(sb_y_io, "sd %[one], (%[y])\nfence iorw, iorw\nld %[a], (%[x])")

THREAD(lb_x, "ld %[a], (%[x])\nsd %[one], (%[y])")
THREAD(lb_y, "ld %[a], (%[y])\nsd %[one], (%[x])")
THREAD(lb_x_rw, "ld %[a], (%[x])\nfence r, w\nsd %[one], (%[y])")
THREAD(lb_y_rw, "ld %[a], (%[y])\nfence r, w\nsd %[one], (%[x])")
THREAD(lb_x_amo, "amoor.d.aq %[a], zero, (%[x])\nsd %[one], (%[y])")
THREAD(lb_y_amo, "ld %[a], (%[y])\namoswap.d.rl zero, %[one], (%[x])")
THREAD(lb_x_data, "ld %[a], (%[x])\n" AFTER("%[one]", "%[a]") "sd %[t], (%[y])")
THREAD(lb_y_data, "ld %[a], (%[y])\n" AFTER("%[one]", "%[a]") "sd %[t], (%[x])")

THREAD(write_x, "sd %[one], (%[x])")
THREAD(write_y, "sd %[one], (%[y])")
THREAD(amo_x, "amoadd.d zero, %[one], (%[x])")
THREAD(amo_y, "amoadd.d zero, %[one], (%[y])")
THREAD(iriw_xy, "ld %[a], (%[x])\nfence r, r\nld %[b], (%[y])")
THREAD(iriw_yx, "ld %[a], (%[y])\nfence r, r\nld %[b], (%[x])")
THREAD(iriw_xy_rw, "ld %[a], (%[x])\nfence rw, rw\nld %[b], (%[y])")
THREAD(iriw_yx_rw, "ld %[a], (%[y])\nfence rw, rw\nld %[b], (%[x])")
THREAD(iriw_xy_aq, "lr.d.aq %[a], (%[x])\nld %[b], (%[y])")
THREAD(iriw_yx_addr, "ld %[a], (%[y])\n" AFTER("%[x]", "%[a]") "ld %[b], (%[t])")

THREAD(corr, "ld %[a], (%[x])\nld %[b], (%[x])")
THREAD(corr_near, "ld %[a], (%[x])\naddi %[t], %[x], -8\nld %[b], 8(%[t])")
THREAD(write_twice, "sd %[one], (%[x])\nsd %[two], (%[x])")
THREAD(amo_twice, "amoadd.d %[a], %[one], (%[x])\namoadd.d %[b], %[one], (%[x])")

THREAD(ww_xy, "sd %[one], (%[x])\nfence w, w\nsd %[two], (%[y])")
THREAD(ww_yx, "sd %[one], (%[y])\nfence w, w\nsd %[two], (%[x])")
THREAD(ww_yx_rl, "sd %[one], (%[y])\namoswap.d.rl zero, %[two], (%[x])")

/* The outcome that a test is about, of cell i. */
typedef bool outcome_fn(unsigned i);
static bool later_without_earlier(unsigned i)
{
    return seen[1][i][0] > seen[1][i][1];
}
static bool both_old(unsigned i)
{
    return !seen[0][i][0] && !seen[1][i][0];
}
static bool both_new(unsigned i)
{
    return seen[0][i][0] && seen[1][i][0];
}
static bool two_orders(unsigned i)
{
    return seen[2][i][0] && !seen[2][i][1] && seen[3][i][0] && !seen[3][i][1];
}
static bool first_stores_last(unsigned i)
{
    return xs[i].v == 1 && ys[i].v == 1;
}
static bool sum_is_off(unsigned i)
{
    return xs[i].v != 4 || seen[0][i][0] >= seen[0][i][1] || seen[1][i][0] >= seen[1][i][1];
}

static const struct litmus {
    const char *name;
    outcome_fn *odd;
    bool allowed;
    thread_fn *threads[HARTS];
} tests[] = {
    {"MP, nothing between", later_without_earlier, true, {mp_write, mp_read}},
    {"MP, fence w,w and r,r", later_without_earlier, false, {mp_write_ww, mp_read_rr}},
    {"MP, fence.tso", later_without_earlier, false, {mp_write_tso, mp_read_tso}},
    {"MP, amoswap.rl and amoor.aq", later_without_earlier, false, {mp_write_rl, mp_read_aq}},
    {"MP, sc.rl and lr.aq", later_without_earlier, false, {mp_write_sc_rl, mp_read_lr_aq}},
    {"MP, amoswap.aq and an address", later_without_earlier, false, {mp_write_amo, mp_read_addr}},
    {"MP, fence w,w and a branch", later_without_earlier, false, {mp_write_ww, mp_read_ctrl}},
    {"SB, nothing between", both_old, true, {sb_x, sb_y}},
    {"SB, fence rw,rw", both_old, false, {sb_x_rw, sb_y_rw}},
    {"SB, fence w,r", both_old, false, {sb_x_wr, sb_y_wr}},
    {"SB, amoswap.aq", both_old, false, {sb_x_aq, sb_y_aq}},
    {"SB, .rl then .aq", both_old, false, {sb_x_rcsc, sb_y_rcsc}},
    {"SB, sc and fence iorw,iorw", both_old, false, {sb_x_sc, sb_y_io}},
    {"LB, nothing between", both_new, true, {lb_x, lb_y}},
    {"LB, fence r,w", both_new, false, {lb_x_rw, lb_y_rw}},
    {"LB, amoor.aq and amoswap.rl", both_new, false, {lb_x_amo, lb_y_amo}},
    {"LB, data", both_new, false, {lb_x_data, lb_y_data}},
    {"IRIW, fence r,r", two_orders, false, {write_x, write_y, iriw_xy, iriw_yx}},
    {"IRIW, fence rw,rw", two_orders, false, {amo_x, write_y, iriw_xy_rw, iriw_yx_rw}},
    {"IRIW, lr.aq and an address", two_orders, false, {write_x, amo_y, iriw_xy_aq, iriw_yx_addr}},
    {"CoRR", later_without_earlier, false, {write_x, corr}},
    {"CoRR, two stores", later_without_earlier, false, {write_twice, corr_near}},
    {"CoRR, AMOs", sum_is_off, false, {amo_twice, amo_twice}},
    {"2+2W, fence w,w", first_stores_last, false, {ww_xy, ww_yx}},
    {"2+2W, amoswap.rl", first_stores_last, false, {ww_xy, ww_yx_rl}},
};

static const struct litmus *current;
static uint64_t odd_count, tried, began;
static bool more;

/* Keeps those who run together side by side, as far as the host lets them run together. */
static void keep_pace(unsigned hart, uint64_t step)
{
    store(&paces[hart].v, step);
    for (unsigned other = 0; other < HARTS; other++)
        if (current->threads[other])
            for (int spins = 0; spins < 500 && load(&paces[other].v) < step; spins++)
                ;
}

/* So that both have the lines, and a store waits for the other's while the loads behind it do not. */
static void read_ahead(unsigned i)
{
    for (unsigned n = i; n < i + PACE; n++) {
        __atomic_load_n(&xs[n].v, __ATOMIC_RELAXED);
        __atomic_load_n(&ys[n].v, __ATOMIC_RELAXED);
    }
}

static void hart_main(unsigned hart)
{
    thread_fn *run = current->threads[hart];
    for (unsigned round = 0;; round++) {
        barrier();
        if (!more)
            return;
        for (unsigned i = 0; i < CELLS; i++) {
            if (i % PACE == 0) {
                read_ahead(i);
                keep_pace(hart, (uint64_t)round * CELLS + i);
            }
            run(&xs[i], &ys[i], seen[hart][i]);
        }
        barrier();
        if (hart)
            continue;
        for (unsigned i = 0; i < CELLS; i++) {
            odd_count += current->odd(i);
            xs[i].v = ys[i].v = 0;
        }
        tried += CELLS;
        more = round + 1 < ROUNDS && CLINT_MTIME - began < SPENT_TICKS;
    }
}

void guest_main(void)
{
    for (unsigned k = 0; k < sizeof tests / sizeof tests[0]; k++) {
        current = &tests[k];
        odd_count = tried = 0;
        more = true;
        began = CLINT_MTIME;
        for (unsigned h = 0; h < HARTS; h++)
            paces[h].v = 0;
        harts_run(current->threads[2] ? ALL_HARTS : 3, hart_main);
        if (current->allowed)
            guest_print(current->name, odd_count, tried);
        else if (odd_count)
            guest_fail(__LINE__, current->name, odd_count, 0);
    }
}
