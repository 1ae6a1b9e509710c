package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.map.IMap;
import com.hazelcast.map.LocalMapStats;
import java.io.IOException;
import org.junit.jupiter.api.Test;

class HoldingsTest {
    private static final int SESSIONS = 40;

    private static double told(Holdings held, String name) {
        Exposition out = new Exposition();
        held.print(out);
        return out.toString().lines().filter(line -> line.startsWith("gridsession_" + name + " "))
                .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ')))).sum();
    }

    @Test
    void eachMemberTellsWhatItHoldsAndWhatThatTakes() throws IOException {
        try (Grid grid = new Grid(2, 2)) {
            for (int index = 0; index < SESSIONS; index++) {
                grid.run("line:" + index, Asked.commit(index + 1, grid.now() + 10_000, "a", index, 60_000));
            }
            double owned = 0;
            double copies = 0;
            for (int index = 0; index < 2; index++) {
                HazelcastInstance member = grid.member(index);
                IMap<String, byte[]> map = member.getMap(Grid.SESSIONS);
                LocalMapStats stats = map.getLocalMapStats();
                long entries = stats.getOwnedEntryCount() + stats.getBackupEntryCount();
                Holdings held = Holdings.of(member);
                owned += told(held, "sessions{namespace=\"test\",role=\"owner\"}");
                copies += told(held, "sessions{namespace=\"test\",role=\"backup\"}");
                long cost = stats.getOwnedEntryMemoryCost() + stats.getBackupEntryMemoryCost();
                assertEquals(cost + 75 * entries, held.bytes());
                assertEquals(held.bytes(), told(held, "entry_bytes{namespace=\"test\",kind=\"sessions\",role=\"owner\"}")
                        + told(held, "entry_bytes{namespace=\"test\",kind=\"sessions\",role=\"backup\"}"));
            }
            assertEquals(SESSIONS, owned);
            assertEquals(SESSIONS, copies);
        }
    }

    @Test
    void namespacesBeyondTheMostAreSummedUp() throws IOException {
        try (Grid grid = new Grid(1, 1)) {
            for (int index = 0; index < 260; index++) {
                grid.member(0).getMap("gridsession.globals-records.n" + index).put("a", new byte[1]);
            }
            Exposition out = new Exposition();
            Holdings.of(grid.member(0)).print(out);
            String[] lines = out.toString().lines().filter(line -> line.startsWith("gridsession_globals{")).toArray(String[]::new);
            assertTrue(lines.length <= 2 * 251, "not one for each namespace: " + lines.length);
            double all = 0;
            for (String line : lines) {
                all += line.contains("owner") ? Double.parseDouble(line.substring(line.lastIndexOf(' '))) : 0;
            }
            assertEquals(260, all);
        }
    }
}
