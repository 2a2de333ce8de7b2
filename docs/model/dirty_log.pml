/*
 * Dirty logging: a page that is copied while the guest runs is copied again if it was written.
 *
 * Code: translator/memory/dirty.c; vCPUs' stores and fills as in translator/memory/slow_path.c, devices'
 * writes as in devices/memory_bus.c and translator/memory/devices.c.
 *
 * One page, whose stores are counted; two vCPUs and a device that write to it; somebody who starts the
 * log, copies the page, and copies it again where it was collected, at last with the world stopped. The
 * vCPUs have write entries from before. Checked: in the end the copy is the page.
 *
 * BROKEN_NO_STOP         the log is started and collected without stopping the world
 * BROKEN_START_ENTRIES   write entries from before the log stay
 * BROKEN_KEEP_ENTRIES    a page that is collected keeps its write entries
 * BROKEN_COPY_FIRST      the page is copied before it is collected
 * BROKEN_LOAD_FILLS      a load fills the write entry of a clean page
 * BROKEN_DEVICE_MARKS    a device marks the page before it writes
 * BROKEN_LOG_FIRST       who marks a page puts it into the log, and then takes the flag off
 * BROKEN_PLAIN_TAKE      the log is looked at and emptied in two steps, with a device's mark between
 * BROKEN_CLEAN_FIRST     a page that is collected is clean before it is out of the log
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
bit clean;                  /* page_flags has GW_RAM_CLEAN */
bit in_log;                 /* the page's bit */
bit write_entry[VCPUS] = 1;

/* dirty_mark(), by who found the page clean. */
inline mark()
{
#ifdef BROKEN_LOG_FIRST
	in_log = 1;
	clean = 0
#else
	atomic { was_clean = clean; clean = 0 };
	if
	:: was_clean -> in_log = 1
	:: else
	fi
#endif
}

inline mark_if_clean()
{
	if
	:: clean -> mark()
	:: else
	fi
}

inline fill(me)
{
	if
	:: !clean -> write_entry[me] = 1
	:: else
	fi
}

inline store(me)
{
	if
	:: write_entry[me] -> mem++
	:: else ->
	   mark_if_clean();
	   mem++;
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
	bit was_clean;

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
	bit was_clean;

	lock(device_lock);
#ifdef BROKEN_DEVICE_MARKS
	mark_if_clean();
	mem++;
#else
	mem++;
	mark_if_clean();
#endif
	unlock(device_lock)
}

inline protect()
{
	write_entry[0] = 0;
	write_entry[1] = 0
}

/* With the world stopped. */
inline start()
{
	clean = 1;
#ifndef BROKEN_START_ENTRIES
	protect()
#endif
}

/* With the world stopped: is the page to be copied? From now on its stores are seen again. */
inline collect()
{
#ifdef BROKEN_CLEAN_FIRST
	if
	:: in_log -> clean = 1
	:: else
	fi;
#endif
#ifdef BROKEN_PLAIN_TAKE
	taken_out = in_log;
	in_log = 0;
#else
	atomic { taken_out = in_log; in_log = 0 };
#endif
	if
	:: taken_out ->
#ifndef BROKEN_CLEAN_FIRST
	   clean = 1;
#endif
#ifndef BROKEN_KEEP_ENTRIES
	   protect()
#endif
	:: else
	fi
}

active proctype copier()
{
	byte round;
	bit taken_out;

#ifndef BROKEN_NO_STOP
	world_stop(PARTICIPANTS);
#endif
	start();
#ifndef BROKEN_NO_STOP
	world_resume();
#endif
	copied = mem;
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
	   :: taken_out -> copied = mem
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
	:: taken_out -> copied = mem
	:: else
	fi;
	assert(copied == mem);
#ifndef BROKEN_DEVICE_LATE
	unlock(device_lock);
#endif
	world_resume()
}
