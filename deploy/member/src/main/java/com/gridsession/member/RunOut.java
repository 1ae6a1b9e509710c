package com.gridsession.member;

/**
 * What had run out in a stored record when a command came to write it, read off its first bytes as {@link Record} lays
 * them out. For counting only: what a command sees is decided by {@link Rules}.
 */
final class RunOut {
    static final int NOTHING = 0;
    /** A session whose time was over. */
    static final int SESSION = 1;
    /** A lease that its holder neither renewed nor gave back. */
    static final int LEASE = 2;

    private static final int MAGIC = 'G' << 24 | 'S' << 16 | 'R' << 8 | 1;
    private static final int HAS_SESSION = 1;
    private static final int HAS_TTL = 2;
    private static final int HAS_LIFETIME = 4;
    private static final int HAS_TOKEN = 8;
    private static final int HAS_LEASE = 16;
    private static final int REQUEST_ID = 16;

    private RunOut() {
    }

    /** {@link #SESSION}, {@link #LEASE}, their sum, or {@link #NOTHING}; of bytes that the rules could read, or null. */
    static int of(byte[] record, long now) {
        if (record == null || record.length < 16 || Bytes.i32(record, 0) != MAGIC) {
            return NOTHING;
        }
        int flags = Bytes.u16(record, 4);
        int at = 8 + Bytes.u16(record, 6) + 8;
        int ended = NOTHING;
        if ((flags & HAS_SESSION) != 0) {
            long created = Bytes.i64(record, at + 8);
            long touched = Bytes.i64(record, at + 16);
            at += 24;
            long due = Long.MAX_VALUE;
            if ((flags & HAS_TTL) != 0) {
                due = Bytes.sum(touched, Bytes.i64(record, at));
                at += 8;
            }
            if ((flags & HAS_LIFETIME) != 0) {
                due = Math.min(due, Bytes.sum(created, Bytes.i64(record, at)));
                at += 8;
            }
            ended = due <= now ? SESSION : NOTHING;
        }
        at += (flags & HAS_TOKEN) != 0 ? 8 : 0;
        if ((flags & HAS_LEASE) != 0) {
            int until = at + 1 + Bytes.u8(record, at) + REQUEST_ID + 8;
            ended |= Bytes.i64(record, until) <= now ? LEASE : NOTHING;
        }
        return ended;
    }
}
