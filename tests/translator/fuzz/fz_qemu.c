/*
 * Random programs under QEMU's user mode and under our engine: one static ELF file holds many
 * programs with their initial registers, and a small runtime that loads a state, runs a program and
 * keeps what came out. The outputs of both must be the same bytes.
 *
 *     TEXT    runtime, then the programs; each ends in a jump to `save`
 *     VARS    next entry of the table, its end, where the next result goes
 *     TABLE   {address of the program, address of the state} for each run
 *     STATES  x0..x31, f0..f31, fcsr
 *     OUT     the same, as it came out
 *
 * No register is free around a program: x31 starts as the program's address, and x2 always points
 * to the middle of the data, so that `save` can start from there.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frontend/riscv64/decode.h"
#include "tests/translator/fuzz/fz.h"
#include "backend-common/hosts.h"

enum {
    TEXT = FZ_CODE,
    TEXT_MAX = 0xe0000,
    VARS = 0x400000,
    TABLE = VARS + 4096,
    STATES = 0x440000,
    OUT = 0x900000,
    STATE_WORDS = 65,
    STATE_BYTES = STATE_WORDS * 8,
    RUNS_PER_PROGRAM = 4,
    PROGRAMS = 1500,
    RUNS = PROGRAMS * RUNS_PER_PROGRAM,
    DATA_BYTES = FZ_DATA_PAGES * 4096,
    WORLD = 16 << 20,
    OUT_MAX = RUNS * STATE_BYTES + DATA_BYTES,
};
_Static_assert(STATES + RUNS * STATE_BYTES <= OUT, "states fit");
_Static_assert(OUT + RUNS * STATE_BYTES <= WORLD, "results fit");

/* --- encodings -------------------------------------------------------------------------------- */

struct text {
    uint8_t *at;
    uint32_t used;
};

static void put(struct text *t, uint32_t w)
{
    memcpy(t->at + t->used, &w, 4);
    t->used += 4;
}

static uint32_t insn_i(unsigned opcode, unsigned f3, unsigned rd, unsigned rs1, int imm)
{
    return opcode | rd << 7 | f3 << 12 | rs1 << 15 | (uint32_t)imm << 20;
}

static uint32_t insn_s(unsigned opcode, unsigned rs2, unsigned rs1, int imm)
{
    uint32_t u = (uint32_t)imm;
    return opcode | (u & 31) << 7 | 3u << 12 | rs1 << 15 | rs2 << 20 | (u >> 5 & 127) << 25;
}

static uint32_t ld(unsigned rd, unsigned base, int imm)
{
    return insn_i(0x03, 3, rd, base, imm);
}

static uint32_t fld(unsigned rd, unsigned base, int imm)
{
    return insn_i(0x07, 3, rd, base, imm);
}

static uint32_t sd(unsigned rs, unsigned base, int imm)
{
    return insn_s(0x23, rs, base, imm);
}

static uint32_t fsd(unsigned rs, unsigned base, int imm)
{
    return insn_s(0x27, rs, base, imm);
}

static uint32_t addi(unsigned rd, unsigned rs, int imm)
{
    return insn_i(0x13, 0, rd, rs, imm);
}

static uint32_t lui(unsigned rd, uint32_t value)
{
    return 0x37 | rd << 7 | (value & 0xfffff000);
}

static uint32_t jal0(int32_t off)
{
    uint32_t u = (uint32_t)off;
    return 0x6f | (u >> 20 & 1) << 31 | (u >> 1 & 0x3ff) << 21 | (u >> 11 & 1) << 20 |
           (u >> 12 & 0xff) << 12;
}

static uint32_t branch(unsigned f3, unsigned a, unsigned b, int32_t off)
{
    uint32_t u = (uint32_t)off;
    return 0x63 | f3 << 12 | a << 15 | b << 20 | (u >> 12 & 1) << 31 | (u >> 5 & 63) << 25 |
           (u >> 1 & 15) << 8 | (u >> 11 & 1) << 7;
}

enum { ECALL = 0x73, FCSR = 3, SYS_WRITE = 64, SYS_EXIT = 93 };

