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
            // who joins a side that is a majority without the joiners takes over what that side knows of itself
            inherited = merging && isMajority(members - ownSide);
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

    /** Whether the side kept its majority through the split that is being merged, by all that this member can tell. */
    synchronized boolean kept() {
        return declared > 1 && holds && (inherited || isOld());
    }

    /**
     * Whether this member was itself with the side that kept its majority. One that joined it cannot tell from its
     * members which of them joined at the same time, so what only it holds must not be dropped on its word.
     */
    synchronized boolean witnessed() {
        return declared > 1 && holds && isOld();
    }

    private boolean isOld() {
        return nanoTime.getAsLong() - since > MERGE_TIME;
    }

    private boolean isMajority(int members) {
        return members > declared / 2;
    }
}
