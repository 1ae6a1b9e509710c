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
 * Whether this member's side of a split kept the majority of the declared members, and whether those who make it up have all
 * that was acknowledged. When sides merge the others already count as members again, and who restarted counts without having
 * anything: so it must be remembered how it was before they came, who was there, and who had copies of what.
 */
final class Majority {
    /** For how long after a majority came together entries of a merge may still arrive, of which nobody can tell. */
    static final long MERGE_TIME = TimeUnit.MINUTES.toNanos(2);
    /** After so long a majority's own records stand also against members that it never saw; most of a merge has arrived. */
    static final long STANDS_AFTER = TimeUnit.SECONDS.toNanos(30);
    /** The address of a member whose jar is too old to tell it when it merges. */
    static final String NOT_TOLD = "";
    /** Most members remembered that left: more than any grid has, though each restart may bring another address. */
    private static final int MOST_REMEMBERED = 1_000;

    private final String self;
    private final int declared;
    private final boolean minorityMayHoldAll;
    private final LongSupplier nanoTime;
    private final Set<String> parted = someMembers();
    /** Each of these has all there is of some sessions, as it was when that was last looked at. */
    private Set<Set<String>> copies = Set.of();
    /** Who left, and whether anybody came, since then. */
    private final Set<String> left = someMembers();
    private boolean joined;
    /** Who of them came back with what it held: from a split, not from a start. */
    private Set<String> back = Set.of();
    private long changes;
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
    /** Whether it is not known yet if it may go on serving without one that left. */
    private boolean doubted;
    private long doubtedSince;
    /** Whether this member has served since it was started. */
    private boolean served;
    /** Whether it came from a split to those who are there now, after it had served. */
    private boolean remembers;
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

