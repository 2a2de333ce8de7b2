/* Machines for one command; see command.h. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "machine/riscv64/board.h"
#include "machine/boot/command.h"

/* Where init is in the guest, for the archive and for the kernel. Debian's initrds end with a
 * script that is called init, which must stay what it is. */
#define INIT_NAME "godwit-init"

/* console_loglevel 1 lets a panic through and nothing else: at 0 the kernel keeps silent even then
 * (console_verbose), and we would not know. A host that is
 * short of CPU time would have the kernel's watchdog write. They stand first, so the user's own win. */
#define INIT_ARGS "rdinit=/" INIT_NAME " quiet loglevel=1 nosoftlockup"

static const uint8_t init_code[] = {
#include "machine/riscv64/guest_init.inc"
};

/* ---- the program: an ELF file of a page of code and some of data ---------------------------- */

enum {
    ELF_HEADER_BYTES = 64,
    ELF_SEGMENT_BYTES = 56,
    CODE_AT = ELF_HEADER_BYTES + 2 * ELF_SEGMENT_BYTES, /* in the file and in its page */
    DATA_AT = 0x1000,                                   /* in the file */
    CODE_PAGE = 0x10000,                                /* in the guest's memory */
    DATA_PAGE = 0x20000,                                /* as guest_init.s has it */
    WORDS_MAX = 4096,
    TEXT_MAX = 1 << 20,
};
static_assert(CODE_AT + sizeof init_code <= DATA_AT, "the code has one page");

/* What guest_init.s finds at DATA_PAGE. */
enum {
    DATA_ARGV = 0,
    DATA_ENVP = 8,
    DATA_PATHS = 16,
    DATA_FLAGS = 24,
    DATA_POWER = 32,
    DATA_LISTS = 256, /* what lies between is init's own */
};
enum { FLAG_TERMINAL = 1, FLAG_NO_INPUT = 2, FLAG_FRAMES = 4 };
/* What it tells the test device: a kind and a value of 8 bits; or that, with TAKEN, and 15 bits of how many
 * bytes of frames it has taken. */
enum { TOLD_STATUS = 1, TOLD_ERRNO, TOLD_SIGNAL, TOLD_READY, TOLD_TAKEN = 0x8000 };

static const char *const path_dirs[] = {"/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/",
                                        "/usr/bin/",        "/sbin/",          "/bin/"};
#define PATH_DIRS (sizeof path_dirs / sizeof path_dirs[0])
#define PATH_TEXT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static void put(uint8_t *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++, v >>= 8)
        p[i] = (uint8_t)v;
}

/* Three lists of pointers, each with its end, and the texts that they point to. */
struct page {
    uint8_t *bytes;
    size_t next_pointer, next_text;
};

/* A pointer to the text a, b. */
static void point_to(struct page *p, const char *a, const char *b)
{
    size_t n = strlen(a), k = strlen(b) + 1;
    put(p->bytes + p->next_pointer, DATA_PAGE + p->next_text, 8);
    memcpy(p->bytes + p->next_text, a, n);
    memcpy(p->bytes + p->next_text + n, b, k);
    p->next_pointer += 8;
    p->next_text += n + k;
}

static void start_list(struct page *p, size_t at)
{
    put(p->bytes + at, DATA_PAGE + p->next_pointer, 8);
}

static void end_list(struct page *p)
{
    p->next_pointer += 8; /* the null pointer */
}

/* The word at *next, unescaped, into `to`; moves *next to the following one, or to NULL. */
static void take_word(const char **next, char *to)
{
    const char *p = *next;
    for (; *p && *p != ' '; p++) {
        if (*p == '\\' && p[1])
            p++;
        *to++ = *p;
    }
    *to = 0;
    *next = *p ? p + 1 : NULL;
}

static size_t count_words(const char *command, char *scratch)
{
    size_t n = 0;
    for (const char *next = command; next; n++)
        take_word(&next, scratch);
    return n;
}

/* Returns the page's size. */
static size_t fill_page(struct page *p, const struct command_config *cfg, char *word)
{
    const char *next = cfg->command;
    put(p->bytes + DATA_FLAGS,
        (cfg->term ? FLAG_TERMINAL : 0) | (cfg->no_input ? FLAG_NO_INPUT : 0) |
            (cfg->frames ? FLAG_FRAMES : 0),
        8);
    put(p->bytes + DATA_POWER, cfg->power, 8);
    start_list(p, DATA_ARGV);
    while (next) {
        take_word(&next, word);
        point_to(p, word, "");
    }
    end_list(p);
    start_list(p, DATA_ENVP);
    point_to(p, PATH_TEXT, "");
    point_to(p, "HOME=/root", "");
    point_to(p, "TERM=", cfg->term ? cfg->term : "dumb");
    end_list(p);
    start_list(p, DATA_PATHS);
    next = cfg->command;
    take_word(&next, word);
    if (strchr(word, '/'))
        point_to(p, word, "");
    else
        for (size_t i = 0; i < PATH_DIRS; i++)
            point_to(p, path_dirs[i], word);
    end_list(p);
    return p->next_text;
}

