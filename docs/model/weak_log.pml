/*
 * The border and the flags of pages, on hosts with weak memory (weak.inc): a page that is protected with the world
 * stopped and then copied, translated or reserved is as it was, or its flag is found.
 *
 * Code: world_enter, world_leave, engine_world_stop, engine_world_resume (translator/world.c), protect_page
 * (translator/memory/protect.c), start and collect (translator/memory/dirty.c), dev_bus_touched
 * (devices/memory_bus.c).
 *
 * A vCPU that stores inline while it has a write entry, a device, and somebody who stops the world, sets the flag,
 * takes the entry away and reads the page when the world goes on. Checked: in the end what was read is the page, or
 * a store behind that has found the flag. (The counts of the code are bits here.)
 *
 * BROKEN_ENTER_PLAIN    the vCPU says that it is inside by a plain store
 * BROKEN_ENTER_LOOK     it looks at pending by a plain load
 * BROKEN_LEAVE_PLAIN    it says that it is outside by a plain store: its stores may come later
 * BROKEN_STOP_PLAIN     the stopper asks by a plain store
 * BROKEN_STOP_LOOK      it looks who is inside by a plain load
 * BROKEN_RESUME_PLAIN   the world goes on by a plain store: entries may go later
 * BROKEN_FLAG_UNFENCED  the page is read without a barrier behind its flag
 * BROKEN_DEVICE_BEHIND  a device looks at the flag without a barrier behind its bytes
 */
#define PROCS 3
#define WORDS 5
#include "weak.inc"

#define PAGE 0      /* stores: 1 by the vCPU, 2 by the device */
#define ENTRY 1     /* 0: there is one */
#define FLAG 2
#define INSIDE 3
#define PENDING 4

bit found;          /* a store has found the flag */
bit entered;        /* where stores stand that are by the vCPU's entry */
byte copied;
byte ended;

#ifdef BROKEN_ENTER_PLAIN
#define ENTER(p) str(p, INSIDE, 1)
#else
#define ENTER(p) stlr(p, INSIDE, 1)
#endif
#ifdef BROKEN_ENTER_LOOK
#define LOOK_PENDING(p, to) ldr(p, PENDING, to)
#else
#define LOOK_PENDING(p, to) ldar(p, PENDING, to)
#endif
#ifdef BROKEN_LEAVE_PLAIN
#define LEAVE(p) str(p, INSIDE, 0)
#else
#define LEAVE(p) stlr(p, INSIDE, 0)
#endif
#ifdef BROKEN_STOP_PLAIN
#define ASK(p) str(p, PENDING, 1)
#else
#define ASK(p) exchange(p, PENDING, 1, old)
#endif
#ifdef BROKEN_STOP_LOOK
#define LOOK_INSIDE(p, to) ldr(p, INSIDE, to)
#else
#define LOOK_INSIDE(p, to) ldar(p, INSIDE, to)
#endif
#ifdef BROKEN_RESUME_PLAIN
#define RESUME(p) str(p, PENDING, 0)
#else
#define RESUME(p) stlr(p, PENDING, 0)
#endif

active proctype vcpu()
{
	byte pending = 1, entry;

	do
	:: pending ->
	   ENTER(0);
	   LOOK_PENDING(0, pending);
	   if
	   :: pending -> LEAVE(0); mem[PENDING] == 0
	   :: else -> break
	   fi
	od;
	ldr(0, ENTRY, entry);
	if
	:: entry == 0 -> str(0, PAGE, 1)
	:: else -> atomic { found = 1; entry = 0 }
	fi;
	LEAVE(0);
	atomic { pending = 0; entry = 0; ended++ }
}

active proctype device()
{
	byte flag;

	str(1, PAGE, 2);
#ifndef BROKEN_DEVICE_BEHIND
	dmb(1);
#endif
	ldar(1, FLAG, flag);
	if
	:: flag -> found = 1
	:: else
	fi;
	atomic { flag = 0; ended++ }
}

active proctype stopper()
{
	byte old, inside = 1;

	ASK(2);
	do
	:: inside -> LOOK_INSIDE(2, inside)
	:: else -> break
	od;
	exchange(2, FLAG, 1, old);
#ifndef BROKEN_FLAG_UNFENCED
	dmb(2);
#endif
	str(2, ENTRY, 1);
	RESUME(2);
	ldr(2, PAGE, copied);
	atomic { old = 0; ended++ };
	ended == 3 && !WAITING(0) && !WAITING(1) && !WAITING(2);
	assert(found || copied == mem[PAGE])
}

active proctype memory()
{
end:	do
	MEMORY
	od
}
