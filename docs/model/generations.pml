/*
 * Generations: links that leave their page, fetch TLBs, fences of this vCPU and of others.
 *
 * Code: translator/code/spaces.c (adoption, fences), links_make (translator/code/links.c), look
 * (translator/run/find.c).
 *
 * Two address spaces map one virtual page, each to memory of its own, whose number moves on with each
 * change of the mapping. One link in shared code leads to that page. Its words are written one at a
 * time: the guard that generated code compares, and the jump behind it. Checked, when a vCPU goes on
 * at the page: it is the space's own memory, and none from before the last fence that concerned the
 * vCPU. Fences: SFENCE.VMA, and a request to another vCPU whose sender goes on when it is served, or
 * when the other is outside. (In the code that is "not in engine_run()": a vCPU that stops the world
 * in there does not count as outside for fences.)
 *
 * BROKEN_NO_POISON      a link is cut off with its guard left in place
 * BROKEN_NO_GRACE       a guard changes while a vCPU may stand between the old one and the jump
 * BROKEN_ADOPT_KEEPS    a newer generation is adopted with the fetch TLB kept
 * BROKEN_REFRESH_ADOPTS so it is when a view is derived anew, as after a switch of the space
 * BROKEN_OLD_WALK       a walk that a fence came into is used
 * BROKEN_OLD_LINK       a link is made by a vCPU whose generation is not the latest
 * BROKEN_PASSES_WITHIN  a vCPU that is inside says that it has been outside between a guard and the jump
 * BROKEN_FOLD_EARLY     requests are looked at before the vCPU says that it is inside
 * BROKEN_KEEPS_FOUND    what was looked up before the vCPU was outside is used after it
 */
#define VCPUS 2
#define PARTICIPANTS 2
#include "world.inc"

#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef CHANGES
#define CHANGES 1
#endif
#define NONE 15
#define STUB 15
#define POISON 0
#define PAGE(space, number) ((number) * 2 + (space))
#define SPACE_OF(page) ((page) % 2)
#define NUMBER_OF(page) ((page) / 2)

byte mapped[2];              /* page tables: number of the space's memory */

byte gen[2] = { 1, 2 };      /* the shared generations; each number is drawn once, and 0 never */
byte drawn = 2;              /* the last one that was */
/* By vCPU and space, at [2 * vCPU + space]: */
byte copy[4];                /* generation that the vCPU has adopted: run.gen_space, e->seen */
byte fetched[4] = NONE;      /* its fetch TLB and jump cache */
byte oldest[4];              /* the property: no older memory may be used any more */

byte guard = POISON;         /* the link */
byte target = STUB;
byte cut;                    /* epoch when the guard was last taken away */

bit request[VCPUS];

#define AT(v, s) (2 * (v) + (s))
#define GO_ON(me, page) \
	assert(SPACE_OF(page) == space && NUMBER_OF(page) >= oldest[AT(me, space)])

/* What follows world_lock == 0 in one step is done under the lock, and touches nothing that others
 * look at without it. */
inline bump(me, s)
{
	atomic {
		world_lock == 0;
		drawn++;
		gen[s] = drawn;
		copy[AT(me, s)] = drawn;
		fetched[AT(me, s)] = NONE
	}
}

/* What the vCPU knows of its space is forgotten before it counts as newer, and when the number is read.
 * Without the lock. */
inline adopt(me)
{
	number = gen[space];
	d_step {
		if
		:: copy[AT(me, space)] != number ->
#ifndef BROKEN_ADOPT_KEEPS
		   fetched[AT(me, space)] = NONE;
#endif
		   copy[AT(me, space)] = number
		:: else
		fi;
		number = 0
	}
}

/* isa->interrupt(): what others have asked for, of all spaces. */
inline fold(me)
{
	if
	:: atomic { request[me] -> request[me] = 0 };
	   atomic { bump(me, 0); bump(me, 1) }
	:: else
	fi
}

