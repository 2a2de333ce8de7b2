/* What others ask of a running machine: asked from any thread, done at a safe point. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "devices/clock.h"
#include "godwit/little.h"
#include "godwit/plain.h"
#include "machine/vm.h"

static void answer(const struct asker *a, const char *text, const struct gw_error *err)
{
    if (a->done)
        a->done(a->context, text, err);
}

static void refuse(const struct asker *a, enum gw_status status, const char *why)
{
    struct gw_error err;
    gw_fail(&err, status, "", "%s", why);
    answer(a, "", &err);
}

/* ---- pausing -------------------------------------------------------------------------------- */

void vm_pause(struct vm *m, bool pause)
{
    if (pause == m->paused)
        return;
    m->paused = pause;
    if (pause)
        dev_events_pause(m->board->events);
    else if (!m->watched_still)
        vm_restored_runs(m);
}

/* ---- saving --------------------------------------------------------------------------------- */

/* A run that can be repeated goes on to where a save leaves no trace; one that has nothing to do, or
 * waits for its console, might never come there. */
static bool may_save(struct vm *m, uint64_t retired)
{
    return !m->spec->deterministic || m->paused || m->full || vm_repeat_rests(m, retired) ||
           vm_idle(m);
}

static void close_file(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void want_save(struct vm *m, const struct asker *a, const char *name, size_t size)
{
    char *copy = m->save_name ? NULL : strndup(name, size);
    if (!copy) {
        refuse(a, m->save_name ? GW_ERR_STATE : GW_ERR_NOMEM,
               m->save_name ? "another save is under way" : "out of memory");
        close_file(a->fd);
        return;
    }
    m->save_name = copy;
    m->save = *a;
}

static void end_save(struct vm *m)
{
    close_file(m->save.fd);
    free(m->save_name);
    m->save_name = NULL;
}

static void save_now(struct vm *m)
{
    const struct asker *a = &m->save;
    struct gw_error err = {0};
    char path[BROKER_PATH_BYTES];
    enum gw_status st;
    if (a->fd >= 0)
        st = vm_save(m, a->fd, m->save_name, &err);
    else
        st = vm_save_as(m, BROKER_MENU, path, &err);
    /* Who restores it starts with empty maps; so does who goes on. */
    if (m->spec->deterministic)
        vm_reset_derived(m);
    answer(a, a->fd >= 0 ? "" : path, st == GW_OK ? NULL : &err);
    end_save(m);
}

bool vm_steer(struct vm *m, uint64_t retired)
{
    __atomic_store_n(&m->seen_insns, retired, __ATOMIC_RELAXED);
    m->full = m->spec->deterministic && board_is_full(m->board);
    if (m->save_name && !m->over && may_save(m, retired))
        save_now(m);
    if ((!m->paused && !m->full) || m->over || m->reset_wanted)
        return false;
    dev_events_wait_posted(m->board->events);
    return true;
}

/* Who asks from now on is refused. */
void vm_steer_end(struct vm *m)
{
    struct asker a;
    pthread_mutex_lock(&m->steering);
    m->steered = false;
    pthread_mutex_unlock(&m->steering);
    if (m->save_name) {
        refuse(&m->save, GW_ERR_STATE, "the machine ended before it could be saved");
        end_save(m);
    }
    for (uint64_t last = asks_last(&m->asks); asks_take_one(&m->asks, last, &a);) {
        refuse(&a, GW_ERR_STATE, "the machine ended before it could do that");
        close_file(a.fd);
    }
}

/* ---- the console's menu --------------------------------------------------------------------- */

static void menu_saved(void *context, const char *text, const struct gw_error *err)
{
    if (err)
        fprintf(stderr, "godwit: error: %s: %s\r\n", GW_PLAIN(err->object), GW_PLAIN(err->message));
    else
        fprintf(stderr, "godwit: saved to %s\r\n", GW_PLAIN(text));
}

void vm_menu(struct vm *m, uint8_t key)
{
    struct asker a = {.done = menu_saved, .fd = -1};
    if (key == 'p') {
        vm_pause(m, !m->paused);
        fprintf(stderr,
                m->paused ? "godwit: paused; Ctrl-] then p goes on\r\n" : "godwit: going on\r\n");
        return;
    }
    want_save(m, &a, "", 0);
}

/* ---- asking --------------------------------------------------------------------------------- */

static void tell_status(struct vm *m, const struct asker *a)
{
    char text[256];
    snprintf(text, sizeof text,
             "state=%s\ninsns=%" PRIu64 "\nvm_ns=%" PRIu64 "\nmemory_bytes=%" PRIu64 "\n",
             m->paused ? "paused" : "running", vm_retired(m), dev_now(m->board->events),
             board_ram(m->board)->size);
    answer(a, text, NULL);
}

static void tell_stats(struct vm *m, const struct asker *a)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (f) {
        vm_print_stats(m, f, "");
        fclose(f);
    }
    if (text)
        answer(a, text, NULL);
    else
        refuse(a, GW_ERR_NOMEM, "out of memory");
    free(text);
}

