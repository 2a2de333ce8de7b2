/*
 * Code pages: protection, stores, blocks that become stale and live again, FENCE.I.
 *
 * Code: look, make_apart (translator/run/find.c), pages_changed (translator/code/pages.c), protect_page
 * (translator/memory/protect.c), slow_store (translator/memory/slow_path.c), maps_fill and maps_protect
 * (translator/memory/page_map.c).
 *
 * One page whose bytes are 0 or 1; two vCPUs that store to it or run it, and a device that writes to
 * it. A block is made of one content, and is known by it: to translate it and to revive it is the same
 * here. Checked: a block that a vCPU runs was made of a content that the page had at the vCPU's last
 * FENCE.I or later.
 *
 * BROKEN_NO_STOP           the page is protected without stopping the world
 * BROKEN_OWN_MAP           only the own write entry is taken back
 * BROKEN_BYTES_FIRST       the bytes are read before the page is protected
 * BROKEN_STALE_LATE        the store is made before the blocks become stale
 * BROKEN_JUMP_UNLOCKED     a jump cache is filled when the lock that the block was found under is gone
 * BROKEN_OTHER_JUMPS       only the own jump cache is cleared of a stale block
 * BROKEN_DEVICE_LOOKS      a device looks at the flag before it writes; so does one that lets its
 *                          writes wait in the store buffer
 * BROKEN_FLAG_FIRST        the flag is cleared before the blocks are stale: a FENCE.I waits for nobody
 * BROKEN_FAR_UNSEEN        a far jump is taken, without the lock, and not looked at again once it is in
 *                          the jump cache
 * BROKEN_LOOK_UNSEEN       nor is a block that was looked up without the lock
 * BROKEN_LINK_STALE        a link is made to such a block when it is stale by then
 * BROKEN_APART_UNSEEN      a block that was made without the lock is used, whatever became of the page
 * BROKEN_APART_OUTSIDE     the vCPU is outside while it makes one: the page may be protected anew
 */
#define VCPUS 2
#define PARTICIPANTS 2
#include "world.inc"

#ifndef ROUNDS
#define ROUNDS 2
#endif
#define NONE 2

byte mem;                     /* content of the page */
bit code;                     /* page_flags has GW_RAM_CODE */
bit write_entry[VCPUS];
byte live = NONE;             /* the block that is not stale */
byte link = NONE;             /* where another page's block leads, in shared code */
byte jump[VCPUS] = NONE;      /* jump caches */
byte far[VCPUS] = 0;          /* far jumps, which may lead to a stale block: here to one of before */

byte had[VCPUS] = 1;          /* contents since the vCPU's last FENCE.I, a bit each */
byte leaving;                 /* content that a device is about to replace, and has not told yet */

#define RUNS(me, b) assert(had[me] >> (b) & 1)

inline put_bytes(value)
{
	d_step {
		mem = value;
		had[0] = had[0] | 1 << value;
		had[1] = had[1] | 1 << value
	}
}

/* pages_changed */
inline page_changed(me)
{
	lock(world_lock);
#ifdef BROKEN_FLAG_FIRST
	code = 0;
#endif
	live = NONE;
	link = NONE;
#ifdef BROKEN_OTHER_JUMPS
	jump[me % VCPUS] = NONE;
#else
	jump[0] = NONE;
	jump[1] = NONE;
#endif
	code = 0;
	unlock(world_lock)
}

inline slow_store(me, value)
{
#ifdef BROKEN_STALE_LATE
	put_bytes(value);
	if
	:: code -> page_changed(me)
	:: else
	fi
#else
	if
	:: code -> page_changed(me)
	:: else
	fi;
	put_bytes(value)
#endif
}

inline store(me, value)
{
	if
	:: write_entry[me] ->         /* the addend is in a register now */
	   put_bytes(value)
	:: else ->
	   slow_store(me, value);
	   if                         /* maps_fill */
	   :: !code -> write_entry[me] = 1
	   :: else
	   fi
	fi
}

/* page_protect: with the world stopped. */
inline protect(me)
{
	code = 1;
	write_entry[me] = 0;
#ifndef BROKEN_OWN_MAP
	write_entry[0] = 0;
	write_entry[1] = 0
#endif
}

/* Under world_lock, of a page that is protected: looked up, or revived, or translated. */
inline find_or_make(me)
{
#ifndef BROKEN_BYTES_FIRST
	bytes = mem;
#endif
	found = (live != NONE -> live : bytes);
	live = found
}

/* Another block of a page that has one already is made while the lock is let go, and counts if the page is
 * protected still. */
