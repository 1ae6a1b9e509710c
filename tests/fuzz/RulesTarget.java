package com.gridsession.member;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * What Jazzer calls: the rules over a record and a command made of its bytes. Whatever they are there is an answer, not
 * too much is allocated for it, and what is written can be read and means the same once more.
 *
 * <p>Input: u16 size of the record (65535: none), the record, and the command in what is left.
 */
public final class RulesTarget {
    private static final long NOW = 1_700_000_000_000L;
    private static final String ID = "line:U1";
    private static final byte[] ID_BYTES = ID.getBytes(StandardCharsets.UTF_8);

    private RulesTarget() {
    }

    public static void fuzzerTestOneInput(byte[] data) {
        if (data.length < 2) {
            return;
        }
        int size = Bytes.u16(data, 0);
        byte[] record = size == 0xFFFF ? null : Arrays.copyOfRange(data, 2, 2 + Math.min(size, data.length - 2));
        byte[] command = Arrays.copyOfRange(data, 2 + (record == null ? 0 : record.length), data.length);
        Applied applied = Rules.apply(record, command, NOW, ID, Limits.DEFAULT);
        requireModest(record, command);
        Standing.of(record);
        Command.isPlainLoad(command);
        Command.isConfirmed(command);
        if (applied.written()) {
            byte[] written = applied.record();
            Record read = Record.decode(written, 0, written.length, ID_BYTES);
            if (!Arrays.equals(read.encode(), written)) {
                throw new IllegalStateException("what was written is not what is read");
            }
        }
    }

    /** What a case allocates once all classes are loaded, which the fuzzer does in the middle of it. */
    private static void requireModest(byte[] record, byte[] command) {
        long most = 4L * (command.length + (record == null ? 0 : record.length)) + (1 << 20);
        long before = allocated();
        Rules.apply(record, command, NOW, ID, Limits.DEFAULT);
        long taken = allocated() - before;
        if (taken > most) {
            throw new IllegalStateException(taken + " bytes allocated where " + most + " are allowed");
        }
    }

    private static long allocated() {
        var threads = (com.sun.management.ThreadMXBean) java.lang.management.ManagementFactory.getThreadMXBean();
        return threads.getCurrentThreadAllocatedBytes();
    }
}
