/*
 * Fences of one page and lookups of code, on hosts with weak memory (weak.inc).
 *
 * Code: views_flush (translator/memory/views.c), is_of_data, move (translator/code/spaces.c), walk
 * (translator/code/fetch.c), filter_set and filter_renew (translator/code/executed.c), links_make
 * (translator/code/links.c).
 *
 * A vCPU changes a page's mapping, makes a fence of the page, and goes by a link to it if the guard is its generation.
 * Another one walks the tables, enters the page in the filter, walks again until both walks agree, and makes the link
 * if it knows the latest generation. A third one has the generation moved and the filter made anew without the page
 * (by a fence of its own, when the page has left the table), or sees the new mapping by a word of the guest's and
 * makes a fence and a walk of its own. Checked: nobody goes to the old page behind its own fence.
 *
 * BROKEN_FENCE_UNFENCED  a fence of the guest is no barrier: of its store to the tables and the look at the filter
 * BROKEN_SEEN_UNFENCED   nor of what it has seen, and the walk behind it
 * BROKEN_ENTER_UNFENCED  the walk behind the entry in the filter is made ahead of it
 * BROKEN_RENEW_UNFENCED  the filter is made anew without a barrier behind the generation that has moved
 * BROKEN_LOOK_PLAIN      the filter is looked at by a plain load: the generation ahead of it
 */
#define PROCS 3
#define WORDS 5
#include "weak.inc"

#define TABLE 0     /* the mapping, 1 in the end */
#define FILTER 1    /* names the page */
#define GEN 2       /* the latest generation, 0 or 1; it moves under the lock */
#define GUARD 3     /* the link, under the lock: 1 + its generation */
#define TOLD 4

byte leads;         /* where it leads, which its guard is written behind */
bit lock;

active proctype fencing()
{
	byte filter, gen, guard;

	str(0, TABLE, 1);
#ifndef BROKEN_FENCE_UNFENCED
	dmb(0);
#endif
#ifdef BROKEN_LOOK_PLAIN
	ldr(0, FILTER, filter);
#else
	ldar(0, FILTER, filter);
#endif
	ldr(0, GEN, gen);
	if
	:: filter == 0 && gen == 0 ->
	   ldr(0, GUARD, guard);    /* by the link */
	   assert(guard != 1 || leads == 1)
	:: else                     /* under the lock, by the table: executed.pml */
	fi;
	dmb_st(0);                  /* the guest's */
	str(0, TOLD, 1);
	atomic { filter = 0; gen = 0; guard = 0 }
}

active proctype looking()
{
	byte found, again, filter, gen;

	ldr(1, TABLE, found);
	atomic { !lock && !WAITING(1) -> lock = 1; EACH(1, SEES_NOW) };
	exchange(1, FILTER, 1, filter);
	dmb_st(1);
	lock = 0;
#ifndef BROKEN_ENTER_UNFENCED
	dmb(1);
#endif
	ldr(1, TABLE, again);
	if
	:: again == found ->
	   atomic { !lock -> lock = 1; EACH(1, SEES_NOW) };
	   ldr(1, GEN, gen);
	   if
	   :: gen == 0 -> leads = found; stlr(1, GUARD, 1)
	   :: else
	   fi;
	   atomic { !WAITING(1) -> lock = 0 }
	:: else
	fi;
	atomic { found = 0; again = 0; filter = 0; gen = 0 }
}

active proctype third()
{
	byte knows, found;

	if
	:: true ->
	   ldr(2, TOLD, knows);
#ifndef BROKEN_SEEN_UNFENCED
	   dmb(2);
#endif
	   ldr(2, TABLE, found);
	   assert(!knows || found)
	:: true ->
	   atomic { !lock -> lock = 1; EACH(2, SEES_NOW) };
	   if
	   :: mem[FILTER] == 1 ->
	      stlr(2, GEN, 1);
#ifndef BROKEN_RENEW_UNFENCED
	      dmb(2);
#endif
	      str(2, FILTER, 0)
	   :: else
	   fi;
	   atomic { !WAITING(2) -> lock = 0 }
	fi;
	atomic { knows = 0; found = 0 }
}

active proctype memory()
{
end:	do
	MEMORY
	od
}
