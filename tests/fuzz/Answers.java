package com.gridsession.member;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;

/**
 * Answers cases from standard input by the Java rules, for {@code tests/fuzz}, until the input ends.
 *
 * <p>First u16 count and each {@link Limits} as eight i64. Then batches: i32 count, and each case as u8 limits, i64 now,
 * u16 length and id, i32 length and record (-1 none), i32 length and command. The answers of a batch: each u8 what
 * happened (0 nothing to write, 1 written, 2 it threw), i32 bytes allocated, i32 length and reply (or the name of what
 * was thrown), and if written i32 length and record (-1 none).
 */
final class Answers {
    private static final int SAME = 0;
    private static final int WRITTEN = 1;
    private static final int THREW = 2;

    private Answers() {
    }

    public static void main(String[] arguments) throws IOException {
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in, 1 << 20));
        DataOutputStream out = new DataOutputStream(new BufferedOutputStream(System.out, 1 << 20));
        Limits[] limits = new Limits[in.readUnsignedShort()];
        for (int index = 0; index < limits.length; index++) {
            limits[index] = new Limits((int) in.readLong(), (int) in.readLong(), (int) in.readLong(),
                    (int) in.readLong(), (int) in.readLong(), (int) in.readLong(), in.readLong(), (int) in.readLong());
        }
        while (true) {
            in.mark(1);
            if (in.read() < 0) {
                return;
            }
            in.reset();
            int count = in.readInt();
            for (int index = 0; index < count; index++) {
                answer(in, out, limits);
            }
            out.flush();
        }
    }

    private static void answer(DataInputStream in, DataOutputStream out, Limits[] limits) throws IOException {
        Limits of = limits[in.readUnsignedByte()];
        long now = in.readLong();
        byte[] id = new byte[in.readUnsignedShort()];
        in.readFully(id);
        String text = new String(id, StandardCharsets.UTF_8);
        byte[] record = read(in);
        byte[] command = read(in);
        long before = allocated();
        Applied applied;
        try {
            Command.isPlainLoad(command);
            Command.isConfirmed(command);
            Standing.of(record);
            applied = Rules.apply(record, command, now, text, of);
        } catch (Throwable thrown) { // also StackOverflowError and OutOfMemoryError: they are what is looked for
            out.writeByte(THREW);
            out.writeInt(0);
            write(out, thrown.getClass().getName().getBytes(StandardCharsets.UTF_8));
            return;
        }
        out.writeByte(applied.written() ? WRITTEN : SAME);
        out.writeInt((int) Math.min(allocated() - before, Integer.MAX_VALUE));
        write(out, applied.reply());
        if (applied.written()) {
            write(out, applied.record());
        }
    }

    private static byte[] read(DataInputStream in) throws IOException {
        int size = in.readInt();
        if (size < 0) {
            return null;
        }
        byte[] bytes = new byte[size];
        in.readFully(bytes);
        return bytes;
    }

    private static void write(DataOutputStream out, byte[] bytes) throws IOException {
        out.writeInt(bytes == null ? -1 : bytes.length);
        if (bytes != null) {
            out.write(bytes);
        }
    }

    private static long allocated() {
        return ((com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean()).getCurrentThreadAllocatedBytes();
    }
}
