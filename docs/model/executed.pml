/*
 * Which pages code ran from: fences of one page, that move the generation only where it matters.
 *
 * Code: translator/code/executed.c, translator/code/spaces.c, views_flush (translator/memory/views.c), look
 * (translator/run/find.c).
 *
 * A space has two pages, each mapped to memory whose number moves on with each change of the mapping,
 * and a link that leads to it from elsewhere. The link is one word here, and a lookup makes it at once:
 * how its words are changed while others run is the business of generations.pml. Checked, when a vCPU
 * goes on at a page: the memory is none from before its own last fence that was about the page, or another's
 * ahead of its coming to the space. (A remote fence is the target's own.) Behind a fence of a page the vCPU goes on
 * in the block that it is in, unless it goes by another generation since.
 *
 * BROKEN_FORGETS_OTHERS a fence of one page empties the table, with the fetch TLB left as it is
 * BROKEN_KEEPS_FETCH    a fence leaves the page in the vCPU's fetch TLB
 * BROKEN_NOT_ENTERED    what is fetched is not entered in the table
 * BROKEN_NO_MOVE        a fence of a page that is in the table moves no generation
 * BROKEN_ADOPT_KEEPS    a newer generation is adopted with the fetch TLB kept
 * BROKEN_NO_RETRY       a walk that a fence came into is used
 * BROKEN_NO_SECOND_WALK a page is entered after its walk, and not walked again
 * BROKEN_ENTERED_SINCE  so is one that another vCPU has entered since
 * BROKEN_SAME_TURN      or one that the filter named before the walk, another filter than now
 * BROKEN_OLD_COPY       a fence without the lock, by a vCPU that does not know the latest generation
 * BROKEN_FORGETS_FIRST  a page leaves the table before the generation moves
 * BROKEN_LAST_FOUND     a page is known by what was found there last, and not by what all have found
 * BROKEN_NOT_ASKED      a fence that came while the vCPU was in another space is never answered
 * BROKEN_OWN_DOUBT      or answered by that vCPU only
 * BROKEN_ADOPTS_FIRST   who comes to the space adopts its generation, and then looks whether it is doubtful
 * BROKEN_SURE_FIRST     who answers says so before the generation moves
 * BROKEN_GOES_ON        a fence that moves nothing ends no block, though the vCPU learns of another's by it
 */
#define PAGES 2
#define NONE 15
#define MIXED 14
#define AT(v, p) (2 * (v) + (p))

byte mapped[PAGES];
bit executed[PAGES];         /* the table */
byte what[PAGES];            /* what all have found there that have entered it */
bit filter[PAGES] = 1;       /* and what it is said to hold without the lock: more, until it is renewed */
bit turn;                    /* of the filter; its last here */
byte gen = 1, drawn = 1;
bit locked;
bit came[2];                 /* by vCPU: a fence came since it looked (the code counts them) */
byte guard[PAGES];           /* the links; 0 is no generation */
byte target[PAGES];

#ifndef BROKEN_OWN_DOUBT
#define DOUBTFUL(me) doubtful[0]
#else
#define DOUBTFUL(me) doubtful[me]
#endif
bit doubtful[2];             /* a fence came that the tables could not be asked about */
bit away[2];                 /* by vCPU: it is in another space */
byte copy[2] = 1;            /* by vCPU: the generation that it has adopted */
byte fetched[4] = NONE;      /* by vCPU and page: its fetch TLB */
byte oldest[4];              /* the property */
byte here[2] = NONE;         /* by vCPU: the memory of page 1 that the block lies in which it runs */

#define GO_ON(me, p, number) \
	assert(number >= oldest[AT(me, p)]); \
	here[me] = (p == 1 -> number : NONE)

inline forget(me)
{
	fetched[AT(me, 0)] = NONE;
	fetched[AT(me, 1)] = NONE
}

inline adopt(me, latest)
{
	if
	:: copy[me] != latest ->
#ifndef BROKEN_ADOPT_KEEPS
	   forget(me);
#endif
	   copy[me] = latest
	:: else
	fi
}

inline move(me)
{
#ifndef BROKEN_NO_MOVE
	atomic {
		drawn++;
		gen = drawn;
		copy[me] = drawn
	}
#else
	skip
#endif
}

/* Under the lock too: when the table is made anew. */
inline renew()
{
	filter[0] = executed[0];
	filter[1] = executed[1];
	turn = 1
}

inline leave(p)
{
	atomic {
		executed[p] = 0;
		if
		:: !turn -> renew()
		:: else
		fi
	}
}

/* Would a walk find another page than all have found? */
#define CHANGED(p) (executed[p] && what[p] != mapped[p])

inline know(me, p)
{
	if
	:: oldest[AT(1 - me, p)] > oldest[AT(me, p)] -> oldest[AT(me, p)] = oldest[AT(1 - me, p)]
	:: else
	fi
}

/* The vCPU comes to the space. */
inline ask_again(me)
{
	atomic { know(me, 0); know(me, 1); away[me] = 0; here[me] = NONE };
#ifdef BROKEN_ADOPTS_FIRST
	adopt(me, gen);
#endif
#ifndef BROKEN_NOT_ASKED
	if
	:: DOUBTFUL(me) ->
	   atomic {
	      !locked -> locked = 1;
	      adopt(me, gen)
	   };
#ifdef BROKEN_SURE_FIRST
	   DOUBTFUL(me) = 0;
#endif
	   atomic {
	      if
	      :: CHANGED(0) || CHANGED(1) ->
	         forget(me);
	         came[0] = 1;
	         came[1] = 1;
	         move(me);
	         executed[0] = 0;
	         executed[1] = 0
	      :: else
	      fi
	   };
	   atomic {
	      DOUBTFUL(me) = 0;
	      locked = 0
	   }
	:: else
	fi;
#endif
#ifndef BROKEN_ADOPTS_FIRST
	atomic { number = gen; adopt(me, number); number = 0 }
#endif
}

