package com.gridsession.member;

import com.hazelcast.core.EntryEvent;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.core.LifecycleEvent.LifecycleState;
import com.hazelcast.map.IMap;
import com.hazelcast.map.listener.EntryEvictedListener;
import com.hazelcast.map.listener.EntryExpiredListener;
import com.hazelcast.map.listener.EntryRemovedListener;
import com.hazelcast.partition.Partition;
import com.hazelcast.query.Predicate;
import com.hazelcast.query.Predicates;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Which expired sessions that this member owns are to be claimed, for each namespace that somebody asks about. It hears
 * of changes and looks at all entries when it begins, when it comes to own others, and every 30 s, because events can be
 * lost. Nothing of it runs for a namespace that nobody asked about for a minute, nor where commands run.
 */
final class Dues {
    private static final String SESSIONS = "gridsession.sessions.";
    private static final String KEY = Dues.class.getName();
    private static final Logger LOG = Logger.getLogger(Dues.class.getName());
    private static final long TICK_MS = 500;
    private static final long PERIOD = TimeUnit.SECONDS.toNanos(30);
    private static final long IDLE = TimeUnit.SECONDS.toNanos(60);
    private static final int MOST_NAMESPACES = 1_000;
    private static final int MOST_IDS = 100_000;
    private static final int MOST_DOUBLINGS = 6;

    private final HazelcastInstance instance;
    private final Map<String, Watched> namespaces = new ConcurrentHashMap<>();
    private final ScheduledExecutorService thread = Executors.newSingleThreadScheduledExecutor(Dues::daemon);
    private BitSet owned = new BitSet();
    private volatile long warned = System.nanoTime() - 2 * IDLE;

    private Dues(HazelcastInstance instance) {
        this.instance = instance;
        thread.scheduleWithFixedDelay(this::tick, TICK_MS, TICK_MS, TimeUnit.MILLISECONDS);
        instance.getLifecycleService().addLifecycleListener(event -> {
            if (event.getState() == LifecycleState.SHUTDOWN) {
                thread.shutdownNow();
            }
        });
    }

    private static Thread daemon(Runnable work) {
        Thread made = new Thread(work, "gridsession-dues");
        made.setDaemon(true);
        return made;
    }

    static Dues of(HazelcastInstance instance) {
        Object known = instance.getUserContext().get(KEY);
        return (Dues) (known != null ? known : instance.getUserContext().computeIfAbsent(KEY, key -> new Dues(instance)));
    }

    /** Ids due by now, at most so many; null while the member has not looked yet. */
    List<String> take(String namespace, int limit, long now) {
        Watched watched = namespaces.get(namespace);
        if (watched == null) {
            if (namespaces.size() >= MOST_NAMESPACES) {
                warn();
            } else if (namespaces.putIfAbsent(namespace, new Watched(namespace)) == null) {
                thread.execute(this::tick);
            }
            return null;
        }
        watched.asked = System.nanoTime();
        return watched.looked ? watched.index.take(limit, now) : null;
    }

    private void warn() {
        long time = System.nanoTime();
        if (time - warned > IDLE) {
            warned = time;
            LOG.log(Level.WARNING, "expired sessions are told of in {0} namespaces at once at most: in others they wait, and "
                    + "are forgotten after a day", MOST_NAMESPACES);
        }
    }

    private void tick() {
        try {
            if (!GridMember.of(instance).majority().holds()) {
                return; // every look would be refused, partition by partition, each with a stack trace in the log
            }
            BitSet now = ownedNow();
            boolean moved = !now.equals(owned);
            owned = now;
            for (Watched watched : namespaces.values()) {
                serve(watched, moved);
            }
        } catch (Throwable failed) { // what is not caught ends the schedule, and nobody is told
            log(failed);
        }
    }

    /** One namespace that fails keeps no other back, and is looked at less and less often while it does. */
    private void serve(Watched watched, boolean moved) {
        long time = System.nanoTime();
        try {
            if (time - watched.asked > IDLE) {
                namespaces.remove(watched.namespace);
                watched.leave();
            } else if (watched.isDue(time, moved)) {
                watched.look();
                watched.failures = 0;
            }
        } catch (Throwable failed) {
            watched.failed(time);
            log(failed);
        }
    }

