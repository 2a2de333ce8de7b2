/*
 * Links of shared code that are patched, on hosts with weak memory whose guards are data and whose jumps are
 * instructions (AArch64): a guard never lets anybody on to where it does not belong.
 *
 * Code: links_make and point_to_stub (translator/code/links.c), a64_patch (backend-aarch64/a64_branch.c), a64_flush,
 * emit_enter (backend-aarch64/a64_runtime.c), world_enter and world_passes (translator/world.h).
 *
 * A link that leads into space 0, and is made to lead into space 1 by another vCPU. The first goes by it in
 * the one or in the other, and comes to borders between. (That it says so by a release, and that the other one's look
 * is an acquire, is for loads that are made late: tests/model/litmus/late_loads.) Checked: whoever passes the guard goes into its own space,
 * or to the stub.
 *
 * BROKEN_NO_POISON      a link is cut off with its guard left in place
 * BROKEN_NO_GRACE       it is made at once
 * BROKEN_NO_FLUSH       caches of instructions hold the old jump when the cut is counted
 * BROKEN_NO_ISB         a vCPU comes in without an ISB
 * BROKEN_ISB_FIRST      it has it before it looks what has been cut
 * BROKEN_CUTS_PLAIN     it looks what has been cut by a plain load
 * BROKEN_COUNT_PLAIN    a cut is counted by a plain store
 */
#define PROCS 2
#define WORDS 4
#include "weak.inc"

#define GUARD 0     /* the generation of space 0 or 1, or poison */
#define JUMP 1      /* into which of them it leads, or to the stub */
#define CUTS 2
#define SEEN 3      /* the vCPU's: cuts when it was at a border */
#define STUB 3
#define POISON 3

byte ended;

#ifdef BROKEN_CUTS_PLAIN
#define LOOK_CUTS(p, to) ldr(p, CUTS, to)
#else
#define LOOK_CUTS(p, to) ldar(p, CUTS, to)
#endif
#ifdef BROKEN_COUNT_PLAIN
#define COUNT(p) str(p, CUTS, 1)
#else
#define COUNT(p) exchange(p, CUTS, 1, old)
#endif

inline border(p)
{
#ifdef BROKEN_ISB_FIRST
	isb(p);
#endif
	LOOK_CUTS(p, cuts);
	stlr(p, SEEN, cuts);
#if !defined(BROKEN_NO_ISB) && !defined(BROKEN_ISB_FIRST)
	isb(p);
#endif
	cuts = 0
}

inline go(p)
{
	ldr(p, GUARD, guard);
	if
	:: guard == generation ->
	   fetch(p, JUMP, to);
	   assert(to == STUB || to == generation)
	:: else
	fi;
	atomic { to = 0; guard = 0 }
}

active proctype vcpu()
{
	byte generation, guard, to, cuts, round;

	do
	:: round == 3 -> break
	:: round < 3 ->
	   round++;
	   if
	   :: true -> border(0); generation = 1 - generation
	   :: true -> border(0)
	   :: true
	   fi;
	   go(0)
	od;
	ended = 1
}

active proctype maker()
{
	byte old, seen;

	str(1, JUMP, STUB);
#ifndef BROKEN_NO_FLUSH
	flush(1, JUMP);
#endif
#ifndef BROKEN_NO_POISON
	str(1, GUARD, POISON);
#endif
	COUNT(1);
#ifndef BROKEN_NO_GRACE
	do
	:: !seen && !ended -> ldar(1, SEEN, seen)
	:: seen -> break
	:: ended -> goto out
	od;
#endif
	str(1, GUARD, 1);
	str(1, JUMP, 1);
	flush(1, JUMP);
out:	skip
}

active proctype memory()
{
end:	do
	MEMORY
	od
}
