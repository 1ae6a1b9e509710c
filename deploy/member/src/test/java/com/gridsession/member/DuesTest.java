package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.map.IMap;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

class DuesTest {
    private static final int BAD = 20;

    @Test
    void namespacesThatCannotBeLookedAtKeepNoOtherBack() throws IOException {
        try (Grid grid = new Grid(1, 1)) {
            HazelcastInstance member = grid.member(0);
            Dues dues = Dues.of(member);
            for (int index = 0; index < BAD; index++) {
                member.getMap("gridsession.sessions.bad" + index).put("line:1", new Poison());
                assertNull(dues.take("bad" + index, 5, grid.now()));
            }
            Grid.await(() -> dues.take("good", 5, grid.now()) != null);
            for (int index = 0; index < BAD; index++) {
                assertNull(dues.take("bad" + index, 5, grid.now()));
            }
        }
    }

    @Test
    void whatAStrangerPutThereKeepsNothingBack() throws Exception {
        try (Grid grid = new Grid(1, 1)) {
            HazelcastInstance member = grid.member(0);
            IMap<String, Object> map = member.getMap("gridsession.sessions.planted");
            byte[] ended = ended("line:1");
            map.put("line:1", ended);
            map.put("a key of another length than any id".repeat(2_000), ended);
            List<Object> nested = new ArrayList<>();
            for (int depth = 0; depth < 50_000; depth++) {
                nested = new ArrayList<>(List.of(nested));
            }
            List<Object> deep = nested;
            Thread planting = new Thread(null, () -> map.put("line:2", deep), "planting", 1L << 30);
            planting.start();
            planting.join();
            Dues dues = Dues.of(member);
            Grid.await(() -> dues.take("planted", 5, grid.now()) != null);
            assertEquals(Set.of("line:1"), new HashSet<>(dues.take("planted", 5, grid.now() + DueIndex.RESERVED)));
        }
    }

    /** A session that expired, whose end waits for its acknowledgement. */
    private static byte[] ended(String id) {
        Record record = new Record(id.getBytes(StandardCharsets.UTF_8));
        record.previous = new Previous[] {new Previous(1, 1, 1_000, 2_000, false, null, 0, 0, 0, Bag.NONE, Bag.NONE)};
        return record.encode();
    }

    /** Makes an error of who reads it, as a class does that is not whole. */
    private static final class Poison implements Serializable {
        private static final long serialVersionUID = 1L;

        private void readObject(ObjectInputStream in) {
            throw new AssertionError("must not be read");
        }
    }
}