/* write(1, from, size), all of it */
static void put_write(struct text *t, uint32_t from, uint32_t size)
{
    put(t, lui(11, from));
    put(t, lui(12, size + 0x800));
    put(t, addi(12, 12, (int)(size << 20) >> 20));
    put(t, addi(10, 0, 1));
    put(t, addi(17, 0, SYS_WRITE));
    put(t, ECALL);
    put(t, 0x33 | 11 << 7 | 11 << 15 | 10 << 20);              /* add a1, a1, a0 */
    put(t, 0x33 | 12 << 7 | 12 << 15 | 10 << 20 | 0x20 << 25); /* sub a2, a2, a0 */
    put(t, branch(1, 12, 0, -20));
}

/* Returns the offset of `save`. */
static uint32_t put_runtime(struct text *t, uint32_t runs)
{
    uint32_t loop = t->used;
    put(t, lui(5, VARS));
    /* sc.d x0, x0, (t0): drops what an earlier program reserved. When else a reservation is lost is
     * an implementation's own matter. */
    put(t, 0x1802b02f);
    put(t, ld(6, 5, 0));
    put(t, ld(7, 5, 8));
    uint32_t to_done = t->used;
    put(t, 0);
    put(t, ld(31, 6, 0));
    put(t, ld(30, 6, 8));
    put(t, addi(6, 6, 16));
    put(t, sd(6, 5, 0));
    for (unsigned i = 0; i < 32; i++)
        put(t, fld(i, 30, (int)(256 + 8 * i)));
    put(t, ld(29, 30, 512));
    put(t, insn_i(0x73, 1, 0, 29, FCSR));
    for (unsigned i = 1; i < 30; i++)
        put(t, ld(i, 30, (int)(8 * i)));
    put(t, ld(30, 30, 240));
    put(t, insn_i(0x67, 0, 0, 31, 0));

    uint32_t save = t->used;
    put(t, sd(31, 2, 0));
    put(t, lui(31, VARS));
    put(t, ld(31, 31, 16));
    for (unsigned i = 0; i < 31; i++)
        put(t, sd(i, 31, (int)(8 * i)));
    put(t, ld(1, 2, 0));
    put(t, sd(1, 31, 248));
    for (unsigned i = 0; i < 32; i++)
        put(t, fsd(i, 31, (int)(256 + 8 * i)));
    put(t, insn_i(0x73, 2, 1, 0, FCSR));
    put(t, sd(1, 31, 512));
    put(t, addi(31, 31, STATE_BYTES));
    put(t, lui(1, VARS));
    put(t, sd(31, 1, 16));
    put(t, jal0((int32_t)loop - (int32_t)t->used));

    uint32_t done = t->used, branch_at = to_done;
    uint32_t w = branch(0, 6, 7, (int32_t)(done - branch_at));
    memcpy(t->at + branch_at, &w, 4);
    put_write(t, OUT, runs * STATE_BYTES);
    put_write(t, FZ_DATA, DATA_BYTES);
    put(t, addi(10, 0, 0));
    put(t, addi(17, 0, SYS_EXIT));
    put(t, ECALL);
    return save;
}

/* --- a batch ---------------------------------------------------------------------------------- */

struct run {
    uint32_t program;
    uint64_t x[32], f[32], fcsr;
};

struct batch {
    uint32_t programs, runs;
    struct fz_program *program;
    struct run *run;
    uint8_t *world; /* the image, guest address 0 first */
    uint32_t text_size;
    uint8_t *out[2];
    size_t out_size[2];
};

