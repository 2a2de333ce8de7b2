/* What a machine's console output can end: --stop-text, and a kernel panic. */
#include "devices/clock.h"
#include "machine/vm.h"

/* After the panic's first line the guest says why; it is given time for that. */
#define PANIC_QUIET_NS  UINT64_C(300000000)
#define PANIC_MAX_LOOKS 30u

static const char panic_text[] = "Kernel panic - not syncing";
static const char panic_end_text[] = "---[ end Kernel panic";

static void panic_look(void *device, uint64_t now_ns)
{
    struct vm *m = device;
    if (m->output_bytes == m->panic_output || ++m->panic_looks >= PANIC_MAX_LOOKS) {
        vm_end(m, MACHINE_ENDED_PANIC, 0);
        return;
    }
    m->panic_output = m->output_bytes;
    gw_timer_arm(m->board->events, &m->panic_timer, now_ns + PANIC_QUIET_NS);
}

enum gw_status vm_watch_init(struct vm *m, struct gw_error *err)
{
    m->panic_timer = (struct gw_timer){.deadline_ns = UINT64_MAX, .fire = panic_look, .device = m};
    text_watch_init(&m->panic, panic_text);
    text_watch_init(&m->panic_end, panic_end_text);
    if (!text_watch_init(&m->stop, m->spec->stop_text))
        return gw_fail(err, GW_ERR_ARG, "--stop-text", "too long: at most %d bytes",
                       TEXT_WATCH_MAX);
    return GW_OK;
}

void vm_watch_byte(void *context, uint8_t byte)
{
    struct vm *m = context;
    m->output_bytes++;
    if (text_watch_byte(&m->stop, byte))
        vm_end(m, MACHINE_ENDED_STOP_TEXT, 0);
    if (!m->panicked && text_watch_byte(&m->panic, byte)) {
        m->panicked = true;
        m->panic_output = m->output_bytes;
        gw_timer_arm(m->board->events, &m->panic_timer, dev_now(m->board->events) + PANIC_QUIET_NS);
    } else if (m->panicked && text_watch_byte(&m->panic_end, byte)) {
        /* The rest of that line, then quiet. */
        m->panic_looks = PANIC_MAX_LOOKS;
    }
}
