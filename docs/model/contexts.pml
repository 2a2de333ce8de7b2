/*
 * Places of the pool of spaces, and states that a vCPU goes back to without the lock.
 *
 * Code: spaces_return, spaces_go_on, go_to, take (translator/code/spaces.c), views_return (translator/memory/views.c).
 *
 * There are more spaces than places (vCPUs go to two of them, the first and the last; others have places at first), and more places than vCPUs. A vCPU says which place is its current one, and then
 * looks whether the space is there; who gives a place to another space makes it invalid, and then looks whether it is
 * anybody's current one. What is mapped in a space is a number that moves on; a fence of it is about its place, if it
 * has one, and about nothing if it has none. Checked, when a vCPU goes on in a space: the place is that space's and
 * stays so, its links are that space's, and nothing that it knows is from before its own last fence.
 *
 * BROKEN_LOOKS_FIRST   a vCPU looks whether the space is there, and then says that the place is its current one
 * BROKEN_TAKES_BUSY    a place is given away without a look at who is there
 * BROKEN_TAKES_VALID   or is made invalid behind the look
 * BROKEN_SAME_GEN      a space gets a place under the generation that the place had
 * BROKEN_KEEPS_KNOWN   a state is gone back to whatever generation this vCPU has adopted there
 * BROKEN_OLD_LINKS     and by the generation of the space that it comes from
 */
#define PLACES 3
#define SPACES 4
#define NOWHERE 7

byte key[PLACES] = { 0, 1, 2 }; /* whose place it is */
bit valid[PLACES] = 1;
byte gen[PLACES] = { 0, 1, 2 }; /* each number is drawn once */
byte drawn = 2;
byte owner[16] = { 0, 1, 2 }; /* the property: the space that a generation is one of */
bit locked;

byte mapped[SPACES];
byte current[2] = { 1, 1 };  /* by vCPU: its place */
byte guard[2] = { 1, 1 };    /* run.gen_space */
/* By vCPU and place, at [3 * vCPU + place]: what it adopted there, and fetched of the space then. */
byte seen[6] = { 0, 1, 2, 0, 1, 2 };
byte fetched[6];
/* By vCPU and space: where it was last, and what it has fenced for. */
byte place[8] = { 0, 1, 2, NOWHERE, 0, 1, 2, NOWHERE };
byte oldest[8];

#define AT(v, p) (PLACES * (v) + (p))
#define OF(v, s) (SPACES * (v) + (s))

inline go_on(me, s)
{
	atomic {
		assert(key[current[me]] == s);
		assert(owner[guard[me]] == s);
		assert(fetched[AT(me, current[me])] >= oldest[OF(me, s)])
	};
	assert(key[current[me]] == s) /* and that holds while it runs */
}

/* What the vCPU knows goes, and is fetched anew. */
inline adopt(me, p)
{
	atomic {
		if
		:: seen[AT(me, p)] != gen[p] ->
		   seen[AT(me, p)] = gen[p];
		   fetched[AT(me, p)] = mapped[key[p]]
		:: else
		fi;
		guard[me] = gen[p]
	}
}

/* To a state that is known, by the place that its space had then. */
inline go_back(me, s)
{
	p = place[OF(me, s)];
#ifdef BROKEN_LOOKS_FIRST
	ok = valid[p] && key[p] == s;
	current[me] = p;
#else
	current[me] = p;
	ok = valid[p] && key[p] == s;
#endif
	if
	:: ok ->
#ifndef BROKEN_KEEPS_KNOWN
	   if
	   :: seen[AT(me, p)] != gen[p] -> adopt(me, p)
	   :: else -> skip
	   fi;
#endif
#ifndef BROKEN_OLD_LINKS
	   guard[me] = gen[p];
#endif
	   go_on(me, s)
	:: else
	fi
}

/* A place that is nobody's current one is given to the space. Under the lock; with the vCPU in no space. */
inline take(me, s)
{
	atomic { !locked -> locked = 1 };
	p = 0;
	do
	:: p < PLACES && valid[p] && key[p] == s -> break
	:: p < PLACES && !(valid[p] && key[p] == s) -> p++
	:: p == PLACES -> break
	od;
	if
	:: p < PLACES -> current[me] = p
	:: else ->
	   if
	   :: p = 0
	   :: p = 1
	   :: p = 2
	   fi;
#ifndef BROKEN_TAKES_VALID
	   valid[p] = 0;
#endif
	   if
#ifndef BROKEN_TAKES_BUSY
	   :: current[0] == p || current[1] == p ->
	      valid[p] = 1;
	      p = NOWHERE
	   :: current[0] != p && current[1] != p ->
#else
	   :: true ->
#endif
	      valid[p] = 0;
	      key[p] = s;
#ifndef BROKEN_SAME_GEN
	      atomic { drawn++; owner[drawn] = s; gen[p] = drawn };
#endif
	      valid[p] = 1;
	      current[me] = p
	   fi
	fi;
	locked = 0;
	if
	:: p < PLACES ->
	   place[OF(me, s)] = p;
	   adopt(me, p);
	   go_on(me, s)
	:: else
	fi
}

/* Of a space, by a vCPU that is in another or in none. */
inline fence(me, s)
{
	number = mapped[s];
	atomic { !locked -> locked = 1 };
	p = 0;
	do
	:: p < PLACES ->
	   if
	   :: valid[p] && key[p] == s ->
	      atomic { drawn++; owner[drawn] = s; gen[p] = drawn }
	   :: else
	   fi;
	   p++
	:: p == PLACES -> break
	od;
	atomic { locked = 0; p = 0; oldest[OF(me, s)] = number; number = 0 }
}

active [2] proctype vcpu()
{
	byte round, p, s, number;
	bit ok;

	do
	:: round == 3 - _pid -> break
	:: else ->
	   round++;
	   if
	   :: s = 0
	   :: s = SPACES - 1
	   fi;
	   if
	   :: _pid == 0 && mapped[s] == 0 -> mapped[s]++; fence(_pid, s)
	   :: take(_pid, s)
	   :: place[OF(_pid, s)] != NOWHERE -> go_back(_pid, s)
	   :: _pid == 1 -> fence(_pid, s)
	   fi;
	   atomic { p = 0; s = 0; ok = 0 }
	od
}
