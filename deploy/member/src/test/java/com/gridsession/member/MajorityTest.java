package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** As member {@code a} sees it. */
class MajorityTest {
    private long now = 1_000;
    private final Majority majority = new Majority("a", 3, 1, () -> now);

    private void pass(long nanos) {
        now += nanos;
    }

    private void see(String... members) {
        majority.see(Set.of(members));
    }

    /** All that was held was handed over, and nobody else brings anything; these are back with what they held. */
    private static void settle(Majority majority, String... back) {
        assertTrue(majority.settle(majority.formation(), majority.changes(), all(Condition.REMEMBERS, back)));
    }

    /** All three are there, and each two of them have copies of the same sessions. */
    private void servesWithAllCopies() {
        see("a", "b", "c");
        settle(majority);
        hold("a", "b", "c");
    }

    /** Each session has two copies, on any two of these members. */
    private void hold(String... members) {
        Set<Set<String>> pairs = Stream.of(members).flatMap(one -> Stream.of(members).filter(other -> !other.equals(one))
                .map(other -> Set.of(one, other))).collect(Collectors.toSet());
        majority.noteCopies(majority.changes(), Set.of(members), pairs);
    }

    private static Map<String, Integer> all(int condition, String... members) {
        return Stream.of(members).collect(Collectors.toMap(each -> each, each -> condition));
    }

    private void joins(String... members) {
        majority.merging(true);
        see(members);
        majority.merging(false);
    }

    @Test
    void isKeptBySideThatLostAMinority() {
        see("a", "b", "c");
        pass(Majority.MERGE_TIME + 1);
        see("a", "b");
        assertTrue(majority.kept("c"));
        assertTrue(majority.witnessed());
        see("a", "b", "c");
        assertTrue(majority.kept("c"), "also when it is a member again");
    }

    @Test
    void isKeptAlsoIfItHadJustComeTogether() {
        see("a");
        see("a", "b", "c");
        assertFalse(majority.kept("c"), "it brings what may be newer");
        settle(majority);
        see("a", "b");
        see("a", "b", "c");
        assertTrue(majority.kept("c"), "what it was told meanwhile was acknowledged to nobody");
        assertFalse(majority.kept("b"));
    }

    @Test
    void isNotKeptBySideThatWasAMinority() {
        see("a", "b", "c");
        pass(Majority.MERGE_TIME + 1);
        see("a");
        assertFalse(majority.kept("b"));
        see("a", "b");
        assertFalse(majority.kept("b"), "two minorities that meet are no side that kept it");
        settle(majority, "b");
        see("a", "b", "c");
        assertTrue(majority.kept("c"), "the two together had a copy of all that was acknowledged");
        pass(Majority.MERGE_TIME + 1);
        assertFalse(majority.kept("b"), "however long it takes to bring it");
    }

    @Test
    void ofLongAgoDoesNotCountForThoseWhoLeftIt() {
        see("a", "b", "c");
        see("a", "b");
        see("a");
        see("a", "c");
        assertFalse(majority.kept("c"));
    }

    @Test
    void isInDoubtForAWhileWhereAMinorityMayHoldAllCopies() {
        Majority five = new Majority("a", 5, 1, () -> now);
        five.see(Set.of("a"));
        five.see(Set.of("a", "b", "c"));
        settle(five);
        five.see(Set.of("a", "b", "c", "d"));
        assertFalse(five.kept("d"), "it and e may have had both");
        five.see(Set.of("a", "b", "c"));
        five.see(Set.of("a", "b", "c", "d"));
        assertTrue(five.kept("d"));
        five.see(Set.of("a", "b", "c", "d", "e"));
        assertFalse(five.kept("e"));
        pass(Majority.STANDS_AFTER + 1);
        assertTrue(five.kept("e"));
        assertFalse(five.witnessed());
    }

