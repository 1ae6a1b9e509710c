package com.gridsession.member;

import com.hazelcast.spi.properties.ClusterProperty;
import com.hazelcast.spi.properties.HazelcastProperties;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/**
 * Whether this member heard a majority lately. One that is cut off counts the others as members until it misses them and,
 * where the oldest is among those, as long again: up to 10 s in which it would go on applying changes, while the others have
 * gone on without it. So it stops sooner than they can, as the holder of a lease does.
 */
final class Hearing {
    /** How much later than it came a heartbeat may be noticed, ns, and the delay of a thread. */
    private static final long LATE = TimeUnit.MILLISECONDS.toNanos(500);

    private final int needed;
    private final long patience;
    private final LongSupplier nanoTime;
    private final Map<String, Heard> heard = new HashMap<>();
    private volatile boolean noted;
    private volatile long since;

    /** Of so many declared members, a majority of which is to be heard within {@code patience} ns. */
    Hearing(int declared, long patience, LongSupplier nanoTime) {
        needed = declared / 2;
        this.patience = patience;
        this.nanoTime = nanoTime;
    }

    /**
     * The longest that is safe, ns: of this member's heartbeats the last one that arrived may be older by a whole interval
     * than the last that it heard itself.
     */
    static long patience(HazelcastProperties properties) {
        long interval = properties.getNanos(ClusterProperty.HEARTBEAT_INTERVAL_SECONDS);
        long missed = properties.getNanos(ClusterProperty.MAX_NO_HEARTBEAT_SECONDS);
        return Math.max(missed - interval, interval) - LATE;
    }

    /**
     * Takes note of the time of each other member's last heartbeat, by any clock: one that is another than before was heard;
     * but not where it is {@code reset}, to which the platform sets all when this process stood still or its clock jumped.
     */
    synchronized void note(Map<String, Long> heartbeats, long reset) {
        long now = nanoTime.getAsLong();
        heard.keySet().retainAll(heartbeats.keySet());
        heartbeats.forEach((member, beat) -> {
            Heard last = heard.get(member);
            if (last == null || last.beat() != beat) {
                heard.put(member, new Heard(beat, last != null && beat == reset ? last.at() : now));
            }
        });
        List<Long> ages = heard.values().stream().map(each -> now - each.at()).sorted().toList();
        // with fewer members than that there is no majority, and it is the platform that refuses
        since = now - (ages.size() < needed || needed == 0 ? 0 : ages.get(needed - 1));
        noted = true;
    }

    /** Whether that many were heard lately; unless nobody takes note. */
    boolean holds() {
        return needed == 0 || !noted || nanoTime.getAsLong() - since < patience;
    }

    /** A heartbeat, and when it was noticed. */
    private record Heard(long beat, long at) {
    }
}
