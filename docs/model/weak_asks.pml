/*
 * What others ask of a vCPU, on hosts with weak memory (weak.inc): remote fences, and interrupts for one that sleeps.
 *
 * Code: rv_remote_post, do_remote, rv_remote_done (frontend/riscv64/remote.c), wait_for_fences and run
 * (machine/loop/threads.c), gw_events_kick and gw_events_sleep (devices/events.c), look (translator/run/engine.c).
 *
 * One vCPU changes a mapping, asks another one for a fence, and goes on when that is done, or when the other one is not
 * running; then it reads the old page. The other one begins to run, does what it was asked for, and stores by the
 * mapping that it knows; then it ends its run, and sleeps until it is woken. Checked: it does not store to the old page
 * when the first one has gone on, all that it stored before was seen, and it does not sleep for ever.
 *
 * BROKEN_RUN_PLAIN      it says that it runs by a plain store
 * BROKEN_RUN_LOOK       and looks what it was asked for by a plain load
 * BROKEN_LEAVE_PLAIN    it says that it runs no more by a plain store
 * BROKEN_ASK_PLAIN      the first one asks by a plain store
 * BROKEN_ASK_LOOK       and looks whether the other one runs by a plain load
 * BROKEN_KICK_PLAIN     attention is set by a plain store
 * BROKEN_KICK_LOOK      who sleeps is looked at by a plain load
 * BROKEN_COUNT_PLAIN    who falls asleep counts itself by a plain store, and the futex is no barrier
 */
#define PROCS 2
#define WORDS 6
#include "weak.inc"

#define ASKED 0
#define RUNS 1
#define TABLE 2
#define PAGE 3
#define ATTENTION 4
#define SLEEPS 5

bit gone_on, asleep;
byte read = 2, ended;

#ifdef BROKEN_RUN_PLAIN
#define RUN(p) str(p, RUNS, 1)
#else
#define RUN(p) stlr(p, RUNS, 1)
#endif
#ifdef BROKEN_RUN_LOOK
#define LOOK_ASKED(p, to) ldr(p, ASKED, to)
#else
#define LOOK_ASKED(p, to) ldar(p, ASKED, to)
#endif
#ifdef BROKEN_LEAVE_PLAIN
#define LEAVE(p) str(p, RUNS, 0)
#else
#define LEAVE(p) stlr(p, RUNS, 0)
#endif
#ifdef BROKEN_ASK_PLAIN
#define ASK(p) str(p, ASKED, 1)
#else
#define ASK(p) exchange(p, ASKED, 1, was)
#endif
#ifdef BROKEN_ASK_LOOK
#define LOOK_RUNS(p, to) ldr(p, RUNS, to)
#else
#define LOOK_RUNS(p, to) ldar(p, RUNS, to)
#endif
#ifdef BROKEN_KICK_PLAIN
#define KICK(p) ldr(p, ATTENTION, was); str(p, ATTENTION, 1)
#else
#define KICK(p) exchange(p, ATTENTION, 1, was)
#endif
#ifdef BROKEN_KICK_LOOK
#define LOOK_SLEEPS(p, to) ldr(p, SLEEPS, to)
#else
#define LOOK_SLEEPS(p, to) ldar(p, SLEEPS, to)
#endif
#ifdef BROKEN_COUNT_PLAIN
#define COUNT(p) str(p, SLEEPS, 1)
#else
#define COUNT(p) exchange(p, SLEEPS, 1, asked); dmb(p)
#endif

active proctype asker()
{
	byte was, other = 1;

	str(0, TABLE, 1);
	ASK(0);
	KICK(0);
	if
	:: was == 0 ->
	   LOOK_SLEEPS(0, other);
	   if
	   :: other -> asleep = 0
	   :: else
	   fi
	:: else
	fi;
	do
	:: true -> ldar(0, ASKED, other);
	   if
	   :: !other -> break
	   :: else -> LOOK_RUNS(0, other);
	      if
	      :: !other -> break
	      :: else
	      fi
	   fi
	od;
	gone_on = 1;
	ldr(0, PAGE, read);
	atomic { was = 0; other = 0; ended++ }
}

inline turn(p, value)
{
	LOOK_ASKED(p, asked);
	if
	:: asked -> served = 1; exchange(p, ASKED, 1, asked); ldr(p, TABLE, knows); exchange(p, ASKED, 0, asked)
	:: else
	fi;
	if
	:: !knows ->
	   assert(!gone_on);
	   str(p, PAGE, value)
	:: else
	fi;
	asked = 0
}

active proctype vcpu()
{
	byte knows, asked;
	bit served;

	RUN(1);
	turn(1, 1);
	turn(1, 2);
	LEAVE(1);
	do
	:: served -> break
	:: else ->
	   COUNT(1);
	   asleep = mem[ATTENTION] == 0;    /* under the futex's lock, as who wakes has it */
	   !asleep;
	   RUN(1);
	   turn(1, 3);
	   LEAVE(1)
	od;
	ended++
}

active proctype memory()
{
end:	do
	MEMORY
	:: atomic { ended == 2 && !WAITING(0) && !WAITING(1) -> assert(read == mem[PAGE]); break }
	od
}
