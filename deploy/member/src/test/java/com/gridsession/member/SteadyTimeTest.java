package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class SteadyTimeTest {
    private static final long START = 1_700_000_000_000L;

    private long elapsed;
    private long behind;
    private final SteadyTime time =
            new SteadyTime(() -> START + elapsed - behind, () -> TimeUnit.MILLISECONDS.toNanos(elapsed) + 5);

    @Test
    void aLateHeartbeatDoesNotSetItBack() {
        assertEquals(START, time.now());
        elapsed = 900;
        behind = 2_400;
        assertEquals(START + 900, time.now());
        elapsed = 1_900;
        assertEquals(START + 1_900, time.now());
        behind = 0;
        assertEquals(START + 1_900, time.now());
    }

    @Test
    void itIsSetForwardAtOnce() {
        behind = 500;
        assertEquals(START - 500, time.now());
        behind = 0;
        elapsed = 100;
        assertEquals(START + 100, time.now());
    }

    @Test
    void whatStaysBehindIsBelievedInTheEnd() {
        assertEquals(START, time.now());
        behind = 800;
        for (elapsed = 100; elapsed < 10_000; elapsed += 100) {
            assertEquals(START + elapsed, time.now());
        }
        for (elapsed = 10_000; elapsed < 21_000; elapsed += 100) {
            time.now();
        }
        assertEquals(START + elapsed - 800, time.now());
    }

    @Test
    void afterLongSilenceOnlyTheLatestCounts() {
        assertEquals(START, time.now());
        elapsed = 60_000;
        behind = 300;
        assertEquals(START + 59_700, time.now());
    }
}