void vm_answer_look(struct vm *m, const struct asker *a, bool busy)
{
    char text[96];
    if (!busy) {
        a->what == MACHINE_ASK_STATUS ? tell_status(m, a) : tell_stats(m, a);
    } else if (a->what == MACHINE_ASK_STATUS) {
        snprintf(text, sizeof text, "state=busy\ninsns=%" PRIu64 "\nmemory_bytes=%" PRIu64 "\n",
                 __atomic_load_n(&m->seen_insns, __ATOMIC_RELAXED), m->spec->memory_bytes);
        answer(a, text, NULL);
    } else {
        refuse(a, GW_ERR_STATE, "the host holds it up, so nobody can look at its counters now");
    }
}

/* What a log asks is done too, but for a save, which has nowhere to go; there is nobody to tell. */
static void deliver(void *context, const struct gw_event *ev)
{
    struct vm *m = context;
    struct asker a;
    bool known;
    if (ev->size_bytes < ASKED_TEXT)
        return;
    known = asks_take(&m->asks, gw_little(ev->bytes + ASKED_TOKEN, 8), ev->kind, &a);
    switch (ev->kind) {
    case MACHINE_ASK_SAVE:
        if (known)
            want_save(m, &a, (const char *)ev->bytes + ASKED_TEXT, ev->size_bytes - ASKED_TEXT);
        return;
    case MACHINE_ASK_STATUS: tell_status(m, &a); return;
    case MACHINE_ASK_STATS: tell_stats(m, &a); return;
    case MACHINE_ASK_PAUSE: vm_pause(m, true); break;
    case MACHINE_ASK_RESUME: vm_pause(m, false); break;
    case MACHINE_ASK_RESET: m->reset_wanted = true; break;
    case MACHINE_ASK_STOP: vm_end(m, MACHINE_ENDED_STOPPED, 0); break;
    default: break;
    }
    answer(&a, "", NULL);
}

static bool post(struct vm *m, enum machine_ask what, uint64_t token, const char *text)
{
    size_t n = ASKED_TEXT + strlen(text);
    uint8_t *bytes = malloc(n);
    struct gw_event ev = {
        .source = m->control, .kind = (uint16_t)what, .size_bytes = (uint32_t)n, .bytes = bytes};
    bool posted;
    if (!bytes)
        return false;
    gw_put_little(bytes + ASKED_TOKEN, token, 8);
    memcpy(bytes + ASKED_TEXT, text, n - ASKED_TEXT);
    /* However much of the guest's waits: those who ask are few. */
    posted = gw_events_post_bounded(m->board->events, &ev);
    free(bytes);
    return posted;
}

/* On failure the descriptor stays the asker's. */
static bool post_asker(struct vm *m, const struct asker *a, const char *text)
{
    struct asker taken_back;
    uint64_t token;
    bool posted;
    pthread_mutex_lock(&m->steering);
    token = m->steered ? asks_add(&m->asks, a) : 0;
    posted = token && post(m, (enum machine_ask)a->what, token, text);
    pthread_mutex_unlock(&m->steering);
    if (token && !posted)
        asks_take(&m->asks, token, a->what, &taken_back);
    return posted;
}

/* ---- in time -------------------------------------------------------------------------------- */

/* Safe points are microseconds apart; a thread that waits for the host comes to none. Whoever only wants
 * to know something is not to wait with it. */
