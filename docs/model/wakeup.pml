/*
 * A vCPU that sleeps in WFI, and all that may wake it: no wake-up is lost.
 *
 * Code: devices/events.c, machine/run.c. Other threads post events under the queue's lock; other
 * vCPUs set interrupt bits without it, and take it only if somebody sleeps. Both set attention, which
 * the vCPU clears before it looks at what there is. Each poster posts once, and the vCPU ends when it
 * has seen it all: one that sleeps for ever is an invalid end state.
 *
 * BROKEN_COUNT_LATE     a sleeper counts itself after its last look
 * BROKEN_LOOK_EARLY     who sets an interrupt bit looks for sleepers before the bit and attention
 * BROKEN_CLEAR_LATE     attention is cleared after the look at what there is
 * BROKEN_WAKE_UNLOCKED  sleepers are woken without the lock, between a look and the sleep
 * BROKEN_SIGNAL         one sleeper is woken, which may be another vCPU than the one that is meant
 */
#define VCPUS 2

bit queue_lock;
byte events;                /* posted, under queue_lock; any vCPU may deliver them */
byte interrupt[VCPUS];      /* pending bits of each vCPU */
bit attention[VCPUS];
byte sleepers;
bit asleep[VCPUS];          /* on the condition variable */
bit done;                   /* all that was posted has been seen */
byte seen;                  /* events and interrupts */

#define POSTS 3

inline lock(l)
{
	atomic { l == 0 -> l = 1 }
}

inline wake()
{
#ifdef BROKEN_SIGNAL
	d_step {
		if
		:: asleep[0] -> asleep[0] = 0
		:: !asleep[0] && asleep[1] -> asleep[1] = 0
		:: else
		fi
	}
#else
	d_step { asleep[0] = 0; asleep[1] = 0 }
#endif
}

/* gw_events_post: the first vCPU is the one that is asked to look. */
active proctype device()
{
	lock(queue_lock);
	events++;
	attention[0] = 1;
	wake();
	queue_lock = 0
}

/* An IPI, or a line of an interrupt controller, to each vCPU in turn. */
active [VCPUS] proctype sender()
{
	byte to = _pid - 1;
	bit found;

#ifdef BROKEN_LOOK_EARLY
	found = sleepers > 0;
#endif
	atomic { interrupt[to]++ };
	attention[to] = 1;
#ifndef BROKEN_LOOK_EARLY
	found = sleepers > 0;
#endif
	if
	:: found ->
#ifdef BROKEN_WAKE_UNLOCKED
	   wake()
#else
	   lock(queue_lock);
	   wake();
	   queue_lock = 0
#endif
	:: else
	fi
}

inline look(me)
{
	if
	:: me == 0 && events > 0 ->
	   lock(queue_lock);
	   atomic { seen = seen + events; events = 0 };
	   queue_lock = 0
	:: else
	fi;
	atomic { seen = seen + interrupt[me]; interrupt[me] = 0 }
}

inline sleep(me)
{
	lock(queue_lock);
#ifndef BROKEN_COUNT_LATE
	sleepers++;
#endif
	do
	:: attention[me] || done -> break
	:: else ->
#ifdef BROKEN_COUNT_LATE
	   sleepers++;
#endif
	   atomic { queue_lock = 0; asleep[me] = 1 };
	   atomic { !asleep[me] && !queue_lock -> queue_lock = 1 };
#ifdef BROKEN_COUNT_LATE
	   sleepers--
#endif
	od;
#ifndef BROKEN_COUNT_LATE
	sleepers--;
#endif
	queue_lock = 0
}

active [VCPUS] proctype vcpu()
{
	byte me = _pid - 1 - VCPUS;

	do
	:: seen == POSTS || done -> break
	:: else ->
#ifdef BROKEN_CLEAR_LATE
	   look(me);
	   attention[me] = 0;
#else
	   attention[me] = 0;
	   look(me);
#endif
	   if
	   :: seen == POSTS -> break
	   :: else -> sleep(me)
	   fi
	od;
	/* The machine ends: the other is told as any vCPU is. */
	done = 1;
	attention[1 - me] = 1;
	lock(queue_lock);
	wake();
	queue_lock = 0
}
