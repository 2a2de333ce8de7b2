/* From a file name to a program that stands in guest memory: scripts, interpreters, the stack. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "godwit/little.h"
#include "usermode/um.h"
#include "usermode/um_elf.h"

enum {
    HEAD_BYTES = 256, /* as much of a #! line as Linux reads */
    SCRIPT_DEPTH = 6, /* scripts of scripts, and the program at their end: Linux's bprm_execve() */
    STACK_MIN = 1 << 20,
    STACK_MAX = 1 << 30,
    STACK_DEFAULT = 8 << 20,
};

/* Where Linux puts a position-independent program: two thirds up. */
static uint64_t pie_base(const struct um_space *s)
{
    return s->limit / 3 * 2 & ~(s->host_page - 1);
}

#define STACK_GAP (UINT64_C(128) << 20)

/* Splits "#! interpreter [argument]" in place. False when there is no interpreter, or its name may go
 * on behind what was read. */
static bool parse_script(char *head, ssize_t n, char **interp, char **arg)
{
    bool all = n < HEAD_BYTES || memchr(head, '\n', HEAD_BYTES);
    head[n < HEAD_BYTES ? n : HEAD_BYTES - 1] = 0;
    char *line = head + 2, *end = strchr(line, '\n');
    if (end)
        *end = 0;
    line += strspn(line, " \t");
    size_t len = strcspn(line, " \t");
    if (len == 0 || (!all && !line[len]))
        return false;
    *interp = line;
    *arg = NULL;
    if (line[len]) {
        line[len++] = 0;
        line += len + strspn(line + len, " \t");
        size_t rest = strlen(line);
        while (rest && (line[rest - 1] == ' ' || line[rest - 1] == '\t'))
            line[--rest] = 0;
        if (rest)
            *arg = line;
    }
    return true;
}

static bool is_script(const char *head, ssize_t n)
{
    return n > 2 && head[0] == '#' && head[1] == '!';
}

static const char *in_sysroot(const struct um_config *cfg, const char *path, char buf[PATH_MAX])
{
    struct stat st;
    if (!cfg->sysroot || path[0] != '/')
        return path;
    int n = snprintf(buf, PATH_MAX, "%s%s", cfg->sysroot, path);
    return n > 0 && n < PATH_MAX && stat(buf, &st) == 0 ? buf : path;
}

/* Could it be loaded? Once we have started ourselves for it, nobody is left to be told. */
static int64_t check_program(struct um_proc *p, int fd, const char *path)
{
    struct um_elf *elf = malloc(sizeof *elf);
    enum gw_status s = elf ? um_elf_read(fd, path, p->isa->elf_machine, elf, NULL) : GW_ERR_NOMEM;
    free(elf);
    return !s ? 0 : s == GW_ERR_NOMEM ? -ENOMEM : s == GW_ERR_IO ? -EIO : -ENOEXEC;
}

int64_t um_file_kind(struct um_proc *p, const char *path, enum um_file_kind *kind)
{
    char head[HEAD_BYTES], buf[PATH_MAX], next[PATH_MAX];
    *kind = UM_FILE_OTHER;
    for (unsigned depth = 0; depth < SCRIPT_DEPTH; depth++) {
        struct stat st;
        if (stat(path, &st))
            return -errno;
        if (!S_ISREG(st.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS))
            return -EACCES;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return -errno;
        bool busy = um_file_busy(fd);
        ssize_t n = pread(fd, head, sizeof head, 0);
        bool ours = n > 0 && um_elf_is_for((const uint8_t *)head, (size_t)n, p->isa->elf_machine);
        int64_t r = busy ? -ETXTBSY : ours ? check_program(p, fd, path) : 0;
        close(fd);
        if (r)
            return r;
        if (ours) {
            *kind = UM_FILE_GUEST;
            return 0;
        }
        char *interp, *arg;
        if (!is_script(head, n) || !parse_script(head, n, &interp, &arg))
            return 0;
        snprintf(next, sizeof next, "%s", in_sysroot(p->cfg, interp, buf));
        path = next;
    }
    return -ELOOP;
}

/* The program to load, after scripts have been followed. Owned by um_load. */
struct target {
    int fd;
    char path[PATH_MAX];
    char **argv; /* heap; its strings are the caller's, or in words */
    char *words[SCRIPT_DEPTH * 3];
    unsigned word_count;
};

static void target_free(struct target *t)
{
    if (t->fd >= 0)
        close(t->fd);
    free(t->argv);
    while (t->word_count)
        free(t->words[--t->word_count]);
}

static char *keep_word(struct target *t, const char *text)
{
    char *w = strdup(text);
    if (w)
        t->words[t->word_count++] = w;
    return w;
}

