/*
 * Where values live: registers, spill slots, guest state. A policy over a handful of operations that
 * the target emits; one forward pass over IR that ir_liveness has counted.
 *
 * Registers (regs.h) are of three kinds. Pinned ones hold hot guest registers, in place across all
 * blocks. Scratch ones are handed out here. The others belong to the backend.
 *
 * Invariants
 *   1. At each guest instruction's start every guest register is where it belongs: pinned ones in
 *      their host register, the others in state; unless nobody can see it before it is written again
 *      (ir_liveness, and 4). PUTs are never delayed, so a fault needs no repair.
 *   2. A value is in at most one host register. Besides, it may have a memory copy (`mem`), either a
 *      spill slot or the state slot it was read from or stored to while that slot is unchanged.
 *   3. A value that aliases a pinned register or a state slot is moved away before the slot changes.
 *   4. A pinned integer register whose next use is a PUT that nothing before it could miss (nothing faults,
 *      leaves or reads the guest's register until then) is dead, and lent out as scratch when there is no
 *      other. The PUT has it back. Temporaries never get one, nor does anything where state is exact.
 *   5. Nothing is emitted but by the target's operations, and what waits in nans.h is tested before a
 *      value that it concerns is moved or stored.
 *
 * How to lower an IR instruction: place_use or place_operand for each operand; place_done for each,
 * once it will be read no more than by the instruction that writes the result; place_def; emit; and
 * place_unlock at the end, which the backend's driver does. Operands and temporaries are locked until
 * then: no other value gets their register, but for the result, which may take that of an operand that
 * has had its last use (unless it is in `avoid`), and not that of a temporary.
 *
 * Errors are sticky (*full): a block with more live values than places is translated again, shorter.
 * All functions: the thread that compiles.
 */
#ifndef BACKEND_COMMON_PLACE_H
#define BACKEND_COMMON_PLACE_H

#include "godwit/ir.h"
#include "backend-common/nans.h"
#include "backend-common/pins.h"
#include "backend-common/regs.h"

/*
 * What a target emits. code: the backend's own. Offsets are of guest state, from its start; sizes are
 * log2 bytes: 0 to 3 for an integer register, 2 and 3 for a vector register, whose low part it is then.
 *
 * All of it may stand between a comparison and the use of its flags, and so keeps the host's condition
 * flags, and uses no register but those named and what the backend has kept for itself.
 */
struct place_target {
    /* to = from, of one class and not the same; of a vector register the low eight bytes at least. */
    void (*move)(void *code, int to, int from);
    /* Integers are zero-extended. */
    void (*load)(void *code, int to, uint32_t offset, unsigned size);
    void (*store)(void *code, int from, uint32_t offset, unsigned size);
    /* keep_flags is false where no flags are waiting: what changes them may be shorter. */
    void (*constant)(void *code, int to, uint64_t value, bool keep_flags);
    /* The same to state, if an instruction does it without a register, or with one that always holds
     * the value; false: nothing was emitted. */
    bool (*store_constant)(void *code, uint32_t offset, unsigned size, uint64_t value);
    /* What place_operand gives beside registers. Constants: those that every instruction takes which
     * operands are given to. Where that depends on the operation, the range is that of the plainest one
     * (0 alone, where a register reads as that), and lowering looks at place_is_const first. */
    int64_t constant_min, constant_max;
    bool memory_operands; /* eight bytes of state, in place of a register that is read */
};

enum { PLACE_NO_COPY = INT32_MIN, PLACE_SPILLS = 28, PLACE_ALIASES = 256 };

enum {
    VALUE_VECTOR = 1,  /* lives in vector registers */
    VALUE_PINNED = 2,  /* its register is a pinned one */
    VALUE_SPILLED = 4, /* its copy is a spill slot */
    VALUE_SLOT = 8,    /* its copy is a guest register's slot of state */
};
struct value {
    int32_t mem;   /* state offset of the copy, or PLACE_NO_COPY */
    uint16_t left; /* uses not yet consumed */
    int8_t reg;    /* REG_NONE: in none */
    uint8_t flags; /* VALUE_* */
};

struct place {
    const struct place_target *target;
    void *code;
    const struct ir_block *b;
    const struct pins *pins;
    struct nans nans;
    bool *full;
    bool floats;        /* the block may touch float registers: else none is pinned */
    uint32_t i;         /* the IR instruction being lowered */
    uint32_t spill_at;  /* state offset of the spill slots; 16 bytes each */
    reg_set scratch;    /* registers that are handed out */
    reg_set free;       /* of those, hold no live value */
    reg_set lock;       /* not to be evicted or handed out now */
    reg_set temp;       /* temporaries of this IR instruction: no result may land there */
    reg_set lendable;   /* pinned ones that are dead until a PUT, and have not been lent */
    reg_set lent;       /* of scratch: pinned ones that are to be given back */
    uint32_t look_at;   /* the instruction at which lendable may be found anew */
    uint32_t spilled;   /* spill slots in use, a bit each */
    uint32_t unspilled; /* of those, free when this IR instruction is done */
    uint16_t alias_count;
    ir_val owner[REG_COUNT];     /* of scratch registers: the value, or IR_NONE */
    ir_val alias[PLACE_ALIASES]; /* live values that alias a pinned register or a state slot */
    struct value v[IR_MAX_INSNS];
};

