package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

class DueIndexTest {
    private static final long NOW = 1_000_000;

    private final DueIndex index = new DueIndex(4);

    @Test
    void givesWhatIsDueTheEarliestFirstAndNoMoreThanAskedFor() {
        index.changed("late", NOW, NOW - 50);
        index.changed("early", NOW - 10, NOW - 50);
        index.changed("later", NOW + 1, NOW - 50);
        assertEquals(List.of("early"), index.take(1, NOW));
        assertEquals(List.of("late"), index.take(5, NOW));
        assertEquals(List.of("later"), index.take(5, NOW + 1));
    }

    @Test
    void givesWhatWasGivenAgainOnlyLater() {
        index.changed("a", NOW, NOW);
        assertEquals(List.of("a"), index.take(5, NOW));
        assertEquals(List.of(), index.take(5, NOW + DueIndex.RESERVED - 1));
        assertEquals(List.of("a"), index.take(5, NOW + DueIndex.RESERVED));
    }

    @Test
    void followsChanges() {
        index.changed("claimed", NOW, NOW);
        index.changed("claimed", NOW + 30_000, NOW);
        index.changed("acknowledged", NOW, NOW);
        index.changed("acknowledged", Record.NEVER, NOW);
        index.changed("touched", NOW, NOW);
        index.changed("touched", NOW + DueIndex.HORIZON + 1, NOW);
        assertEquals(List.of(), index.take(5, NOW + 29_999));
        assertEquals(List.of("claimed"), index.take(5, NOW + 30_000));
    }

    @Test
    void aLookForgetsWhatIsElsewhereAndKeepsWhatWasGivenReserved() {
        index.changed("moved", NOW, NOW);
        index.changed("given", NOW, NOW);
        assertEquals(2, index.take(5, NOW).size());
        index.begin();
        index.seen("given", NOW, NOW + 10);
        index.seen("found", NOW, NOW + 10);
        index.end();
        assertEquals(List.of("found"), index.take(5, NOW + 10));
        assertEquals(List.of("given"), index.take(1, NOW + DueIndex.RESERVED));
        assertEquals(List.of("found"), index.take(5, NOW + 10 + DueIndex.RESERVED));
    }

    @Test
    void holdsTheEarliestIfThereAreTooManyAndAsksForAnotherLook() {
        index.begin();
        for (int number = 9; number > 0; number--) {
            index.seen("id" + number, NOW + number, NOW);
        }
        index.end();
        assertFalse(index.lacks());
        assertEquals(List.of("id1", "id2", "id3", "id4"), index.take(9, NOW + 100));
        for (int number = 1; number <= 4; number++) {
            index.changed("id" + number, Record.NEVER, NOW);
        }
        assertTrue(index.lacks());
    }
}
