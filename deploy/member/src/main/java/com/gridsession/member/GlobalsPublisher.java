package com.gridsession.member;

import com.hazelcast.cluster.MembershipEvent;
import com.hazelcast.cluster.MembershipListener;
import com.hazelcast.core.DistributedObject;
import com.hazelcast.core.DistributedObjectEvent;
import com.hazelcast.core.DistributedObjectListener;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.map.IMap;
import com.hazelcast.partition.MigrationListener;
import com.hazelcast.partition.MigrationState;
import com.hazelcast.partition.PartitionLostEvent;
import com.hazelcast.partition.PartitionLostListener;
import com.hazelcast.partition.ReplicaMigrationEvent;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Publishes the globals that this member owns: after each change, when it comes to own more of them, and every 30 s
 * again, because a replicated map can lose what was put. All work is done by one thread of its own, never where
 * commands run; what fails is made up for by the next sweep.
 */
final class GlobalsPublisher implements MembershipListener, MigrationListener, PartitionLostListener,
        DistributedObjectListener {
    private static final Logger LOG = Logger.getLogger(GlobalsPublisher.class.getName());
    private static final long PERIOD = TimeUnit.SECONDS.toNanos(30);
    /** After partitions moved: promotion may end a little later than it is told. */
    private static final long SOON = TimeUnit.SECONDS.toNanos(1);

    private final HazelcastInstance instance;
    private final BlockingQueue<Change> changes = new LinkedBlockingQueue<>();
    private final Set<Change> pending = ConcurrentHashMap.newKeySet();
    private final Map<String, UUID> listening = new ConcurrentHashMap<>();
    private final Thread thread = new Thread(this::work, "gridsession-globals");
    private volatile boolean stopped;
    private CompletableFuture<UUID> migrations;
    private CompletableFuture<UUID> losses;
    private long nextSweep;

    /** One global that changed; without a name: there may be any change. */
    private record Change(String namespace, String name) {
        static final Change ANY = new Change(null, null);
    }

    GlobalsPublisher(HazelcastInstance instance) {
        this.instance = instance;
        thread.setDaemon(true);
    }

    void start() {
        instance.addDistributedObjectListener(this);
        instance.getCluster().addMembershipListener(this);
        note(Change.ANY);
        thread.start();
    }

    void stop() {
        stopped = true;
        thread.interrupt();
    }

    /** The member joined the rest of a split cluster, which resets its maps. */
    void merged() {
        listening.clear();
        note(Change.ANY);
    }

    private void note(Change change) {
        if (pending.add(change)) {
            changes.add(change);
        }
    }

    private void work() {
        nextSweep = System.nanoTime();
        while (!stopped) {
            try {
                Change change = changes.poll(nextSweep - System.nanoTime(), TimeUnit.NANOSECONDS);
                if (change != null) {
                    // before it is looked at: a change from now on is noted again
                    pending.remove(change);
                }
                serve(change);
                hear();
            } catch (InterruptedException stop) {
                return;
            } catch (RuntimeException failed) {
                reschedule(failed);
            }
        }
    }

    /** Each other member must agree, which fails while one does not answer: nothing waits for it. */
    private void hear() {
        var partitions = GridMember.partitions(instance);
        migrations = heard(migrations, () -> partitions.addMigrationListenerAsync(this));
        losses = heard(losses, () -> partitions.addPartitionLostListenerAsync(this));
    }

    private CompletableFuture<UUID> heard(CompletableFuture<UUID> before, Supplier<CompletableFuture<UUID>> ask) {
        if (before != null && !before.isCompletedExceptionally()) {
            return before;
        }
        CompletableFuture<UUID> asked = ask.get();
        // what moved until then was not told
        asked.thenRun(() -> note(Change.ANY));
        return asked;
    }

    private void reschedule(RuntimeException failed) {
        if (!stopped) {
            // also while the member has no majority or is shutting down, which is no fault
            LOG.log(Level.FINE, "publishing globals failed and will be tried again: {0}", failed.getClass().getName());
            nextSweep = System.nanoTime() + SOON;
        }
    }

    private void serve(Change change) {
        if (change == null) {
            sweep();
            nextSweep = System.nanoTime() + PERIOD;
        } else if (change.name == null) {
            sweep();
            nextSweep = System.nanoTime() + SOON;
        } else {
            new Namespace(instance, change.namespace).publish(change.name);
        }
    }

    private void sweep() {
        for (DistributedObject object : instance.getDistributedObjects()) {
            if (object instanceof IMap<?, ?> && object.getName().startsWith(Namespace.RECORDS)) {
                publishAll(object.getName().substring(Namespace.RECORDS.length()));
            }
        }
    }

    /** What cannot be published in one namespace, such as a stranger's value, must not keep the others from it. */
    private void publishAll(String namespace) {
        try {
            listen(namespace);
            new Namespace(instance, namespace).publishAll();
        } catch (RuntimeException failed) {
            LOG.log(Level.FINE, "publishing the globals of one namespace failed: {0}", failed.getClass().getName());
        }
    }

    /** Hears of changes to the globals that this member owns. */
    private void listen(String namespace) {
        EntryChanged noting = event -> {
            if (event.getKey() instanceof String name) {
                note(new Change(namespace, name));
            }
        };
        listening.computeIfAbsent(namespace, name ->
                instance.getMap(Namespace.RECORDS + name).addLocalEntryListener(noting));
    }

    @Override
    public void distributedObjectCreated(DistributedObjectEvent event) {
        if (event.getObjectName() instanceof String name && name.startsWith(Namespace.RECORDS)) {
            note(Change.ANY);
        }
    }

    @Override
    public void distributedObjectDestroyed(DistributedObjectEvent event) {
        if (event.getObjectName() instanceof String name && name.startsWith(Namespace.RECORDS)) {
            listening.remove(name.substring(Namespace.RECORDS.length()));
        }
    }

    @Override
    public void memberAdded(MembershipEvent event) {
        note(Change.ANY);
    }

    @Override
    public void memberRemoved(MembershipEvent event) {
        note(Change.ANY);
    }

    @Override
    public void migrationFinished(MigrationState state) {
        note(Change.ANY);
    }

    @Override
    public void partitionLost(PartitionLostEvent event) {
        note(Change.ANY);
    }

    @Override
    public void migrationStarted(MigrationState state) {
        // what matters is the end
    }

    @Override
    public void replicaMigrationCompleted(ReplicaMigrationEvent event) {
        // what matters is the end of all
    }

    @Override
    public void replicaMigrationFailed(ReplicaMigrationEvent event) {
        // what matters is the end of all
    }
}
