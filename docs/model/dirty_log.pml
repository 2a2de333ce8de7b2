/*
 * Dirty logging: a page that is copied while the guest runs is copied again if it was written.
 *
 * Code: to come, for snapshots of running machines and for migration; flags and fills as in
 * translator/memory/slow_path.c.
 *
 * One page, whose stores are counted; two vCPUs and a device that write to it; a copier that goes
 * round it, at last with the world stopped. Checked: in the end the copy is the page.
 *
 * BROKEN_NO_STOP         the page is protected without stopping the world
 * BROKEN_COPY_FIRST      the page is copied before the flag is cleared and the page protected
 * BROKEN_LOAD_FILLS      a load fills the write entry of a page that is not marked dirty
 * BROKEN_DEVICE_MARKS    a device marks the page before it writes
 * BROKEN_PLAIN_CLEAR     the mark is looked at and cleared in two steps, with a device's mark between
 * BROKEN_DEVICE_LATE     the last round does not wait for a device that is writing
 */
#define VCPUS 2
#define PARTICIPANTS 2
#include "world.inc"

#ifndef ROUNDS
#define ROUNDS 2
#endif

byte mem;                   /* stores so far */
byte copied;
bit device_lock;
bit marked = 1;             /* page_flags has GW_RAM_DIRTY */
bit write_entry[VCPUS];

inline fill(me)
{
	if
	:: marked -> write_entry[me] = 1
	:: else
	fi
}

inline slow_store()
{
	marked = 1;
	mem++
}

inline store(me)
{
	if
	:: write_entry[me] -> mem++
	:: else ->
	   slow_store();
	   fill(me)
	fi
}

inline load(me)
{
#ifdef BROKEN_LOAD_FILLS
	write_entry[me] = 1
#else
	fill(me)
#endif
}

active [VCPUS] proctype vcpu()
{
	byte round;

	do
	:: round == ROUNDS -> break
	:: round < ROUNDS ->
	   round++;
	   world_enter(_pid);
	   if
	   :: true -> store(_pid)
	   :: true -> load(_pid)
	   fi;
	   world_leave(_pid)
	od
}

/* On any thread, outside, under the device lock. */
active proctype device()
{
	lock(device_lock);
#ifdef BROKEN_DEVICE_MARKS
	marked = 1;
	mem++;
#else
	mem++;
	marked = 1;
#endif
	unlock(device_lock)
}

/* With the world stopped: is the page to be copied? From now on its stores are seen again. */
inline collect()
{
#ifdef BROKEN_PLAIN_CLEAR
	dirty = marked;
	marked = 0;
#else
	atomic { dirty = marked; marked = 0 };
#endif
	write_entry[0] = 0;
	write_entry[1] = 0
}

active proctype copier()
{
	byte round;
	bit dirty;

	do
	:: round == ROUNDS -> break
	:: round < ROUNDS ->
	   round++;
#ifdef BROKEN_COPY_FIRST
	   copied = mem;
#endif
#ifndef BROKEN_NO_STOP
	   world_stop(PARTICIPANTS);
#endif
	   collect();
#ifndef BROKEN_NO_STOP
	   world_resume();
#endif
#ifndef BROKEN_COPY_FIRST
	   if
	   :: dirty -> copied = mem
	   :: else
	   fi;
#endif
	   skip
	od;
	world_stop(PARTICIPANTS);
#ifndef BROKEN_DEVICE_LATE
	lock(device_lock);
#endif
	collect();
	if
	:: dirty -> copied = mem
	:: else
	fi;
	assert(copied == mem);
#ifndef BROKEN_DEVICE_LATE
	unlock(device_lock);
#endif
	world_resume()
}