    @Test
    void isInDoubtForAWhileForOneThatDoesNotTellWhoItIs() {
        see("a");
        see("a", "b", "c");
        assertFalse(majority.kept(Majority.NOT_TOLD));
        pass(Majority.STANDS_AFTER + 1);
        assertTrue(majority.kept(Majority.NOT_TOLD));
    }

    @Test
    void isTakenOverByOneThatStartsAndJoinsIt() {
        see("a", "b", "c");
        see("a", "b");
        see("a", "b", "c");
        assertTrue(majority.kept("c"), "a member restarts, and soon after another is cut off");
        assertTrue(majority.kept("b"));
        assertFalse(majority.witnessed());
    }

    @Test
    void isNotTakenOverByOneWhoseStartMakesIt() {
        see("a", "b");
        see("a", "b", "c");
        assertFalse(majority.kept("b"));
    }

    @Test
    void isTakenOverFromTheSideThatIsJoined() {
        see("a", "b", "c");
        pass(Majority.MERGE_TIME + 1);
        see("a");
        joins("a", "b", "c");
        assertTrue(majority.kept("a"));
        assertTrue(majority.kept("b"));
    }

    @Test
    void isNotTakenOverFromAnotherMinority() {
        see("a");
        joins("a", "b");
        assertFalse(majority.kept("a"));
        assertFalse(majority.kept("b"));
    }

    @Test
    void isNotTakenOverFromAnEqualHalf() {
        Majority half = new Majority("a", 4, 1, () -> now);
        half.see(Set.of("a", "b", "c", "d"));
        pass(Majority.MERGE_TIME + 1);
        half.see(Set.of("a", "b"));
        half.merging(true);
        half.see(Set.of("a"));
        half.see(Set.of("a", "b", "c", "d"));
        half.merging(false);
        assertFalse(half.kept("c"), "two of the four came with it");
    }

    @Test
    void isNotWitnessedByOneOfThreeThatMeet() {
        see("a", "b", "c");
        pass(Majority.MERGE_TIME + 1);
        see("a");
        joins("a", "b", "c");
        assertFalse(majority.witnessed(), "the two others may have been apart just as well");
        pass(Majority.MERGE_TIME + 1);
        assertTrue(majority.witnessed());
    }

    @Test
    void servesOnceThoseWhoMakeItUpHandedOverWhatTheyHeld() {
        see("a");
        assertFalse(majority.serves(() -> 2), "the platform knows of a majority already");
        see("a", "b");
        assertFalse(majority.serves(() -> 2));
        assertFalse(majority.settle(majority.formation(), majority.changes(), all(Condition.BRINGS, "b")));
        assertFalse(majority.serves(() -> 2));
        settle(majority);
        assertTrue(majority.serves(() -> 2));
        see("a", "b", "c");
        see("a", "c");
        assertFalse(majority.serves(() -> 2), "c came lately");
        settle(majority);
        assertTrue(majority.serves(() -> 2), "it kept its majority all the time");
    }

    @Test
    void whoeverComesBeforeAllWasHandedOverBringsWhatMayBeNewer() {
        see("a");
        see("a", "b");
        see("a", "b", "c");
        settle(majority);
        assertFalse(majority.kept("c"));
    }

    @Test
    void whoCameFirstOfItsSideWaitsForTheRest() {
        Majority four = new Majority("a", 4, 1, () -> now);
        four.see(Set.of("a", "b"));
        four.merging(true);
        four.see(Set.of("a", "c", "d"));
        four.merging(false);
        assertTrue(four.brings(), "what b owned is with b alone");
        assertFalse(four.settle(four.formation(), four.changes(), Map.of()));
        four.see(Set.of("a", "b", "c", "d"));
        assertFalse(four.brings());
        assertTrue(four.settle(four.formation(), four.changes(), Map.of()));
        assertFalse(four.kept("b"));
    }