/* Lays the batch out. False: it does not fit. */
static bool build(struct batch *b)
{
    struct text t = {.at = b->world + TEXT};
    uint64_t rng = 1;
    memset(b->world + TEXT, 0, TEXT_MAX);
    uint32_t save = put_runtime(&t, b->runs);
    for (uint32_t i = 0; i < b->programs; i++) {
        struct fz_program *p = &b->program[i];
        uint32_t size = p->at[p->count];
        if (t.used + size + 64 > TEXT_MAX)
            return false;
        p->pc = TEXT + t.used;
        p->word[p->count - 1] = jal0((int32_t)save - (int32_t)(t.used + p->at[p->count - 1]));
        fz_program_bytes(p, t.at + t.used);
        t.used = (t.used + size + 7) & ~7u;
    }
    b->text_size = t.used;
    uint64_t vars[3] = {TABLE, TABLE + 16 * (uint64_t)b->runs, OUT};
    memcpy(b->world + VARS, vars, sizeof vars);
    for (uint32_t k = 0; k < b->runs; k++) {
        struct run *r = &b->run[k];
        uint64_t entry[2] = {b->program[r->program].pc, STATES + (uint64_t)k * STATE_BYTES};
        uint8_t *s = b->world + entry[1];
        memcpy(b->world + TABLE + 16 * k, entry, 16);
        memcpy(s, r->x, 256);
        memcpy(s + 256, r->f, 256);
        memcpy(s + 512, &r->fcsr, 8);
    }
    for (uint32_t k = 0; k < DATA_BYTES; k += 8) {
        uint64_t v = fz_value(&rng);
        memcpy(b->world + FZ_DATA + k, &v, 8);
    }
    memset(b->world + OUT, 0, (size_t)b->runs * STATE_BYTES);
    return true;
}

static void fill(struct batch *b, uint64_t seed)
{
    const struct fz_gen_options opt = {.oracle = true, .lr_double = seed & 1};
    b->programs = PROGRAMS;
    b->runs = 0;
    for (uint32_t i = 0; i < b->programs; i++)
        fz_generate(&b->program[i], seed * PROGRAMS + i, FZ_V_USER, 0, &opt);
    for (uint32_t k = 0; k < RUNS; k++) {
        struct run *r = &b->run[b->runs++];
        struct fz_state s;
        r->program = k / RUNS_PER_PROGRAM;
        fz_generate_state(&s, &b->program[r->program], seed * RUNS + k, &opt);
        memcpy(r->x, s.x, sizeof r->x);
        memcpy(r->f, s.f, sizeof r->f);
        r->fcsr = s.fcsr;
        r->x[2] = FZ_DATA + 4096;
    }
}

/* --- under QEMU ------------------------------------------------------------------------------- */

static bool write_elf(const struct batch *b, const char *path)
{
    static const struct {
        uint32_t at, flags;
    } parts[] = {{TEXT, PF_R | PF_X}, {FZ_DATA, PF_R | PF_W}, {VARS, PF_R | PF_W}};
    uint32_t size[3] = {b->text_size, DATA_BYTES, STATES - VARS + b->runs * STATE_BYTES};
    Elf64_Ehdr h = {
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_RISCV,
        .e_version = EV_CURRENT,
        .e_entry = TEXT,
        .e_phoff = sizeof h,
        .e_flags = 5, /* RVC, double-float ABI */
        .e_ehsize = sizeof h,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 4,
    };
    Elf64_Phdr ph[4];
    uint64_t offset = 4096;
    for (int k = 0; k < 3; k++) {
        ph[k] = (Elf64_Phdr){.p_type = PT_LOAD,
                             .p_flags = parts[k].flags,
                             .p_offset = offset,
                             .p_vaddr = parts[k].at,
                             .p_paddr = parts[k].at,
                             .p_filesz = size[k],
                             .p_memsz = size[k],
                             .p_align = 4096};
        offset += (size[k] + 4095) & ~4095u;
    }
    uint64_t out_bytes = ((uint64_t)b->runs * STATE_BYTES + 4095) & ~UINT64_C(4095);
    ph[3] = (Elf64_Phdr){.p_type = PT_LOAD,
                         .p_flags = PF_R | PF_W,
                         .p_offset = offset,
                         .p_vaddr = OUT,
                         .p_paddr = OUT,
                         .p_memsz = out_bytes,
                         .p_align = 4096};
    FILE *f = fopen(path, "wb");
    if (!f)
        return false;
    bool ok = fwrite(&h, sizeof h, 1, f) == 1 && fwrite(ph, sizeof ph, 1, f) == 1;
    for (int k = 0; k < 3 && ok; k++)
        ok = !fseek(f, (long)ph[k].p_offset, SEEK_SET) &&
             fwrite(b->world + parts[k].at, size[k], 1, f) == 1;
    return fclose(f) == 0 && ok;
}

