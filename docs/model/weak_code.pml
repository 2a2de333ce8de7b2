/*
 * Code pages on hosts with weak memory (weak.inc): blocks that become stale, jump caches that are filled without the
 * lock, stores and FENCE.I.
 *
 * Code: pages_changed (translator/code/pages.c), jumps_drop and fill_live (translator/code/jumps.c), begin_write
 * (translator/memory/slow_path.c), hook_fence_i (translator/run/open.c).
 *
 * A vCPU stores to a page with a block, another one puts that block into its jump cache, and sees the store: by a
 * word that is written behind it and a fence of the guest's, or by the bytes themselves; then it makes a FENCE.I and
 * looks what to run. A third one stores there too: at once, if it finds the flag clear. Checked: behind FENCE.I it is
 * not the block of the old bytes, by the jump cache or by a lookup. (That others acquire the flag is for the
 * compiler: their store depends on it.)
 *
 * BROKEN_STALE_PLAIN     the block is said to be stale by a plain store: jump caches are looked at before
 * BROKEN_JUMP_PLAIN      they are looked at by a plain load
 * BROKEN_FILL_UNFENCED   a jump cache is filled without a barrier ahead of the second look at the block
 * BROKEN_FILL_LOOK       or without that look
 * BROKEN_STORE_UNFENCED  bytes are stored without a barrier behind what takes the blocks away
 * BROKEN_FLAG_PLAIN      the flag is cleared by a plain store: others store before the blocks are stale
 * BROKEN_FENCE_I         FENCE.I lets what is looked at behind it be seen ahead of what the guest saw
 */
#define PROCS 3
#define WORDS 5
#include "weak.inc"

#define STALE 0     /* the block is; it was made of bytes that were 0 */
#define JUMP 1      /* the jump cache of the vCPU that runs; 1: the block */
#define CLEAR 2     /* the page's flag is */
#define BYTES 3
#define TOLD 4

#ifdef BROKEN_STALE_PLAIN
#define SAY_STALE(p) str(p, STALE, 1)
#else
#define SAY_STALE(p) stlr(p, STALE, 1)
#endif
#ifdef BROKEN_JUMP_PLAIN
#define LOOK_JUMP(p, to) ldr(p, JUMP, to)
#else
#define LOOK_JUMP(p, to) ldar(p, JUMP, to)
#endif
#ifdef BROKEN_FLAG_PLAIN
#define CLEAR_FLAG(p) str(p, CLEAR, 1)
#else
#define CLEAR_FLAG(p) exchange(p, CLEAR, 1, jump)
#endif

/* Under the lock, which the model has no other for. */
active proctype storer()
{
	byte jump;

	SAY_STALE(0);
	LOOK_JUMP(0, jump);
	if
	:: jump -> stlr(0, JUMP, 0)
	:: else
	fi;
	CLEAR_FLAG(0);
#ifndef BROKEN_STORE_UNFENCED
	dmb(0);
#endif
	str(0, BYTES, 1);
	dmb_st(0);              /* the guest's */
	str(0, TOLD, 1);
	jump = 0
}

/* Who finds the flag clear stores at once. */
active proctype other()
{
	byte clear;

	ldar(1, CLEAR, clear);
	if
	:: clear -> str(1, BYTES, 2)
	:: else
	fi;
	clear = 0
}

active proctype runner()
{
	byte stale, knows;

	ldar(2, STALE, stale);  /* fill_live */
	if
	:: !stale ->
	   str(2, JUMP, 1);
#ifndef BROKEN_FILL_UNFENCED
	   dmb(2);
#endif
#ifndef BROKEN_FILL_LOOK
	   ldar(2, STALE, stale);
	   if
	   :: stale -> str(2, JUMP, 0)
	   :: else
	   fi
#endif
	:: else
	fi;
	stale = 0;
	if                      /* the guest, and its FENCE.I */
	:: true -> ldr(2, TOLD, knows)
	:: true -> ldr(2, BYTES, knows)
	fi;
#ifndef BROKEN_FENCE_I
	dmb_ld(2);
#endif
	if
	:: true -> ldr(2, JUMP, stale); /* 1: it runs the block */
	   assert(!(knows && stale))
	:: true -> ldar(2, STALE, stale);
	   assert(!(knows && !stale))
	fi;
	stale = 0;
	knows = 0
}

active proctype memory()
{
end:	do
	MEMORY
	od
}