#define LATE_NS UINT64_C(1000000000)

static void set_late_timer(struct vm *m)
{
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(LATE_NS / 1000000000u)}};
    timerfd_settime(m->late_fd, 0, &when, NULL);
}

/* Control thread. */
static void late_ready(void *context, uint32_t events)
{
    struct vm *m = context;
    struct timespec now;
    uint64_t count, before;
    struct asker a;
    if (read(m->late_fd, &count, sizeof count) < 0)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    before = (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec - LATE_NS / 2;
    while (asks_take_look(&m->asks, before, &a))
        vm_answer_look(m, &a, true);
    if (__atomic_load_n(&m->asks.looks, __ATOMIC_RELAXED))
        set_late_timer(m);
}

static enum gw_status open_late_timer(struct vm *m, struct gw_error *err)
{
    m->late_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    m->late_watch = (struct dev_io_watch){.fd = m->late_fd, .ready = late_ready, .context = m};
    if (m->late_fd < 0 || dev_io_watch(host_io(m->host), &m->late_watch, EPOLLIN) != GW_OK)
        return gw_fail(err, GW_ERR_IO, "", "cannot start a timer: %s", strerror(errno));
    return GW_OK;
}

/* ---- what others have of it ------------------------------------------------------------------ */

static bool ask(struct machine_steer *s, enum machine_ask what, const char *text,
                void (*done)(void *context, const char *text, const struct gw_error *err),
                void *context)
{
    struct vm *m = s->machine;
    struct asker a = {.what = what, .done = done, .context = context, .fd = -1};
    if (what == MACHINE_ASK_SAVE || !post_asker(m, &a, text))
        return false;
    if (what == MACHINE_ASK_STOP)
        host_ask_end(m->host, HOST_END_STOP, 0);
    else if (what == MACHINE_ASK_STATUS || what == MACHINE_ASK_STATS)
        set_late_timer(m);
    return true;
}

static bool ask_save(struct machine_steer *s, int fd, const char *name,
                     void (*done)(void *context, const char *text, const struct gw_error *err),
                     void *context)
{
    struct asker a = {.what = MACHINE_ASK_SAVE, .done = done, .context = context, .fd = fd};
    return post_asker(s->machine, &a, name);
}

static void kill_machine(struct machine_steer *s)
{
    struct vm *m = s->machine;
    host_kill(m->host);
}

static struct dev_io_watch *inner(struct machine_watch *w)
{
    _Static_assert(sizeof(struct dev_io_watch) <= sizeof w->room, "a watch has room for ours");
    return (struct dev_io_watch *)(void *)w->room;
}

static bool watch(struct machine_steer *s, struct machine_watch *w, uint32_t events)
{
    struct vm *m = s->machine;
    *inner(w) = (struct dev_io_watch){.fd = w->fd, .ready = w->ready, .context = w->context};
    return dev_io_watch(host_io(m->host), inner(w), events) == GW_OK;
}

static void rewatch(struct machine_steer *s, struct machine_watch *w, uint32_t events)
{
    struct vm *m = s->machine;
    dev_io_rewatch(host_io(m->host), inner(w), events);
}

enum gw_status vm_steer_open(struct vm *m, struct gw_error *err)
{
    const struct machine_control *c = m->o->control;
    m->steer = (struct machine_steer){.machine = m,
                                      .ask = ask,
                                      .save = ask_save,
                                      .kill = kill_machine,
                                      .watch = watch,
                                      .rewatch = rewatch};
    if (c) {
        enum gw_status st = vm_debug_open(m, err);
        if (st != GW_OK)
            return st;
        m->steer.debug = debug_api(m->debug);
    }
    m->control = gw_events_register(m->board->events, "control", deliver, m);
    if (m->control == GW_NO_SOURCE)
        return gw_fail(err, GW_ERR_LIMIT, "control", "too many devices have events");
    if (open_late_timer(m, err) != GW_OK)
        return err->status;
    pthread_mutex_lock(&m->steering);
    m->steered = true;
    pthread_mutex_unlock(&m->steering);
    return c ? c->open(c->context, &m->steer, err) : GW_OK;
}