/* The program's output; false: it did not end well. */
static bool run_qemu(struct batch *b, const char *qemu, const char *elf)
{
    int fd[2], status;
    if (pipe(fd))
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fd[1], 1);
        close(fd[0]);
        close(fd[1]);
        execl(qemu, qemu, "-cpu", "max", elf, (char *)NULL);
        _exit(127);
    }
    close(fd[1]);
    b->out_size[0] = 0;
    for (ssize_t n;
         pid > 0 && (n = read(fd[0], b->out[0] + b->out_size[0], OUT_MAX - b->out_size[0])) > 0;)
        b->out_size[0] += (size_t)n;
    close(fd[0]);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

/* --- under our engine ------------------------------------------------------------------------- */

static bool fetch_ok(void *opaque, uint64_t vaddr, uint64_t size)
{
    return vaddr - TEXT < TEXT_MAX;
}

/* One system call; false: the program has ended. */
static bool system_call(struct batch *b, struct rv_cpu *cpu, bool *ok)
{
    uint64_t from = cpu->x[11], size = cpu->x[12];
    if (cpu->x[17] != SYS_WRITE || from > WORLD || size > OUT_MAX - b->out_size[1]) {
        *ok = cpu->x[17] == SYS_EXIT && cpu->x[10] == 0;
        return false;
    }
    memcpy(b->out[1] + b->out_size[1], b->world + from, size);
    b->out_size[1] += size;
    cpu->c.reservation = RV_NO_RESERVATION; /* as the kernel's return does */
    cpu->x[10] = size;
    cpu->run.pc += 4;
    return true;
}

static bool run_engine(struct batch *b, bool interp, uint64_t *insns)
{
    struct rv_cpu *cpu = aligned_alloc(64, (sizeof *cpu + 63) & ~(size_t)63);
    const struct gw_cpu_config cc = {.model = "max", .user = true};
    struct engine *e = NULL;
    struct gw_error err;
    if (!cpu)
        abort();
    memset(cpu, 0, sizeof *cpu);
    const struct engine_config ec = {
        .isa = &rv_guest_isa,
        .backend = interp ? NULL : host_native(&gw_hosts),
        .mem = GW_MEM_USER,
        .cpu = cpu,
        .guest_base = (uint64_t)(uintptr_t)b->world,
        .fetch_ok = fetch_ok,
    };
    if (rv_guest_isa.init(cpu, &cc, &err) != GW_OK || engine_new(&e, &ec, &err) != GW_OK)
        abort();
    cpu->run.pc = TEXT;
    b->out_size[1] = 0;
    bool ok = false;
    while (engine_run(e, UINT64_C(1) << 40, false) == ENGINE_SYSCALL && system_call(b, cpu, &ok))
        ;
    *insns = engine_retired(e);
    engine_free(e);
    free(cpu);
    return ok;
}

/* --- comparison ------------------------------------------------------------------------------- */

/* Builds and runs; the first run that differs, or -1; -2: something failed, which is said. */
static int run_both(struct batch *b, const char *qemu, bool interp, uint64_t *insns)
{
    char path[] = "/tmp/godwit-fuzz-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0 || !build(b))
        return -2;
    bool ok = write_elf(b, path) && fchmod(fd, 0700) == 0;
    close(fd);
    ok = ok && run_qemu(b, qemu, path);
    unlink(path);
    if (!ok) {
        fprintf(stderr, "QEMU did not finish the program\n");
        return -2;
    }
    if (!run_engine(b, interp, insns)) {
        fprintf(stderr, "our engine did not finish the program\n");
        return -2;
    }
    if (b->out_size[0] != b->out_size[1])
        return 0;
    for (uint32_t k = 0; k < b->runs; k++)
        if (memcmp(b->out[0] + (size_t)k * STATE_BYTES, b->out[1] + (size_t)k * STATE_BYTES,
                   STATE_BYTES))
            return (int)k;
    size_t data = (size_t)b->runs * STATE_BYTES;
    return memcmp(b->out[0] + data, b->out[1] + data, DATA_BYTES) ? (int)b->runs - 1 : -1;
}

