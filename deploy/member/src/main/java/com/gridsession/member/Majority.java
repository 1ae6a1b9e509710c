package com.gridsession.member;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.IntSupplier;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;

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

    private final String self;
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
    /** Who was on this member's side when it left that to join another. */
    private Set<String> ownSide = Set.of();
    /** Who had stood without this member when it joined. */
    private Set<String> stood = Set.of();
    private boolean merging;
    private boolean holds;
    private boolean inherited;
    private boolean settled;
    private long formation;
    private long since;

    /**
     * As the member {@code self} sees it, of so many declared members, each session with so many copies; {@code nanoTime}
     * is a clock that only rises.
     */
    Majority(String self, int declared, int backups, LongSupplier nanoTime) {
        this.self = self;
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
            stood = seen.isEmpty() || !ownSide.isEmpty() ? without(members, ownSide) : Set.of();
            inherited = isMajority(stood.size());
            founders = Set.copyOf(members);
            parted.clear();
        } else if (majority && settled) {
            parted.addAll(without(seen, members));
        } else if (majority) {
            founders = Stream.concat(founders.stream(), members.stream()).collect(Collectors.toUnmodifiableSet());
        }
        holds = majority;
        seen = Set.copyOf(members);
        // those of its side who have not come yet are waited for
        ownSide = majority && ownSide.stream().allMatch(members::contains) ? Set.of() : ownSide;
        return formed;
    }

    private Set<String> without(Set<String> members, Set<String> left) {
        return members.stream().filter(each -> !left.contains(each) && !each.equals(self))
                .collect(Collectors.toUnmodifiableSet());
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

    /**
     * Whether sessions are served: those who make up the majority have handed over what they held. Without a majority it is
     * the platform that refuses; where it has counted {@code members} that this does not know of yet, this does.
     */
    synchronized boolean serves(IntSupplier members) {
        return declared == 1 || (holds ? settled || isOlderThan(MERGE_TIME) : !isMajority(members.getAsInt()));
    }

    /** Which coming together of a majority this is. */
    synchronized long formation() {
        return formation;
    }

    /**
     * Takes note of who still hands over what it held in a split, so that a side is not taken for one that stood because of
     * them. Gives whether that is all, so that sessions may be served.
     */
    synchronized boolean settle(long ofFormation, Set<String> bringing) {
        if (formation == ofFormation) {
            inherited &= isMajority(without(stood, bringing).size());
            settled |= inherited || bringing.isEmpty() && !brings();
        }
        return formation != ofFormation || settled;
    }

    /**
     * Whether this member came from a split and has not yet handed over all that its side held. Of its copies it hands over
     * only those of which it was the owner there; the others come with the rest of its side.
     */
    synchronized boolean brings() {
        return merging || holds && !ownSide.isEmpty() && !isOlderThan(STANDS_AFTER);
    }

    /**
     * Whether this side kept its majority, by all that this member can tell, while the one who merges was apart. Those
     * who make up a majority bring what may be newer. Whoever left it afterwards, or comes when all was handed over, brings
     * nothing that was acknowledged, unless so few of the members can hold all copies of a session.
     *
     * @param from the address of the member that merges, or {@link #NOT_TOLD}
     */
    synchronized boolean kept(String from) {
        if (declared == 1 || !holds) {
            return false;
        }
        if (inherited || parted.contains(from)) {
            return true;
        }
        if (founders.contains(from)) {
            return false;
        }
        return !from.equals(NOT_TOLD) && !minorityMayHoldAll || isOlderThan(STANDS_AFTER);
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