    @Test
    void waitsForTheRestOfASideForAWhileOnly() {
        Majority four = new Majority("a", 4, 1, () -> now);
        four.see(Set.of("a", "b"));
        four.merging(true);
        four.see(Set.of("a", "c", "d"));
        four.merging(false);
        pass(Majority.STANDS_AFTER + 1);
        assertTrue(four.settle(four.formation(), four.changes(), Map.of()));
    }

    @Test
    void isTakenOverByTheFirstOfASideAsByTheLast() {
        Majority five = new Majority("a", 5, 2, () -> now);
        five.see(Set.of("a", "b"));
        five.merging(true);
        five.see(Set.of("a", "c", "d", "e"));
        assertTrue(five.kept("a"));
        assertTrue(five.settle(five.formation(), five.changes(), Map.of()), "what it brings itself does not count there");
    }

    @Test
    void isNotTakenOverFromOneWhomOthersJustJoined() {
        see("a", "b", "c");
        assertTrue(majority.kept("b"), "as far as it can tell");
        assertFalse(majority.settle(majority.formation(), majority.changes(), all(Condition.BRINGS, "b")), "c was alone before b came");
        assertFalse(majority.kept("b"));
        settle(majority);
        assertFalse(majority.kept("b"));
    }

    @Test
    void servesInTheEndIfNobodyTellsThatAllWasHandedOver() {
        see("a");
        see("a", "b");
        pass(Majority.MERGE_TIME + 1);
        assertTrue(majority.serves(() -> 2));
    }

    @Test
    void doesNotServeForWhatAnEarlierMajorityHandedOver() {
        see("a", "b");
        long earlier = majority.formation();
        see("a");
        see("a", "c");
        assertTrue(majority.settle(earlier, majority.changes(), Map.of()), "that one is of the past");
        assertFalse(majority.serves(() -> 2));
    }

    /** c is cut off and b crashes: what those two had copies of is with c alone, and b remembers nothing. */
    @Test
    void doesNotServeWithoutWhomItMayMissSessions() {
        servesWithAllCopies();
        see("a", "b");
        see("a");
        see("a", "b");
        assertFalse(majority.settle(majority.formation(), majority.changes(), Map.of("b", 0)));
        assertEquals(Set.of("c"), majority.missed());
        assertFalse(majority.serves(() -> 2));
        see("a", "b", "c");
        assertFalse(majority.settle(majority.formation(), majority.changes(), Map.of("b", 0, "c", Condition.BRINGS | Condition.REMEMBERS)));
        settle(majority, "c");
        assertTrue(majority.serves(() -> 3));
        assertFalse(majority.kept("c"), "it brought what may be newer");
    }

    /** The same, where the restarted member comes before it is noticed that c is gone: the majority is there all the time. */
    @Test
    void doesNotServeWithoutWhomItMayMissSessionsThoughItAlwaysWasAMajority() {
        servesWithAllCopies();
        see("a", "c");
        assertTrue(majority.serves(() -> 2));
        see("a", "b", "c");
        assertTrue(majority.serves(() -> 3));
        assertTrue(majority.see(Set.of("a", "b")), "that has to be looked into");
        assertFalse(majority.settle(majority.formation(), majority.changes(), Map.of("b", Condition.SERVES)));
        assertEquals(Set.of("c"), majority.missed());
        assertFalse(majority.serves(() -> 2));
    }

    /** As the restarted member sees it, which never heard of the others' loss. */
    @Test
    void doesNotServeAfterItsStartIfOthersMissWhoLeaves() {
        see("a", "b", "c");
        assertTrue(majority.settle(majority.formation(), majority.changes(), all(Condition.SERVES, "b", "c")));
        assertTrue(majority.see(Set.of("a", "b")));
        assertFalse(majority.settle(majority.formation(), majority.changes(), Map.of("b", Condition.MISSES | Condition.REMEMBERS)));
        assertFalse(majority.serves(() -> 2));
    }

