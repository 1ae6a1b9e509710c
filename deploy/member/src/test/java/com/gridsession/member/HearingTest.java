package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.hazelcast.config.Config;
import com.hazelcast.spi.properties.HazelcastProperties;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class HearingTest {
    private static final long PATIENCE = TimeUnit.SECONDS.toNanos(3);
    private static final long NO_RESET = 0;

    private final AtomicLong time = new AtomicLong(Long.MAX_VALUE - 1_000);
    private final Hearing ofFive = new Hearing(5, PATIENCE, time::get);

    @Test
    void servesWhileTwoOfTheOtherFourAreHeard() {
        ofFive.note(Map.of("b", 10L, "c", 10L, "d", 10L, "e", 10L), NO_RESET);
        time.addAndGet(PATIENCE / 2);
        ofFive.note(Map.of("b", 11L, "c", 9L, "d", 10L, "e", 10L), NO_RESET);
        time.addAndGet(PATIENCE - 1);
        assertTrue(ofFive.holds());
        time.addAndGet(1);
        assertFalse(ofFive.holds());
        ofFive.note(Map.of("b", 11L, "c", 9L, "d", 12L, "e", 10L), NO_RESET);
        assertFalse(ofFive.holds());
        ofFive.note(Map.of("b", 11L, "c", 9L, "d", 12L, "e", 13L), NO_RESET);
        assertTrue(ofFive.holds());
    }

    @Test
    void whoComesIsHeardAndWhoLeftIsNot() {
        ofFive.note(Map.of("b", 10L, "c", 10L), NO_RESET);
        time.addAndGet(PATIENCE);
        assertFalse(ofFive.holds());
        ofFive.note(Map.of("d", 1L, "e", 1L), NO_RESET);
        assertTrue(ofFive.holds());
    }

    @Test
    void whoStoodStillHasHeardNobodyUntilItDoes() {
        ofFive.note(Map.of("b", 10L, "c", 10L, "d", 10L, "e", 10L), NO_RESET);
        time.addAndGet(PATIENCE);
        ofFive.note(Map.of("b", 20L, "c", 20L, "d", 20L, "e", 21L), 20);
        assertFalse(ofFive.holds());
        ofFive.note(Map.of("b", 22L, "c", 20L, "d", 20L, "e", 21L), 20);
        assertTrue(ofFive.holds());
    }

    @Test
    void whereNobodyTakesNoteOrNobodyElseIsNeededItServes() {
        assertTrue(ofFive.holds());
        Hearing alone = new Hearing(1, PATIENCE, time::get);
        alone.note(Map.of(), NO_RESET);
        time.addAndGet(PATIENCE);
        assertTrue(alone.holds());
    }

    @Test
    void patienceEndsBeforeTheOthersGoOn() {
        Config config = new Config().setProperty("hazelcast.heartbeat.interval.seconds", "1")
                .setProperty("hazelcast.max.no.heartbeat.seconds", "5");
        assertEquals(3_500, TimeUnit.NANOSECONDS.toMillis(Hearing.patience(new HazelcastProperties(config))));
        assertEquals(54_500, TimeUnit.NANOSECONDS.toMillis(Hearing.patience(new HazelcastProperties(new Config()))));
    }
}
