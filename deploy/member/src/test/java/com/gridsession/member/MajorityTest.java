package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Set;
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

    /** All that was held was handed over, and nobody else brings anything. */
    private void settle(Majority majority) {
        assertTrue(majority.settle(majority.formation(), Set.of()));
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
        settle(majority);
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
        assertFalse(majority.settle(majority.formation(), Set.of("b")));
        assertFalse(majority.serves(() -> 2));
        settle(majority);
        assertTrue(majority.serves(() -> 2));
        see("a", "b", "c");
        see("a", "c");
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
        assertFalse(four.settle(four.formation(), Set.of()));
        four.see(Set.of("a", "b", "c", "d"));
        assertFalse(four.brings());
        assertTrue(four.settle(four.formation(), Set.of()));
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
        assertTrue(four.settle(four.formation(), Set.of()));
    }

    @Test
    void isTakenOverByTheFirstOfASideAsByTheLast() {
        Majority five = new Majority("a", 5, 2, () -> now);
        five.see(Set.of("a", "b"));
        five.merging(true);
        five.see(Set.of("a", "c", "d", "e"));
        assertTrue(five.kept("a"));
        assertTrue(five.settle(five.formation(), Set.of()), "what it brings itself does not count there");
    }

    @Test
    void isNotTakenOverFromOneWhomOthersJustJoined() {
        see("a", "b", "c");
        assertTrue(majority.kept("b"), "as far as it can tell");
        assertFalse(majority.settle(majority.formation(), Set.of("b")), "c was alone before b came");
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
        assertTrue(majority.settle(earlier, Set.of()), "that one is of the past");
        assertFalse(majority.serves(() -> 2));
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