    /** Leaving and coming may be seen at once, and at another address, where nobody can tell who restarted. */
    @Test
    void looksIntoWhoLeavesAsAnotherComes() {
        servesWithAllCopies();
        see("a", "c");
        assertTrue(majority.see(Set.of("a", "d")));
        assertFalse(majority.settle(majority.formation(), majority.changes(), Map.of("d", 0)));
        assertEquals(Set.of("b", "c"), majority.missed());
        see("a", "d", "e");
        assertTrue(majority.settle(majority.formation(), majority.changes(), Map.of("d", 0, "e", 0)), "all that were declared are there");
    }

    @Test
    void goesOnIfOneLeavesOfAllThatHadTheirCopies() {
        servesWithAllCopies();
        assertFalse(majority.see(Set.of("a", "b")));
        assertTrue(majority.serves(() -> 2));
    }

    @Test
    void missesNobodyWhoCameBackWithWhatItHeldOrRestarted() {
        servesWithAllCopies();
        see("a");
        see("a", "b");
        settle(majority, "b");
        assertEquals(Set.of(), majority.missed(), "it has a copy of all that c has");

        see("a");
        see("a", "b");
        assertFalse(majority.settle(majority.formation(), majority.changes(), Map.of("b", 0)));
        see("a", "b", "c");
        assertTrue(majority.settle(majority.formation(), majority.changes(), Map.of("b", 0, "c", 0)), "what both had is lost: nobody is left");
    }

    @Test
    void missesNobodyWithoutWhomAllCopiesWereThere() {
        servesWithAllCopies();
        see("a", "b");
        hold("a", "b");
        see("a");
        see("a", "c");
        assertTrue(majority.settle(majority.formation(), majority.changes(), Map.of("c", 0)));
    }

    @Test
    void missesWhoAloneHadSomethingWhenItLeft() {
        see("a", "b", "c");
        settle(majority);
        see("a", "b");
        settle(majority);
        majority.noteCopies(majority.changes(), Set.of("a", "b"), Set.of(Set.of("a", "b"), Set.of("b")));
        see("a", "b", "c");
        majority.noteCopies(majority.changes(), Set.of("a", "b", "c"), Set.of(Set.of("a", "b"), Set.of("b")));
        assertTrue(majority.see(Set.of("a", "c")), "not all had been copied to a again");
        assertFalse(majority.settle(majority.formation(), majority.changes(), Map.of("c", Condition.SERVES)));
        assertEquals(Set.of("b"), majority.missed());
    }

    @Test
    void doesNotTakeNoteOfCopiesWhileMembersChangeOrNothingIsServed() {
        servesWithAllCopies();
        long before = majority.changes();
        Set<Set<String>> promoted = Set.of(Set.of("a"));
        majority.noteCopies(before, Set.of("a"), promoted);
        see("a", "b");
        majority.noteCopies(before, Set.of("a", "b"), promoted);
        see("a");
        majority.noteCopies(majority.changes(), Set.of("a"), promoted);
        see("a", "b");
        assertFalse(majority.settle(majority.formation(), majority.changes(), Map.of("b", 0)));
        assertEquals(Set.of("c"), majority.missed());
    }

    @Test
    void goesOnWhereAMinorityMayHoldAllCopiesAnyway() {
        Majority five = new Majority("a", 5, 1, () -> now);
        five.see(Set.of("a", "b", "c", "d", "e"));
        settle(five);
        five.noteCopies(five.changes(), Set.of("a", "b", "c", "d", "e"), Set.of(Set.of("d", "e")));
        five.see(Set.of("a", "b", "c", "d"));
        assertFalse(five.see(Set.of("a", "b", "c")));
        assertTrue(five.serves(() -> 3));
    }

    @Test
    void waitsForWhomItMayMissForAWhileOnly() {
        servesWithAllCopies();
        see("a");
        see("a", "b");
        pass(Majority.MERGE_TIME + 1);
        assertEquals(Set.of(), majority.missed());
        assertTrue(majority.serves(() -> 2));
    }

