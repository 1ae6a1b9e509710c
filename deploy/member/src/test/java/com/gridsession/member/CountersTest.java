package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;

class CountersTest {
    private static final byte[] LOAD = {Command.LAYOUT, Command.LOAD};

    /** The one sample of that name, with its labels if it has some. */
    static double sample(Counters counters, String name) {
        Exposition out = new Exposition();
        counters.print(out);
        List<String> found = out.toString().lines().filter(line -> line.startsWith("gridsession_" + name + " ")).toList();
        assertEquals(1, found.size(), name);
        return Double.parseDouble(found.get(0).substring(found.get(0).lastIndexOf(' ')));
    }

    @Test
    void bucketHoldsWhatTookNoLongerThanItsBound() {
        Counters counters = new Counters();
        counters.answered(LOAD, Status.OK, 25_000);
        counters.answered(LOAD, Status.OK, 25_001);
        counters.answered(LOAD, Status.ABSENT, 3_000_000_000L);
        assertEquals(0, sample(counters, "command_seconds_bucket{command=\"load\",le=\"1e-05\"}"));
        assertEquals(1, sample(counters, "command_seconds_bucket{command=\"load\",le=\"2.5e-05\"}"));
        assertEquals(2, sample(counters, "command_seconds_bucket{command=\"load\",le=\"5e-05\"}"));
        assertEquals(2, sample(counters, "command_seconds_bucket{command=\"load\",le=\"1.0\"}"));
        assertEquals(3, sample(counters, "command_seconds_bucket{command=\"load\",le=\"+Inf\"}"));
        assertEquals(3, sample(counters, "command_seconds_count{command=\"load\"}"));
        assertEquals(3.000050001, sample(counters, "command_seconds_sum{command=\"load\"}"), 1e-9);
        assertEquals(2, sample(counters, "commands_total{command=\"load\",status=\"ok\"}"));
        assertEquals(1, sample(counters, "commands_total{command=\"load\",status=\"absent\"}"));
    }

    @Test
    void commandsThatAreNewerOrNoneAreOthers() {
        Counters counters = new Counters();
        counters.answered(new byte[] {1, 99}, Status.UNSUPPORTED, 1);
        counters.answered(new byte[] {1, -1}, 250, 1);
        counters.answered(Bytes.EMPTY, Status.MALFORMED, 1);
        assertEquals(3, sample(counters, "command_seconds_count{command=\"other\"}"));
        assertEquals(1, sample(counters, "commands_total{command=\"other\",status=\"other\"}"));
    }

    @Test
    void everyCommandOfThisVersionHasAName() {
        Counters counters = new Counters();
        for (byte code = 1; code <= Command.NEWEST; code++) {
            assertEquals(code, counters.answered(new byte[] {Command.LAYOUT, code}, Status.OK, 1));
        }
    }

    @Test
    void labelsAreEscaped() {
        String text = new Exposition().family("x", "gauge", "X.").sample(1.5, "namespace", "a\"b\\c\nd").toString();
        assertTrue(text.endsWith("\ngridsession_x{namespace=\"a\\\"b\\\\c\\nd\"} 1.5\n"), text);
    }

    /** What the rules say had ended is what the stored record says. */
    @Test
    void whatRanOutIsToldAsTheRecordTellsIt() throws IOException {
        int[] seen = new int[4];
        for (Vectors.Case each : Vectors.load()) {
            Applied applied = Rules.apply(each.record(), each.command(), each.now(), each.sessionId(), each.limits());
            if (each.record() != null && applied.written()) {
                int told = applied.ended();
                assertEquals(expected(each.record(), each.now()), told, each.name());
                seen[told]++;
            }
        }
        for (int kind = 0; kind < seen.length - 1; kind++) {
            assertTrue(seen[kind] > 0, "no case for " + kind);
        }
    }

    private static int expected(byte[] bytes, long now) {
        Record record = Record.decode(bytes, 0, bytes.length, Record.idOf(bytes));
        boolean session = record.live && record.expiresAt() != Record.NEVER && record.expiresAt() <= now;
        boolean lease = record.lease != null && record.lease.until() <= now;
        return (session ? Applied.SESSION : 0) + (lease ? Applied.LEASE : 0);
    }
}
