/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Votes, what of them is durable, and members that change: a model for SPIN, of src/raft/election.c,
 * request_vote.c, log.c and membership_change.c.  Every order of steps is tried, within bounds.
 *
 *   NODES    all vote at first; one step is one line of the loop at the end
 *   TERMS    nobody campaigns beyond
 *   ENTRIES  of a log; each is a term and a membership, 0 = none (a no-op)
 *   CRASHES  in all; a node forgets what it had not made durable
 *
 * A message is delivered in one step with its sender's state of that moment, so late messages
 * are not modelled; a log is durable when appended, as acknowledgements wait for that.
 * What must hold: one leader in a term; what was committed once at an index is never committed
 * otherwise; a leader holds what was committed in earlier terms.
 *
 * Mutations, each of which must be found:
 *   VOTE_NOT_PERSISTED     a vote is answered before it is durable
 *   CHANGE_WITHOUT_COMMIT  a leader changes the members in one step, before an entry of its term
 *                          is committed [Ongaro, raft-dev, 2015]
 */
#ifndef NODES
#define NODES 4
#endif
#ifndef TERMS
#define TERMS 3
#endif
#ifndef ENTRIES
#define ENTRIES 3
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

#define ALL ((1 << NODES) - 1)
#define BIT(node) (1 << (node))
#define COUNT(set) (((set) & 1) + (((set) >> 1) & 1) + (((set) >> 2) & 1) + (((set) >> 3) & 1))
#define MAJORITY(set, of) (2 * COUNT((set) & (of)) > COUNT(of))
#define AT(node, index) ((node) * ENTRIES + (index))

#define NOBODY 15

#ifdef ELECTIONS_AT_ONCE
#define DURABLE(term) 0 /* nobody crashes */
#else
#define DURABLE(term) term
#endif

#ifdef VOTE_NOT_PERSISTED
#define MAY_ANSWER(node) true
#else
#define MAY_ANSWER(node) (durable_term[node] == term[node] && durable_vote[node] == vote[node])
#endif

#ifdef CHANGE_WITHOUT_COMMIT
#define MAY_CHANGE(node) true
#define OLD_HALF(members, next) next
#else
#define MAY_CHANGE(node) (commit[node] == length[node]) /* of its term; no change under way */
#define OLD_HALF(members, next) members                 /* joint */
#endif

/* what a node holds, and what of it a crash leaves */
byte term[NODES];
byte vote[NODES];
byte durable_term[NODES];
byte durable_vote[NODES];

/* log: of entry `index`, its term and the members it names, of the old and the new half */
byte length[NODES];
byte entry_term[NODES * ENTRIES];
byte entry_old[NODES * ENTRIES];
byte entry_new[NODES * ENTRIES];

bool is_candidate[NODES];
bool is_leader[NODES];
byte votes[NODES];  /* set of those who voted for it */
byte commit[NODES]; /* entries known to be committed, of a leader */

/* what was seen */
byte leader_of[TERMS + 1];
byte committed;
byte committed_term[ENTRIES];
byte committed_in[ENTRIES];
byte crashes;

/* scratch of one atomic step */
hidden byte old_half, new_half, held, k, w, is_ok;

/* The membership in force: of the newest entry that names one, committed or not. */
inline members_of(i)
{
    old_half = ALL;
    new_half = ALL;
    k = 0;
    do
    :: k < length[i] ->
        if
        :: entry_new[AT(i, k)] != 0 ->
            old_half = entry_old[AT(i, k)];
            new_half = entry_new[AT(i, k)]
        :: else
        fi;
        k++
    :: else -> break
    od
}

/* is_ok: the log of the asker is not behind the voter's [paper 5.4.1] */
inline compare_logs(voter, asker)
{
    if
    :: length[voter] == 0 -> is_ok = true
    :: length[voter] != 0 && length[asker] == 0 -> is_ok = false
    :: else ->
        is_ok = entry_term[AT(asker, length[asker] - 1)] > entry_term[AT(voter, length[voter] - 1)] ||
                (entry_term[AT(asker, length[asker] - 1)] == entry_term[AT(voter, length[voter] - 1)] &&
                 length[asker] >= length[voter])
    fi
}