/* Under the lock. */
inline enter(p, number)
{
#ifdef BROKEN_NOT_ENTERED
	skip
#else
	if
	:: !executed[p] -> what[p] = number
	:: executed[p] && what[p] != number ->
#ifdef BROKEN_LAST_FOUND
	   what[p] = number
#else
	   what[p] = MIXED
#endif
	:: else
	fi;
	executed[p] = 1;
	filter[p] = 1
#endif
}

inline fence_page(me, p)
{
	atomic { number = mapped[p]; ends = 0 };
#ifndef BROKEN_KEEPS_FETCH
	fetched[AT(me, p)] = NONE;
#endif
	/* A look without the lock: nothing of a page that is not in the table, if this vCPU knows what
	 * became of those that have left it. */
	other = filter[p];
	if
#ifdef BROKEN_OLD_COPY
	:: !other -> skip
#else
	:: !other && copy[me] == gen -> skip
#endif
	:: else ->
	   atomic {
	      !locked -> locked = 1;
#ifndef BROKEN_GOES_ON
	      ends = copy[me] != gen;
#endif
	      adopt(me, gen);
	      came[0] = 1;
	      came[1] = 1
	   };
	   if
	   :: CHANGED(p) ->
	      ends = 1;
#ifdef BROKEN_FORGETS_FIRST
	      leave(p);
#endif
	      move(me);
	      leave(p)
	   :: executed[p] -> atomic { DOUBTFUL(me) = 1; away[me] = 1; ends = 1 }  /* it is another space's */
	   :: !CHANGED(p)
	   fi;
#ifdef BROKEN_FORGETS_OTHERS
	   executed[1 - p] = 0;
#endif
	   locked = 0
	fi;
	atomic {
		oldest[AT(me, p)] = number;
		if
		:: ends -> here[me] = NONE
		:: else -> assert(here[me] == NONE || here[me] >= oldest[AT(me, 1)])
		fi;
		ends = 0
	}
}

inline fence_all(me)
{
	atomic { number = mapped[0]; other = mapped[1]; here[me] = NONE };
	forget(me);
	atomic {
		!locked;
		adopt(me, gen);
		came[0] = 1;
		came[1] = 1;
		if
		:: CHANGED(0) || CHANGED(1) ->
		   move(me);
		   executed[0] = 0;
		   executed[1] = 0
		:: executed[0] || executed[1] -> atomic { DOUBTFUL(me) = 1; away[me] = 1 }
		:: !(CHANGED(0) || CHANGED(1))
		fi;
		oldest[AT(me, 0)] = number;
		oldest[AT(me, 1)] = other
	}
}

inline find(me, p)
{
	do
	:: atomic { came[me] = 0; number = gen }; /* without the lock; then what is known goes */
	   atomic { adopt(me, number); number = 0 };
	   if
	   :: fetched[AT(me, p)] == NONE ->
	      atomic { other = filter[p]; before = turn };
	      number = mapped[p];
	      do
	      :: atomic {
	            !locked;
#ifdef BROKEN_ENTERED_SINCE
	            other = filter[p];
#elif !defined(BROKEN_SAME_TURN)
	            other = other && turn == before;
#endif
	            enter(p, number)
	         };
	         /* A fence that did not find it there was made before; what it is about is seen now. Of a page
	          * that was there all the time, fences come in. */
#ifndef BROKEN_NO_SECOND_WALK
	         if
	         :: !other && number != mapped[p] -> number = mapped[p]
	         :: else -> break
	         fi
#else
	         break
#endif
	      od;
	      atomic { fetched[AT(me, p)] = number; other = 0; number = 0; before = 0 }
	   :: else
	   fi;
	   /* Without the lock, which only a link takes. */
	   if
#ifdef BROKEN_NO_RETRY
	   :: true ->
#else
	   :: !came[me] ->
#endif
	      number = fetched[AT(me, p)];
	      atomic {
	         !locked;
	         if
	         :: copy[me] == gen ->
	            guard[p] = gen;
	            target[p] = number
	         :: else
	         fi;
	         GO_ON(me, p, number)
	      };
	      break
	   :: else -> forget(me)
	   fi
	od
}

inline jump(me, p)
{
	if
	:: atomic { guard[p] == copy[me] -> GO_ON(me, p, target[p]) }
	:: guard[p] != copy[me] -> find(me, p)
	fi
}

active [2] proctype vcpu()
{
	byte round, number, other;
	bit page, before, ends;

	do
	:: round == 4 - 2 * _pid -> break
	:: else ->
	   round++;
	   if
	   :: page = 0
	   :: page = 1
	   fi;
	   if
	   :: _pid == 0 && page == 1 && mapped[1] == 0 -> mapped[1]++; fence_page(_pid, 1)
	   :: ask_again(_pid)
	   :: !away[_pid] -> jump(_pid, page)
	   :: fence_page(_pid, page)
	   :: _pid == 0 -> fence_all(0)
	   :: atomic { _pid == 0 && !turn && !locked && filter[1] != executed[1] -> renew() }
	   fi;
	   atomic { number = 0; other = 0; before = 0 }
	od
}
