/*
 * A vCPU that needs a page protected gets on, whatever another one stores to it.
 *
 * One vCPU wants to do something, again and again, that needs the page's flag: hash or translate its
 * bytes (CODE), or reserve a word of it (RESERVED). The other stores to the page for ever, and each of
 * its stores that finds the flag takes it off. Checked, with all processes getting their turns: the
 * first one's work is always done some day.
 *
 * BROKEN_LETS_GO   the first one lets the world go when it has set the flag, and then tries again
 */
#define PARTICIPANTS 2
#include "world.inc"

bit flag;
bit write_entry;            /* of the vCPU that stores */
bit finished;

ltl gets_on { [] <> finished }

inline try_work()
{
	lock(world_lock);
	if
	:: flag -> finished = 1
	:: else
	fi;
	unlock(world_lock)
}

active proctype worker()
{
	do
	:: finished = 0;
	   world_enter(0);
	   try_work();
	   if
	   :: finished
	   :: else ->
	      world_leave(0);
	      world_stop(0);
	      flag = 1;
	      write_entry = 0;
#ifndef BROKEN_LETS_GO
	      try_work();
#endif
	      world_resume_inside(0)
	   fi;
	   world_leave(0)
	od
}

active proctype storer()
{
	do
	:: world_enter(1);
	   if
	   :: write_entry
	   :: else ->
	      if
	      :: flag -> lock(world_lock); flag = 0; unlock(world_lock)
	      :: else
	      fi;
	      write_entry = 1
	   fi;
	   world_leave(1)
	od
}
