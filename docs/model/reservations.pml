/*
 * LR and SC: reservations by physical page, and constrained pairs as compare-and-swap.
 *
 * Two words of one page; two vCPUs that store to them, inline or not or by a device, and pair LR with
 * SC on the first, whose value is a bit, so that it comes back (x, y, x). Checked: the word was not
 * written between an LR and its SC that succeeds, by anybody; a device that writes what is there
 * already may have written before the LR, and nobody can tell. A pair has no access between LR and SC, so
 * it may as well stand wholly at the moment of its swap, and needs no such check; what a branch skips in it
 * touches no memory.
 *
 * BROKEN_SWAP            any pair is a compare-and-swap
 * BROKEN_NO_STOP         the page is reserved without stopping the world
 * BROKEN_CHECK_UNLOCKED  an SC looks at its reservation before it has the lock
 * BROKEN_STORE_UNLOCKED  a store breaks reservations under the lock, and stores after it
 * BROKEN_DROP_EARLY      a page leaves the reserved state while a reservation stands on it
 * BROKEN_KEPT            a constrained LR leaves an older reservation of its vCPU standing
 * BROKEN_SPARED          an SC that succeeds leaves the reservations of others standing
 * BROKEN_LOAD_FILLS      a load fills the write entry whatever the flags
 * BROKEN_NO_COMPARE      an SC does not compare: a device writes first, and breaks reservations then
 * BROKEN_DEVICE_SILENT   a device breaks none
 * BROKEN_HALF            a helper's store of both words breaks reservations on the second alone
 * BROKEN_HELPER          it breaks them, and stores when it has let go of the lock
 */
#define VCPUS 2
#define PARTICIPANTS 2
#include "world.inc"

#ifndef ROUNDS
#define ROUNDS 2
#endif

bit word;                   /* number 0 of the page; of number 1 nobody wants to know */
bit written[VCPUS];         /* word 0 was, since the vCPU's last LR */
bit reserved;               /* page_flags has GW_RAM_RESERVED */
bit write_entry[PARTICIPANTS];
bit res_lock;
bit holds[VCPUS];           /* reservations.of[]: of word 0 */

inline put(w, value)
{
	d_step {
		if
		:: w == 0 -> word = value; written[0] = 1; written[1] = 1
		:: else
		fi
	}
}

/* Breaks the reservations on the word, under res_lock. */
inline break_reservations(w)
{
	if
	:: w == 0 -> holds[0] = 0; holds[1] = 0
	:: else
	fi
}

#ifdef BROKEN_DROP_EARLY
#define STANDS false
#else
#define STANDS (holds[0] || holds[1])
#endif

inline slow_store(me, w, value)
{
	if
	:: reserved ->
	   lock(res_lock);
	   break_reservations(w);
#ifdef BROKEN_STORE_UNLOCKED
	   unlock(res_lock);
	   put(w, value)
#else
	   put(w, value);
	   if
	   :: !STANDS -> reserved = 0
	   :: else
	   fi;
	   unlock(res_lock)
#endif
	:: else -> put(w, value)
	fi
}

/* A helper's store (AMOCAS.Q), of both words: they go by the slow path always. */
inline store_both(me, value)
{
	if
	:: reserved ->
	   lock(res_lock);
#ifndef BROKEN_HALF
	   break_reservations(0);
#endif
	   break_reservations(1);
#ifdef BROKEN_HELPER
	   unlock(res_lock);
	   put(0, value)
#else
	   put(0, value);
	   unlock(res_lock)
#endif
	:: else -> put(0, value)
	fi
}

inline fill(me)
{
	if
	:: !reserved -> write_entry[me] = 1
	:: else
	fi
}

