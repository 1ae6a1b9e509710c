package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** What the platform's own expiry does to entries that are not over. */
class ExpiryTest {
    /**
     * By default an owner whose grid lost a copy tells each backup how many entries it has itself, and the backup removes
     * as many as it has above that, chosen by chance. The number is old when it comes: of a busy grid these are sessions
     * that were acknowledged meanwhile.
     */
    @Test
    void noLiveEntryIsRemovedFromABackupToMatchItsOwnersNumber() throws IOException {
        try (Grid grid = new Grid(2, 2)) {
            List<String> ids = inOnePartition(grid, 9);
            List<String> live = ids.subList(0, 8);
            live.forEach(id -> grid.run(id, Asked.commit(1, grid.now() + 5_000, "n", 1, 0)));
            live.subList(0, 4).forEach(id -> grid.lose(id, 0)); // as if the owner had counted before they were written
            grid.loseCopy(live.get(0));
            sweep(grid, ids.get(8));
            grid.run(live.get(7), Asked.commit(2, grid.now() + 5_000, "n", 2, 0)); // what was sent before has arrived
            live.forEach(id -> assertNotNull(grid.stored(id, 1), id));
        }
    }

    private static void sweep(Grid grid, String over) {
        grid.sessions().set(over, new byte[0], 1, TimeUnit.SECONDS);
        Grid.await(() -> grid.stored(over, 0) == null);
    }

    private static List<String> inOnePartition(Grid grid, int many) {
        var partitions = grid.member(0).getPartitionService();
        int partition = partitions.getPartition("line:0").getPartitionId();
        return IntStream.iterate(0, number -> number + 1).mapToObj(number -> "line:" + number)
                .filter(id -> partitions.getPartition(id).getPartitionId() == partition).limit(many).toList();
    }
}
