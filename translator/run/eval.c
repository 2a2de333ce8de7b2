/* The default helper of backends: see eval.h. */
#include "translator/run/eval.h"

#include <string.h>

void runtime_eval(void *cpu, const struct ir_insn *in)
{
    struct gw_vcpu *run = gw_run(cpu);
    struct ir_insn copy;
    memcpy(&copy, in, sizeof copy); /* it stands among code, unaligned */
    bool single = copy.type == IR_F32 && copy.op != IR_F2F && copy.op != IR_UNBOX &&
                  copy.op != IR_I2F && copy.op != IR_H2F && copy.op != IR_BITSF;
    single |= copy.op == IR_BOX || (copy.op == IR_F2F && copy.type == IR_F64);
    uint64_t mask = single ? UINT32_MAX : ~UINT64_C(0);
    struct gw_slot *v = run->operand;
    v[0].lo = ir_eval(&copy, v[0].lo & mask, v[1].lo & mask, v[2].lo & mask, v[3].lo & mask,
                      &run->fp_flags);
}
