package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** A commit allocates the record that it writes, and for a field that it leaves alone its places only. */
class CommandCostTest {
    /**
     * Two arrays of places when a bag is read, two when it is changed, and the tables of a bag with many names, which
     * double as it is read. The smallest object for each field would be 16 bytes more.
     */
    private static final int PLACES = 40;
    private static final int SOME = 2_048;

    @Test
    void fieldsThatACommitLeavesAloneTakeNoObject() {
        long few = beyondTheRecord(CommandCost.record(13, 10_000));
        long many = beyondTheRecord(CommandCost.record(213, 10_000));
        assertTrue(many - few <= 200 * PLACES, (many - few) / 200.0 + " bytes for each field that was left alone");
    }

    @Test
    void valuesThatACommitLeavesAloneAreCopiedOnce() {
        long small = beyondTheRecord(CommandCost.record(13, 1_000));
        long large = beyondTheRecord(CommandCost.record(13, 64_000));
        assertTrue(large - small <= SOME, large - small + " bytes more than the record that is written");
    }

    @Test
    void countingACommandAllocatesNothing() {
        Counters counters = new Counters();
        byte[] command = CommandCost.commit(Command.REVISION);
        long before = 0;
        for (int call = -1_000; call < 100_000; call++) {
            if (call == 0) {
                before = CommandCost.allocated();
            }
            counters.answered(command, Status.OK, call);
        }
        assertTrue(CommandCost.allocated() - before < SOME);
    }

    private static long beyondTheRecord(byte[] record) {
        byte[] command = CommandCost.commit(Command.REVISION);
        int written = CommandCost.applied(record, command).record().length;
        return new CommandCost(record, command).bytes() - written;
    }
}
