/* A machine's life: put together, run, taken apart. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "devices/clock.h"
#include "machine/boot/command.h"
#include "frontend/guests.h"
#include "machine/host_code.h"
#include "devices/board/power.h"
#include "godwit/plain.h"
#include "godwit/stream.h"
#include "machine/vm.h"
#include "spec/spec.h"

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
    if (ended == MACHINE_ENDED_PANIC && m->spec->on_panic.kind == SPEC_PANIC_PAUSE &&
        !m->panic_held) {
        m->panic_held = true; /* once: whoever looked at it lets it go on to its end */
        vm_pause(m, true);
        fprintf(stderr, "godwit: the guest panicked; paused\n");
        return;
    }
    m->result->ended = ended;
    m->result->code = code;
    __atomic_store_n(&m->over, true, __ATOMIC_RELAXED);
    vm_kick(m);
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
    vm_kick(m);
}

static void on_signal(void *context, int signal)
{
    struct vm *m = context;
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
    if (!m->spec->quiet)
        fprintf(stderr, "godwit: note: %s\n", GW_PLAIN(text));
}

/* I/O thread. What is said from now on is for nobody, as when SIGPIPE ends a program. */
static void on_reader_gone(void *context)
{
    const struct vm *m = context;
    if (!__atomic_load_n(&m->over, __ATOMIC_RELAXED))
        host_ask_end(m->host, HOST_END_SIGNAL, SIGPIPE);
}

/* Any thread. A reader that goes away is no failure of the host's. */
static void on_fault(void *context, const char *what, const char *object, int error)
{
    const struct vm *m = context;
    if (error != EPIPE)
        fprintf(stderr, "godwit: error: %s: %s: %s\n", what, GW_PLAIN(object), strerror(error));
    else if (!m->spec->quiet)
        fprintf(stderr, "godwit: note: %s: %s: nobody reads it any more\n", what, GW_PLAIN(object));
}

/* I/O thread: the key itself comes as an event, if somebody is there to take it. */
static void on_menu_pressed(void *context, uint8_t key)
{
    const struct vm *m = context;
    if (key == 'q')
        host_ask_end(m->host, HOST_END_QUIT, 0);
}

/* I/O thread. */
static void on_menu_open(void *context)
{
    static const char text[] =
        "\r\ngodwit: q quit, p pause, s save, b break, ] sends Ctrl-], ? this help\r\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        return;
}

/* ---- putting together ----------------------------------------------------------------------- */

/* Descriptors of the consoles. The I/O thread writes to them, and nobody else. */
static enum gw_status open_ports(struct vm *m, struct board_config *b, struct gw_error *err)
{
    static const struct spec_target stdio = {.kind = SPEC_PORT_STDIO};
    static const struct spec_target nowhere = {.kind = SPEC_PORT_FILE, .to = "/dev/null"};
    const struct machine_spec *s = m->spec;
    enum gw_status st = port_open(&m->port[0], s->serial_count ? &s->serial[0].to : &stdio, err);
    if (st == GW_OK && s->second_port)
        st = port_open(&m->port[1], s->serial_count > 1 ? &s->serial[1].to : &nowhere, err);
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
    for (unsigned i = 0; st == GW_OK && i < SPEC_SERIAL_PORTS; i++) {
        if (!m->port[i])
            continue;
        st = port_start(m->port[i], m->board->io, err);
        if (st == GW_OK && port_name(m->port[i]) && !m->spec->quiet)
            fprintf(stderr, "godwit: serial port %u is %s\n", i, port_name(m->port[i]));
    }
    return st == GW_OK ? vm_start_channels(m, err) : st;
}

static const char *board_name(const struct machine_spec *s)
{
    return s->machine ? s->machine : spec_find(spec_machine, "machine")->usual_text;
}