inline follow(i)
{
    is_candidate[i] = false;
    is_leader[i] = false;
    votes[i] = 0;
    commit[i] = 0
}

inline append(i, old_members, new_members)
{
    entry_term[AT(i, length[i])] = term[i];
    entry_old[AT(i, length[i])] = old_members;
    entry_new[AT(i, length[i])] = new_members;
    length[i]++
}

/* ---- Steps ---- */

inline campaign(i)
{
    term[i] < TERMS && !is_leader[i] ->
        members_of(i);
        if
        :: ((old_half | new_half) & BIT(i)) != 0 ->
            follow(i);
            term[i]++;
            vote[i] = i;
            is_candidate[i] = true
        :: else
        fi
}

inline persist(i)
{
    durable_term[i] != term[i] || durable_vote[i] != vote[i] ->
        durable_term[i] = term[i];
        durable_vote[i] = vote[i];
        if
        :: is_candidate[i] -> votes[i] = votes[i] | BIT(i)
        :: else
        fi
}

/* j hears the request of i, which leaves when the term of i is durable */
inline give_vote(i, j)
{
    i != j && is_candidate[i] && durable_term[i] == term[i] &&
        (term[j] < term[i] || (term[j] == term[i] && vote[j] == NOBODY)) ->
        compare_logs(j, i);
        if
        :: term[j] < term[i] ->
            follow(j);
            term[j] = term[i];
            vote[j] = NOBODY
        :: else
        fi;
        if
        :: is_ok -> vote[j] = i
        :: else
        fi
}

/* i hears the answer of j, which leaves when the vote is durable */
inline count_vote(i, j)
{
    i != j && is_candidate[i] && term[j] == term[i] && vote[j] == i &&
        (votes[i] & BIT(j)) == 0 && MAY_ANSWER(j) ->
        votes[i] = votes[i] | BIT(j)
}

inline become_leader(i)
{
    assert(leader_of[term[i]] == NOBODY || leader_of[term[i]] == i);
    leader_of[term[i]] = i;
    w = 0;
    do
    :: w < committed ->
        assert(committed_in[w] >= term[i] ||
               (w < length[i] && entry_term[AT(i, w)] == committed_term[w]));
        w++
    :: else -> break
    od;
    follow(i);
    is_leader[i] = true;
    append(i, 0, 0) /* its no-op */
}

inline lead(i)
{
    is_candidate[i] && (votes[i] & BIT(i)) != 0 && length[i] < ENTRIES ->
        members_of(i);
        if
        :: MAJORITY(votes[i], old_half) && MAJORITY(votes[i], new_half) -> become_leader(i)
        :: else
        fi
}

/* All of an election in one step, with the votes of `set`: leaves out what votes and disks can
 * do, so that memberships can be looked at more closely. */
inline elect(i, set, next)
{
    (set & BIT(i)) != 0 ->
        members_of(i);
        held = set;
        w = 0;
        do
        :: w < NODES ->
            if
            :: (held & BIT(w)) != 0 && w != i ->
                compare_logs(w, i);
                held = (is_ok && term[w] < next -> held : 0)
            :: else
            fi;
            w++
        :: else -> break
        od;
        if
        :: MAJORITY(held, old_half) && MAJORITY(held, new_half) ->
            w = 0;
            do
            :: w < NODES ->
                if
                :: (held & BIT(w)) != 0 -> follow(w); term[w] = next
                :: else
                fi;
                w++
            :: else -> break
            od;
            become_leader(i)
        :: else
        fi
}

