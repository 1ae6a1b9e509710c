package com.gridsession.member;

import java.util.Properties;

/**
 * What a record may grow to; defaults and meanings as in {@code gridsession/_limits.py}.
 *
 * @param horizon how far ahead {@code not_after} may lie, ms
 * @param operations of one command, with its guards, retained names or names asked for
 */
public record Limits(
        int recordBytes, int fields, int nameBytes, int idBytes, int ring, int waiters, long horizon, int operations) {
    /** What applies where the configuration says nothing. */
    public static final Limits DEFAULT = new Limits(262_144, 256, 128, 2_048, 4_096, 256, 300_000, 1_024);

    /** Most fields, ring entries and waiters that the layout of a record can count, and the longest id. */
    private static final int MOST_COUNTED = 65_535;
    /** A record is one array and travels in one message. */
    private static final int MOST_BYTES = 64 << 20;

    /** Keeps each limit within what the layouts can hold. */
    public Limits {
        recordBytes = Math.min(recordBytes, MOST_BYTES);
        fields = Math.min(fields, MOST_COUNTED);
        nameBytes = Math.min(nameBytes, 255);
        idBytes = Math.min(idBytes, MOST_COUNTED);
        ring = Math.min(ring, MOST_COUNTED - 1);
        waiters = Math.min(waiters, MOST_COUNTED - 1);
    }

    static Limits of(Properties properties) {
        return new Limits(
                (int) read(properties, "gridsession.max-record-bytes", DEFAULT.recordBytes),
                (int) read(properties, "gridsession.max-fields", DEFAULT.fields),
                (int) read(properties, "gridsession.max-name-bytes", DEFAULT.nameBytes),
                (int) read(properties, "gridsession.max-id-bytes", DEFAULT.idBytes),
                (int) read(properties, "gridsession.max-ring", DEFAULT.ring),
                (int) read(properties, "gridsession.max-waiters", DEFAULT.waiters),
                read(properties, "gridsession.max-horizon-ms", DEFAULT.horizon),
                (int) read(properties, "gridsession.max-operations", DEFAULT.operations));
    }

    /** The whole number of a property; the default where it is not set. */
    static long read(Properties properties, String name, long otherwise) {
        String text = properties.getProperty(name);
        if (text == null) {
            return otherwise;
        }
        try {
            long value = Long.parseLong(text.trim());
            return Math.max(0, Math.min(value, Integer.MAX_VALUE));
        } catch (NumberFormatException notANumber) {
            throw new IllegalArgumentException("property " + name + " must be a whole number", notANumber);
        }
    }
}
