/* A machine's life: put together, run, taken apart. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "command.h"
#include "guests.h"
#include "host_code.h"
#include "power.h"
#include "priv.h"
#include "vm.h"

/* Instructions between two looks at the event queue, unless something asks for attention: bounds
 * the lateness of device timers to some tens of microseconds. */
#define QUANTUM 32768u
/* By the instruction clock the guest may move a deadline nearer while it runs, which is seen at the
 * next look: that is at most 50 microseconds of its time late, or this many instructions. */
#define QUANTUM_MIN 1000u

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

/* ---- what ends a run ------------------------------------------------------------------------ */

void vm_end(struct vm *m, enum machine_ended ended, unsigned code)
{
    if (m->over)
        return;
    if (ended == MACHINE_ENDED_PANIC && m->o->panic_pause && !m->panic_held) {
        m->panic_held = true; /* once: whoever looked at it lets it go on to its end */
        vm_pause(m, true);
        fprintf(stderr, "godwit: the guest panicked; paused\n");
        return;
    }
    m->over = true;
    m->result->ended = ended;
    m->result->code = code;
    __atomic_store_n(&m->cpu->run.attention, 1, __ATOMIC_RELEASE);
}

void vm_power(void *context, int request, unsigned code)
{
    struct vm *m = context;
    if (m->panicked)
        vm_end(m, MACHINE_ENDED_PANIC, 0);
    else if (request == DEV_POWER_OFF)
        vm_end(m, MACHINE_ENDED_POWEROFF, 0);
    else if (request == DEV_POWER_FAIL && !command_told(m, code))
        vm_end(m, MACHINE_ENDED_EXIT, code);
    else if (request == DEV_POWER_RESET)
        m->reset_wanted = true;
    __atomic_store_n(&m->cpu->run.attention, 1, __ATOMIC_RELEASE);
}

static void on_signal(void *context, int signal)
{
    struct vm *m = context;
    if (signal == SIGWINCH) {
        vm_resized(m);
        return;
    }
    if (!m->over)
        m->result->signal = signal;
    vm_end(m, MACHINE_ENDED_SIGNAL, 0);
}

static void on_timeout(void *context)
{
    vm_end(context, MACHINE_ENDED_TIMEOUT, 0);
}

static void on_menu(void *context, uint8_t key)
{
    struct vm *m = context;
    if (key == 'q')
        vm_end(m, MACHINE_ENDED_QUIT, 0);
    else if (key == 'p' || key == 's')
        vm_menu(m, key);
}

static void on_panic(void *context)
{
    vm_end(context, MACHINE_ENDED_PANIC, 0);
}

static void on_note(void *context, const char *text)
{
    const struct vm *m = context;
    if (!m->o->quiet)
        fprintf(stderr, "godwit: note: %s\n", text);
}

/* I/O thread. */
static void on_menu_open(void *context)
{
    static const char text[] =
        "\r\ngodwit: q quit, p pause, s save, b break, ] sends Ctrl-], ? this help\r\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        return;
}

/* ---- host faults of translated code --------------------------------------------------------- */

/* A signal handler takes no context of ours: the one engine of this process, while it runs. */
static struct engine *faulting_engine;
static struct sigaction old_segv, old_bus, old_fpe;

static void host_fault(int sig, siginfo_t *info, void *uctx)
{
    if (faulting_engine && engine_host_fault(faulting_engine, sig, info, uctx))
        return;
    /* Ours, a bug: the access repeats, and ends the process. */
    terminal_restore();
    signal(sig, SIG_DFL);
}

