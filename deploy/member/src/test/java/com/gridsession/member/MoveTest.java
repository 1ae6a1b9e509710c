package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import com.hazelcast.config.InMemoryFormat;
import com.hazelcast.config.MapConfig;
import com.hazelcast.map.IMap;
import com.hazelcast.nio.ObjectDataInput;
import com.hazelcast.nio.ObjectDataOutput;
import com.hazelcast.nio.serialization.DataSerializable;
import java.io.IOException;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** What the platform moves to a member that joins. */
class MoveTest {
    private static final int MANY = 100;
    private static final int BROKEN = 5;
    private static final Set<String> SENT = ConcurrentHashMap.newKeySet();
    private static volatile Grid breaking;

    /**
     * By default a move is read off the map in chunks, once: what could not be sent, for want of a connection, is sent again
     * without them, and counts as a copy of all that there is. Whoever gets it keeps what it had of the partition or has
     * nothing, with the owner's version, so that nobody ever notices: the sessions are lost once it is the owner.
     */
    @Test
    void aMoveThatIsSentAgainCarriesAllThatItCarriedTheFirstTime() throws IOException {
        try (Grid grid = new Grid(2, 3)) {
            List<String> ids = IntStream.range(0, MANY).mapToObj(number -> "line:" + number).toList();
            IMap<String, Breaks> others = others(grid);
            ids.forEach(id -> {
                grid.run(id, Asked.commit(1, grid.now() + 5_000, "n", 1, 0));
                others.set(id, new Breaks(id));
            });
            breaking = grid;
            grid.start(3);
            breaking = null;

            assertFalse(SENT.isEmpty(), "no move was broken");
            for (String id : ids) {
                assertNotNull(grid.stored(id, 0), id);
                assertArrayEquals(grid.stored(id, 0), grid.stored(id, 1), id);
                assertNotNull(others.get(id), id);
            }
        } finally {
            breaking = null;
        }
    }

    /** A map whose values are written anew each time they are sent. */
    private static IMap<String, Breaks> others(Grid grid) {
        grid.member(0).getConfig().addMapConfig(new MapConfig("others").setInMemoryFormat(InMemoryFormat.OBJECT));
        return grid.member(0).getMap("others");
    }

    /** A value that, the first time it is sent, finds that the connections are lost. */
    public static final class Breaks implements DataSerializable {
        private String id;

        /** To be read into. */
        public Breaks() {
        }

        Breaks(String id) {
            this.id = id;
        }

        @Override
        public void writeData(ObjectDataOutput out) throws IOException {
            Grid grid = breaking;
            if (grid != null && SENT.size() < BROKEN && SENT.add(id)) {
                grid.breakConnections();
            }
            out.writeString(id);
        }

        @Override
        public void readData(ObjectDataInput in) throws IOException {
            id = in.readString();
        }
    }
}