    private static void log(Throwable failed) {
        // an exception also while the member has no majority or is shutting down, which is no fault
        LOG.log(failed instanceof Error ? Level.WARNING : Level.FINE, "looking for expired sessions failed: {0}",
                failed.getClass().getName());
    }

    private BitSet ownedNow() {
        BitSet found = new BitSet();
        for (Partition partition : instance.getPartitionService().getPartitions()) {
            if (partition.getOwner() != null && partition.getOwner().localMember()) {
                found.set(partition.getPartitionId());
            }
        }
        return found;
    }

    /** One namespace that somebody asks about. */
    private final class Watched {
        private final String namespace;
        private final DueIndex index = new DueIndex(MOST_IDS);
        private volatile long asked = System.nanoTime();
        private volatile boolean looked;
        private long lastLook;
        private long again;
        private int failures;
        private UUID listener;

        Watched(String namespace) {
            this.namespace = namespace;
        }

        boolean isDue(long time, boolean moved) {
            if (failures > 0 && time - again < 0) {
                return false; // what moved meanwhile is seen then: after a failure it looks in any case
            }
            return moved || failures > 0 || !looked || time - lastLook > PERIOD || index.lacks();
        }

        void failed(long time) {
            again = time + Math.min(PERIOD, TimeUnit.MILLISECONDS.toNanos(TICK_MS) << Math.min(failures, MOST_DOUBLINGS));
            failures++;
        }

        /** Looks at all entries that this member owns, not on the threads where commands run. */
        void look() {
            IMap<Object, Object> map = instance.getMap(SESSIONS + namespace);
            // a merge after a split takes listeners away, so there is a new one each time, before the old one goes
            // so that it looks again soon if this fails
            lastLook = System.nanoTime() - PERIOD;
            UUID former = listener;
            listener = map.addLocalEntryListener(new Changes(index), Predicates.alwaysTrue(), true);
            if (former != null) {
                map.removeEntryListener(former);
            }
            index.begin();
            map.localKeySet(new Look(index, GridMember.of(instance).now()));
            index.end();
            lastLook = System.nanoTime();
            looked = true;
        }

        void leave() {
            if (listener != null) {
                instance.getMap(SESSIONS + namespace).removeEntryListener(listener);
            }
        }
    }

    /**
     * Shows each local entry to the index and chooses none. Where a partition moves meanwhile the platform asks its new
     * owner, with a copy that has no index: that member looks for itself.
     */
    private static final class Look implements Predicate<Object, Object> {
        private static final long serialVersionUID = 1L;

        private final transient DueIndex index;
        private final long now;

        Look(DueIndex index, long now) {
            this.index = index;
            this.now = now;
        }

        @Override
        public boolean apply(Map.Entry<Object, Object> entry) {
            Stored stored = Stored.of(entry);
            if (index != null && !stored.isForeign() && stored.bytes() != null) {
                long at = Record.announceAt(stored.id(), stored.bytes());
                if (at != Record.NEVER) {
                    index.seen(stored.id(), at, now);
                }
            }
            return false;
        }
    }

    /** Hears of changes to the sessions that this member owns. */
    private final class Changes implements EntryChanged, EntryRemovedListener<Object, Object>,
            EntryEvictedListener<Object, Object>, EntryExpiredListener<Object, Object> {
        private final DueIndex index;

        Changes(DueIndex index) {
            this.index = index;
        }

        @Override
        public void changed(EntryEvent<Object, Object> event) {
            if (event.getKey() instanceof String id && event.getValue() instanceof byte[] bytes) {
                index.changed(id, Record.announceAt(id, bytes), GridMember.of(instance).now());
            }
        }

        @Override
        public void entryRemoved(EntryEvent<Object, Object> event) {
            gone(event);
        }

        @Override
        public void entryEvicted(EntryEvent<Object, Object> event) {
            gone(event);
        }

        @Override
        public void entryExpired(EntryEvent<Object, Object> event) {
            gone(event);
        }

        private void gone(EntryEvent<Object, Object> event) {
            if (event.getKey() instanceof String id) {
                index.changed(id, Record.NEVER, 0);
            }
        }
    }
}
