package com.gridsession.member;

import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/**
 * The cluster's time without its setbacks. Hazelcast takes it over from each heartbeat of the oldest member as if that
 * came at once: one that was late (a busy machine, packets sent again) sets it back by as much, up to half the time after
 * which a silent member is missed, and the next one forward again. Leases, gates and lives would jump with it: two callers
 * of {@code allow} were told yes within 50 ms. Heartbeats can only be late, never early; so the most that was seen lately
 * is the truth.
 */
final class SteadyTime {
    private static final long WINDOW = TimeUnit.SECONDS.toNanos(10);

    private final LongSupplier clusterTime;
    private final LongSupplier nanoTime;
    private volatile Seen seen;

    /** Of a cluster's time in ms, by a clock in ns that only rises. */
    SteadyTime(LongSupplier clusterTime, LongSupplier nanoTime) {
        this.clusterTime = clusterTime;
        this.nanoTime = nanoTime;
    }

    /** Now, in ms since 1970. */
    long now() {
        long nanos = nanoTime.getAsLong();
        long millis = TimeUnit.NANOSECONDS.toMillis(nanos);
        long lead = clusterTime.getAsLong() - millis;
        Seen latest = seen;
        if (latest == null || lead > latest.lead || nanos - latest.since >= WINDOW) {
            latest = see(nanos, lead);
        }
        return millis + Math.max(latest.lead, latest.before);
    }

    private synchronized Seen see(long nanos, long lead) {
        Seen latest = seen;
        if (latest == null || nanos - latest.since >= 2 * WINDOW) {
            seen = new Seen(nanos, lead, lead);
        } else if (nanos - latest.since >= WINDOW) {
            seen = new Seen(nanos, lead, latest.lead);
        } else if (lead > latest.lead) {
            seen = new Seen(latest.since, lead, latest.before);
        }
        return seen;
    }

    /** What the cluster's time was ahead of the other clock at most: since then, and in the window before. */
    private record Seen(long since, long lead, long before) {
    }
}