inline store(me, w, value)
{
	if
	:: write_entry[me] -> put(w, value)
	:: else ->
	   slow_store(me, w, value);
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

/* Any LR but those of constrained pairs. The reservation is made before the world goes on: else
 * another vCPU's stores might take the flag off each time. */
inline load_reserved(me)
{
#ifdef BROKEN_SWAP
	atomic { seen_by_lr = word; written[me] = 0 }
#else
	lock(res_lock);
	if
	:: reserved ->
	   make_reservation(me);
	   unlock(res_lock)
	:: else ->
	   unlock(res_lock);
#ifndef BROKEN_NO_STOP
	   world_leave(me);
	   world_stop(me);
#endif
	   lock(res_lock);
	   reserved = 1;
	   write_entry[0] = 0;
	   write_entry[1] = 0;
	   make_reservation(me);
	   unlock(res_lock);
#ifndef BROKEN_NO_STOP
	   world_resume_inside(me)
#endif
	fi;
	atomic { seen_by_lr = word; written[me] = 0 } /* the load comes behind, without the lock */
#endif
}

inline make_reservation(me)
{
	holds[me] = 1
}

inline store_conditional(me, value)
{
#ifdef BROKEN_SWAP
	if
	:: atomic { word == seen_by_lr -> assert(!written[me]); put(0, value) }
	:: word != seen_by_lr
	fi
#else
#ifdef BROKEN_CHECK_UNLOCKED
	if
	:: holds[me] -> lock(res_lock); conditional_put(me, value); unlock(res_lock)
	:: else
	fi
#else
	lock(res_lock);
	if
	:: holds[me] -> conditional_put(me, value)
	:: else
	fi;
	unlock(res_lock)
#endif
#endif
}

#ifdef BROKEN_NO_COMPARE
#define SAME true
#else
#define SAME (word == seen_by_lr)
#endif

inline conditional_put(me, value)
{
	if
	:: atomic { SAME -> assert(!written[me]); put(0, value) };
#ifdef BROKEN_SPARED
	   holds[me] = 0
#else
	   break_reservations(0)
#endif
	:: !SAME -> holds[me] = 0
	fi
}

/* gw_dma_write, dev_bus_touched: on any thread, which may be outside. */
inline device_write(value)
{
	put(0, value);
#ifndef BROKEN_DEVICE_SILENT
	if
	:: reserved ->
	   lock(res_lock);
	   break_reservations(0);
	   unlock(res_lock)
	:: else
	fi
#endif
}

/* A constrained pair: inline where stores are, else under the lock. It takes any older reservation
 * of its vCPU away, which is a word of the vCPU's own to clear. */
inline constrained_pair(me, value)
{
#ifndef BROKEN_KEPT
	holds[me] = 0;
#endif
	seen = word;
	if                  /* a branch out of the pair: the LR was made, and no SC comes of it */
	:: true -> after_branch(me, value)
	:: true -> swap(me, value)
	fi
}

/* An SC without the LR that it belongs to must fail. */
inline after_branch(me, value)
{
	assert(!holds[me])
}

inline swap(me, value)
{
	if
	:: write_entry[me] || !reserved -> compare_and_swap(value)
	:: else ->
	   lock(res_lock);
	   break_reservations(0);
	   compare_and_swap(value);
	   unlock(res_lock)
	fi
}

inline compare_and_swap(value)
{
	if
	:: atomic { word == seen -> put(0, value) }
	:: word != seen
	fi
}

active [VCPUS] proctype vcpu()
{
	byte round = _pid;  /* the second one does less: the states are enough */
	bit seen, seen_by_lr;

	do
	:: round == ROUNDS -> break
	:: round < ROUNDS ->
	   round++;
	   world_enter(_pid);
	   if
	   :: true -> store(_pid, 0, !word)
	   :: true -> store(_pid, 1, 0)
	   :: true -> store_both(_pid, !word)
	   :: true -> load(_pid)
	   :: true ->
	      load_reserved(_pid);
	      if
	      :: true -> world_leave(_pid); world_enter(_pid) /* a border between LR and SC */
	      :: true -> store(_pid, 1, 0)
	      :: true -> constrained_pair(_pid, 0)
	      fi;
	      store_conditional(_pid, 0)
	   :: true -> constrained_pair(_pid, 0)
	   fi;
	   atomic { world_leave(_pid); seen = 0; seen_by_lr = 0; written[_pid] = 0 }
	od
}

active proctype device()
{
	device_write(!word);
	device_write(!word)
}
