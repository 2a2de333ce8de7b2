/* Return addresses. See backtrace.h. */
#include <endian.h>

#include "frontend/riscv64/backtrace.h"

enum { X_RA = 1, X_SP = 2, X_FP = 8, SCAN_WORDS = 1024, GUESS_MOST = 12, FRAME_MOST = 1 << 20 };

struct walk {
    rv_read_fn *read;
    void *context;
    struct rv_backtrace *out;
};

static bool word_at(const struct walk *w, uint64_t at, uint64_t *value)
{
    if (at & 7 || !w->read(w->context, at, value, sizeof *value, false))
        return false;
    *value = le64toh(*value);
    return true;
}

/* rd or rs1 is a link register (Unpriv. 2.5.1) */
static bool is_link(unsigned reg)
{
    return reg == 1 || reg == 5;
}

/* Does an instruction that calls end at addr? */
static bool is_return_address(const struct walk *w, uint64_t addr)
{
    uint16_t low, high;
    if (addr < 4 || addr & 1 || !w->read(w->context, addr - 2, &high, sizeof high, true))
        return false;
    high = le16toh(high);
    if ((high & 0xf07f) == 0x9002 && high >> 7 & 31) /* c.jalr */
        return true;
    if (!w->read(w->context, addr - 4, &low, sizeof low, true))
        return false;
    low = le16toh(low);
    unsigned opcode = low & 0x7f;
    return (opcode == 0x6f || (opcode == 0x67 && !(low & 0x7000))) && is_link(low >> 7 & 31);
}

static void add(const struct walk *w, uint64_t addr)
{
    struct rv_backtrace *o = w->out;
    if (o->count < RV_BACKTRACE_MOST && !(o->count && o->from[o->count - 1] == addr))
        o->from[o->count++] = addr;
}

/* False: there are none. The caller's ra and fp are below fp; a function that calls nothing has saved fp alone, and is the
 * innermost. Frames get older upwards, and are no larger than any sane one. */
static bool walk_frames(const struct walk *w, uint64_t fp, uint64_t sp)
{
    uint64_t low = sp, ra, next;
    unsigned frames = 0;
    bool found = false;
    while (frames < RV_BACKTRACE_MOST && fp > low && fp - low <= FRAME_MOST &&
           word_at(w, fp - 8, &ra)) {
        if (is_return_address(w, ra) && word_at(w, fp - 16, &next)) {
            add(w, ra);
            found = true;
            low = fp;
            fp = next;
        } else if (!frames) {
            low = fp;
            fp = ra;
        } else {
            break;
        }
        frames++;
    }
    return found;
}

static void scan_stack(const struct walk *w, uint64_t sp)
{
    uint64_t value;
    for (unsigned i = 0;
         i < SCAN_WORDS && w->out->count < GUESS_MOST && word_at(w, sp + 8 * (uint64_t)i, &value);
         i++)
        if (is_return_address(w, value))
            add(w, value);
}

void rv_backtrace(const struct rv_cpu *cpu, rv_read_fn *read, void *context,
                  struct rv_backtrace *out)
{
    const struct walk w = {.read = read, .context = context, .out = out};
    *out = (struct rv_backtrace){0};
    if (is_return_address(&w, cpu->x[X_RA]))
        add(&w, cpu->x[X_RA]);
    unsigned before = out->count;
    out->guessed = RV_BACKTRACE_MOST;
    if (walk_frames(&w, cpu->x[X_FP], cpu->x[X_SP]))
        return;
    out->count = out->guessed = before;
    scan_stack(&w, cpu->x[X_SP]);
}