    @Test
    void standsAgainstWhoLeavesItAfterItServedWithoutThoseItMissed() {
        servesWithAllCopies();
        see("a");
        see("a", "b");
        pass(Majority.MERGE_TIME + 1);
        see("a", "b", "c");
        see("a", "b");
        see("a", "b", "c");
        assertTrue(majority.kept("c"));
    }

    @Test
    void remembersWhatItServedWithoutThoseItMissed() {
        see("a");
        see("a", "b");
        pass(Majority.MERGE_TIME + 1);
        assertTrue(majority.serves(() -> 2));
        joins("a", "b", "c");
        assertEquals(Condition.REMEMBERS, Condition.flags(majority.condition()) & Condition.REMEMBERS);
    }

    @Test
    void waitsNoLongerWhereItIsToldLateWhomItMayMiss() {
        servesWithAllCopies();
        see("a", "c");
        see("a", "b", "c");
        see("a", "b");
        pass(Majority.MERGE_TIME - 1);
        assertFalse(majority.settle(majority.formation(), majority.changes(), all(Condition.SILENT, "b")));
        assertFalse(majority.settle(majority.formation(), majority.changes(), all(Condition.MISSES, "b")));
        assertFalse(majority.serves(() -> 2));
        pass(2);
        assertTrue(majority.serves(() -> 2));
    }

    @Test
    void isNotTakenOverFromOnesWhoWait() {
        Majority joining = new Majority("c", 3, 1, () -> now);
        joining.see(Set.of("a", "b", "c"));
        assertFalse(joining.settle(joining.formation(), joining.changes(), all(Condition.MISSES, "a", "b")));
        assertFalse(joining.kept("a"));
        assertTrue(joining.settle(joining.formation(), joining.changes(), all(Condition.SERVES, "a", "b")), "they have it by now");
    }

    @Test
    void tellsHowItStands() {
        see("a");
        assertTells(0);
        see("a", "b", "c");
        assertTells(0);
        settle(majority);
        assertTells(Condition.SERVES);
        hold("a", "b", "c");
        see("a");
        assertTells(Condition.MISSES);
        majority.merging(true);
        assertTells(Condition.BRINGS | Condition.MISSES | Condition.REMEMBERS);
    }

    @Test
    void waitsAlsoForWhoCameWhileTheOthersWereAsked() {
        see("a");
        see("a", "b");
        long asked = majority.changes();
        see("a", "b", "c");
        assertFalse(majority.settle(majority.formation(), asked, Map.of("b", 0)), "nobody has asked c");
        assertFalse(majority.settle(majority.formation(), majority.changes(), Map.of("b", 0, "c", Condition.BRINGS)));
        assertTrue(majority.settle(majority.formation(), majority.changes(), Map.of("b", 0, "c", 0)));
    }

    private void assertTells(int flags) {
        assertEquals(flags, majority.flagsOf(majority.condition()));
    }

    @Test
    void asksAgainWhoSeesOtherMembers() {
        see("a", "b", "c");
        settle(majority);
        long answer = Condition.of(Condition.SERVES, Set.of("a", "b", "c"));
        assertEquals(Condition.SERVES, majority.flagsOf(answer));
        see("a", "b");
        assertEquals(Condition.SILENT, majority.flagsOf(answer));
        assertFalse(majority.settle(majority.formation(), majority.changes(), all(Condition.SILENT, "b")));
        assertFalse(majority.serves(() -> 2), "it may be told of a loss yet");
        pass(Majority.MERGE_TIME + 1);
        assertTrue(majority.serves(() -> 2));
    }

    @Test
    void meansNothingForOneDeclaredMember() {
        Majority alone = new Majority("a", 1, 0, () -> now);
        alone.see(Set.of("a"));
        pass(Majority.MERGE_TIME + 1);
        assertFalse(alone.kept("b"));
        assertTrue(alone.serves(() -> 1));
    }
}
