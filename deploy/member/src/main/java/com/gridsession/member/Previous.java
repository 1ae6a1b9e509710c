package com.gridsession.member;

import java.util.Arrays;

/**
 * A session that expired and whose end nobody acknowledged yet: what it held, and who has claimed it. Laid out as in
 * {@code gridsession/_record.py}; never changed in place.
 *
 * @param expired when it ended, ms
 * @param byLifetime whether it ended by max_lifetime, not by ttl
 * @param data where the id of the last claim stands, from {@code claimAt} on; null if it was never claimed
 * @param until when that claim ends, ms
 * @param attempts how often it was claimed
 */
record Previous(long epoch, long revision, long created, long expired, boolean byLifetime,
        byte[] data, int claimAt, long until, int attempts, Bag state, Bag props) {
    static final Previous[] NONE = {};
    /** How long an expired session waits for its acknowledgement, ms: a day. */
    static final long KEPT = 86_400_000;
    /** Expired sessions of one id that wait for theirs at once; the oldest give way. */
    static final int MOST = 8;

    /** What these may hold together, bytes; the oldest give way. */
    private static final long MOST_BYTES = 524_288;
    private static final int CLAIM_ID = 16;
    private static final int BY_LIFETIME = 1;
    private static final int CLAIMED = 2;
    private static final int HAS_STATE = 4;
    private static final int HAS_PROPS = 8;
    private static final int KNOWN_FLAGS = 15;

    static Previous[] read(Cursor cursor) {
        int count = cursor.u8();
        Cursor.require(1 <= count && count <= MOST);
        Previous[] read = new Previous[count];
        for (int place = 0; place < count; place++) {
            read[place] = readOne(cursor);
        }
        return read;
    }

    private static Previous readOne(Cursor cursor) {
        int flags = cursor.u8();
        Cursor.require((flags & ~KNOWN_FLAGS) == 0);
        long epoch = cursor.i64();
        long revision = cursor.i64();
        long created = cursor.i64();
        long expired = cursor.i64();
        Cursor.require((epoch | revision) >= 0);
        Record.requireTime(created);
        Record.requireTime(expired);
        boolean claimed = (flags & CLAIMED) != 0;
        int claimAt = claimed ? cursor.take(CLAIM_ID) : 0;
        long until = claimed ? cursor.i64() : 0;
        int attempts = claimed ? cursor.i32() : 0;
        if (claimed) {
            Record.requireTime(until);
            Cursor.require(until > 0 && attempts > 0);
        }
        Bag state = (flags & HAS_STATE) != 0 ? Bag.read(cursor) : Bag.NONE;
        Bag props = (flags & HAS_PROPS) != 0 ? Bag.read(cursor) : Bag.NONE;
        byte[] data = claimed ? cursor.data : null;
        return new Previous(epoch, revision, created, expired, (flags & BY_LIFETIME) != 0, data, claimAt, until,
                attempts, state, props);
    }

    /** The former sessions of an id when this one has expired: the oldest give way to it. */
    static Previous[] after(Record record) {
        long due = record.expiresAt();
        boolean byLifetime = !record.hasTtl || due < record.touched + record.ttl;
        Previous[] all = Arrays.copyOf(record.previous, record.previous.length + 1);
        all[all.length - 1] = new Previous(record.epoch, record.revision, record.created, due, byLifetime, null, 0, 0, 0,
                record.bags[Record.STATE], record.bags[Record.PROPS]);
        long weight = 0;
        for (Previous ended : all) {
            weight += ended.weight();
        }
        int first = 0;
        while (all.length - first > MOST || weight > MOST_BYTES && all.length - first > 1) {
            weight -= all[first].weight();
            first++;
        }
        return Arrays.copyOfRange(all, first, all.length);
    }

    /** Without those that waited for a day. */
    static Previous[] settled(Previous[] previous, long now) {
        if (previous.length == 0 || previous[0].expired + KEPT > now) {
            return previous;
        }
        return Arrays.stream(previous).filter(ended -> ended.expired + KEPT > now).toArray(Previous[]::new);
    }

    boolean isClaimedBy(byte[] command, int idAt) {
        return data != null && Bytes.same16(data, claimAt, command, idAt);
    }

    Previous claimed(byte[] command, int idAt, long newUntil, int newAttempts) {
        return new Previous(epoch, revision, created, expired, byLifetime, command, idAt, newUntil, newAttempts, state,
                props);
    }

    /** When it may be claimed, ms. */
    long freeAt() {
        return data == null ? expired : until;
    }

    private long weight() {
        return (state.count() > 0 ? state.size() : 0) + (props.count() > 0 ? props.size() : 0);
    }

    static long size(Previous[] previous) {
        long size = previous.length > 0 ? 1 : 0;
        for (Previous ended : previous) {
            size += 33 + (ended.data != null ? CLAIM_ID + 12 : 0) + ended.weight();
            size += (ended.state.count() > 0 ? 4 : 0) + (ended.props.count() > 0 ? 4 : 0);
        }
        return size;
    }

    static int write(Previous[] previous, byte[] out, int position) {
        int at = previous.length > 0 ? Bytes.put8(out, position, previous.length) : position;
        for (Previous ended : previous) {
            at = ended.write(out, at);
        }
        return at;
    }

    private int write(byte[] out, int position) {
        int flags = (byLifetime ? BY_LIFETIME : 0) | (data != null ? CLAIMED : 0);
        flags |= (state.count() > 0 ? HAS_STATE : 0) | (props.count() > 0 ? HAS_PROPS : 0);
        int at = Bytes.put8(out, position, flags);
        at = Bytes.put64(out, Bytes.put64(out, at, epoch), revision);
        at = Bytes.put64(out, Bytes.put64(out, at, created), expired);
        if (data != null) {
            at = Bytes.put(out, at, data, claimAt, CLAIM_ID);
            at = Bytes.put32(out, Bytes.put64(out, at, until), attempts);
        }
        at = state.count() > 0 ? state.write(out, at) : at;
        return props.count() > 0 ? props.write(out, at) : at;
    }
}
