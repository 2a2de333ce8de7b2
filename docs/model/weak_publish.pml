/*
 * New code, on hosts with weak memory and caches of instructions (weak.inc): whoever finds a block runs its code and
 * knows what belongs to it.
 *
 * Code: translate_end, emit_host (translator/code/translate.c), a64_flush, emit_enter (backend-aarch64/), table_add and
 * table_next (translator/code/table.c), cc_complete (translator/code/cache.c).
 *
 * One vCPU writes a block's code where another block was, and what is known of it, and puts it into the table. Another
 * one finds it there without the lock, and runs it. (Where it goes by a branch that was patched, Arm orders the fetches
 * of both, as it does loads of one address; weak.inc does not.)
 *
 * BROKEN_NO_FLUSH     code is not made coherent with caches of instructions
 * BROKEN_NO_ISB       who has found it runs it without an ISB
 * BROKEN_SLOT_PLAIN   the table's slot is written by a plain store
 * BROKEN_LOOK_PLAIN   and read by a plain load
 */
#define PROCS 2
#define WORDS 4
#include "weak.inc"

#define CODE 0
#define KNOWN 1     /* what belongs to the block */
#define SLOT 2

active proctype maker()
{
	str(0, CODE, 1);
#ifndef BROKEN_NO_FLUSH
	flush(0, CODE);
#endif
	str(0, KNOWN, 1);
#ifdef BROKEN_SLOT_PLAIN
	str(0, SLOT, 1)
#else
	stlr(0, SLOT, 1)
#endif
}

active proctype finder()
{
	byte slot, known, code;

	fetch(1, CODE, code);   /* it may be at hand */
#ifdef BROKEN_LOOK_PLAIN
	ldr(1, SLOT, slot);
#else
	ldar(1, SLOT, slot);
#endif
	if
	:: slot ->
	   ldr(1, KNOWN, known);
#ifndef BROKEN_NO_ISB
	   isb(1);
#endif
	   fetch(1, CODE, code);
	   assert(known && code)
	:: else
	fi
}

active proctype memory()
{
end:	do
	MEMORY
	od
}
