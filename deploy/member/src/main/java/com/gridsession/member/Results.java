package com.gridsession.member;

import java.util.Arrays;

/** What the operations of a commit gave, in the bytes that both the reply and the ring carry. */
final class Results {
    static final int NONE = 0;
    static final int FALSE = 1;
    static final int TRUE = 2;
    static final int BYTES = 3;

    private final int most;
    private byte[] data = new byte[32];
    private int at = 2;
    private int count;
    private boolean given;
    private long sum;

    /** Refuses results of more than {@code most} bytes together. */
    Results(int most) {
        this.most = most;
    }

    void none() {
        room(1);
        at = Bytes.put8(data, at, NONE);
        count++;
    }

    void bool(boolean value) {
        room(1);
        at = Bytes.put8(data, at, value ? TRUE : FALSE);
        count++;
        given = true;
    }

    void bytes(byte[] from, int start, int size) {
        count++;
        given = true;
        sum += size;
        if (sum > most) {
            throw new Refusal(Status.TOO_LARGE, -1);
        }
        room(5 + size);
        at = Bytes.put32(data, Bytes.put8(data, at, BYTES), size);
        at = Bytes.put(data, at, from, start, size);
    }

    /** {@link Unreadable} unless the cursor is over encoded results. */
    static void check(Cursor cursor) {
        for (int left = cursor.u16(); left > 0; left--) {
            int tag = cursor.u8();
            Cursor.require(tag <= BYTES);
            if (tag == BYTES) {
                cursor.bytes32();
            }
        }
        cursor.end();
    }

    /** The encoded results; empty if no operation gave anything. */
    byte[] encoded() {
        if (!given) {
            return Bytes.EMPTY;
        }
        Bytes.put16(data, 0, count);
        return Arrays.copyOf(data, at);
    }

    private void room(int size) {
        if (data.length - at < size) {
            data = Arrays.copyOf(data, Math.max(data.length * 2, at + size));
        }
    }
}