/* the log of i, a leader, becomes that of j, unless j holds all of it */
inline replicate(i, j)
{
    i != j && is_leader[i] && term[j] <= term[i] &&
        !(term[j] == term[i] && length[j] == length[i]) ->
        if
        :: term[j] < term[i] ->
            follow(j);
            term[j] = term[i];
            vote[j] = NOBODY
        :: else -> is_candidate[j] = false; votes[j] = 0
        fi;
        durable_term[j] = DURABLE(term[j]);
        durable_vote[j] = vote[j];
        length[j] = length[i];
        k = 0;
        do
        :: k < ENTRIES ->
            entry_term[AT(j, k)] = (k < length[i] -> entry_term[AT(i, k)] : 0);
            entry_old[AT(j, k)] = (k < length[i] -> entry_old[AT(i, k)] : 0);
            entry_new[AT(j, k)] = (k < length[i] -> entry_new[AT(i, k)] : 0);
            k++
        :: else -> break
        od
}

/* i commits all it has, when a majority of both halves holds it; its last entry is of its term */
inline decide(i)
{
    is_leader[i] && commit[i] < length[i] && entry_term[AT(i, length[i] - 1)] == term[i] ->
        members_of(i);
        held = BIT(i);
        k = 0;
        do
        :: k < NODES ->
            if
            :: k != i && term[k] == term[i] && length[k] == length[i] && length[k] > 0 &&
               entry_term[AT(k, length[k] - 1)] == term[i] -> held = held | BIT(k)
            :: else
            fi;
            k++
        :: else -> break
        od;
        if
        :: MAJORITY(held, old_half) && MAJORITY(held, new_half) ->
            commit[i] = length[i];
            w = 0;
            do
            :: w < length[i] ->
                if
                :: w < committed -> assert(committed_term[w] == entry_term[AT(i, w)])
                :: else ->
                    committed_term[w] = entry_term[AT(i, w)];
                    committed_in[w] = term[i];
                    committed = w + 1
                fi;
                w++
            :: else -> break
            od
        :: else
        fi
}

/* i, a leader, removes the voter j */
inline remove_member(i, j)
{
    is_leader[i] && length[i] < ENTRIES && MAY_CHANGE(i) ->
        members_of(i);
        if
        :: old_half == new_half && (new_half & BIT(j)) != 0 && COUNT(new_half) > 2 ->
            held = new_half & ~BIT(j);
            append(i, OLD_HALF(old_half, held), held)
        :: else
        fi
}

/* a joint membership is committed: the new half alone follows */
inline finish_change(i)
{
    is_leader[i] && length[i] < ENTRIES && commit[i] == length[i] ->
        members_of(i);
        if
        :: old_half != new_half -> append(i, new_half, new_half)
        :: else
        fi
}

inline crash(i)
{
    crashes < CRASHES ->
        crashes++;
        follow(i);
        term[i] = durable_term[i];
        vote[i] = durable_vote[i]
}

active proctype cluster()
{
    byte i, j, set;

    d_step {
        do
        :: i < NODES ->
            vote[i] = NOBODY;
            durable_vote[i] = NOBODY;
            i++
        :: else -> break
        od;
        i = 0;
        do
        :: i <= TERMS -> leader_of[i] = NOBODY; i++
        :: else -> break
        od;
        i = 0
    }
    do
    :: atomic {
        select(i : 0 .. NODES - 1);
        if
#ifdef ELECTIONS_AT_ONCE
        :: term[i] < TERMS && length[i] < ENTRIES ->
            select(set : 0 .. ALL);
            select(j : term[i] + 1 .. TERMS);
            if
            :: elect(i, set, j)
            :: else
            fi
#else
        :: campaign(i)
        :: persist(i)
        :: is_candidate[i] ->
            select(j : 0 .. NODES - 1);
            if
            :: give_vote(i, j)
            :: count_vote(i, j)
            :: else
            fi
        :: lead(i)
        :: crash(i)
#endif
        :: decide(i)
        :: is_leader[i] ->
            select(j : 0 .. NODES - 1);
            if
            :: replicate(i, j)
            :: remove_member(i, j)
            :: else
            fi
        :: finish_change(i)
        :: else
        fi;
        i = 0;
        j = 0;
        set = 0
    }
    od
}
