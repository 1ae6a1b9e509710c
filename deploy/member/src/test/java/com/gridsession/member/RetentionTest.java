package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class RetentionTest {
    @Test
    void roundsUpAndAddsTheGrace() {
        assertEquals(120, Retention.seconds(1_000, 1_000));
        assertEquals(121, Retention.seconds(1_001, 1_000));
        assertEquals(121, Retention.seconds(2_000, 1_000));
        assertEquals(122, Retention.seconds(2_001, 1_000));
    }

    @Test
    void whatIsOverIsKeptForTheGrace() {
        assertEquals(120, Retention.seconds(0, 1_000_000));
    }

    @Test
    void neverAndBeyondThePlatformsTimesHaveNoEnd() {
        assertEquals(Retention.NO_END, Retention.seconds(Record.NEVER, 5));
        assertEquals(Retention.NO_END, Retention.seconds(Record.MAX_DURATION, 5));
        assertEquals(365L * 86_400 + 120, Retention.seconds(365L * 86_400_000, 0));
    }
}
