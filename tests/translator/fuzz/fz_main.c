/* godwit-fuzz-blocks: random programs, in every engine. See fz.h. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "frontend/riscv64/decode.h"
#include "tests/translator/fuzz/fz.h"

struct fuzz {
    struct fz_env *env[FZ_MAX_CONFIGS];
    uint64_t insns, programs, faults, stops[8], by_config[FZ_MAX_CONFIGS];
    uint64_t digest; /* of all that came of the runs in configurations */
    struct fz_gen_options usual;
    unsigned states; /* of each program */
    bool dump, only_user, only_machine;
    const char *only;
    struct fz_outcome last[2];
};

static bool matches(const struct fuzz *z, unsigned c, enum fz_view v)
{
    const struct fz_config *cfg = &fz_configs[c];
    return !cfg->interp && cfg->user == (v == FZ_V_USER) &&
           (!z->only || !strcmp(z->only, cfg->name));
}

static unsigned reference(enum fz_view v)
{
    return v == FZ_V_USER ? 0 : 1;
}

static struct fz_env *env_of(struct fuzz *z, unsigned c)
{
    if (!z->env[c])
        z->env[c] = fz_env_new(&fz_configs[c]);
    return z->env[c];
}

/* Loads and runs program and state in the reference and in configuration c. */
static const char *run_pair(struct fuzz *z, unsigned c, const struct fz_program *p,
                            const struct fz_state *s, char *buf, size_t size)
{
    struct fz_outcome a, b;
    struct fz_env *ref = env_of(z, reference(p->view)), *env = env_of(z, c);
    fz_env_load(ref, p);
    fz_env_load(env, p);
    fz_env_run(ref, p, s, &a);
    fz_env_run(env, p, s, &b);
    z->last[0] = a;
    z->last[1] = b;
    return fz_compare(&a, &b, buf, size);
}

/* --- reports ---------------------------------------------------------------------------------- */

static void shrink(struct fuzz *z, unsigned c, struct fz_program *p, struct fz_state *s)
{
    char buf[200];
    struct fz_state t = *s;
    t.exact = false;
    t.max_insns = 100000;
    if (!p->loops && run_pair(z, c, p, &t, buf, sizeof buf))
        *s = t;
    for (int round = 0; round < 3; round++)
        for (uint32_t i = 0; i + 1 < p->count; i++) {
            struct fz_program q = *p;
            if (fz_is_nop(p, i))
                continue;
            fz_drop(&q, i);
            if (run_pair(z, c, &q, s, buf, sizeof buf))
                *p = q;
        }
    for (unsigned i = 1; i < 32; i++) { /* registers that do not matter */
        t = *s;
        t.x[i] = 0;
        if (!(p->pointers >> i & 1) && run_pair(z, c, p, &t, buf, sizeof buf))
            *s = t;
        t = *s;
        t.f[i] = 0;
        if (run_pair(z, c, p, &t, buf, sizeof buf))
            *s = t;
    }
    t = *s;
    t.x[0] = 0;
}

static void print_case(const struct fz_program *p, const struct fz_state *s)
{
    fprintf(stderr, "view %s, pc %#llx, fcsr %#llx, fs %u, %s stop after %llu\n",
            fz_view_names[p->view], (unsigned long long)p->pc, (unsigned long long)s->fcsr, s->fs,
            s->exact ? "exact" : "any", (unsigned long long)s->max_insns);
    for (uint32_t i = 0; i < p->count; i++) {
        char text[96];
        if (fz_is_nop(p, i))
            continue;
        uint64_t pc = p->pc + p->at[i];
        rv_disasm(text, sizeof text, pc, p->word[i]);
        fprintf(stderr, "  %3u %llx:  %0*x  %s\n", i, (unsigned long long)pc,
                (p->word[i] & 3) == 3 ? 8 : 4, p->word[i], text);
    }
    for (unsigned i = 0; i < 32; i++)
        if (s->x[i])
            fprintf(stderr, "  x%u=%#llx", i, (unsigned long long)s->x[i]);
    fprintf(stderr, "\n");
    for (unsigned i = 0; i < 32; i++)
        if (s->f[i])
            fprintf(stderr, "  f%u=%#llx", i, (unsigned long long)s->f[i]);
    fprintf(stderr, "\n");
}