static void put_segment(uint8_t *p, unsigned flags, uint64_t offset, uint64_t vaddr, uint64_t bytes)
{
    put(p, 1, 4); /* PT_LOAD */
    put(p + 4, flags, 4);
    put(p + 8, offset, 8);
    put(p + 16, vaddr, 8);
    put(p + 24, vaddr, 8);
    put(p + 32, bytes, 8);
    put(p + 40, bytes, 8);
    put(p + 48, 0x1000, 8);
}

static void put_elf(uint8_t *file, size_t data_bytes)
{
    static const uint8_t ident[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    enum { TYPE_EXEC = 2, MACHINE_RISCV = 243, READ = 4, WRITE = 2, EXECUTE = 1 };
    memcpy(file, ident, sizeof ident);
    put(file + 16, TYPE_EXEC, 2);
    put(file + 18, MACHINE_RISCV, 2);
    put(file + 20, 1, 4);
    put(file + 24, CODE_PAGE + CODE_AT, 8);
    put(file + 32, ELF_HEADER_BYTES, 8);
    put(file + 52, ELF_HEADER_BYTES, 2);
    put(file + 54, ELF_SEGMENT_BYTES, 2);
    put(file + 56, 2, 2);
    put_segment(file + ELF_HEADER_BYTES, READ | EXECUTE, 0, CODE_PAGE, CODE_AT + sizeof init_code);
    put_segment(file + ELF_HEADER_BYTES + ELF_SEGMENT_BYTES, READ | WRITE, DATA_AT, DATA_PAGE,
                data_bytes);
    memcpy(file + CODE_AT, init_code, sizeof init_code);
}

/* ---- the archive: cpio's newc, as the kernel reads it --------------------------------------- */

enum { CPIO_HEADER_BYTES = 110, CPIO_ALIGN = 4 };

/* Returns where the next entry goes. */
static size_t put_entry(uint8_t *at, const char *name, unsigned mode, size_t bytes)
{
    size_t name_bytes = strlen(name) + 1;
    size_t head = (CPIO_HEADER_BYTES + name_bytes + CPIO_ALIGN - 1) & ~(size_t)(CPIO_ALIGN - 1);
    /* magic, inode, mode, uid, gid, links, mtime, size, device, special device, name's size, check */
    char text[CPIO_HEADER_BYTES + 1];
    snprintf(text, sizeof text, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 0u,
             mode, 0u, 0u, 1u, 0u, (unsigned)bytes, 0u, 0u, 0u, 0u, (unsigned)name_bytes, 0u);
    memcpy(at, text, CPIO_HEADER_BYTES);
    memcpy(at + CPIO_HEADER_BYTES, name, name_bytes);
    return head;
}

enum gw_status command_archive(const struct command_config *cfg, uint8_t **out, size_t *size,
                               struct gw_error *err)
{
    size_t n = strlen(cfg->command), words, most, at, elf_bytes;
    struct page page = {.next_pointer = DATA_LISTS};
    char *word = n <= TEXT_MAX ? malloc(n + 1) : NULL;
    *out = NULL;
    if (n > TEXT_MAX)
        return gw_fail(err, GW_ERR_ARG, "--", "cannot run the command: it is too long");
    words = word ? count_words(cfg->command, word) : 0;
    if (words > WORDS_MAX) {
        free(word);
        return gw_fail(err, GW_ERR_ARG, "--", "cannot run the command: it has too many words");
    }
    page.next_text = DATA_LISTS + 8 * (words + 1 + 3 + 1 + PATH_DIRS + 1);
    /* the texts: the words, the environment, and the first word behind each directory */
    most = page.next_text + (n + 1) * (1 + PATH_DIRS) + 512 + (cfg->term ? strlen(cfg->term) : 0);
    *out = word ? calloc(1, 1024 + DATA_AT + most) : NULL;
    if (!*out) {
        free(word);
        return gw_fail(err, GW_ERR_NOMEM, "--", "cannot run the command: out of memory");
    }
    at = put_entry(*out, INIT_NAME, S_IFREG | 0755, 0);
    page.bytes = *out + at + DATA_AT;
    elf_bytes = DATA_AT + fill_page(&page, cfg, word);
    put_elf(*out + at, elf_bytes - DATA_AT);
    put_entry(*out, INIT_NAME, S_IFREG | 0755, elf_bytes);
    at += (elf_bytes + CPIO_ALIGN - 1) & ~(size_t)(CPIO_ALIGN - 1);
    *size = at + put_entry(*out + at, "TRAILER!!!", 0, 0);
    free(word);
    return GW_OK;
}

/* ---- what boot.c and offer.c ask for -------------------------------------------------------- */

void command_look_at_stdin(struct vm *m)
{
    struct stat st;
    int flags = fcntl(STDIN_FILENO, F_GETFL);
    if (isatty(STDIN_FILENO) || m->o->detached)
        m->input = VM_INPUT_PERSON; /* there, or whoever attaches */
    else if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY || fstat(STDIN_FILENO, &st) < 0 ||
             (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))) /* Linux's /dev/null */
        m->input = VM_INPUT_NONE;
    else
        m->input = VM_INPUT_BYTES;
}