    private static Set<String> someMembers() {
        return Collections.newSetFromMap(new LinkedHashMap<>() {
            private static final long serialVersionUID = 1L;

            @Override
            protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
                return size() > MOST_REMEMBERED;
            }
        });
    }

    /**
     * These members are seen now; gives whether that makes a majority of which nobody knows yet whether it may serve: there
     * was none, or one left that may have had what those who came lately had not been given yet.
     */
    synchronized boolean see(Set<String> members) {
        boolean majority = isMajority(members.size());
        boolean joins = majority && !holds;
        boolean serving = isServing();
        boolean leaves = !members.containsAll(seen);
        note(members);
        boolean weakened = majority && serving && leaves && (joined || !missing(members).isEmpty());
        if (joins) {
            formation++;
            form(members);
            // who joins a side that is a majority without the joiners takes over what that side knows of itself, whether
            // it was on another side before or has just started
            stood = seen.isEmpty() || !ownSide.isEmpty() ? without(members, ownSide) : Set.of();
            inherited = isMajority(stood.size());
        } else if (majority && isSettled()) {
            parted.addAll(without(seen, members));
        } else if (majority) {
            founders = Stream.concat(founders.stream(), members.stream()).collect(Collectors.toUnmodifiableSet());
        }
        if (weakened) {
            formation++;
            doubted = true;
            doubtedSince = nanoTime.getAsLong();
        }
        holds = majority;
        seen = Set.copyOf(members);
        // those of its side who have not come yet are waited for
        ownSide = majority && ownSide.stream().allMatch(members::contains) ? Set.of() : ownSide;
        return joins || weakened;
    }

    private void form(Set<String> members) {
        settled = false;
        doubted = false;
        inherited = false;
        since = nanoTime.getAsLong();
        stood = Set.of();
        founders = Set.copyOf(members);
        parted.clear();
    }

    private void note(Set<String> members) {
        Set<String> leaving = without(seen, members);
        Set<String> coming = without(members, seen);
        if (!leaving.isEmpty() || !coming.isEmpty()) {
            changes++;
            left.addAll(leaving);
            joined |= !coming.isEmpty();
            back = without(back, leaving);
        }
    }

    private Set<String> without(Set<String> members, Set<String> others) {
        return members.stream().filter(each -> !others.contains(each) && !each.equals(self))
                .collect(Collectors.toUnmodifiableSet());
    }

    /**
     * Who is gone of those that alone have some sessions; who restarted has nothing any more. Nobody where all that were
     * declared are there, for then nobody else is anywhere; nor where so few may hold all copies that a majority goes on
     * without them anyway.
     */
    private Set<String> missing(Set<String> members) {
        Set<String> gone = without(left, back);
        return minorityMayHoldAll || members.size() >= declared ? Set.of() : copies.stream().filter(gone::containsAll)
                .flatMap(holders -> without(holders, members).stream()).collect(Collectors.toUnmodifiableSet());
    }

    /** The member leaves its side to join the rest of a split cluster ({@code true}), or is done with it. */
    synchronized void merging(boolean begins) {
        merging = begins;
        if (begins) {
            remembers |= served || isServing();
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
        return declared == 1 || (holds ? isServing() : !isMajority(members.getAsInt()));
    }

    private boolean isServing() {
        boolean doubts = doubted && nanoTime.getAsLong() - doubtedSince < MERGE_TIME;
        return holds && !doubts && isSettled();
    }

    /** Whether those who make up this majority have handed over what they held, or had long enough for it. */
    private boolean isSettled() {
        return settled || isOlderThan(MERGE_TIME);
    }

    /** How often members came and left. */
    synchronized long changes() {
        return changes;
    }

    /**
     * Takes note of who has copies of the same sessions. It is left as it was while nothing is served, as copies that were
     * lost are replaced by empty ones; and if members came or left while the copies were looked at.
     *
     * @param afterChanges the {@link #changes} before the copies were looked at
     * @param members who was there afterwards
     */
    synchronized void noteCopies(long afterChanges, Set<String> members, Set<Set<String>> holders) {
        if (changes == afterChanges && isServing() && members.equals(seen)) {
            copies = holders;
            left.clear();
            joined = false;
        }
    }

    /** Whom this member waits for, because they may hold what nobody else does. */
    synchronized Set<String> missed() {
        return isServing() ? Set.of() : missing(seen);
    }

    /** How this member stands, for others that ask. */
    synchronized long condition() {
        return Condition.of(flags(), seen);
    }

    private int flags() {
        return (brings() ? Condition.BRINGS : 0) | (missed().isEmpty() ? 0 : Condition.MISSES)
                | (isServing() ? Condition.SERVES : 0) | (remembers ? Condition.REMEMBERS : 0);
    }

    /** Which coming together of a majority this is. */
    synchronized long formation() {
        return formation;
    }

    /**
     * Takes note of how the others stand: who still hands over what it held in a split, so that a side is not taken for one
     * that stood because of them, nor because of who does not serve; and who of those that left came back with what it held.
     * Gives whether nothing is waited for, so that sessions may be served.
     *
     * @param afterChanges the {@link #changes} before they were asked: who came meanwhile was not
     * @param others flags of {@link Condition} by address
     */
    synchronized boolean settle(long ofFormation, long afterChanges, Map<String, Integer> others) {
        if (formation == ofFormation && changes == afterChanges) {
            back = whose(others, Condition.REMEMBERS);
            boolean missing = !whose(others, Condition.MISSES).isEmpty() || !missing(seen).isEmpty();
            if (doubted && missing) {
                form(seen);
                since = doubtedSince;
            }
            doubted &= !whose(others, Condition.SILENT).isEmpty();
            Set<String> holdUp = whose(others, Condition.BRINGS | Condition.MISSES | Condition.SILENT);
            Set<String> idle = without(others.keySet(), whose(others, Condition.SERVES));
            inherited &= isMajority(without(without(stood, holdUp), idle).size());
            settled |= inherited || holdUp.isEmpty() && !brings() && !missing;
            served |= isServing();
        }
        return formation != ofFormation || settled && !doubted;
    }

    /** The flags of {@link Condition} in a member's answer; if it sees other members than this one, it shall be asked again. */
    synchronized int flagsOf(long answer) {
        return Condition.sees(answer, seen) ? Condition.flags(answer) : Condition.SILENT;
    }

    private static Set<String> whose(Map<String, Integer> others, int flags) {
        return others.entrySet().stream().filter(each -> (each.getValue() & flags) != 0).map(Map.Entry::getKey)
                .collect(Collectors.toUnmodifiableSet());
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
