package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class MajorityTest {
    private long now = 1_000;
    private final Majority majority = new Majority(3, () -> now);

    private void pass(long nanos) {
        now += nanos;
    }

    @Test
    void isKeptBySideThatLostAMinority() {
        majority.see(3);
        pass(Majority.MERGE_TIME + 1);
        majority.see(2);
        assertTrue(majority.kept());
        assertTrue(majority.witnessed());
        majority.see(3);
        assertTrue(majority.kept(), "also when the others are members again");
    }

    @Test
    void isNotKeptBySideThatWasAMinority() {
        majority.see(3);
        pass(Majority.MERGE_TIME + 1);
        majority.see(1);
        assertFalse(majority.kept());
        majority.see(2);
        assertFalse(majority.kept(), "two minorities that meet are no side that kept it");
        pass(Majority.MERGE_TIME + 1);
        assertTrue(majority.kept(), "until what they brought is merged");
    }

    @Test
    void isUnknownSoonAfterStart() {
        majority.see(1);
        majority.see(3);
        assertFalse(majority.kept());
    }

    @Test
    void isTakenOverByOneThatStartsAndJoinsIt() {
        majority.see(3);
        majority.see(2);
        majority.see(3);
        assertTrue(majority.kept(), "a member restarts, and soon after another is cut off");
        assertFalse(majority.witnessed());
    }

    @Test
    void isNotTakenOverByOneWhoseStartMakesIt() {
        majority.see(2);
        majority.see(3);
        assertFalse(majority.kept());
    }

    @Test
    void isTakenOverFromTheSideThatIsJoined() {
        majority.see(3);
        pass(Majority.MERGE_TIME + 1);
        majority.see(1);
        majority.merging(true);
        majority.see(3);
        majority.merging(false);
        assertTrue(majority.kept());
    }

    @Test
    void isNotTakenOverFromAnotherMinority() {
        majority.see(1);
        majority.merging(true);
        majority.see(2);
        majority.merging(false);
        assertFalse(majority.kept());
    }

    @Test
    void isNotTakenOverFromAnEqualHalf() {
        Majority half = new Majority(4, () -> now);
        half.see(4);
        pass(Majority.MERGE_TIME + 1);
        half.see(2);
        half.merging(true);
        half.see(1);
        half.see(4);
        half.merging(false);
        assertFalse(half.kept(), "two of the four came with it");
    }

    @Test
    void isNotWitnessedByOneOfThreeThatMeet() {
        majority.see(3);
        pass(Majority.MERGE_TIME + 1);
        majority.see(1);
        majority.merging(true);
        majority.see(3);
        majority.merging(false);
        assertFalse(majority.witnessed(), "the two others may have been apart just as well");
        pass(Majority.MERGE_TIME + 1);
        assertTrue(majority.witnessed());
    }

    @Test
    void meansNothingForOneDeclaredMember() {
        Majority alone = new Majority(1, () -> now);
        alone.see(1);
        pass(Majority.MERGE_TIME + 1);
        assertFalse(alone.kept());
    }
}