/* argv becomes interp [arg] path argv[1...]. */
static bool script_argv(struct target *t, const char *interp, const char *arg)
{
    unsigned n = 0, k = 0;
    while (t->argv[n])
        n++;
    char **v = malloc((n + 4) * sizeof *v);
    if (!v)
        return false;
    v[k++] = keep_word(t, interp);
    if (arg)
        v[k++] = keep_word(t, arg);
    v[k++] = keep_word(t, t->path);
    for (unsigned i = 0; i < k; i++) {
        if (!v[i]) {
            free(v);
            return false;
        }
    }
    for (unsigned i = 1; i < n; i++)
        v[k++] = t->argv[i];
    v[k] = NULL;
    free(t->argv);
    t->argv = v;
    return true;
}

/* fd: it is open there; else it is opened. */
static enum gw_status open_program(struct target *t, int fd, struct gw_error *err)
{
    struct stat st;
    t->fd = fd > STDERR_FILENO
                ? fd
                : open(t->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is not waited for */
    if (t->fd < 0) {
        enum gw_status s = errno == ENOENT || errno == ENOTDIR ? GW_ERR_NOTFOUND : GW_ERR_IO;
        return gw_fail(err, s, t->path, "cannot open program: %s", strerror(errno));
    }
    if (fstat(t->fd, &st) < 0)
        return gw_fail(err, GW_ERR_IO, t->path, "cannot open program: %s", strerror(errno));
    if (S_ISDIR(st.st_mode))
        return gw_fail(err, GW_ERR_UNSUPPORTED, t->path, "a directory, not a program");
    if (!S_ISREG(st.st_mode))
        return gw_fail(err, GW_ERR_UNSUPPORTED, t->path, "not a regular file");
    return GW_OK;
}

static enum gw_status find_target(const struct um_config *cfg, struct target *t,
                                  struct gw_error *err)
{
    unsigned n = 0;
    while (cfg->argv[n])
        n++;
    t->argv = malloc((n + 1) * sizeof *t->argv);
    if (!t->argv)
        return gw_fail(err, GW_ERR_NOMEM, "", "out of memory");
    memcpy(t->argv, cfg->argv, (n + 1) * sizeof *t->argv);
    if (strlen(cfg->path) >= sizeof t->path)
        return gw_fail(err, GW_ERR_NOTFOUND, "", "program name too long");
    char buf[PATH_MAX];
    snprintf(t->path, sizeof t->path, "%s", in_sysroot(cfg, cfg->path, buf));
    for (unsigned depth = 0;; depth++) {
        char head[HEAD_BYTES], *interp, *arg;
        enum gw_status s = open_program(t, depth ? -1 : cfg->program_fd, err);
        if (s)
            return s;
        ssize_t got = pread(t->fd, head, sizeof head, 0);
        if (!is_script(head, got))
            return GW_OK;
        if (depth == SCRIPT_DEPTH - 1)
            return gw_fail(err, GW_ERR_UNSUPPORTED, t->path, "scripts run scripts too deeply");
        if (!parse_script(head, got, &interp, &arg))
            return gw_fail(err, GW_ERR_FORMAT, t->path, "a script without an interpreter");
        if (!script_argv(t, interp, arg))
            return gw_fail(err, GW_ERR_NOMEM, "", "out of memory");
        close(t->fd);
        t->fd = -1;
        snprintf(t->path, sizeof t->path, "%s", in_sysroot(cfg, interp, buf));
    }
}

/* The dynamic linker that the program asks for, from the sysroot. */
static enum gw_status load_interp(struct um_proc *p, const struct um_config *cfg, const char *name,
                                  const struct um_elf *elf, uint64_t *bias, uint64_t *entry,
                                  struct gw_error *err)
{
    char buf[PATH_MAX];
    struct um_elf *in = calloc(1, sizeof *in);
    if (!in)
        return gw_fail(err, GW_ERR_NOMEM, "", "out of memory");
    const char *path = in_sysroot(cfg, elf->interp, buf);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum gw_status s;
    if (fd < 0) {
        s = gw_fail(err, GW_ERR_UNSUPPORTED, name,
                    "a dynamic program, and its interpreter %s was not found", elf->interp);
        if (err)
            snprintf(err->hint, sizeof err->hint, "%s",
                     strcmp(elf->interp, UM_LINKER) == 0
                         ? "apt-get install libc6-riscv64-cross, or give -L SYSROOT"
                         : "link it with -static, or give -L SYSROOT");
    } else {
        s = um_elf_read(fd, path, p->isa->elf_machine, in, err);
    }
    if (!s) {
        uint64_t size = in->high - in->low;
        /* Any free place below the stack will do. */
        int64_t at =
            um_space_mmap(p->space, 0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        *bias = in->relocatable ? (uint64_t)at - in->low : 0;
        *entry = *bias + in->entry;
        s = at < 0 ? gw_fail(err, GW_ERR_NOMEM, path, "no room for the interpreter")
                   : um_elf_map(fd, path, in, *bias, p->space, err);
    }
    if (fd >= 0)
        close(fd);
    free(in);
    return s;
}

/* Maps the stack; as large as the limit says. */
static enum gw_status map_stack(struct um_proc *p, bool executable, struct um_stack_request *rq,
                                struct gw_error *err)
{
    struct rlimit lim;
    uint64_t size = STACK_DEFAULT;
    if (p->cfg->stack_bytes)
        size = p->cfg->stack_bytes;
    else if (getrlimit(RLIMIT_STACK, &lim) == 0 && lim.rlim_cur != RLIM_INFINITY)
        size = lim.rlim_cur;
    size = (size < STACK_MIN ? STACK_MIN : size > STACK_MAX ? STACK_MAX : size) & ~UINT64_C(0xfff);
    rq->top = p->space->limit - UM_PAGE; /* a page of nothing stays at the end of the window */
    rq->bottom = rq->top - size;
    p->space->mmap_top = rq->bottom - STACK_GAP;
    uint32_t prot = PROT_READ | PROT_WRITE | (executable ? PROT_EXEC : 0);
    int64_t r = um_space_mmap(p->space, rq->bottom, size, prot,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (r < 0)
        return gw_fail(err, GW_ERR_NOMEM, "", "cannot map a stack of %llu bytes: %s",
                       (unsigned long long)size, strerror((int)-r));
    return GW_OK;
}

/* AT_RANDOM's bytes. From a seed: two words of SplitMix64 (Steele, Lea and Flood 2014). */
static void start_random(const struct um_config *cfg, uint8_t random[16])
{
    for (unsigned i = 0; cfg->seed && i < 2; i++) {
        uint64_t z = *cfg->seed + (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        gw_put_little(random + i * 8, z ^ z >> 31, 8);
    }
    if (!cfg->seed && getrandom(random, 16, GRND_NONBLOCK) < 0)
        memset(random, 0x5a, 16);
}

static enum gw_status load_elf(struct um_proc *p, const struct um_config *cfg, struct target *t,
                               struct um_elf *elf, struct gw_error *err)
{
    enum gw_status s = um_elf_read(t->fd, t->path, p->isa->elf_machine, elf, err);
    if (s)
        return s;
    struct um_stack_request rq = {.argv = t->argv, .envp = cfg->envp, .execfn = cfg->path};
    uint64_t bias = elf->relocatable ? pie_base(p->space) : 0;
    s = um_elf_map(t->fd, t->path, elf, bias, p->space, err);
    if (!s)
        s = map_stack(p, elf->exec_stack, &rq, err);
    if (s)
        return s;
    uint64_t end = (bias + elf->high + UM_PAGE - 1) & ~(uint64_t)(UM_PAGE - 1);
    p->space->brk_start = p->space->brk = end;
    rq.entry = bias + elf->entry;
    rq.phdr = elf->phdr_vaddr ? bias + elf->phdr_vaddr : 0;
    rq.phnum = elf->phnum;
    uint64_t pc = rq.entry;
    if (elf->has_interp)
        s = load_interp(p, cfg, t->path, elf, &rq.interp_base, &pc, err);
    if (!s)
        start_random(cfg, rq.random);
    if (!s)
        s = um_stack_build(p->space, &rq, &p->stack, err);
    if (s)
        return s;
    p->cpu->run.pc = pc;
    p->cpu->x[2] = p->stack.sp;
    return GW_OK;
}

/* What /proc/self/exe says. Heap; NULL: unknown. */
static char *program_name(const struct um_config *cfg, const struct target *t)
{
    char link[40], name[PATH_MAX];
    if (t->fd != cfg->program_fd)
        return realpath(t->path, NULL);
    snprintf(link, sizeof link, "/proc/self/fd/%d", t->fd);
    ssize_t n = readlink(link, name, sizeof name - 1);
    return n < 0 ? realpath(t->path, NULL) : strndup(name, (size_t)n);
}

enum gw_status um_load(struct um_proc *p, const struct um_config *cfg, struct gw_error *err)
{
    struct target *t = calloc(1, sizeof *t);
    struct um_elf *elf = malloc(sizeof *elf);
    if (!t || !elf) {
        free(t);
        free(elf);
        return gw_fail(err, GW_ERR_NOMEM, "", "out of memory");
    }
    t->fd = -1;
    enum gw_status s = find_target(cfg, t, err);
    if (!s)
        s = load_elf(p, cfg, t, elf, err);
    struct stat st;
    if (!s && fstat(t->fd, &st) == 0) {
        p->exe = program_name(cfg, t);
        p->exe_dev = st.st_dev;
        p->exe_ino = st.st_ino;
        const char *slash = strrchr(cfg->path, '/');
        prctl(PR_SET_NAME, slash ? slash + 1 : cfg->path); /* what ps and /proc call us */
    }
    target_free(t);
    free(t);
    free(elf);
    return s;
}
