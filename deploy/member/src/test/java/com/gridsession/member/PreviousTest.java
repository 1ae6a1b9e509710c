package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class PreviousTest {
    private static final byte[] ID = "line:U1".getBytes(StandardCharsets.UTF_8);

    /** A record whose session expired at that time, with so many bytes in its one field. */
    private static Record expired(Record before, long at, int size) {
        Record record = before.copy();
        record.live = true;
        record.announce = true;
        record.epoch++;
        record.created = at - 10;
        record.touched = at - 10;
        record.setTtl(true, 10);
        byte[] block = new byte[8 + size];
        Bytes.put(block, 0, new byte[] {(byte) Bag.NAME, 1, 'a', (byte) Bag.RAW});
        Bytes.put32(block, 4, size);
        Bag state = new Bag(1);
        state.put(block, 0);
        record.bags = new Bag[] {state, Bag.NONE, Bag.NONE};
        record.expire();
        return record;
    }

    @Test
    void theOldestGiveWayWhenTheyAreTooManyOrTooHeavy() {
        Record record = new Record(ID);
        for (int number = 1; number <= 9; number++) {
            record = expired(record, 1_000 + number, 5);
        }
        assertEquals(8, record.previous.length);
        assertEquals(1_002, record.previous[0].expired());
        for (int number = 1; number <= 3; number++) {
            record = expired(record, 2_000 + number, 200_000);
        }
        assertEquals(2, record.previous.length, "three of 200 kB are more than half a megabyte");
        record = expired(record, 3_000, 600_000);
        assertEquals(1, record.previous.length, "the newest stays, however heavy");
    }

    @Test
    void isReadAsItWasWritten() {
        Record record = expired(expired(new Record(ID), 1_000, 5), 2_000, 7);
        record.previous[1] = record.previous[1].claimed(new byte[16], 0, 9_000, 3);
        byte[] bytes = record.encode();
        Record read = Record.decode(bytes, 0, bytes.length, ID);
        assertEquals(2, read.previous.length);
        assertEquals(9_000, read.previous[1].until());
        assertTrue(java.util.Arrays.equals(bytes, read.encode()));
        String id = new String(ID, StandardCharsets.UTF_8);
        assertEquals(1_000, Record.announceAt(id, bytes));
        assertEquals(Record.NEVER, Record.announceAt(id + "2", bytes), "the record of another id");
        assertEquals(2_000 + Previous.KEPT + 1_000, read.retainedUntil());
    }
}
