package com.gridsession.member;

import java.util.Arrays;

/** The operation ids that a record remembers, each with its answer, as places in the stored bytes; never changed in place. */
final class Ring {
    static final Ring EMPTY = new Ring(Bytes.EMPTY, new int[0], Bytes.EMPTY, 0);
    static final int OP_ID = 16;

    private static final int NOT_AFTER = 16;
    private static final int STATUS = 24;
    private static final int EPOCH = 25;
    private static final int REVISION = 33;
    private static final int RESULTS = 41;
    private static final int HEADER = 45;

    private final byte[] data;
    private final int[] places;
    private final byte[] added;
    private final int addedCount;

    private Ring(byte[] data, int[] places, byte[] added, int addedCount) {
        this.data = data;
        this.places = places;
        this.added = added;
        this.addedCount = addedCount;
    }

    static Ring read(Cursor cursor) {
        int count = cursor.u16();
        if (count == 0) {
            return EMPTY;
        }
        byte[] data = cursor.data;
        int[] places = new int[Math.min(count, 64)];
        for (int entry = 0; entry < count; entry++) {
            if (entry == places.length) {
                places = Arrays.copyOf(places, Math.min(count, entry * 2));
            }
            int place = cursor.take(RESULTS);
            cursor.bytes32();
            Record.requireTime(Bytes.i64(data, place + NOT_AFTER));
            Cursor.require(Bytes.u8(data, place + STATUS) <= Status.CORRUPT);
            Cursor.require((Bytes.i64(data, place + EPOCH) | Bytes.i64(data, place + REVISION)) >= 0);
            places[entry] = place;
        }
        return new Ring(data, places, Bytes.EMPTY, 0);
    }

    int count() {
        return places.length + addedCount;
    }

    /**
     * Without the entries whose time has passed, also by a clock that is behind: who owns the partition next must still
     * call a resend a duplicate. The same ring if there are none.
     */
    Ring settled(long now) {
        long passed = now - Record.APART;
        int kept = 0;
        for (int place : places) {
            kept += notAfter(place) > passed ? 1 : 0;
        }
        if (kept == places.length) {
            return this;
        }
        int[] left = new int[kept];
        kept = 0;
        for (int place : places) {
            if (notAfter(place) > passed) {
                left[kept++] = place;
            }
        }
        return new Ring(data, left, added, addedCount);
    }

    /** With one more entry at the end, for the id that starts at {@code idAt} in {@code from}. */
    Ring with(byte[] from, int idAt, long notAfter, int status, Record about, long revision, byte[] results) {
        byte[] grown = Arrays.copyOf(added, added.length + HEADER + results.length);
        int at = Bytes.put(grown, added.length, from, idAt, OP_ID);
        at = Bytes.put8(grown, Bytes.put64(grown, at, notAfter), status);
        at = Bytes.put64(grown, Bytes.put64(grown, at, about.epoch), revision);
        Bytes.put(grown, Bytes.put32(grown, at, results.length), results);
        return new Ring(data, places, grown, addedCount + 1);
    }

    /** Where the stored entry of this id stands, or -1. */
    int find(byte[] from, int idAt) {
        for (int place : places) {
            if (Bytes.same16(data, place, from, idAt)) {
                return place;
            }
        }
        return -1;
    }

    /** Whether the id is among the stored entries or those added since. */
    boolean holds(byte[] from, int idAt) {
        for (int at = 0; at < added.length; at += HEADER + Bytes.i32(added, at + RESULTS)) {
            if (Bytes.same16(added, at, from, idAt)) {
                return true;
            }
        }
        return find(from, idAt) >= 0;
    }

    int status(int place) {
        return Bytes.u8(data, place + STATUS);
    }

    long epoch(int place) {
        return Bytes.i64(data, place + EPOCH);
    }

    long revision(int place) {
        return Bytes.i64(data, place + REVISION);
    }

    /** The encoded results of the first attempt; {@link Unreadable} if they are no results. */
    byte[] results(int place) {
        int start = place + HEADER;
        int end = start + Bytes.i32(data, place + RESULTS);
        if (start < end) {
            Results.check(new Cursor(data, start, end));
        }
        return Arrays.copyOfRange(data, start, end);
    }

    /** The last moment that some entry waits for; {@code least} if that is later. */
    long until(long least) {
        long until = least;
        for (int place : places) {
            until = Math.max(until, notAfter(place));
        }
        for (int at = 0; at < added.length; at += HEADER + Bytes.i32(added, at + RESULTS)) {
            until = Math.max(until, Bytes.i64(added, at + NOT_AFTER));
        }
        return until;
    }

    /** Bytes of all results together. */
    long resultBytes() {
        return size() - 2 - (long) HEADER * count();
    }

    long size() {
        long size = 2L + added.length;
        for (int place : places) {
            size += entrySize(place);
        }
        return size;
    }

    int write(byte[] out, int position) {
        int at = Bytes.put16(out, position, count());
        for (int place : places) {
            at = Bytes.put(out, at, data, place, entrySize(place));
        }
        return Bytes.put(out, at, added);
    }

    private long notAfter(int place) {
        return Bytes.i64(data, place + NOT_AFTER);
    }

    private int entrySize(int place) {
        return HEADER + Bytes.i32(data, place + RESULTS);
    }
}
