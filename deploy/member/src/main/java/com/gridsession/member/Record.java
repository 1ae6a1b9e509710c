package com.gridsession.member;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** One session as it is stored: format GSR, number 1, as laid out field by field in {@code gridsession/_record.py}. */
final class Record {
    static final int STATE = 0;
    static final int PROPS = 1;
    static final int META = 2;
    static final int BAGS = 3;
    /** Longest ttl and max_lifetime, ms: 100 years. */
    static final long MAX_DURATION = 3_155_760_000_000L;
    /** As a moment: never. */
    static final long NEVER = Long.MAX_VALUE;

    /** How far the clocks of members may be apart that judge one record after each other, ms. */
    static final long APART = 1_000;

    private static final long LAST_TIME = 1L << 53;
    private static final int MAGIC = 'G' << 24 | 'S' << 16 | 'R' << 8 | 1;
    private static final int LIVE = 1;
    private static final int TTL = 2;
    private static final int LIFETIME = 4;
    private static final int TOKEN = 8;
    private static final int LEASE = 16;
    private static final int QUEUE = 32;
    private static final int FIRST_BAG = 64;
    private static final int ANNOUNCE = 512;
    private static final int PREVIOUS = 1024;
    private static final int KNOWN_FLAGS = 2047;
    private static final int ONLY_LIVE = TTL | LIFETIME | FIRST_BAG * 7 | ANNOUNCE;

    final byte[] id;
    long epoch;
    boolean live;
    long revision;
    long created;
    long touched;
    boolean hasTtl;
    long ttl;
    boolean hasLifetime;
    long lifetime;
    long lastToken;
    Lease lease;
    Waiter[] queue = Waiter.NOBODY;
    Ring ring = Ring.EMPTY;
    Bag[] bags = {Bag.NONE, Bag.NONE, Bag.NONE};
    /** Whether somebody wants to be told when the session expires. */
    boolean announce;
    /** Former sessions that expired and wait for their acknowledgement. */
    Previous[] previous = Previous.NONE;

    Record(byte[] id) {
        this.id = id;
    }

    /** Reads a record; {@link Unreadable} unless it is one of format 1, and that of {@code id}. */
    static Record decode(byte[] data, int start, int size, byte[] id) {
        Cursor cursor = new Cursor(data, start, start + size);
        Cursor.require(cursor.i32() == MAGIC);
        int flags = cursor.u16();
        Cursor.require((flags & ~KNOWN_FLAGS) == 0 && ((flags & LIVE) != 0 || (flags & ONLY_LIVE) == 0));
        int idSize = cursor.u16();
        int idAt = cursor.take(idSize);
        Cursor.require(idSize == id.length && Bytes.same(data, idAt, id, 0, idSize));
        Record record = new Record(id);
        record.epoch = cursor.i64();
        record.readTimes(cursor, flags);
        if ((flags & LEASE) != 0) {
            int askedAt = readAsked(cursor);
            record.lease = new Lease(data, askedAt, cursor.i64(), cursor.i64());
            Cursor.require(record.lease.token() >= 0);
            requireTime(record.lease.until());
        }
        if ((flags & QUEUE) != 0) {
            record.readQueue(cursor);
        }
        record.ring = Ring.read(cursor);
        for (int bag = 0; bag < BAGS; bag++) {
            if ((flags & FIRST_BAG << bag) != 0) {
                record.bags[bag] = Bag.read(cursor);
            }
        }
        record.announce = (flags & ANNOUNCE) != 0;
        if ((flags & PREVIOUS) != 0) {
            record.previous = Previous.read(cursor);
        }
        cursor.end();
        return record;
    }

    /** The session id in a record's bytes; {@link Unreadable} if there is none. */
    static byte[] idOf(byte[] data) {
        Cursor cursor = new Cursor(data, 6, data.length);
        int size = cursor.u16();
        int at = cursor.take(size);
        return Arrays.copyOfRange(data, at, at + size);
    }

    /** The first who waits for a session that nobody holds, in a record's bytes; null if there is none. */
    static Waiter next(byte[] data) {
        boolean waits = (data[5] & (LEASE | QUEUE)) == QUEUE;
        return waits ? decode(data, 0, data.length, idOf(data)).queue[0] : null;
    }

