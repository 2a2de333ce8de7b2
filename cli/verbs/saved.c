/* Looking into a snapshot before it goes on, see saved.h: the process apart, and what it says. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/verbs/saved.h"
#include "godwit/little.h"
#include "machine/machine.h"

/* What the process says, each behind a head: kind and bytes. ERROR and SPEC are the last. */
enum word { WORD_SEAL = 1, WORD_GRANTS, WORD_TROUBLE, WORD_SPEC, WORD_ERROR };
enum { HEAD_BYTES = 8, SEAL_BYTES = 4 + SNAP_KEY_ID + SNAP_DIGEST, MOST_BYTES = 8 << 20 };

/* What it may have beside the code that is loaded already. */
#define READER_BYTES (UINT64_C(1) << 30)

struct task {
    const struct snap_api *api;
    const struct machine_api *machine; /* NULL: not locked in */
    const char *path;
    int fd;
    const char *const *keys;
    unsigned key_count;
};

/* ---- the process apart ---------------------------------------------------------------------- */

static void say(int to, enum word kind, const void *bytes, size_t size)
{
    uint8_t head[HEAD_BYTES];
    struct gw_sink out = gw_fd_sink(&to);
    gw_put_little(head, kind, 4);
    gw_put_little(head + 4, size, 4);
    gw_sink_put(&out, head, sizeof head);
    gw_sink_put(&out, bytes, size);
}

/* The user's own is used as far as it can be; what was given must be a key. */
static enum gw_status read_keys(const struct task *t, int to, struct snap_key *keys,
                                unsigned *count, struct gw_error *err)
{
    enum gw_status st = t->api->key_read(&keys[0], NULL, err);
    *count = st == GW_OK;
    if (st != GW_OK && st != GW_ERR_NOTFOUND) {
        char text[sizeof err->object + sizeof err->message + 4];
        int n = snprintf(text, sizeof text, "%s: %s", err->object, err->message);
        say(to, WORD_TROUBLE, text, (size_t)n);
    }
    for (unsigned i = 0; i < t->key_count; i++, ++*count)
        if (t->api->key_read(&keys[*count], t->keys[i], err) != GW_OK)
            return err->status;
    return GW_OK;
}

static enum gw_status check_seal(const struct task *t, int to, uint8_t root[SNAP_DIGEST],
                                 bool *good, struct gw_error *err)
{
    struct snap_key keys[1 + CLI_MAX_KEYS];
    struct snap_seal seal;
    uint8_t text[SEAL_BYTES];
    unsigned count = 0;
    enum gw_status st = read_keys(t, to, keys, &count, err);
    if (st == GW_OK && t->machine)
        st = t->machine->lock_reader(err);
    if (st == GW_OK)
        st = t->api->seal_check(t->fd, t->path, keys, count, &seal, err);
    for (unsigned i = 0; i < sizeof keys / sizeof keys[0]; i++)
        t->api->key_forget(&keys[i]);
    if (st != GW_OK)
        return st;
    *good = seal.state == SNAP_SEAL_GOOD;
    memcpy(root, seal.root, SNAP_DIGEST);
    gw_put_little(text, seal.state, 4);
    memcpy(text + 4, seal.key_id, SNAP_KEY_ID);
    memcpy(text + 4 + SNAP_KEY_ID, seal.root, SNAP_DIGEST);
    say(to, WORD_SEAL, text, sizeof text);
    if (*good)
        say(to, WORD_GRANTS, seal.grants, seal.grants_bytes);
    return GW_OK;
}

static bool is_saved(const struct spec_field *f)
{
    return f->owner != SPEC_OF_RUN;
}

