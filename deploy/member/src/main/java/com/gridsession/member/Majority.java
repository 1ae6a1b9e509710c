package com.gridsession.member;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.IntSupplier;
import java.util.function.LongSupplier;

/**
 * Whether this member's side of a split kept the majority of the declared members. When sides merge the others already
 * count as members again, so it must be remembered how it was before they came, and who was there.
 */
final class Majority {
    /** For how long after a majority came together entries of a merge may still arrive, of which nobody can tell. */
    static final long MERGE_TIME = TimeUnit.MINUTES.toNanos(2);
    /** After so long a majority's own records stand also against members that it never saw; most of a merge has arrived. */
    static final long STANDS_AFTER = TimeUnit.SECONDS.toNanos(30);
    /** The address of a member whose jar is too old to tell it when it merges. */
    static final String NOT_TOLD = "";
    /** Most members remembered that left: more than any grid has, though each restart may bring another address. */
    private static final int MOST_PARTED = 1_000;

    private final int declared;
    private final boolean minorityMayHoldAll;
    private final LongSupplier nanoTime;
    private final Set<String> parted = Collections.newSetFromMap(new LinkedHashMap<>() {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
            return size() > MOST_PARTED;
        }
    });
    private Set<String> seen = Set.of();
    private Set<String> founders = Set.of();
    private int ownSide;
    private boolean merging;
    private boolean holds;
    private boolean inherited;
    private boolean settled;
    private long formation;
    private long since;

    /** Of so many declared members, each session with so many copies; {@code nanoTime} is a clock that only rises. */
    Majority(int declared, int backups, LongSupplier nanoTime) {
        this.declared = declared;
        this.minorityMayHoldAll = declared - (declared / 2 + 1) > backups;
        this.nanoTime = nanoTime;
    }

    /** These members are seen now; gives whether that makes a majority where there was none. */
    synchronized boolean see(Set<String> members) {
        boolean majority = isMajority(members.size());
        boolean formed = majority && !holds;
        if (formed) {
            formation++;
            settled = false;
            since = nanoTime.getAsLong();
            // who joins a side that is a majority without the joiners takes over what that side knows of itself, whether
            // it was on another side before or has just started
            inherited = merging ? isMajority(members.size() - ownSide) : seen.isEmpty() && isMajority(members.size() - 1);
            founders = Set.copyOf(members);
            parted.clear();
        } else if (majority) {
            seen.stream().filter(each -> !members.contains(each)).forEach(parted::add);
        }
        holds = majority;
        seen = Set.copyOf(members);
        return formed;
    }

    /** The member leaves its side to join the rest of a split cluster ({@code true}), or is done with it. */
    synchronized void merging(boolean begins) {
        merging = begins;
        if (begins) {
            ownSide = seen.size();
            holds = false;
        }
    }

    /** Whether a majority of the declared members is seen now. */
    synchronized boolean holds() {
        return holds;
    }

    /**
     * Whether sessions are served: those who make up the majority have handed over what they held. Without a majority it is
     * the platform that refuses; where it has counted {@code members} that this does not know of yet, this does.
     */
    synchronized boolean serves(IntSupplier members) {
        return declared == 1 || (holds ? settled : !isMajority(members.getAsInt()));
    }

    /** Which coming together of a majority this is. */
    synchronized long formation() {
        return formation;
    }

    /** Those who made it up have handed over what they held, if it is still that one. */
    synchronized void settle(long ofFormation) {
        settled |= formation == ofFormation;
    }

    /** Whether this member came from a split and has not yet handed over all that it held. */
    synchronized boolean brings() {
        return merging;
    }

    /** Whether this member joined a side that was a majority without it. */
    synchronized boolean inherited() {
        return inherited;
    }

    /**
     * Whether this side kept its majority, by all that this member can tell, while the one who merges was apart. Those
     * who make up a majority bring what may be newer. Whoever left it afterwards, or comes when it stands, brings nothing
     * that was acknowledged, unless so few of the members can hold all copies of a session.
     *
     * @param merging the address of the member that merges, or {@link #NOT_TOLD}
     */
    synchronized boolean kept(String merging) {
        if (declared == 1 || !holds) {
            return false;
        }
        if (inherited || parted.contains(merging)) {
            return true;
        }
        if (founders.contains(merging)) {
            return false;
        }
        return merging != NOT_TOLD && !minorityMayHoldAll || isOlderThan(STANDS_AFTER);
    }

    /**
     * Whether this member was itself with the side that kept its majority, so that what only the one who merges holds may
     * be dropped: not by one that joined, for it cannot tell from its members which of them joined at the same time, nor
     * where a minority may have been left with all the copies there were.
     */
    synchronized boolean witnessed() {
        return declared > 1 && holds && !minorityMayHoldAll && isOlderThan(MERGE_TIME);
    }

    private boolean isOlderThan(long nanos) {
        return nanoTime.getAsLong() - since > nanos;
    }

    private boolean isMajority(int members) {
        return members > declared / 2;
    }
}