inline make_apart(me)
{
	unlock(world_lock);
#ifdef BROKEN_APART_OUTSIDE
	world_leave(me);
#endif
	bytes = mem;
#ifdef BROKEN_APART_OUTSIDE
	world_enter(me);
#endif
	lock(world_lock);
#ifndef BROKEN_APART_UNSEEN
	again = !code;
#endif
	if
	:: !again ->
	   found = bytes;
	   live = found;
	   remember(me)
	:: else
	fi
}

/* find_block: a look, and what it does if that wants the world stopped. */
inline find(me)
{
#ifdef BROKEN_BYTES_FIRST
	bytes = mem;
#endif
	lock(world_lock);
	again = !code;
	if
	:: code ->
	   find_or_make(me);
	   remember(me)
	:: code ->
	   make_apart(me)
	:: else
	fi;
	unlock(world_lock);
	if
	:: !again
	:: else ->
#ifndef BROKEN_NO_STOP
	   world_leave(me);
	   world_stop(me);
#endif
	   lock(world_lock);
	   protect(me);
	   find_or_make(me);
	   remember(me);
	   unlock(world_lock);
#ifndef BROKEN_NO_STOP
	   world_resume_inside(me);
#endif
	   again = 0
	fi
}

/* A link or a jump cache leads to the block from now on. */
inline remember(me)
{
	if
	:: link = found
#ifndef BROKEN_JUMP_UNLOCKED
	:: jump[me] = found; far[me] = found
#endif
	:: skip
	fi
}

/* jumps_far: it is live, goes into the jump cache, and is live still. */
inline by_far_jump(me)
{
	found = far[me];
	if
	:: live == found ->
	   jump[me] = found;
	   if
#ifdef BROKEN_FAR_UNSEEN
	   :: true -> RUNS(me, found)
#else
	   :: live == found -> RUNS(me, found)
	   :: else -> jump[me] = NONE
#endif
	   fi
	:: else
	fi
}

/* found_live: the block that there is, if it is live, is found without the lock. Then a jump cache gets it as
 * from a far jump, or a link under the lock. */
inline by_look(me)
{
	found = live;
	if
	:: found == NONE
	:: found != NONE ->
	   jump[me] = found;
	   if
#ifdef BROKEN_LOOK_UNSEEN
	   :: true -> RUNS(me, found)
#else
	   :: live == found -> RUNS(me, found)
	   :: else -> jump[me] = NONE
#endif
	   fi
	:: found != NONE ->
	   lock(world_lock);
	   if
#ifdef BROKEN_LINK_STALE
	   :: true -> link = found
#else
	   :: live == found -> link = found
	   :: else
#endif
	   fi;
	   unlock(world_lock);
	   RUNS(me, found)
	fi
}

inline run_code(me)
{
	if
	:: atomic { jump[me] != NONE -> found = jump[me] };
	   RUNS(me, found)
	:: atomic { link != NONE -> found = link };
	   RUNS(me, found)
	:: far[me] != NONE -> by_far_jump(me)
	:: by_look(me)
	:: jump[me] == NONE && link == NONE ->
	   find(me);
	   RUNS(me, found);
#ifdef BROKEN_JUMP_UNLOCKED
	   if
	   :: live == found -> jump[me] = found
	   :: else
	   fi
#endif
	fi
}

/* It ends its block. A store that is done has found the flag clear, or has cleared it: when the blocks
 * were stale, and out of all caches. */
inline fence_i(me)
{
	had[me] = 1 << mem | leaving
}

active [VCPUS] proctype vcpu()
{
	byte round, found, bytes;
	bit value, again;

	do
	:: round == ROUNDS -> break
	:: round < ROUNDS ->
	   round++;
	   world_enter(_pid);
	   if
	   :: value = 0;
	      store(_pid, value)
	   :: value = 1;
	      store(_pid, value)
	   :: fence_i(_pid);
	      run_code(_pid)
	   :: run_code(_pid)
	   fi;
	   world_leave(_pid)
	od
}

/* gw_dma_write, dev_bus_touched. A device may be on any thread, and outside: it writes, and then looks
 * at the flag. The guest is told that the bytes are there only after that. */
active proctype device()
{
	bit marked;

#ifdef BROKEN_DEVICE_LOOKS
	marked = code;
#endif
	atomic { leaving = 1 << mem; put_bytes(1) };
#ifndef BROKEN_DEVICE_LOOKS
	marked = code;
#endif
	if
	:: marked -> page_changed(0)
	:: else
	fi;
	leaving = 0
}