inline enter(me)
{
#ifdef BROKEN_FOLD_EARLY
	fold(me);
	world_enter(me)
#else
	world_enter(me);
	fold(me)
#endif
}

/* look: leaves the page in found. The walk is made without the lock, and again if a fence came
 * into it, which is looked at without it too. */
inline find(me)
{
	do
	:: adopt(me);
	   if
	   :: fetched[AT(me, space)] == NONE ->
	      fetched[AT(me, space)] = PAGE(space, mapped[space])
	   :: else
	   fi;
	   found = fetched[AT(me, space)];
#ifdef BROKEN_OLD_WALK
	   copy[AT(me, space)] = gen[space];
#endif
	   if
	   :: copy[AT(me, space)] == gen[space] -> break
	   :: else
	   fi
	od
}

#ifdef BROKEN_NO_GRACE
#define PASSED(other) true
#else
#define PASSED(other) (inside[other] == 0 || inside[other] > cut)
#endif

/* links_make. A guard never changes from one number to another: it is poisoned, and gets the new one
 * when every other vCPU has been outside since, for a vCPU may be between the guard and the jump. */
inline link_to(me)
{
	lock(world_lock);
	if
#ifdef BROKEN_OLD_LINK
	:: true ->
#else
	:: copy[AT(me, space)] == gen[space] ->
#endif
	   number = gen[space];
	   if
	   :: guard == number -> target = found
	   :: else ->
	      if
	      :: target != STUB || guard != POISON ->
#ifndef BROKEN_NO_POISON
	         guard = POISON;
#endif
	         if
	         :: target != STUB -> target = STUB; cut = epoch; epoch++
	         :: else
	         fi
	      :: else
	      fi;
	      if
	      :: PASSED(1 - me) ->
	         target = found;
	         guard = number
	      :: else
	      fi
	   fi
	:: else
	fi;
	unlock(world_lock)
}

inline jump(me)
{
	if
	:: guard != POISON && guard == copy[AT(me, space)] ->
#ifdef BROKEN_PASSES_WITHIN
	   inside[me] = epoch;
#endif
	   found = target
	:: else ->
	   found = STUB
	fi;
	if
	:: found != STUB -> GO_ON(me, found)
	:: else ->
	   find(me);
#ifdef BROKEN_KEEPS_FOUND
	   world_leave(me);
	   enter(me);
#endif
	   link_to(me);
	   GO_ON(me, found)
	fi
}

inline fence(me)
{
	number = mapped[space];
	bump(me, space);
	oldest[AT(me, space)] = number
}

/* SBI's remote fence: of the other vCPU, and of this one as it comes in again. */
inline remote_fence(me)
{
	number = mapped[space];
	request[1 - me] = 1;
	world_leave(me);
	if
	:: !request[1 - me]
	:: inside[1 - me] == 0
	fi;
	d_step {
		if
		:: number > oldest[AT(1 - me, space)] -> oldest[AT(1 - me, space)] = number
		:: else
		fi
	};
	enter(me)
}

/* views_refresh: the same space, or the other one. */
inline refresh(me)
{
	if
	:: space = 0
	:: space = 1
	fi;
#ifdef BROKEN_REFRESH_ADOPTS
	copy[AT(me, space)] = gen[space]
#endif
}

active [VCPUS] proctype vcpu()
{
	byte round, found, number;
	bit space;

	do
	:: round == ROUNDS -> break
	:: round < ROUNDS ->
	   round++;
	   enter(_pid);
	   if
	   :: refresh(_pid)
	   :: _pid == 0 && mapped[0] + mapped[1] < CHANGES ->
	      mapped[space]++
	   :: skip
	   fi;
	   if
	   :: jump(_pid)
	   :: fence(_pid)
	   :: remote_fence(_pid)
	   :: inside[_pid] = epoch; /* world_passes: nothing of a block is under way */
	      jump(_pid)
	   fi;
	   atomic {
	      world_leave(_pid);
	      found = 0;  /* what a round leaves behind would only make more states */
	      number = 0
	   }
	od
}