static void report(struct fuzz *z, unsigned c, const struct fz_program *p, const struct fz_state *s)
{
    char buf[200] = "gone when run alone";
    struct fz_program q = *p;
    struct fz_state t = *s;
    fz_env_free(z->env[c]);
    z->env[c] = NULL;
    fprintf(stderr, "MISMATCH in %s, seed %llu\n", fz_configs[c].name, (unsigned long long)p->seed);
    const char *why = run_pair(z, c, &q, &t, buf, sizeof buf);
    if (why)
        shrink(z, c, &q, &t);
    why = run_pair(z, c, &q, &t, buf, sizeof buf);
    fprintf(stderr, "%s\n", buf);
    for (int k = 0; k < 2; k++)
        fprintf(stderr, "  %s: stop %d, retired %llu, pc %#llx\n", k ? "JIT" : "reference",
                (int)z->last[k].stop, (unsigned long long)z->last[k].retired,
                (unsigned long long)z->last[k].cpu->run.pc);
    print_case(&q, &t);
    if (z->dump)
        fz_env_dump(&fz_configs[c], &q, &t);
    (void)why;
}

/* --- fuzzing ---------------------------------------------------------------------------------- */

/* One program in the reference and in up to two configurations. False: a mismatch was reported. */
static bool one_program(struct fuzz *z, uint64_t seed)
{
    uint64_t rng = seed;
    enum fz_view v = fz_percent(&rng, 40) ? FZ_V_USER : 1 + fz_below(&rng, FZ_V_COUNT - 1);
    struct fz_program p;
    char buf[200];
    unsigned chosen[FZ_MAX_CONFIGS], n = 0;
    /* Sv39 and Sv48 take turns, since going from one to the other is slow */
    if (v >= FZ_V_S39_LOW && v <= FZ_V_U39 && seed >> 5 & 1)
        v += FZ_V_S48_LOW - FZ_V_S39_LOW;
    else if (v >= FZ_V_S48_LOW && !(seed >> 5 & 1))
        v -= FZ_V_S48_LOW - FZ_V_S39_LOW;
    if (z->only_user)
        v = FZ_V_USER;
    if (z->only_machine && v == FZ_V_USER)
        v = FZ_V_S39_LOW;
    for (unsigned c = 0; c < fz_config_count; c++)
        if (matches(z, c, v))
            chosen[n++] = c;
    if (!n)
        return true;
    fz_generate(&p, seed, v, (uint32_t)seed, &z->usual);
    z->programs++;
    unsigned first = fz_below(&rng, n), second = fz_below(&rng, n);
    struct fz_env *ref = env_of(z, reference(v));
    fz_env_load(ref, &p);
    fz_env_load(env_of(z, chosen[first]), &p);
    if (second != first)
        fz_env_load(env_of(z, chosen[second]), &p);
    for (unsigned k = 0; k < z->states; k++) {
        struct fz_state s;
        struct fz_outcome a, b;
        fz_generate_state(&s, &p, seed * z->states + k, &z->usual);
        fz_env_run(ref, &p, &s, &a);
        z->stops[a.stop]++;
        for (unsigned j = 0; j < (second != first ? 2u : 1u); j++) {
            unsigned c = chosen[j ? second : first];
            fz_env_run(z->env[c], &p, &s, &b);
            z->insns += b.retired;
            z->by_config[c] += b.retired;
            z->digest = fz_digest(z->digest, &b);
            if (fz_env_damaged(ref) || fz_env_damaged(z->env[c]))
                return true;
            if (!p.loops && !s.exact && a.stop == ENGINE_BUDGET) {
                fprintf(stderr, "a constrained loop of LR and SC does not end\n");
                report(z, c, &p, &s);
                return false;
            }
            if (fz_compare(&a, &b, buf, sizeof buf)) {
                fprintf(stderr, "%s\n", buf);
                report(z, c, &p, &s);
                return false;
            }
        }
    }
    return true;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void usage(FILE *out)
{
    fputs("usage: godwit-fuzz-blocks [--insns N] [--seed S] [--mode all|user|machine]\n"
          "                          [--config NAME] [--keep-going N] [--dump] [-v]\n"
          "                          [--oracle QEMU_RISCV64|env] [--states N] [--loops N] "
          "[--digest]\n"
          "Without --mode and --config, QEMU of GODWIT_QEMU_USER is compared with too.\n"
          "--states: from so many states each program runs (3); --loops: so many\n"
          "instructions those run that have loops (400); --digest: a number of all that came of "
          "the runs, the same on every host.\n",
          out);
}

static int fuzz(struct fuzz *z, uint64_t want, uint64_t seed, unsigned keep_going, bool verbose,
                bool digest)
{
    double start = seconds();
    unsigned bad = 0;
    while (z->insns < want && bad < keep_going) {
        if (!one_program(z, seed++))
            bad++;
    }
    double took = seconds() - start;
    printf(
        "fuzz: %llu instructions in %llu programs compared, %u mismatches, %.1f s, %.0f kinsn/s\n",
        (unsigned long long)z->insns, (unsigned long long)z->programs, bad, took,
        (double)z->insns / took / 1000);
    if (digest)
        printf("digest of %llu instructions: %016llx\n", (unsigned long long)z->insns,
               (unsigned long long)z->digest);
    for (unsigned c = 0; verbose && c < fz_config_count; c++)
        if (z->by_config[c])
            printf("  %-12s %llu\n", fz_configs[c].name, (unsigned long long)z->by_config[c]);
    if (verbose)
        printf("  stops: budget %llu, syscall %llu, fault %llu, wait %llu\n",
               (unsigned long long)z->stops[ENGINE_BUDGET],
               (unsigned long long)z->stops[ENGINE_SYSCALL],
               (unsigned long long)z->stops[ENGINE_FAULT],
               (unsigned long long)z->stops[ENGINE_WAIT]);
    for (unsigned c = 0; c < fz_config_count; c++)
        if (z->env[c])
            fz_env_free(z->env[c]);
    return bad ? 1 : 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"insns", 1, NULL, 'n'},  {"seed", 1, NULL, 's'},       {"mode", 1, NULL, 'm'},
        {"config", 1, NULL, 'c'}, {"keep-going", 1, NULL, 'k'}, {"dump", 0, NULL, 'd'},
        {"oracle", 1, NULL, 'o'}, {"digest", 0, NULL, 'D'},     {"states", 1, NULL, 'S'},
        {"loops", 1, NULL, 'l'},  {"help", 0, NULL, 'h'},       {NULL, 0, NULL, 0},
    };
    static struct fuzz z = {.states = FZ_STATES, .usual = {.loop_insns = FZ_LOOP_INSNS}};
    uint64_t want = 10000000, seed = 1;
    unsigned keep_going = 1;
    const char *oracle = NULL;
    bool verbose = false, chosen = false, digest = false;
    for (int o; (o = getopt_long(argc, argv, "vh", options, NULL)) != -1;) {
        switch (o) {
        case 'n': want = (uint64_t)strtod(optarg, NULL); break;
        case 's': seed = strtoull(optarg, NULL, 0); break;
        case 'm':
            chosen = true;
            z.only_user = !strcmp(optarg, "user");
            z.only_machine = !strcmp(optarg, "machine");
            break;
        case 'c':
            chosen = true;
            z.only = optarg;
            break;
        case 'k': keep_going = (unsigned)strtoul(optarg, NULL, 0); break;
        case 'd': z.dump = true; break;
        case 'o': oracle = optarg; break;
        case 'S': z.states = (unsigned)strtoul(optarg, NULL, 0); break;
        case 'l': z.usual.loop_insns = (uint32_t)strtoul(optarg, NULL, 0); break;
        case 'D': digest = true; break;
        case 'v': verbose = true; break;
        case 'h': usage(stdout); return 0;
        default: usage(stderr); return 2;
        }
    }
    const char *peer = getenv("GODWIT_QEMU_USER");
    if (oracle && !strcmp(oracle, "env")) {
        oracle = peer;
        if (!oracle) {
            fputs("GODWIT_QEMU_USER is not set: nothing to compare with\n", stderr);
            return 77;
        }
    }
    if (oracle)
        return fz_oracle(oracle, want, seed, verbose);
    /* Without a choice of mode, half as much again against QEMU, where it is at hand. */
    int status = fuzz(&z, want, seed, keep_going, verbose, digest);
    if (!status && peer && !chosen)
        status = fz_oracle(peer, want / 2, seed, verbose);
    return status;
}