bool command_reads_stdin(const struct vm *m)
{
    return m->spec->command && port_in(m->port[0]) == STDIN_FILENO && m->input == VM_INPUT_BYTES;
}

/* NULL: no person is there. */
static const char *term(const struct vm *m)
{
    const char *name = getenv("TERM");
    bool person = vm_on_stdio(m) ? m->input == VM_INPUT_PERSON
                                 : m->spec->serial_count != 0; /* whoever opens the port */
    if (m->spec->deterministic || !person)
        return NULL;
    return name && *name && strlen(name) < 64 ? name : "vt100";
}

enum gw_status initrd_open(struct vm *m, struct initrd *i, struct gw_error *err)
{
    struct command_config cfg = {.command = m->spec->command,
                                 .term = m->spec->command ? term(m) : NULL,
                                 .power = VIRT_POWER_BASE};
    uint8_t *archive = NULL;
    size_t size, before;
    enum gw_status st = GW_OK;
    *i = (struct initrd){0};
    if (m->spec->initrd)
        st = vm_file(m, &i->file, m->spec->initrd, "initrd", err);
    i->data = i->file.data;
    i->size = i->file.size;
    if (st != GW_OK || !m->spec->command)
        return st;
    cfg.frames = command_reads_stdin(m);
    cfg.no_input = !cfg.term && (!vm_on_stdio(m) || m->input == VM_INPUT_NONE);
    st = command_archive(&cfg, &archive, &size, err);
    if (st != GW_OK) {
        initrd_close(i);
        return st;
    }
    before = (i->size + CPIO_ALIGN - 1) & ~(size_t)(CPIO_ALIGN - 1);
    i->made = calloc(1, before + size);
    if (!i->made) {
        free(archive);
        initrd_close(i);
        return gw_fail(err, GW_ERR_NOMEM, "--", "cannot run the command: out of memory");
    }
    if (i->size)
        memcpy(i->made, i->data, i->size);
    memcpy(i->made + before, archive, size);
    free(archive);
    i->data = i->made;
    i->size = before + size;
    return GW_OK;
}

void initrd_close(struct initrd *i)
{
    blob_close(&i->file);
    free(i->made);
    *i = (struct initrd){0};
}

char *command_bootargs(const struct machine_spec *s)
{
    const char *user = s->append ? s->append : "";
    char *line = NULL;
    if (!s->command)
        return strdup(user);
    if (asprintf(&line, INIT_ARGS "%s%s", *user ? " " : "", user) < 0)
        return NULL;
    return line;
}

enum gw_status command_check(const struct machine_options *o, struct gw_error *err)
{
    const struct machine_spec *s = o->spec;
    if (!s->command || o->restore)
        return GW_OK;
    if (!s->kernel) {
        gw_fail(err, GW_ERR_ARG, "--",
                "cannot run the command: only a kernel that is given starts it");
        if (err)
            snprintf(err->hint, sizeof err->hint,
                     "godwit run -k vmlinux -i initrd.cpio -- uname -m");
        return GW_ERR_ARG;
    }
    if (s->append && strstr(s->append, "rdinit="))
        return gw_fail(err, GW_ERR_ARG,
                       "rdinit=", "cannot run the command: -a names another first program");
    return GW_OK;
}

bool command_told(struct vm *m, unsigned code)
{
    unsigned kind = code >> 8, value = code & 0xff;
    if (!m->spec->command || m->over)
        return false;
    if (code & TOLD_TAKEN) {
        dev_console_allow(m->board->console, code & ~(unsigned)TOLD_TAKEN);
        return true;
    }
    if (kind < TOLD_STATUS || kind > TOLD_READY)
        return false;
    if (kind == TOLD_READY) {
        dev_console_ready(m->board->console);
        vm_start_input(m);
        return true;
    }
    m->result->command_ended = true;
    if (kind == TOLD_ERRNO)
        m->result->command_errno = (int)value;
    if (kind == TOLD_SIGNAL)
        m->result->signal = (int)value;
    vm_end(m, kind == TOLD_SIGNAL ? MACHINE_ENDED_SIGNAL : MACHINE_ENDED_EXIT, value);
    return true;
}
