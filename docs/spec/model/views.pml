/* The view rules of docs/spec/consensus.md, section 4, for n = 4 and f = 1 with restarts, in Promela (spinroot.com).

   Three honest nodes; the fourth is byzantine and votes for everything, so that two honest votes make a certificate. It
   leads every view and may propose two blocks in each, with any parents. Messages take as long as they like: a node may act
   on a certificate at any moment after its votes were cast, or never: that is also a body that comes late, or never. Votes to
   notarize know the header only; blocks of the byzantine leader may be bad, which a node sees when it certifies. A vote that
   is on disk counts as sent, since it can be sent again at any time; a restart keeps the votes and forgets the rest. Checked
   in every state: two final blocks are the same, or one descends from the other, and no final block is bad.

   tests/model/run.sh checks it, and that each of these broken rules is found:
     -DFORGET      a restart forgets the votes of its view (sending before the disk has them)
     -DNULLIFY_ALL NULLIFY after FINALIZE in one view
     -DGAP         a proposal is notarized though views between it and its parent have no NULLIFICATION
     -DBLIND       FINALIZE for a block whose body was not executed
     -DFAULTY2     two byzantine nodes: one honest vote makes a certificate */

#ifndef VIEWS
#define VIEWS 3
#endif
#define HONEST 3
#ifdef FAULTY2
#define ENOUGH 1
#else
#define ENOUGH 2                        /* honest votes of a certificate: Q = 3 of 4, one of them byzantine */
#endif
#define BLOCKS (2 * VIEWS)
#define GENESIS 0                       /* blocks 2v - 1 and 2v are those proposed in view v */
#define UNKNOWN 15
#define VIEW_OF(b) (((b) + 1) / 2)

typedef Row { byte at[VIEWS + 1] };     /* by view */
Row notarized[HONEST], finalized[HONEST], nullified[HONEST];   /* the block voted for, or 0; nullified: 0 or 1 */
byte view[HONEST];
byte parent[BLOCKS + 1];
byte bad;                               /* a block that execution refutes, or 0 */

hidden byte n, v, b, p, i, k, count, low, high;
hidden byte holds;

/* holds := a NOTARIZATION of block p exists */
inline is_notarized() {
    count = 0;
    for (k : 0 .. HONEST - 1) { if :: notarized[k].at[VIEW_OF(p)] == p -> count++ :: else fi }
    holds = (p == GENESIS || count >= ENOUGH)
}
/* holds := a NULLIFICATION of view i exists */
inline is_nullified() {
    count = 0;
    for (k : 0 .. HONEST - 1) { if :: nullified[k].at[i] -> count++ :: else fi }
    holds = (count >= ENOUGH)
}
/* holds := a FINALIZATION of block p exists */
inline is_final() {
    count = 0;
    for (k : 0 .. HONEST - 1) { if :: finalized[k].at[VIEW_OF(p)] == p -> count++ :: else fi }
    holds = (count >= ENOUGH)
}
/* holds := p may be the parent of a block of view v: it was certified, which a bad one never is */
inline is_parent() {
    is_notarized();
    holds = (holds && (p == GENESIS || p != bad));
#ifndef GAP
    i = VIEW_OF(p) + 1;
    do
    :: holds && i < v -> is_nullified(); i++
    :: else -> break
    od
#endif
}

inline check_agreement() {
    for (low : 1 .. BLOCKS) {
        p = low; is_final();
        if
        :: holds ->
            assert(low != bad);
            for (high : low + 1 .. BLOCKS) {
                p = high; is_final();
                if
                :: holds ->
                    do
                    :: p > low -> p = parent[p]
                    :: else -> break
                    od;
                    assert(p == low)
                :: else
                fi
            }
        :: else
        fi
    }
}

/* Rule 3: notarize one of the two blocks of the view, whose parent the byzantine leader has chosen or chooses now. */
inline notarize() {
    v = view[n];
    if :: b = 2 * v - 1 :: b = 2 * v fi;
    if
    :: notarized[n].at[v] == 0 && nullified[n].at[v] == 0 && finalized[n].at[v] == 0 ->
        if
        :: parent[b] == UNKNOWN -> select(p : 0 .. 2 * (VIEWS - 1))
        :: else -> p = parent[b]
        fi;
        if
        :: p < 2 * v - 1 ->
            is_parent();
            if :: holds -> parent[b] = (p); notarized[n].at[v] = b :: else fi
        :: else
        fi
    :: else
    fi
}

/* Rule 4: certify a notarized block of this view that is not bad, finalize it unless the view was nullified here, and enter
   the next. */
inline certify() {
    v = view[n];
    if :: p = 2 * v - 1 :: p = 2 * v fi;
    b = p;
    is_notarized();
#ifndef BLIND
    holds = (holds && p != bad);
#endif
    if
    :: holds ->
        if :: nullified[n].at[v] == 0 && finalized[n].at[v] == 0 -> finalized[n].at[v] = b :: else fi;
        if :: view[n] < VIEWS -> view[n]++ :: else fi
    :: else
    fi
}

/* Rule 5 */
inline nullify() {
    v = view[n];
#ifdef NULLIFY_ALL
    nullified[n].at[v] = 1
#else
    if :: finalized[n].at[v] == 0 -> nullified[n].at[v] = 1 :: else fi
#endif
}

/* Rule 1: a NULLIFICATION of this view leads on. */
inline give_up() {
    i = view[n];
    is_nullified();
    if :: holds && view[n] < VIEWS -> view[n]++ :: else fi
}

/* Back to the highest view in which this node voted; certificates lead on again. */
inline restart() {
#ifdef FORGET
    v = view[n];
    notarized[n].at[v] = 0; finalized[n].at[v] = 0; nullified[n].at[v] = 0;
#endif
    v = 1;
    for (i : 1 .. VIEWS) {
        if :: notarized[n].at[i] || finalized[n].at[i] || nullified[n].at[i] -> v = i :: else fi
    }
    view[n] = v
}

init {
    d_step {
        for (n : 0 .. HONEST - 1) { view[n] = 1 }
        for (b : 1 .. BLOCKS) { parent[b] = UNKNOWN }
    }
    select(bad : 0 .. BLOCKS);
    do
    :: atomic {
        if :: n = 0 :: n = 1 :: n = 2 fi;
        if
        :: notarize()
        :: certify()
        :: nullify()
        :: give_up()
        :: restart()
        fi;
        check_agreement();
        n = 0; v = 0; b = 0; p = 0; i = 0; k = 0; count = 0; low = 0; high = 0; holds = 0
    }
    od
}
