package com.gridsession.member;

import com.hazelcast.map.ExtendedMapEntry;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** How long an entry stays in its map: as garbage collector only, for whether a session lives is decided by its record. */
final class Retention {
    /** Kept over the record's own time, seconds: clocks of members may differ, and expiry on backups lags. */
    static final long GRACE = 120;
    /** As an entry's time to live: no end. Zero overrides what the map's configuration says. */
    static final long NO_END = 0;
    /** Beyond this, seconds, the platform's 32-bit expiry times come near their end. */
    private static final long MOST = 1_000_000_000;

    private Retention() {
    }

    /** Seconds to keep an entry from now on. */
    static long seconds(long retainedUntil, long now) {
        if (retainedUntil == Record.NEVER) {
            return NO_END;
        }
        long remaining = Math.max(0, Bytes.difference(retainedUntil, now));
        long seconds = remaining / 1000 + (remaining % 1000 > 0 ? 1 : 0) + GRACE;
        return seconds > MOST ? NO_END : seconds;
    }

    /** Stores the bytes; a plain setValue would wipe the entry's time to live. */
    static void store(Map.Entry<String, byte[]> entry, byte[] bytes, long seconds) {
        ((ExtendedMapEntry<String, byte[]>) entry).setValue(bytes, seconds, TimeUnit.SECONDS);
    }
}
