/*
 * A vCPU that sleeps in WFI, and all that may wake it: no wake-up is lost.
 *
 * Code: gw_events_kick and gw_events_sleep (devices/events.c), pass in machine/loop/threads.c.
 *
 * Who has something for a vCPU (an event in the queue, an interrupt bit) puts it where it belongs and
 * then kicks: attention is set, and if it was not set before and anybody sleeps, the vCPU is woken. The
 * vCPU clears attention before it looks at what there is, and sleeps only while attention is clear,
 * which the host's futex compares in one step with falling asleep. Each poster posts once, and the
 * vCPUs end when all has been seen: one that sleeps for ever is an invalid end state.
 *
 * BROKEN_COUNT_LATE    a sleeper counts itself after the futex has compared attention
 * BROKEN_LOOK_EARLY    who kicks looks for sleepers before it sets attention
 * BROKEN_KICK_EARLY    the kick comes before what it is for
 * BROKEN_CLEAR_LATE    attention is cleared after the look at what there is
 * BROKEN_SLEEP_BLIND   the vCPU falls asleep whatever attention is
 * BROKEN_SET_ALONE     somebody sets attention without a wake-up, and later kicks leave it at that
 */
#define VCPUS 2
#define POSTS 3

bit queue_lock;
byte events;                /* in the queue: the first vCPU delivers them */
bit interrupt[VCPUS];       /* pending bits of each vCPU */
bit attention[VCPUS];
byte sleepers;
bit asleep[VCPUS];          /* in the futex */
byte seen;                  /* events and interrupts */
bit done;

inline lock(l)
{
	atomic { l == 0 -> l = 1 }
}

inline kick(to)
{
#ifdef BROKEN_LOOK_EARLY
	found = sleepers;
#endif
	atomic { was = attention[to]; attention[to] = 1 };
	if
	:: !was ->
#ifndef BROKEN_LOOK_EARLY
	   found = sleepers;
#endif
	   if
	   :: found != 0 -> asleep[to] = 0
	   :: else
	   fi
	:: else
	fi
}

/* gw_events_post */
active proctype device()
{
	byte found;
	bit was;

	lock(queue_lock);
	events++;
	kick(0);
	queue_lock = 0
}

/* An IPI, or a line of an interrupt controller, to each vCPU. */
active [VCPUS] proctype sender()
{
	byte to = _pid - 1, found;
	bit was;

#ifdef BROKEN_SET_ALONE
	attention[to] = 1;
#endif
#ifdef BROKEN_KICK_EARLY
	kick(to);
	interrupt[to] = 1
#else
	interrupt[to] = 1;
	kick(to)
#endif
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
#ifndef BROKEN_COUNT_LATE
	sleepers++;
#endif
#ifdef BROKEN_SLEEP_BLIND
	asleep[me] = 1;
#else
	atomic { asleep[me] = !attention[me] };
#endif
#ifdef BROKEN_COUNT_LATE
	sleepers++;
#endif
	!asleep[me];
	sleepers--
}

active [VCPUS] proctype vcpu()
{
	byte me = _pid - 1 - VCPUS, found;
	bit was;

	do
	:: done -> break
	:: else ->
#ifdef BROKEN_CLEAR_LATE
	   look(me);
	   attention[me] = 0;
#else
	   attention[me] = 0;
	   look(me);
#endif
	   if
	   :: seen == POSTS -> done = 1
	   :: !done && seen != POSTS -> sleep(me)
	   :: done
	   fi
	od;
	/* The machine ends, and the other is told. */
	kick(1 - me)
}
