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
            // who joins a side that is a majority without it takes over what that side knows of itself
            inherited = merging && isMajority(members - 1);
        }
        holds = majority;
    }

    /** The member leaves its side to join the rest of a split cluster ({@code true}), or is done with it. */
    synchronized void merging(boolean begins) {
        merging = begins;
        holds = holds && !begins;
    }

    /** Whether the side surely kept its majority through the split that is being merged. */
    synchronized boolean kept() {
        return declared > 1 && holds && (inherited || nanoTime.getAsLong() - since > MERGE_TIME);
    }

    private boolean isMajority(int members) {
        return members > declared / 2;
    }
}