struct place_setup {
    const struct place_target *target;
    void (*nans_test)(void *code, const struct nans_test *t); /* NULL: nothing is noted there */
    void *code;
    const struct ir_block *block;
    const struct pins *pins;
    reg_set scratch;
    uint32_t spill_at;
    bool floats;
    bool *full;
};
void place_begin(struct place *p, const struct place_setup *s);

/* --- operands ----------------------------------------------------------------------------------- */

enum place_operand_kind { OPERAND_REG, OPERAND_CONST, OPERAND_STATE };

/* An operand as an instruction can take it. */
struct place_operand {
    uint8_t kind;
    int8_t reg;
    union {
        int32_t imm;     /* CONST: within the target's range */
        uint32_t offset; /* STATE: eight bytes there */
    };
};

static inline struct place_operand place_register(int reg)
{
    return (struct place_operand){.kind = OPERAND_REG, .reg = (int8_t)reg};
}

int place_fetch(struct place *p, ir_val v); /* for place_use */
void place_die(struct place *p, ir_val v);  /* for place_done */

/* The value in some register of its class, locked. */
static inline int place_use(struct place *p, ir_val v)
{
    int r = p->v[v].reg;
    if (r < 0)
        r = place_fetch(p, v);
    p->lock |= reg_bit(r);
    return r;
}

/* An integer as register, constant or memory, whichever is cheapest by what the target takes. */
struct place_operand place_operand(struct place *p, ir_val v);

/* Where it is now: its register, or REG_NONE; the state offset of its copy, which a value without
 * register has unless it is a constant. */
static inline int place_reg(const struct place *p, ir_val v)
{
    return p->v[v].reg;
}
static inline uint32_t place_copy(const struct place *p, ir_val v)
{
    return (uint32_t)p->v[v].mem;
}

/* One use is consumed. */
static inline void place_done(struct place *p, ir_val v)
{
    struct value *w = &p->v[v];
    if (w->left && --w->left == 0)
        place_die(p, v);
}

static inline bool place_is_const(const struct place *p, ir_val v, int64_t *imm)
{
    const struct ir_insn *in = &p->b->insn[v];
    if (in->op != IR_CONST)
        return false;
    *imm = in->imm;
    return true;
}

static inline bool place_is_float(const struct place *p, ir_val v)
{
    return p->v[v].flags & VALUE_VECTOR;
}

/* May this instruction overwrite the register that it uses v in? It is v's last use, and nobody else's
 * register. */
static inline bool place_last_use(const struct place *p, ir_val v)
{
    const struct value *w = &p->v[v];
    return !(w->flags & VALUE_PINNED) && w->left <= 1 && p->b->insn[v].op != IR_CONST;
}

/* --- results and temporaries -------------------------------------------------------------------- */

/* A register for the result of instruction p->i, best the one that the next PUT wants it in; none of
 * avoid. */
int place_def(struct place *p, enum reg_class cls, reg_set avoid);
/* The result is in scratch register reg already: takes it over, or moves it to where the next PUT wants
 * it. Returns its register. */
int place_def_in(struct place *p, int reg);
/* The result is a constant: costs nothing until it is used. */
void place_def_const(struct place *p);
/* The result was written to the guest register's slot at offset. */
void place_def_slot(struct place *p, uint32_t offset);
/* Nobody uses the result: its register is free again. */
void place_drop(struct place *p);

int place_temp(struct place *p, enum reg_class cls); /* a scratch register, locked */
void place_take(struct place *p, int reg);           /* that integer scratch register, locked */

/* A temporary or operand is read no more before the result is written: that may land there. */
static inline void place_offer(struct place *p, int reg)
{
    p->temp &= ~reg_bit(reg);
}
/* Is needed no more at all. */
static inline void place_release(struct place *p, int reg)
{
    p->lock &= ~reg_bit(reg);
    p->temp &= ~reg_bit(reg);
}
/* Operands were read, temporaries are still needed. */
static inline void place_release_operands(struct place *p)
{
    p->lock = p->temp;
}
/* End of an IR instruction. */
static inline void place_unlock(struct place *p)
{
    p->spilled &= ~p->unspilled;
    p->unspilled = 0;
    p->lock = p->temp = 0;
}

/* --- state --------------------------------------------------------------------------------------- */

void place_get(struct place *p, const struct ir_insn *in);
void place_put(struct place *p, const struct ir_insn *in);

/* Ahead of calls: no live value is in scratch only; none aliases state or a pinned register. */
void place_spill_scratch(struct place *p);
void place_rescue_all(struct place *p);

/* Is the next PUT the partner of a read-modify-write: of this result, which nobody else uses, to the
 * slot that a was read from, which nobody else reads? */
bool place_updates_slot(const struct place *p, ir_val a, uint32_t *offset);

#endif