static enum gw_status make_board(struct vm *m, struct board_config *b, struct gw_error *err)
{
    enum gw_status st = open_ports(m, b, err);
    b->model = board_model(board_name(m->spec));
    vm_fresh_bytes(m, b->generation, sizeof b->generation);
    b->clock = m->spec->clock_insns ? GW_CLOCK_INSNS : GW_CLOCK_HOST;
    b->mips = m->spec->mips;
    b->patient_console = m->spec->deterministic;
    b->ram_bytes = m->spec->memory_bytes;
    /* A repeatable run starts at a date of its own. */
    b->wall_clock_ns =
        m->spec->clock_insns ? UINT64_C(1735689600) * 1000000000u : clock_ns(CLOCK_REALTIME);
    b->refused_features = m->spec->no_packed_rings ? VIRTIO_F_RING_PACKED : 0;
    command_look_at_stdin(m);
    b->framed = command_reads_stdin(m);
    b->escape = b->in_fd >= 0 && isatty(b->in_fd);
    b->hooks = (struct board_hooks){
        .power = vm_power,
        .tap = vm_watch_byte,
        .menu = on_menu,
        .reader_gone = on_reader_gone,
        .menu_open = on_menu_open,
        .menu_pressed = on_menu_pressed,
        .panic = on_panic,
        .note = on_note,
        .fault = on_fault,
        .net_thread = {.own_files = vm_own_net_files, .enter = vm_enter_net, .context = m},
        .go_on = vm_go_on,
        .context = m};
    if (st == GW_OK)
        st = board_new(&m->board, b, err);
    for (unsigned i = 0; st == GW_OK && i < m->spec->disks_count; i++) {
        st = board_add_disk(m->board, &m->spec->disks[i], err);
    }
    for (unsigned i = 0; st == GW_OK && i < SPEC_FLASH_BANKS; i++) {
        const struct file_spec *flash = &m->spec->flash[i];
        /* What a restored machine has in a bank that is no file's is in the snapshot. */
        if (flash->path && (flash->rw || !m->o->restore))
            st = board_open_flash(m->board, i, flash->path, flash->rw, err);
    }
    if (st == GW_OK)
        st = board_add_rng(m->board, m->spec->seed, err);
    if (st == GW_OK)
        st = board_add_net(m->board, m->spec, m->o->open_net, err);
    if (st == GW_OK)
        st = vm_open_channels(m, err);
    return st == GW_OK ? vm_offer(m, err) : st;
}

/* Root stays root where it is told to, or can't help it. */
static enum gw_status check_user(const struct machine_options *o, struct gw_error *err)
{
    if (!o->spec->user || !o->spec->no_sandbox)
        return GW_OK;
    return gw_fail(err, GW_ERR_ARG, "--user",
                   "cannot become another user: --no-sandbox leaves the machine everything");
}

static void say_user(const struct vm *m)
{
    const struct lock_user *user = sandbox_user(m->sandbox);
    if (user && user->kept && !m->spec->quiet)
        fprintf(stderr, "godwit: note: root stays root: this host has nobody else to become\n");
}

static enum gw_status check_options(const struct machine_options *o, struct gw_error *err)
{
    const struct machine_spec *s = o->spec;
    enum gw_status st;
    if (!board_model(board_name(s)))
        return gw_fail(err, GW_ERR_UNSUPPORTED, s->machine,
                       "cannot restore: no such machine; this program has %s",
                       spec_find(spec_machine, "machine")->words);
    st = spec_check(spec_machine, s, err);
    if (st != GW_OK)
        return st;
    if (o->restore && spec_is_lacking(o->restore->withheld))
        return gw_fail(err, GW_ERR_STATE, o->restore->name,
                       "cannot restore: it wants what it was not given");
    if (!s->dump_dtb && !s->kernel && !o->restore && !s->flash[0].path && !s->loads_count &&
        !vm_firmware_file(s)) {
        st = gw_fail(err, GW_ERR_ARG, "", "nothing to run: no kernel was given");
        snprintf(err->hint, sizeof err->hint, "godwit run -k vmlinux -a console=ttyS0");
        return st;
    }
    st = check_user(o, err);
    return st == GW_OK ? command_check(o, err) : st;
}

static bool write_all(int fd, const uint8_t *p, size_t size)
{
    struct gw_sink out = gw_fd_sink(&fd);
    struct stat sb;
    if (fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode) && ftruncate(fd, 0) != 0)
        return false;
    gw_sink_put(&out, p, size);
    errno = out.error;
    return !out.error;
}