/* The seal first: once it is said, nothing of what follows can unsay it. */
static enum gw_status look_into(const struct task *t, int to, struct gw_error *err)
{
    uint8_t root[SNAP_DIGEST];
    struct snap_reader *r = NULL;
    bool good;
    char *lines;
    enum gw_status st = check_seal(t, to, root, &good, err);
    if (st == GW_OK)
        st = t->api->open_on(&r, t->fd, t->path, good ? root : NULL, err);
    if (st == GW_OK)
        st = t->api->read_manifest(r, err);
    if (st != GW_OK)
        return st;
    lines = spec_lines(spec_machine, t->api->manifest(r), is_saved);
    if (!lines)
        return gw_fail(err, GW_ERR_NOMEM, t->path, "cannot use the snapshot: out of memory");
    say(to, WORD_SPEC, lines, strlen(lines));
    return GW_OK;
}

static void run_reader(const struct task *t, int to)
{
    const struct rlimit memory = {READER_BYTES, READER_BYTES}, none = {0, 0};
    struct gw_error err = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_CORE, &none); /* it holds keys for a while */
    if (t->machine)
        setrlimit(RLIMIT_AS, &memory);
    if (look_into(t, to, &err) != GW_OK)
        say(to, WORD_ERROR, &err, sizeof err);
    _exit(0);
}

/* ---- what it says ---------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct hearing {
    int fd;
    int64_t until; /* -1: no end */
    bool late;
};

static ssize_t hear_some(void *context, void *to, size_t size)
{
    struct hearing *h = context;
    struct pollfd p = {.fd = h->fd, .events = POLLIN};
    int64_t left = h->until < 0 ? -1 : h->until - now_ms();
    int n = poll(&p, 1,
                 h->until < 0 ? -1
                 : left > 0   ? (int)(left < INT32_MAX ? left : INT32_MAX)
                              : 0);
    if (n == 0) {
        h->late = true;
        errno = ETIMEDOUT;
        return -1;
    }
    return n < 0 ? -1 : read(h->fd, to, size);
}

static enum gw_status no_sense(const struct cli_saved *s, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_FORMAT, s->path,
                   "cannot use the snapshot: whoever looked into it ended, or makes no sense");
}

static enum gw_status take_seal(struct cli_saved *s, const uint8_t *bytes, size_t size,
                                struct gw_error *err)
{
    uint64_t state = size == SEAL_BYTES ? gw_little(bytes, 4) : UINT64_MAX;
    if (state > SNAP_SEAL_GOOD)
        return no_sense(s, err);
    s->seal.state = (enum snap_seal_state)state;
    memcpy(s->seal.key_id, bytes + 4, SNAP_KEY_ID);
    memcpy(s->seal.root, bytes + 4 + SNAP_KEY_ID, SNAP_DIGEST);
    return GW_OK;
}

static enum gw_status take_error(const struct cli_saved *s, const uint8_t *bytes, size_t size,
                                 struct gw_error *err)
{
    struct gw_error e;
    if (size != sizeof e)
        return no_sense(s, err);
    memcpy(&e, bytes, sizeof e);
    e.message[sizeof e.message - 1] = e.object[sizeof e.object - 1] = 0;
    e.hint[sizeof e.hint - 1] = 0;
    if (e.status <= GW_OK || e.status > GW_ERR_LIMIT)
        return no_sense(s, err);
    if (err)
        *err = e;
    return e.status;
}

static enum gw_status take(struct cli_saved *s, uint64_t kind, const uint8_t *bytes, size_t size,
                           struct gw_error *err)
{
    switch (kind) {
    case WORD_SEAL: return take_seal(s, bytes, size, err);
    case WORD_GRANTS:
        if (s->seal.state != SNAP_SEAL_GOOD)
            return no_sense(s, err);
        spec_clear(spec_machine, &s->granted);
        return spec_read_grants(&s->granted, (const char *)bytes, size, err);
    case WORD_TROUBLE:
        snprintf(s->key_trouble, sizeof s->key_trouble, "%.*s", (int)(size < 512 ? size : 512),
                 (const char *)bytes);
        return GW_OK;
    case WORD_SPEC:
        return spec_read_lines(spec_machine, &s->spec, (const char *)bytes, size, is_saved, err);
    case WORD_ERROR: return take_error(s, bytes, size, err);
    default: return no_sense(s, err);
    }
}

