package com.gridsession.member;

/** The answer to one command, as laid out in {@code gridsession/_reply.py}. */
final class Reply {
    private static final int LAYOUT = 1;
    private static final int DUPLICATE = 1;
    private static final int PRESENT = 2;
    private static final int SEEN = 4;
    private static final int LIFE = 8;
    private static final int LEASE = 16;
    private static final int INDEX = 32;
    private static final int RESULTS = 64;
    private static final int FIRST_BAG = 128;
    private static final int MOST_COUNTED = 65_535;

    final int status;
    boolean duplicate;
    boolean seen;
    long epoch;
    long revision;
    /** Whose times are told; null = nobody's. */
    Record life;
    /** When that session ended, if it has. */
    long endedAt = Record.NEVER;
    boolean hasGrant;
    long token;
    long until;
    int place;
    int index = -1;
    byte[] results = Bytes.EMPTY;
    Bag[] bags = {null, null, null};

    private final byte[] id;
    private final long now;
    private boolean present;

    Reply(int status, byte[] id, long now) {
        this.status = status;
        // an id that no layout can hold is never what the asker expects, so the reply need not tell it
        this.id = id.length <= MOST_COUNTED ? id : Bytes.EMPTY;
        this.now = now;
    }

    /** Where the record stands that the reply is about. */
    void about(Record record) {
        epoch = record.epoch;
        revision = record.revision;
        present = record.live;
    }

    void grant(long newToken, long newUntil, int newPlace) {
        hasGrant = true;
        token = newToken;
        until = newUntil;
        place = Math.min(newPlace, MOST_COUNTED);
    }

    byte[] encode() {
        long size = 30L + id.length + (life != null ? 32 : 0) + (hasGrant ? 18 : 0) + (index >= 0 ? 2 : 0);
        size += results.length > 0 ? 4 + results.length : 0;
        for (Bag bag : bags) {
            size += bag != null ? 4 + bag.size() : 0;
        }
        byte[] out = new byte[Math.toIntExact(size)];
        int at = Bytes.put8(out, Bytes.put8(out, 0, LAYOUT), status);
        at = Bytes.put16(out, at, flags());
        at = Bytes.put(out, Bytes.put16(out, at, id.length), id);
        at = Bytes.put64(out, Bytes.put64(out, Bytes.put64(out, at, now), epoch), revision);
        if (life != null) {
            long due = Math.min(life.expiresAt(), endedAt);
            at = Bytes.put64(out, Bytes.put64(out, at, life.created), life.ttl);
            at = Bytes.put64(out, Bytes.put64(out, at, life.lifetime), due == Record.NEVER ? 0 : due);
        }
        if (hasGrant) {
            at = Bytes.put16(out, Bytes.put64(out, Bytes.put64(out, at, token), until), place);
        }
        if (index >= 0) {
            at = Bytes.put16(out, at, index);
        }
        if (results.length > 0) {
            at = Bytes.put(out, Bytes.put32(out, at, results.length), results);
        }
        for (Bag bag : bags) {
            at = bag != null ? bag.write(out, at) : at;
        }
        return out;
    }

    private int flags() {
        int flags = (duplicate ? DUPLICATE : 0) | (present ? PRESENT : 0) | (seen ? SEEN : 0);
        flags |= (life != null ? LIFE : 0) | (hasGrant ? LEASE : 0) | (index >= 0 ? INDEX : 0);
        flags |= results.length > 0 ? RESULTS : 0;
        for (int bag = 0; bag < bags.length; bag++) {
            flags |= bags[bag] != null ? FIRST_BAG << bag : 0;
        }
        return flags;
    }
}
