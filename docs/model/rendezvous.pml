/*
 * The rendezvous: a vCPU that has the world stopped is alone, and nobody sleeps for ever.
 *
 * Code: translator/world.c. Each vCPU runs guest code and stops the world in any order, ROUNDS times
 * in all; a wake-up that is lost leaves a process that never ends, which is an invalid end state.
 *
 * BROKEN_LOOK_FIRST     a vCPU looks at pending before it says that it is inside; so does one whose
 *                       store of inside waits in the store buffer
 * BROKEN_ASK_LATE       the stopper looks who is inside before it sets pending
 * BROKEN_LEAVE_LOOKS    a vCPU that leaves looks whether to wake somebody before it is outside
 * BROKEN_WAKE_UNLOCKED  it wakes without the gate, between a stopper's look and its sleep
 * BROKEN_STOP_INSIDE    the stopper stays inside while it waits
 */
#define VCPUS 3
#ifndef ROUNDS
#define ROUNDS 2
#endif

bit inside[VCPUS];
byte pending;               /* those who have or want the world stopped */
bit taken;                  /* under gate */
bit gate;
bit opened[VCPUS];          /* asleep on the condition variable */
bit emptied[VCPUS];

bit in_guest[VCPUS];        /* seen by the assertion only */

#define OTHER_IN_GUEST(me) \
	((me != 0 && in_guest[0]) || (me != 1 && in_guest[1]) || (me != 2 && in_guest[2]))

inline lock(l)
{
	atomic { l == 0 -> l = 1 }
}

#define COND_WAIT(cv, me) \
	atomic { gate = 0; cv[me] = 1 }; \
	atomic { cv[me] == 0 && gate == 0 -> gate = 1 }
#define BROADCAST(cv) d_step { cv[0] = 0; cv[1] = 0; cv[2] = 0 }

inline leave(me)
{
#ifdef BROKEN_LEAVE_LOOKS
	wanted = pending != 0;
	inside[me] = 0;
#else
	inside[me] = 0;
	wanted = pending != 0;
#endif
	if
	:: wanted ->
#ifdef BROKEN_WAKE_UNLOCKED
	   BROADCAST(emptied)
#else
	   lock(gate);
	   BROADCAST(emptied);
	   gate = 0
#endif
	:: else
	fi
}

inline enter(me)
{
	do
	::
#ifdef BROKEN_LOOK_FIRST
	   wanted = pending != 0;
	   inside[me] = 1;
#else
	   inside[me] = 1;
	   wanted = pending != 0;
#endif
	   if
	   :: !wanted -> break
	   :: else ->
	      leave(me);
	      lock(gate);
	      do
	      :: pending != 0 -> COND_WAIT(opened, me)
	      :: else -> break
	      od;
	      gate = 0
	   fi
	od
}

inline wait_until_alone(me)
{
	do
	:: !taken && !inside[0] ->
	   if
	   :: !inside[1] ->
	      if
	      :: !inside[2] -> break
	      :: else -> COND_WAIT(emptied, me)
	      fi
	   :: else -> COND_WAIT(emptied, me)
	   fi
	:: else -> COND_WAIT(emptied, me)
	od
}

inline stop(me)
{
	lock(gate);
#ifdef BROKEN_ASK_LATE
	wait_until_alone(me);
	pending++;
#else
	pending++;
	wait_until_alone(me);
#endif
	taken = 1;
	gate = 0
}

inline resume()
{
	lock(gate);
	taken = 0;
	pending--;
	if
	:: pending != 0 -> BROADCAST(emptied)
	:: else -> BROADCAST(opened)
	fi;
	gate = 0
}

active [VCPUS] proctype vcpu()
{
	byte round;
	bit wanted;

	do
	:: round == ROUNDS -> break
	:: round < ROUNDS ->
	   round++;
	   enter(_pid);
	   in_guest[_pid] = 1;
	   in_guest[_pid] = 0;
	   leave(_pid)
	:: round < ROUNDS ->
	   round++;
#ifdef BROKEN_STOP_INSIDE
	   enter(_pid);
#endif
	   stop(_pid);
	   assert(!OTHER_IN_GUEST(_pid));
	   resume()
	od
}
