package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertNull;

import com.hazelcast.core.HazelcastInstance;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.Serializable;
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

    /** Makes an error of who reads it, as a class does that is not whole. */
    private static final class Poison implements Serializable {
        private static final long serialVersionUID = 1L;

        private void readObject(ObjectInputStream in) {
            throw new AssertionError("must not be read");
        }
    }
}
