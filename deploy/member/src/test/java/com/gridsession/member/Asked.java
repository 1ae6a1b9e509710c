package com.gridsession.member;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** Commands as a client lays them out, and what their replies say. */
final class Asked {
    static final int RESTART = 0;
    static final int SET_TTL = 2;

    private interface Body {
        void write(DataOutputStream out) throws IOException;
    }

    private Asked() {
    }

    /** Sets the state's field {@code name} to an int. */
    static byte[] commit(long opId, long notAfter, String name, long value, long createdTtl) {
        return commit(opId, notAfter, 0, name, value, createdTtl, 0);
    }

    /** As above, only if the session is absent. */
    static byte[] create(long opId, long notAfter, String name, long value) {
        return commit(opId, notAfter, 1, name, value, 0, 0);
    }

    /** As above, giving an existing session another ttl. */
    static byte[] commitWithTtl(long opId, long notAfter, String name, long value, long ttl) {
        return commit(opId, notAfter, 0, name, value, 0, ttl);
    }

    private static byte[] commit(
            long opId, long notAfter, int guard, String name, long value, long createdTtl, long ttl) {
        return command(Command.COMMIT, 0, notAfter, out -> {
            changeHead(out, opId, guard);
            out.writeByte(ttl > 0 ? SET_TTL : RESTART);
            out.writeLong(ttl);
            out.writeLong(createdTtl);
            out.writeLong(0);
            out.writeByte(Command.REVISION);
            out.writeByte(0);
            out.writeShort(0);
            out.writeShort(1);
            out.writeByte(Draft.SET);
            out.writeByte(Record.STATE);
            name(out, name);
            out.writeByte(Bag.RAW);
            out.writeInt(Kind.NUMBER_SIZE);
            out.writeByte(Kind.INT);
            out.writeLong(value);
        });
    }

    /** Sets fields of the state to these raw bytes; {@code want} says what the reply holds. */
    static byte[] sets(long opId, long notAfter, int want, List<String> names, byte[] raw) {
        return command(Command.COMMIT, 0, notAfter, out -> {
            changeHead(out, opId, 0);
            out.writeByte(RESTART);
            out.writeLong(0);
            out.writeLong(0);
            out.writeLong(0);
            out.writeByte(want);
            out.writeByte(0);
            out.writeShort(0);
            out.writeShort(names.size());
            for (String name : names) {
                out.writeByte(Draft.SET);
                out.writeByte(Record.STATE);
                name(out, name);
                out.writeByte(Bag.RAW);
                out.writeInt(raw.length);
                out.write(raw);
            }
        });
    }

    static byte[] delete(long opId, long notAfter) {
        return command(Command.DELETE, 0, notAfter, out -> changeHead(out, opId, 0));
    }

    static byte[] renew(long token, long notAfter) {
        return command(Command.RENEW, 0, notAfter, out -> {
            out.writeLong(token);
            out.writeLong(1_000);
        });
    }

    /** A plain load of the whole record. */
    static byte[] load() {
        return command(Command.LOAD, 0, 0, out -> out.writeByte(Command.RECORD));
    }

    static byte[] confirmedLoad() {
        return command(Command.LOAD, 8, 0, out -> out.writeByte(Command.RECORD));
    }

    static int status(byte[] reply) {
        return reply[1];
    }

    static boolean isDuplicate(byte[] reply) {
        return (Bytes.u16(reply, 2) & 1) != 0;
    }

    private static void changeHead(DataOutputStream out, long opId, int guard) throws IOException {
        out.writeLong(0);
        out.writeLong(opId);
        out.writeLong(0);
        out.writeShort(guard == 0 ? 0 : 1);
        if (guard != 0) {
            out.writeByte(guard);
        }
    }

    private static void name(DataOutputStream out, String name) throws IOException {
        byte[] encoded = name.getBytes(StandardCharsets.UTF_8);
        out.writeByte(Bag.NAME);
        out.writeByte(encoded.length);
        out.write(encoded);
    }

    private static byte[] command(int code, int flags, long notAfter, Body body) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        bytes.writeBytes(ByteBuffer.allocate(12).put((byte) Command.LAYOUT).put((byte) code).putShort((short) flags)
                .putLong(notAfter).array());
        try {
            body.write(new DataOutputStream(bytes));
        } catch (IOException impossible) {
            throw new UncheckedIOException(impossible);
        }
        return bytes.toByteArray();
    }
}
