/*
 * Code memory that is full is emptied as a whole: nobody runs, links or jumps into what was there.
 *
 * Code: cc_flush (translator/code/cache.c), find_block and link_exit (translator/run/find.c).
 *
 * Memory that holds ROOM blocks; two vCPUs that want blocks, run them, leave them by a branch not
 * yet linked or by an indirect one, and link. A block is known by the filling of the memory that it
 * was made in: its number of flushes. Checked at each use: it is the memory's present one.
 *
 * BROKEN_NO_WAIT       the memory is emptied without waiting until all are outside
 * BROKEN_KEEPS_FOUND   the vCPU lets the world go before it is inside, and uses what it had found
 * BROKEN_KEEPS_LINK    a branch to be linked is kept while the vCPU was outside
 * BROKEN_OWN_JUMPS     only the own jump cache is emptied
 * BROKEN_LOCK_ONLY     the lock is taken, and the world not stopped
 */
#define VCPUS 2
#define PARTICIPANTS 2
#include "world.inc"

#ifndef ROUNDS
#define ROUNDS 2
#endif
#define ROOM 2
#define NONE 255

byte flushes;               /* times that the memory was emptied */
byte used;                  /* blocks in it */
byte jump[VCPUS] = NONE;    /* jump caches: flushes when their block was made */

#define IN_USE(made) assert((made) == flushes)

/* cc_flush: with the world stopped, under lock. */
inline flush(me)
{
	flushes++;
	used = 0;
#ifdef BROKEN_OWN_JUMPS
	jump[me] = NONE
#else
	jump[0] = NONE;
	jump[1] = NONE
#endif
}

/* Under lock: makes a block, or finds the one that there is. */
inline make(me)
{
	if
	:: used > 0
	:: used < ROOM -> used++
	fi;
	found = flushes
}

inline find(me)
{
	lock(world_lock);
	if
	:: used > 0 -> make(me); unlock(world_lock)
	:: used < ROOM -> make(me); unlock(world_lock)
	:: used == ROOM ->       /* a block that is not there, and no room for it */
#ifdef BROKEN_LOCK_ONLY
	   flush(me);
	   make(me);
	   unlock(world_lock)
#else
	   unlock(world_lock);
	   world_leave(me);
#ifdef BROKEN_NO_WAIT
	   lock(taken);
	   pending = 1;
#else
	   world_stop(me);
#endif
	   lock(world_lock);
	   if                    /* another vCPU may have done it meanwhile */
	   :: used == ROOM -> flush(me)
	   :: else
	   fi;
	   make(me);
	   unlock(world_lock);
#ifdef BROKEN_KEEPS_FOUND
	   world_resume();
	   world_enter(me)
#else
	   world_resume_inside(me)
#endif
#endif
	fi
}

inline link_to(me)
{
	lock(world_lock);
#ifndef BROKEN_KEEPS_LINK
	if
	:: exit_link == flushes ->
#endif
	   IN_USE(exit_link);
	   IN_USE(found);
#ifndef BROKEN_KEEPS_LINK
	:: else
	fi;
#endif
	unlock(world_lock)
}

active [VCPUS] proctype vcpu()
{
	byte round, found, exit_link;

	do
	:: round == ROUNDS -> break
	:: round < ROUNDS ->
	   round++;
	   world_enter(_pid);
	   find(_pid);
	   IN_USE(found);        /* it runs */
	   if
	   :: true ->            /* leaves by a branch that is not linked yet */
	      exit_link = found;
	      find(_pid);
	      link_to(_pid);
	      IN_USE(found)
	   :: true ->            /* by an indirect one */
	      if
	      :: atomic { jump[_pid] != NONE -> found = jump[_pid] }
	      :: jump[_pid] == NONE ->
	         find(_pid);
	         atomic { world_lock == 0; IN_USE(found); jump[_pid] = found }
	      fi;
	      IN_USE(found)
	   fi;
	   atomic { world_leave(_pid); found = 0; exit_link = 0 }
	od
}