static enum gw_status dump_tree(struct vm *m, struct gw_error *err)
{
    const char *path = m->spec->dump_dtb;
    uint8_t *tree;
    size_t size;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    enum gw_status st = GW_OK;
    if (fd < 0)
        return gw_fail(err, GW_ERR_IO, path, "cannot write the device tree: %s", strerror(errno));
    st = vm_open_files(m, err);
    if (st == GW_OK)
        st = vm_lock_in(m, err);
    if (st == GW_OK)
        st = vm_device_tree(m, &tree, &size, err);
    if (st == GW_OK) {
        if (!write_all(fd, tree, size))
            st = gw_fail(err, GW_ERR_IO, path, "cannot write the device tree: %s", strerror(errno));
        free(tree);
    }
    if (close(fd) != 0 && st == GW_OK)
        st = gw_fail(err, GW_ERR_IO, path, "cannot write the device tree: %s", strerror(errno));
    m->result->ended = MACHINE_ENDED_DUMP;
    return st;
}

/* A failure is ours, and not that of the guest's files. */
static enum gw_status save_as(struct vm *m, enum broker_save which, struct gw_error *err)
{
    char name[BROKER_PATH_BYTES];
    enum gw_status st = vm_save_as(m, which, name, err);
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

static bool nobody_asks(void *context)
{
    struct vm *m = context;
    vm_go_on(m);
    return !host_end_asked(m->host);
}

/* The guest's last words. Its own end waits for who reads standard output, which may be a person with a
 * pager, but not for longer than anybody wants something else. */
static void finish_output(struct vm *m)
{
    struct dev_console *c = vm_console_on_stdout(m);
    if (c && dev_console_drain(c, nobody_asks, m))
        m->result->output_error = dev_console_lost(c);
    dev_console_flush(m->board->console);
}

static enum gw_status run_guest(struct vm *m, struct gw_error *err)
{
    enum gw_status st = vm_make_engines(m, err);
    m->memory_fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    m->status_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (st == GW_OK)
        st = vm_open_files(m, err);
    if (st == GW_OK)
        st = vm_see_names(m, err);
    if (st == GW_OK)
        st = vm_limit_files(m, err);
    if (st == GW_OK)
        st = board_start(m->board, err);
    if (st == GW_OK)
        st = vm_lock_in(m, err);
    /* Only now does anybody look into files that strangers may have made. */
    if (st == GW_OK)
        st = board_begin_disks(m->board, err);
    if (st == GW_OK)
        st = m->o->restore ? vm_restore(m, err) : vm_boot(m, err);
    if (st == GW_OK)
        st = start_ports(m, err);
    if (st == GW_OK)
        st = vm_steer_open(m, err);
    if (st == GW_OK)
        st = host_attach(m->host, m->board->events, err);
    if (st != GW_OK)
        return st;
    if (vm_on_stdio(m) && terminal_raw(STDIN_FILENO) && !m->spec->quiet)
        fprintf(stderr, "godwit: Ctrl-] then q quits, Ctrl-] then ? helps\n");
    m->input_waits = true;
    if (m->o->restore || !command_reads_stdin(m))
        vm_start_input(m);
    m->result->ended = MACHINE_ENDED_ERROR;
    if (m->spec->stop_insn && vm_retired(m) >= m->spec->stop_insn)
        vm_end(m, MACHINE_ENDED_STOP_INSN, 0); /* restored there: nothing is to move */
    else if (m->o->restore)
        vm_restored_runs(m);
    vm_faults_on();
    if (vm_has_threads(m))
        st = vm_run_threads(m, err); /* which enters when they are started */
    else if ((st = sandbox_enter_again(m->sandbox, SANDBOX_MAIN, err)) == GW_OK)
        vm_loop(m);
    vm_faults_off();
    vm_begin_end(m);
    vm_steer_end(m);
    m->result->insns = vm_retired(m);
    if (!board_quiesce(m->board) && !m->spec->quiet)
        fprintf(stderr, "godwit: note: the disks' last bytes are left to the host's system\n");
    finish_output(m);
    terminal_restore();
    m->result->overhead_bytes = vm_overhead_bytes(m);
    m->result->peak_rss_bytes = vm_peak_rss_bytes(m);
    if (st != GW_OK)
        return st;
    if (m->result->ended == MACHINE_ENDED_ERROR)
        return gw_fail(err, GW_ERR_STATE, "",
                       "the engine stopped for a reason that no machine has");
    if (m->result->ended == MACHINE_ENDED_TIMEOUT || m->result->ended == MACHINE_ENDED_STOP_INSN)
        vm_show_state(m);
    if (m->spec->stats)
        vm_show_stats(m);
    if (m->result->ended == MACHINE_ENDED_PANIC && m->spec->on_panic.kind == SPEC_PANIC_SAVE)
        st = save_as(m, BROKER_PANIC, err);
    if (st == GW_OK && m->spec->save_at_end)
        st = save_as(m, BROKER_AT_END, err);
    if (st == GW_OK && !m->spec->quiet)
        vm_show_discarded(m);
    return st;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static enum gw_status machine_run(const struct machine_options *o, struct machine_result *result,
                                  struct gw_error *err)
{
    struct vm *m = calloc(1, sizeof *m);
    struct board_config b = {.in_fd = -1, .out_fd = -1};
    struct host_hooks hooks = {.signal = on_signal,
                               .timeout = on_timeout,
                               .resize = vm_resized,
                               .cut = vm_cut,
                               .context = m};
    uint64_t start = clock_ns(CLOCK_MONOTONIC);
    enum gw_status st;
    memset(result, 0, sizeof *result);
    if (!m)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for a machine");
    m->o = o;
    m->result = result;
    m->isa = guest_by_name(&gw_guests, VIRT_ARCH);
    m->spec = o->spec;
    m->firmware_builtin = !o->spec->bios || !strcmp(o->spec->bios, "builtin");
    m->memory_fd = m->status_fd = m->late_fd = -1;
    asks_init(&m->asks);
    pthread_mutex_init(&m->steering, NULL);
    st = check_options(o, err);
    if (st == GW_OK)
        m->cpus = (unsigned)o->spec->cpus;
    if (st == GW_OK && !o->spec->no_sandbox)
        st = sandbox_new(&m->sandbox, o->spec->user, err);
    if (st == GW_OK)
        say_user(m);
    if (st == GW_OK)
        st = broker_new(&m->broker, o, m->sandbox, err);
    if (st == GW_OK)
        st = host_new(&m->host, &hooks, o->spec->timeout_ns, err);
    if (st == GW_OK)
        st = vm_watch_init(m, err);
    if (st == GW_OK)
        st = make_board(m, &b, err);
    if (st == GW_OK)
        st = vm_make_cpus(m, err);
    if (st == GW_OK)
        st = o->spec->dump_dtb ? dump_tree(m, err) : run_guest(m, err);
    if (m->host)
        host_detach(m->host);
    vm_debug_close(m);
    vm_free_cpus(m);
    board_free(m->board);
    for (unsigned i = 0; i < SPEC_MAX_CPUS; i++)
        free(m->vcpu[i].cpu);
    host_free(m->host);
    asks_destroy(&m->asks);
    pthread_mutex_destroy(&m->steering);
    result->dump_error = host_code_dump_end(&m->dump);
    for (unsigned i = 0; i < SPEC_SERIAL_PORTS; i++)
        port_close(m->port[i]);
    for (unsigned i = 0; i < SPEC_MAX_CHANNELS; i++)
        port_close(m->channel_port[i]);
    vm_close_files(m);
    if (m->has_seen)
        spec_clear(spec_machine, &m->seen);
    broker_free(m->broker);
    sandbox_free(m->sandbox);
    close_fd(m->memory_fd);
    close_fd(m->status_fd);
    close_fd(m->late_fd);
    free(m);
    result->wall_ns = clock_ns(CLOCK_MONOTONIC) - start;
    if (st != GW_OK)
        result->ended = MACHINE_ENDED_ERROR;
    return st;
}

static const char *becomes(char *name)
{
    struct lock_user u;
    if (lock_user_choose(&u, NULL, NULL) != GW_OK || !u.changes)
        return NULL;
    return strcpy(name, u.name);
}

const struct machine_api *godwit_machine(void)
{
    static const struct machine_api api = {.version = MACHINE_API,
                                           .run = machine_run,
                                           .sandbox_missing = sandbox_missing,
                                           .landlock = landlock_version,
                                           .becomes = becomes,
                                           .lock_reader = sandbox_enter_reader};
    return &api;
}