    private void readTimes(Cursor cursor, int flags) {
        live = (flags & LIVE) != 0;
        hasTtl = (flags & TTL) != 0;
        hasLifetime = (flags & LIFETIME) != 0;
        if (live) {
            revision = cursor.i64();
            created = cursor.i64();
            touched = cursor.i64();
        }
        ttl = hasTtl ? cursor.i64() : 0;
        lifetime = hasLifetime ? cursor.i64() : 0;
        lastToken = (flags & TOKEN) != 0 ? cursor.i64() : 0;
        Cursor.require((epoch | revision | lastToken) >= 0 && (lastToken > 0 || (flags & TOKEN) == 0));
        requireTime(created);
        requireTime(touched);
        Cursor.require(!hasTtl || 1 <= ttl && ttl <= MAX_DURATION);
        Cursor.require(!hasLifetime || 1 <= lifetime && lifetime <= MAX_DURATION);
    }

    private void readQueue(Cursor cursor) {
        int count = cursor.u16();
        Cursor.require(count > 0);
        Waiter[] read = new Waiter[Math.min(count, 16)];
        for (int place = 0; place < count; place++) {
            if (place == read.length) {
                read = Arrays.copyOf(read, Math.min(count, place * 2));
            }
            int askedAt = readAsked(cursor);
            read[place] = new Waiter(cursor.data, askedAt, cursor.i64());
            requireTime(read[place].until());
        }
        queue = read;
    }

    /** The next epoch, revision or token; one that could not be read again is the mark of a planted record. */
    static long next(long count) {
        Cursor.require(count < Long.MAX_VALUE);
        return count + 1;
    }

    static void requireTime(long time) {
        Cursor.require(0 <= time && time <= LAST_TIME);
    }

    private static int readAsked(Cursor cursor) {
        int askedAt = cursor.text8();
        cursor.take(Waiter.REQUEST_ID);
        return askedAt;
    }

    /** A record that starts out as this one; what they share is never changed in place. */
    Record copy() {
        Record copy = new Record(id);
        copy.epoch = epoch;
        copy.lastToken = lastToken;
        copy.lease = lease;
        copy.queue = queue;
        copy.ring = ring;
        copy.previous = previous;
        if (live) {
            copy.announce = announce;
            copy.live = true;
            copy.revision = revision;
            copy.created = created;
            copy.touched = touched;
            copy.setTtl(hasTtl, ttl);
            copy.hasLifetime = hasLifetime;
            copy.lifetime = lifetime;
            copy.bags = bags.clone();
        }
        return copy;
    }

    /** Ends the session by its time: its data waits for who asked to be told, whatever comes next under this id. */
    void expire() {
        if (announce) {
            previous = Previous.after(this);
        }
        empty();
    }

    /**
     * Leaves what outlives a session: epoch and token (they only rise), lease and queue (a turn goes on), the ring
     * (retries), and the former sessions of this id whose end is still to be acknowledged.
     */
    void empty() {
        live = false;
        announce = false;
        revision = 0;
        created = 0;
        touched = 0;
        setTtl(false, 0);
        hasLifetime = false;
        lifetime = 0;
        bags = new Bag[] {Bag.NONE, Bag.NONE, Bag.NONE};
    }

    /** Whether (epoch, revision) is higher than the other's. */
    boolean isNewerThan(Record other) {
        return epoch > other.epoch || epoch == other.epoch && revision > other.revision;
    }

    void setTtl(boolean has, long milliseconds) {
        hasTtl = has;
        ttl = has ? milliseconds : 0;
    }

    /** When the session ends, the earlier of ttl and max_lifetime; or {@link #NEVER}. */
    long expiresAt() {
        long due = hasTtl ? touched + ttl : NEVER;
        return hasLifetime ? Math.min(due, created + lifetime) : due;
    }

    /** When the record may be forgotten: its expiry, and not before ring, lease and queue end; or {@link #NEVER}. */
    long retainedUntil() {
        long until = live ? expiresAt() : 0;
        if (until == NEVER) {
            return NEVER;
        }
        until += announce ? Previous.KEPT : 0;
        for (Previous ended : previous) {
            until = Math.max(until, ended.expired() + Previous.KEPT);
        }
        until = ring.until(until);
        for (Waiter waiter : queue) {
            until = Math.max(until, waiter.until());
        }
        // Also: a record dropped and made again within one millisecond could grant a token twice.
        return (lease == null ? until : Math.max(until, lease.until())) + APART;
    }

