package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Whatever arrives and whatever is stored: an answer, no exception, and no more memory than a few records take. */
class FuzzTest {
    private static final int ROUNDS = 200;
    /** Far above what any case here needs, far below what an unchecked length could ask for. */
    private static final long MOST_ALLOCATED = 64L << 20;

    private final Random random = new Random(20261121);

    @Test
    void answersMutatedCommandsAndRecords() throws IOException {
        List<Vectors.Case> cases = Vectors.load();
        for (Vectors.Case given : cases) {
            for (int round = 0; round < ROUNDS; round++) {
                byte[] command = round % 3 == 0 ? given.command() : mutated(given.command());
                byte[] record = round % 3 == 1 || given.record() == null ? given.record() : mutated(given.record());
                answers(record, command, given);
            }
        }
    }

    @Test
    void answersNoise() throws IOException {
        Vectors.Case given = Vectors.load().get(0);
        for (int round = 0; round < 100_000; round++) {
            byte[] command = noise();
            if (command.length > 1 && round % 2 == 0) {
                command[0] = Command.LAYOUT;
                command[1] = (byte) (1 + random.nextInt(Command.NEWEST));
            }
            answers(random.nextBoolean() ? null : noise(), command, given);
        }
    }

    private void answers(byte[] record, byte[] command, Vectors.Case given) {
        long before = allocated();
        Applied applied = Rules.apply(record, command, given.now(), given.sessionId(), given.limits());
        long taken = allocated() - before;
        assertNotNull(applied.reply());
        assertTrue(taken < MOST_ALLOCATED, () -> given.name() + " took " + taken + " bytes for "
                + Vectors.hex(command) + " on " + Vectors.hex(record));
        if (applied.written()) {
            byte[] id = given.sessionId().getBytes(StandardCharsets.UTF_8);
            assertNotNull(Record.decode(applied.record(), 0, applied.record().length, id), "what is written can be read");
        }
    }

    private static long allocated() {
        var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        return threads.getCurrentThreadAllocatedBytes();
    }

    private byte[] noise() {
        byte[] bytes = new byte[random.nextInt(80)];
        random.nextBytes(bytes);
        return bytes;
    }

    private byte[] mutated(byte[] original) {
        byte[] bytes = original.clone();
        for (int left = 1 + random.nextInt(3); left > 0 && bytes.length > 0; left--) {
            int at = random.nextInt(bytes.length);
            switch (random.nextInt(5)) {
                case 0 -> bytes[at] = (byte) random.nextInt(256);
                case 1 -> bytes[at] = (byte) (random.nextBoolean() ? 0xFF : 0x80);
                case 2 -> bytes = Arrays.copyOf(bytes, at);
                case 3 -> bytes = Arrays.copyOf(bytes, bytes.length + 1 + random.nextInt(8));
                default -> bytes[at] ^= (byte) (1 << random.nextInt(8));
            }
        }
        return bytes;
    }
}