static void print_run(const struct batch *b, const struct batch *at, uint32_t k)
{
    const struct run *r = &at->run[k];
    const struct fz_program *p = &at->program[r->program];
    fprintf(stderr, "program %u, seed %llu, fcsr %#llx\n", r->program, (unsigned long long)p->seed,
            (unsigned long long)r->fcsr);
    for (uint32_t i = 0; i + 1 < p->count; i++) {
        char text[96];
        if (fz_is_nop(p, i))
            continue;
        rv_disasm(text, sizeof text, p->pc + p->at[i], p->word[i]);
        fprintf(stderr, "  %08x  %s\n", p->word[i], text);
    }
    for (unsigned i = 1; i < 31; i++)
        if (r->x[i])
            fprintf(stderr, "  x%u=%#llx", i, (unsigned long long)r->x[i]);
    for (unsigned i = 0; i < 32; i++)
        if (r->f[i])
            fprintf(stderr, "  f%u=%#llx", i, (unsigned long long)r->f[i]);
    fprintf(stderr, "\n");
    for (unsigned i = 0; i < STATE_WORDS; i++) {
        uint64_t a, c;
        memcpy(&a, b->out[0] + (size_t)k * STATE_BYTES + 8 * i, 8);
        memcpy(&c, b->out[1] + (size_t)k * STATE_BYTES + 8 * i, 8);
        if (a != c)
            fprintf(stderr, "  %s%u: %#llx, QEMU has %#llx\n",
                    i < 32   ? "x"
                    : i < 64 ? "f"
                             : "fcsr ",
                    i & 31, (unsigned long long)c, (unsigned long long)a);
    }
}

/* Drops what does not matter from one run, alone. */
static void shrink(struct batch *b, uint32_t k, const char *qemu, bool interp)
{
    struct fz_program p = b->program[b->run[k].program];
    struct run r = b->run[k];
    struct fz_program one;
    struct batch s = *b;
    uint64_t insns;
    r.program = 0;
    s.program = &one;
    s.run = &r;
    s.programs = s.runs = 1;
    one = p;
    if (run_both(&s, qemu, interp, &insns) != 0)
        return;
    for (uint32_t i = 0; i + 1 < p.count; i++) {
        one = p;
        fz_drop(&one, i);
        if (!fz_is_nop(&p, i) && run_both(&s, qemu, interp, &insns) == 0)
            p = one;
    }
    for (unsigned i = 0; i < 32; i++) {
        uint64_t was = r.f[i];
        one = p;
        r.f[i] = 0;
        if (run_both(&s, qemu, interp, &insns) != 0)
            r.f[i] = was;
    }
    one = p;
    run_both(&s, qemu, interp, &insns);
    fprintf(stderr, "alone, shrunk:\n");
    print_run(&s, &s, 0);
}

int fz_oracle(const char *qemu, uint64_t insns, uint64_t seed, bool verbose)
{
    struct batch b = {0};
    uint64_t total = 0, batches = 0;
    if (access(qemu, X_OK)) {
        fprintf(stderr, "no such program: %s\n", qemu);
        return 77;
    }
    b.world = mmap(NULL, WORLD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    b.program = calloc(PROGRAMS, sizeof *b.program);
    b.run = calloc(RUNS, sizeof *b.run);
    b.out[0] = calloc(1, OUT_MAX);
    b.out[1] = calloc(1, OUT_MAX);
    if (b.world == MAP_FAILED || !b.program || !b.run || !b.out[0] || !b.out[1])
        abort();
    int bad = -1;
    while (total < insns && bad == -1) {
        uint64_t n = 0;
        bool interp = batches % 8 == 7;
        fill(&b, seed + batches++);
        bad = run_both(&b, qemu, interp, &n);
        total += n;
        if (bad >= 0) {
            fprintf(stderr, "MISMATCH with QEMU (%s), run %d of seed %llu\n",
                    interp ? "interpreter" : "JIT", bad, (unsigned long long)(seed + batches - 1));
            print_run(&b, &b, (uint32_t)bad);
            shrink(&b, (uint32_t)bad, qemu, interp);
        } else if (verbose) {
            printf("batch %llu: %llu instructions\n", (unsigned long long)batches,
                   (unsigned long long)n);
        }
    }
    printf("fuzz: %llu instructions in %llu programs compared with QEMU, %d mismatches\n",
           (unsigned long long)total, (unsigned long long)batches * PROGRAMS, bad != -1);
    free(b.program);
    free(b.run);
    free(b.out[0]);
    free(b.out[1]);
    munmap(b.world, WORLD);
    return bad == -1 ? 0 : 1;
}