    /** When there is an expired session to be claimed, this one or a former one, ms; or {@link #NEVER}. */
    long announceAt() {
        long due = announce ? expiresAt() : NEVER;
        for (Previous ended : previous) {
            due = Math.min(due, ended.freeAt());
        }
        return due;
    }

    /** Whether former sessions wait in these bytes of a record, or null. */
    static boolean hasPrevious(byte[] data) {
        return data != null && (Bytes.u16(data, 4) & PREVIOUS) != 0;
    }

    /** As {@link #announceAt()}, of a record's bytes; of bytes that are none, or another id's, never. */
    static long announceAt(String id, byte[] data) {
        if (data.length < 6 || (Bytes.u16(data, 4) & (ANNOUNCE | PREVIOUS)) == 0) {
            return NEVER;
        }
        try {
            return decode(data, 0, data.length, id.getBytes(StandardCharsets.UTF_8)).announceAt();
        } catch (Unreadable unreadable) {
            return NEVER;
        }
    }

    int fields() {
        return bags[STATE].count() + bags[PROPS].count() + bags[META].count();
    }

    /** How many bytes {@link #encode()} makes of all but the ring, the queue and what waits for acknowledgement. */
    long ownSize() {
        long size = 18 + id.length + (live ? 24 : 0) + (hasTtl ? 8 : 0) + (hasLifetime ? 8 : 0);
        size += lastToken != 0 ? 8 : 0;
        size += lease != null ? Waiter.askedSize(lease.data(), lease.askedAt()) + 16 : 0;
        for (Bag bag : bags) {
            size += bag.count() > 0 ? 4 + bag.size() : 0;
        }
        return size;
    }

    private long size() {
        // the ring's count is counted on both sides
        long size = ownSize() - 2 + ring.size() + (queue.length > 0 ? 2 : 0) + Previous.size(previous);
        for (Waiter waiter : queue) {
            size += Waiter.askedSize(waiter.data(), waiter.askedAt()) + 8;
        }
        return size;
    }

    byte[] encode() {
        byte[] out = new byte[Math.toIntExact(size())];
        int at = Bytes.put32(out, 0, MAGIC);
        at = Bytes.put16(out, at, flags());
        at = Bytes.put(out, Bytes.put16(out, at, id.length), id);
        at = writeTimes(out, Bytes.put64(out, at, epoch));
        if (lease != null) {
            at = writeAsked(out, at, lease.data(), lease.askedAt());
            at = Bytes.put64(out, Bytes.put64(out, at, lease.token()), lease.until());
        }
        if (queue.length > 0) {
            at = Bytes.put16(out, at, queue.length);
            for (Waiter waiter : queue) {
                at = Bytes.put64(out, writeAsked(out, at, waiter.data(), waiter.askedAt()), waiter.until());
            }
        }
        at = ring.write(out, at);
        for (Bag bag : bags) {
            at = bag.count() > 0 ? bag.write(out, at) : at;
        }
        Previous.write(previous, out, at);
        return out;
    }

    private int writeTimes(byte[] out, int position) {
        int at = position;
        if (live) {
            at = Bytes.put64(out, Bytes.put64(out, Bytes.put64(out, at, revision), created), touched);
        }
        at = hasTtl ? Bytes.put64(out, at, ttl) : at;
        at = hasLifetime ? Bytes.put64(out, at, lifetime) : at;
        return lastToken != 0 ? Bytes.put64(out, at, lastToken) : at;
    }

    private static int writeAsked(byte[] out, int at, byte[] from, int askedAt) {
        return Bytes.put(out, at, from, askedAt, Waiter.askedSize(from, askedAt));
    }

    private int flags() {
        int flags = (live ? LIVE : 0) | (hasTtl ? TTL : 0) | (hasLifetime ? LIFETIME : 0);
        flags |= (lastToken != 0 ? TOKEN : 0) | (lease != null ? LEASE : 0) | (queue.length > 0 ? QUEUE : 0);
        for (int bag = 0; bag < BAGS; bag++) {
            flags |= bags[bag].count() > 0 ? FIRST_BAG << bag : 0;
        }
        flags |= (announce ? ANNOUNCE : 0) | (previous.length > 0 ? PREVIOUS : 0);
        return flags;
    }
}
