package com.gridsession.member;

import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/**
 * Whether this member's side of a split kept the majority of the declared members. When sides merge the others already
 * count as members again, so it must be remembered how it was before they came.
 */
final class Majority {
    /** For how long after a majority came together entries of a merge may still arrive, of which nobody can tell. */
    static final long MERGE_TIME = TimeUnit.MINUTES.toNanos(2);
    /**
     * After so long a majority's own records stand; most of a merge has arrived. The longer this is, the longer can a
     * record of the next minority that is cut off win by its number over what this majority acknowledged.
     */
    static final long STANDS_AFTER = TimeUnit.SECONDS.toNanos(30);

    private final int declared;
    private final LongSupplier nanoTime;
    private int seen;
    private int ownSide;
    private boolean merging;
    private boolean holds;
    private boolean inherited;
    private long since;

    /** Of so many declared members; {@code nanoTime} is a clock that only rises. */
    Majority(int declared, LongSupplier nanoTime) {
        this.declared = declared;
        this.nanoTime = nanoTime;
    }

    /** So many members are seen now. */
    synchronized void see(int members) {
        boolean majority = isMajority(members);
        if (majority && !holds) {
            since = nanoTime.getAsLong();
            // who joins a side that is a majority without the joiners takes over what that side knows of itself, whether
            // it was on another side before or has just started
            inherited = merging ? isMajority(members - ownSide) : seen == 0 && isMajority(members - 1);
        }
        holds = majority;
        seen = members;
    }

    /** The member leaves its side to join the rest of a split cluster ({@code true}), or is done with it. */
    synchronized void merging(boolean begins) {
        merging = begins;
        if (begins) {
            ownSide = seen;
            holds = false;
        }
    }

    /** Whether a majority of the declared members is seen now. */
    synchronized boolean holds() {
        return holds;
    }

    /** Whether the side kept its majority through the split that is being merged, by all that this member can tell. */
    synchronized boolean kept() {
        return declared > 1 && holds && (inherited || isOlderThan(STANDS_AFTER));
    }

    /**
     * Whether this member was itself with the side that kept its majority. One that joined it cannot tell from its
     * members which of them joined at the same time, so what only it holds must not be dropped on its word.
     */
    synchronized boolean witnessed() {
        return declared > 1 && holds && isOlderThan(MERGE_TIME);
    }

    private boolean isOlderThan(long nanos) {
        return nanoTime.getAsLong() - since > nanos;
    }

    private boolean isMajority(int members) {
        return members > declared / 2;
    }
}