static void faults_on(struct engine *e)
{
    struct sigaction sa = {.sa_sigaction = host_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigemptyset(&sa.sa_mask);
    faulting_engine = e;
    sigaction(SIGSEGV, &sa, &old_segv);
    sigaction(SIGBUS, &sa, &old_bus);
    sigaction(SIGFPE, &sa, &old_fpe);
    /* A fault whose signal is blocked ends the process. */
    sigset_t faults;
    sigemptyset(&faults);
    sigaddset(&faults, SIGSEGV);
    sigaddset(&faults, SIGBUS);
    sigaddset(&faults, SIGFPE);
    pthread_sigmask(SIG_UNBLOCK, &faults, NULL);
}

static void faults_off(void)
{
    if (!faulting_engine)
        return;
    sigaction(SIGSEGV, &old_segv, NULL);
    sigaction(SIGBUS, &old_bus, NULL);
    sigaction(SIGFPE, &old_fpe, NULL);
    faulting_engine = NULL;
}

/* ---- the vCPU's loop ------------------------------------------------------------------------ */

/* Test programs report through a word of memory: 1 is success, odd values carry a code. */
static void look_at_tohost(struct vm *m)
{
    struct gw_dma dma = {.bus = &m->board->bus.bus};
    uint8_t b[8];
    uint64_t v = 0;
    if (!gw_dma_read(&dma, m->tohost, b, sizeof b))
        return;
    for (unsigned i = 0; i < 8; i++)
        v |= (uint64_t)b[i] << (8 * i);
    if (v & 1)
        vm_end(m, v == 1 ? MACHINE_ENDED_POWEROFF : MACHINE_ENDED_EXIT, (unsigned)(v >> 1));
}

static void reset(struct vm *m)
{
    struct gw_error err = {0};
    m->reset_wanted = false;
    board_reset(m->board);
    sbi_reset(&m->sbi);
    if (vm_boot(m, &err) != GW_OK) { /* a file went away under us */
        fprintf(stderr, "godwit: error: reset: %s: %s\n", err.object, err.message);
        vm_end(m, MACHINE_ENDED_ERROR, 0);
        return;
    }
    engine_reset_derived(m->engine);
}

/* How far the engine may go before the next look. */
static uint64_t next_stop(struct vm *m, uint64_t retired, bool *exact)
{
    uint64_t limit = QUANTUM, until;
    *exact = m->o->deterministic;
    if (m->o->deterministic)
        return vm_repeat_limit(m, retired);
    if (m->o->clock_insns) {
        if (m->o->mips && m->o->mips * 50 < limit)
            limit = m->o->mips * 50 < QUANTUM_MIN ? QUANTUM_MIN : m->o->mips * 50;
        uint64_t deadline = gw_events_next_deadline(m->board->events);
        uint64_t own = m->isa->deadline(m->cpu);
        until = dev_events_insns_until(m->board->events, own < deadline ? own : deadline, retired);
        *exact = true;
        if (until < limit)
            limit = until;
    }
    if (m->o->stop_insn && m->o->stop_insn - retired <= limit) {
        limit = m->o->stop_insn - retired;
        *exact = true;
    }
    return limit;
}

static void step(struct vm *m)
{
    bool exact;
    uint64_t limit = next_stop(m, engine_retired(m->engine), &exact);
    enum engine_stop stop;
    if (m->isa->waiting(m->cpu)) {
        gw_events_wait(m->board->events, m->isa->deadline(m->cpu));
        return;
    }
    stop = engine_run(m->engine, limit, exact);
    switch (stop) {
    case ENGINE_HCALL: sbi_call(&m->sbi); break;
    case ENGINE_BUDGET:
    case ENGINE_WAIT:
    case ENGINE_ATTENTION: break;
    default: vm_end(m, MACHINE_ENDED_ERROR, (unsigned)stop); break;
    }
}

static void loop(struct vm *m)
{
    while (!m->over) {
        uint64_t retired = engine_retired(m->engine);
        gw_events_run(m->board->events, retired);
        if (m->o->deterministic)
            vm_repeat_settle(m, retired);
        if (m->reset_wanted)
            reset(m);
        if (m->tohost)
            look_at_tohost(m);
        if (vm_steer(m, retired))
            continue;
        if (m->o->stop_insn && retired >= m->o->stop_insn && vm_repeat_may_stop(m, retired))
            vm_end(m, MACHINE_ENDED_STOP_INSN, 0);
        if (!m->over)
            step(m);
    }
}

/* ---- putting together ----------------------------------------------------------------------- */

static uint64_t retired_now(void *context)
{
    return engine_retired(((struct vm *)context)->engine);
}

/* Descriptors of the consoles. The I/O thread writes to them, and nobody else. */
static enum gw_status open_ports(struct vm *m, struct board_config *b, struct gw_error *err)
{
    static const struct machine_port stdio = {.kind = MACHINE_PORT_STDIO};
    enum gw_status st = port_open(&m->port[0], m->o->port_count ? &m->o->ports[0] : &stdio, err);
    if (st == GW_OK && m->o->port_count > 1)
        st = port_open(&m->port[1], &m->o->ports[1], err);
    if (st != GW_OK)
        return st;
    b->in_fd = port_in(m->port[0]);
    b->out_fd = port_out(m->port[0]);
    b->second_port = m->port[1] != NULL;
    if (b->second_port) {
        b->in2_fd = port_in(m->port[1]);
        b->out2_fd = port_out(m->port[1]);
    }
    return GW_OK;
}

static enum gw_status start_ports(struct vm *m, struct gw_error *err)
{
    enum gw_status st = GW_OK;
    for (unsigned i = 0; st == GW_OK && i < MACHINE_PORTS; i++) {
        if (!m->port[i])
            continue;
        st = port_start(m->port[i], m->board->io, err);
        if (st == GW_OK && port_name(m->port[i]) && !m->o->quiet)
            fprintf(stderr, "godwit: serial port %u is %s\n", i, port_name(m->port[i]));
    }
    return st == GW_OK ? vm_start_channels(m, err) : st;
}

static enum gw_status make_cpu(struct vm *m, struct gw_error *err)
{
    size_t size = (m->isa->cpu_size + 63) & ~(size_t)63;
    struct gw_cpu_config cfg = {
        .model = m->o->cpu_model,
        .options = m->o->cpu_options,
        .firmware = m->firmware_builtin,
        .bus = &m->board->bus.bus,
        .events = m->board->events,
    };
    struct board_cpu_lines lines;
    enum gw_status st;
    m->cpu = aligned_alloc(64, size);
    if (!m->cpu)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for the CPU");
    memset(m->cpu, 0, size);
    st = m->isa->init(m->cpu, &cfg, err);
    lines.mei = (struct gw_irq){.set = rv_irq_line, .receiver = m->cpu, .line = RV_IRQ_MEI};
    lines.sei = lines.msi = lines.mti = lines.mei;
    lines.sei.line = RV_IRQ_SEI;
    lines.msi.line = RV_IRQ_MSI;
    lines.mti.line = RV_IRQ_MTI;
    lines.time_moved = rv_move_time;
    lines.cpu = m->cpu;
    board_connect(m->board, &lines);
    gw_events_attach(m->board->events, &m->cpu->run.attention);
    m->sbi = (struct sbi){.cpu = m->cpu,
                          .events = m->board->events,
                          .dma = {.bus = &m->board->bus.bus},
                          .console = dev_console_serial(m->board->console),
                          .power = vm_power,
                          .context = m};
    sbi_init(&m->sbi);
    return st;
}

static enum gw_status make_engine(struct vm *m, struct gw_error *err)
{
    struct engine_config cfg = {
        .isa = m->isa,
        .backend = m->o->interp ? NULL : host_code_backend(),
        .mem = m->o->use_tlb ? GW_MEM_TLB : GW_MEM_FLAT,
        /* A flat map has an entry for each page of Sv48, and is blind to what lies beyond. */
        .no_flat = m->o->use_tlb || m->cpu->cfg.sv57,
        .bus = &m->board->bus.bus,
        .cpu = m->cpu,
        .code_cache_bytes = m->o->code_cache_bytes,
        .map_bytes = m->o->map_bytes,
        .max_guest_insns = m->o->max_guest_insns,
        .no_fold = m->o->no_fold,
        .quantum = m->o->deterministic ? VM_REPEAT_STEP : 0,
        .fp_traps = (enum engine_fp_traps)m->o->fp_traps,
        .time_translation = m->o->stats,
    };
    enum gw_status st = GW_OK;
    cfg.caller = m->caller = m->o->interp ? host_code_caller_open() : NULL;
    if (m->o->dump)
        st = host_code_dump(&m->dump, m->o->dump, m->o->dump_file, err);
    if (m->o->dump)
        cfg.dump = &m->dump;
    m->dump.host_disasm = m->o->host_disasm;
    if (st == GW_OK)
        st = engine_new(&m->engine, &cfg, err);
    if (st != GW_OK)
        return st;
    size_t wanted, got = engine_code_cache_bytes(m->engine, &wanted);
    if (got < wanted && m->o->verbose)
        fprintf(stderr, "godwit: note: code cache of %zu KiB instead of %zu\n", got >> 10,
                wanted >> 10);
    /* In the middle of a block the count depends on where the block ends: devices of a run that can
     * be repeated see the time of the last look instead. */
    if (!m->o->deterministic)
        dev_events_counter(m->board->events, retired_now, m);
    return GW_OK;
}

static enum gw_status make_board(struct vm *m, struct board_config *b, struct gw_error *err)
{
    enum gw_status st = open_ports(m, b, err);
    b->clock = m->o->clock_insns ? GW_CLOCK_INSNS : GW_CLOCK_HOST;
    b->mips = m->o->mips;
    b->patient_console = m->o->deterministic;
    b->ram_bytes = m->o->memory_bytes;
    /* A repeatable run starts at a date of its own. */
    b->wall_clock_ns =
        m->o->clock_insns ? UINT64_C(1735689600) * 1000000000u : clock_ns(CLOCK_REALTIME);
    b->refused_features = m->o->no_packed_rings ? VIRTIO_F_RING_PACKED : 0;
    b->end_key = command_reads_stdin(m) ? 0x04 : 0;
    b->escape = b->in_fd >= 0 && isatty(b->in_fd);
    b->hooks = (struct board_hooks){.power = vm_power,
                                    .tap = vm_watch_byte,
                                    .menu = on_menu,
                                    .menu_open = on_menu_open,
                                    .panic = on_panic,
                                    .note = on_note,
                                    .context = m};
    if (st == GW_OK)
        st = board_new(&m->board, b, err);
    for (unsigned i = 0; st == GW_OK && i < m->o->disk_count; i++) {
        st = board_add_disk(m->board, &m->o->disks[i], err);
    }
    for (unsigned i = 0; st == GW_OK && i < MACHINE_FLASH_BANKS; i++) {
        const struct machine_flash *flash = &m->o->flash[i];
        /* What a restored machine has in a bank that is no file's is in the snapshot. */
        if (flash->path && (flash->rw || !m->o->restore))
            st = board_open_flash(m->board, i, flash->path, flash->rw, err);
    }
    if (st == GW_OK)
        st = board_add_rng(m->board, m->o->seed, err);
    if (st == GW_OK)
        st = board_add_net(m->board, m->o, err);
    if (st == GW_OK)
        st = vm_open_channels(m, err);
    return st == GW_OK ? vm_offer(m, err) : st;
}

static enum gw_status check_options(const struct machine_options *o, struct gw_error *err)
{
    if (o->memory_bytes < VIRT_RAM_MIN || o->memory_bytes > VIRT_RAM_MAX)
        return gw_fail(err, GW_ERR_ARG, "-m", "cannot be: virt-1 has 16M to 1024G of memory");
    if (o->memory_bytes % GW_PAGE_SIZE)
        return gw_fail(err, GW_ERR_ARG, "-m", "cannot be: not a multiple of 4K");
    if (!o->dump_dtb && !o->kernel && !o->restore && !o->flash[0].path && !o->load_count &&
        (!o->bios || !strcmp(o->bios, "builtin") || !strcmp(o->bios, "none"))) {
        enum gw_status st = gw_fail(err, GW_ERR_ARG, "", "nothing to run: no kernel was given");
        snprintf(err->hint, sizeof err->hint, "godwit run -k vmlinux -a console=ttyS0");
        return st;
    }
    return command_check(o, err);
}

static enum gw_status dump_tree(struct vm *m, struct gw_error *err)
{
    uint8_t *tree;
    size_t size;
    FILE *f;
    bool written;
    enum gw_status st = vm_device_tree(m, &tree, &size, err);
    if (st != GW_OK)
        return st;
    f = fopen(m->o->dump_dtb, "wb");
    written = f && fwrite(tree, 1, size, f) == size;
    if (f && fclose(f) != 0)
        written = false;
    free(tree);
    if (!written)
        return gw_fail(err, GW_ERR_IO, m->o->dump_dtb, "cannot write the device tree: %s",
                       strerror(errno));
    m->result->ended = MACHINE_ENDED_DUMP;
    return GW_OK;
}

/* A failure is ours, and not that of the guest's files. */
static enum gw_status save_as(struct vm *m, const char *path, struct gw_error *err)
{
    enum gw_status st = vm_save(m, path, err);
    return st == GW_OK ? GW_OK : (err->status = GW_ERR_STATE);
}

void vm_start_input(struct vm *m)
{
    if (!m->input_waits)
        return;
    m->input_waits = false;
    dev_console_start(m->board->console);
    if (m->board->console2)
        dev_console_start(m->board->console2);
    for (unsigned i = 0; i < m->board->channel_count; i++)
        dev_console_start(m->board->channel[i].console);
}

static enum gw_status run_guest(struct vm *m, struct gw_error *err)
{
    struct host_hooks hooks = {.signal = on_signal, .timeout = on_timeout, .context = m};
    enum gw_status st = make_engine(m, err);
    if (st == GW_OK)
        st = m->o->restore ? vm_restore(m, err) : vm_boot(m, err);
    if (st == GW_OK)
        st = start_ports(m, err);
    if (st == GW_OK)
        st = vm_steer_open(m, err);
    if (st == GW_OK)
        st = host_start(m->host, m->board->io, m->board->events, &hooks, m->o->timeout_ns, err);
    if (st != GW_OK)
        return st;
    if (vm_on_stdio(m) && terminal_raw(STDIN_FILENO) && !m->o->quiet)
        fprintf(stderr, "godwit: Ctrl-] then q quits, Ctrl-] then ? helps\n");
    m->input_waits = true;
    if (m->o->restore || !command_reads_stdin(m))
        vm_start_input(m);
    m->result->ended = MACHINE_ENDED_ERROR;
    if (m->o->stop_insn && engine_retired(m->engine) >= m->o->stop_insn)
        vm_end(m, MACHINE_ENDED_STOP_INSN, 0); /* restored there: nothing is to move */
    else if (m->o->restore)
        vm_restored_runs(m);
    faults_on(m->engine);
    loop(m);
    faults_off();
    vm_steer_end(m);
    m->result->insns = engine_retired(m->engine);
    board_quiesce(m->board);
    dev_console_flush(m->board->console);
    terminal_restore();
    m->result->overhead_bytes = vm_overhead_bytes(m);
    if (m->result->ended == MACHINE_ENDED_ERROR)
        return gw_fail(err, GW_ERR_STATE, "",
                       "the engine stopped for a reason that no machine has");
    if (m->result->ended == MACHINE_ENDED_TIMEOUT || m->result->ended == MACHINE_ENDED_STOP_INSN)
        vm_show_state(m);
    if (m->o->stats)
        vm_show_stats(m);
    if (m->result->ended == MACHINE_ENDED_PANIC && m->o->panic_save)
        st = save_as(m, m->o->panic_save, err);
    if (st == GW_OK && m->o->save_at_end)
        st = save_as(m, m->o->save_at_end, err);
    if (st == GW_OK && !m->o->quiet)
        vm_show_discarded(m);
    return st;
}

static enum gw_status machine_run(const struct machine_options *o, struct machine_result *result,
                                  struct gw_error *err)
{
    struct vm *m = calloc(1, sizeof *m);
    struct board_config b = {.in_fd = -1, .out_fd = -1};
    uint64_t start = clock_ns(CLOCK_MONOTONIC);
    enum gw_status st;
    memset(result, 0, sizeof *result);
    if (!m)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for a machine");
    m->o = o;
    m->result = result;
    m->isa = guest_by_name(&gw_guests, VIRT_ARCH);
    m->firmware_builtin = !o->bios || !strcmp(o->bios, "builtin");
    st = check_options(o, err);
    if (st == GW_OK)
        st = host_new(&m->host, err);
    if (st == GW_OK)
        st = vm_watch_init(m, err);
    if (st == GW_OK)
        st = make_board(m, &b, err);
    if (st == GW_OK)
        st = make_cpu(m, err);
    if (st == GW_OK)
        st = o->dump_dtb ? dump_tree(m, err) : run_guest(m, err);
    engine_free(m->engine);
    host_code_caller_close(m->caller);
    board_free(m->board);
    host_free(m->host);
    host_code_dump_end(&m->dump);
    for (unsigned i = 0; i < MACHINE_PORTS; i++)
        port_close(m->port[i]);
    for (unsigned i = 0; i < MACHINE_MAX_CHANNELS; i++)
        port_close(m->channel_port[i]);
    free(m->cpu);
    free(m);
    result->wall_ns = clock_ns(CLOCK_MONOTONIC) - start;
    if (st != GW_OK)
        result->ended = MACHINE_ENDED_ERROR;
    return st;
}

const struct machine_api *godwit_machine(void)
{
    static const struct machine_api api = {.version = MACHINE_API, .run = machine_run};
    return &api;
}