static enum gw_status hear(struct cli_saved *s, struct hearing *h, struct gw_error *err)
{
    struct gw_source from = {.read = hear_some, .context = h};
    uint64_t total = 0;
    for (;;) {
        uint8_t head[HEAD_BYTES], *bytes;
        uint64_t kind, size;
        enum gw_status st = GW_OK;
        if (!gw_source_get(&from, head, sizeof head))
            break;
        kind = gw_little(head, 4);
        size = gw_little(head + 4, 4);
        total += size;
        bytes = total <= MOST_BYTES ? malloc(size + 1) : NULL;
        if (!bytes || !gw_source_get(&from, bytes, size)) {
            free(bytes);
            break;
        }
        st = take(s, kind, bytes, size, err);
        free(bytes);
        if (st != GW_OK || kind == WORD_SPEC)
            return st;
    }
    if (h->late)
        return gw_fail(err, GW_ERR_LIMIT, s->path, "cannot use the snapshot: out of time");
    return no_sense(s, err);
}

/* ---- both ------------------------------------------------------------------------------------ */

static enum gw_status ask_reader(struct cli_saved *s, const struct task *t, uint64_t timeout_ns,
                                 struct gw_error *err)
{
    int64_t ms = (int64_t)(timeout_ns / 1000000);
    struct hearing h = {.until = timeout_ns ? now_ms() + ms : -1};
    enum gw_status st;
    int fds[2];
    pid_t child = -1;
    if (pipe2(fds, O_CLOEXEC) == 0) {
        child = fork();
        if (child == 0)
            run_reader(t, fds[1]);
        close(fds[1]);
    }
    if (child < 0)
        return gw_fail(err, GW_ERR_STATE, s->path, "cannot look into the snapshot: %s",
                       strerror(errno));
    h.fd = fds[0];
    st = hear(s, &h, err);
    close(fds[0]);
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    return st;
}

static enum gw_status open_file(struct cli_saved *s, struct gw_error *err)
{
    struct stat sb;
    s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (s->fd < 0)
        return gw_fail(err, errno == ENOENT ? GW_ERR_NOTFOUND : GW_ERR_IO, s->path,
                       "cannot open the snapshot: %s", strerror(errno));
    if (fstat(s->fd, &sb) != 0 || !S_ISREG(sb.st_mode))
        return gw_fail(err, GW_ERR_FORMAT, s->path, "cannot use the snapshot: not a regular file");
    return GW_OK;
}

enum gw_status cli_open_saved(struct cli_saved *s, const char *path, const char *const *keys,
                              unsigned key_count, uint64_t timeout_ns, bool lock,
                              struct gw_error *err)
{
    struct task t = {.path = path, .keys = keys, .key_count = key_count};
    enum gw_status st;
    memset(s, 0, sizeof *s);
    s->path = path;
    spec_init(spec_machine, &s->spec);
    spec_init(spec_machine, &s->granted);
    st = open_file(s, err);
    t.fd = s->fd;
    t.api = st == GW_OK ? cli_snapshots(err) : NULL;
    if (st == GW_OK && !t.api)
        st = err->status;
    if (st == GW_OK && lock)
        st = cli_machine_module(&t.machine, err);
    if (t.machine && t.machine->sandbox_missing())
        t.machine = NULL; /* the machine itself says so */
    if (st == GW_OK)
        st = ask_reader(s, &t, timeout_ns, err);
    if (st != GW_OK)
        cli_close_saved(s);
    return st;
}

void cli_close_saved(struct cli_saved *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    spec_clear(spec_machine, &s->spec);
    spec_clear(spec_machine, &s->granted);
}
