package com.gridsession.member;

import com.hazelcast.config.Config;
import com.hazelcast.config.ListenerConfig;
import com.hazelcast.config.MapConfig;
import com.hazelcast.config.MergePolicyConfig;
import com.hazelcast.core.Hazelcast;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.core.LifecycleEvent.LifecycleState;
import com.hazelcast.instance.EndpointQualifier;
import com.hazelcast.instance.impl.HazelcastInstanceProxy;
import com.hazelcast.internal.serialization.Data;
import com.hazelcast.map.IMap;
import com.hazelcast.map.impl.MapService;
import com.hazelcast.map.impl.operation.MergeOperation;
import com.hazelcast.map.impl.recordstore.RecordStore;
import com.hazelcast.map.impl.recordstore.expiry.ExpiryMetadata;
import com.hazelcast.spi.impl.NodeEngineImpl;
import com.hazelcast.spi.impl.PartitionSpecificRunnable;
import com.hazelcast.wan.impl.CallerProvenance;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/** Real members of Hazelcast in this process, joined over loopback; stopped when closed. */
final class Grid implements AutoCloseable {
    static final String SESSIONS = "gridsession.sessions.test";
    /** As an entry's time left: no end. */
    static final long FOR_EVER = -1;
    private static final Pattern AS_NODES =
            Pattern.compile("(hazelcast\\.(?:internal\\.map\\.expiration|operation|heartbeat|max\\.no|partial|partition\\.migration)\\.\\S+): \"([^@\"]+)\"");
    private static final int NO_PARTITION = -1;
    private static final long PATIENCE = TimeUnit.SECONDS.toNanos(30);
    private static final long PAUSE = TimeUnit.MILLISECONDS.toNanos(5);

    private final List<HazelcastInstance> members = new ArrayList<>();
    private final List<Config> configs = new ArrayList<>();
    private final List<Integer> ports = new ArrayList<>();
    private final String cluster;
    private final Class<?> mergePolicy;

    Grid(int size, int declared) throws IOException {
        this(size, declared, WholeRecordMergePolicy.class);
    }

    Grid(int size, int declared, Class<?> mergePolicy) throws IOException {
        this(size, declared, mergePolicy, "test-" + UUID.randomUUID());
    }

    private Grid(int size, int declared, Class<?> mergePolicy, String cluster) throws IOException {
        this.cluster = cluster;
        this.mergePolicy = mergePolicy;
        for (int index = 0; index < size; index++) {
            start(declared);
        }
    }

    /** Starts one more member, which declares that many; waits until the grid is whole. */
    HazelcastInstance start(int declares) throws IOException {
        HazelcastInstance member = join(declares);
        awaitWhole();
        return member;
    }

    /** Waits until all members see each other, have all copies, and serve. */
    void awaitWhole() {
        await(() -> members.stream().allMatch(each -> each.getCluster().getMembers().size() == members.size()));
        await(() -> members.get(0).getPartitionService().isClusterSafe());
        await(this::serves);
    }

    /** Starts one more member, which declares that many. */
    HazelcastInstance join(int declares) throws IOException {
        // members list no address where nobody listens: each costs 5 s when they look for the rest of a split grid
        try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            ports.add(free.getLocalPort());
        }
        Config config = config(ports.get(ports.size() - 1), declares);
        HazelcastInstance member = Hazelcast.newHazelcastInstance(config);
        configs.add(config);
        members.add(member);
        return member;
    }

    /** The other side of a split: members of the same grid that neither see these nor are seen by them. */
    Grid apart(int size, int declared) throws IOException {
        return new Grid(size, declared, mergePolicy, cluster);
    }

    /** Heals the split; waits until all members are one grid and what the smaller side held is merged. */
    void meet(Grid other) {
        // of sides of one size the platform chooses
        CountDownLatch merged = new CountDownLatch(other.size());
        Stream<HazelcastInstance> may = other.size() < size() ? other.members.stream()
                : Stream.concat(members.stream(), other.members.stream());
        may.forEach(member -> onMerged(member, merged));
        allow(other);
        other.allow(this);
        await(merged);
        adopt(other);
        await(() -> members.get(0).getCluster().getMembers().size() == members.size());
        await(() -> members.get(0).getPartitionService().isClusterSafe());
    }

    /** Counts the latch down each time that the member is done with a merge. */
    static void onMerged(HazelcastInstance member, CountDownLatch merged) {
        member.getLifecycleService().addLifecycleListener(event -> {
            if (event.getState() == LifecycleState.MERGED) {
                merged.countDown();
            }
        });
    }

    /** Counts the members of the other side as these, with which they are one grid by now. */
    void adopt(Grid other) {
        members.addAll(other.members);
    }

    private boolean serves() {
        return members.stream().map(GridMember::of).allMatch(GridMember::serves);
    }

    /** Lets these members look for the other side. */
    void allow(Grid other) {
        for (Config config : configs) {
            other.ports.forEach(port ->
                    config.getNetworkConfig().getJoin().getTcpIpConfig().addMember("127.0.0.1:" + port));
        }
    }

    int size() {
        return members.size();
    }

    HazelcastInstance member(int index) {
        return members.get(index);
    }

    /** Ends a member as a crash does; waits until the rest has noticed. */
    void kill(HazelcastInstance member) {
        members.remove(member);
        member.getLifecycleService().terminate();
        await(() -> members.get(0).getCluster().getMembers().size() == members.size());
    }

    IMap<String, byte[]> sessions() {
        return members.get(0).getMap(SESSIONS);
    }

    /** Runs a command as a client does: on the owner, by a processor of its own. */
    byte[] run(String id, byte[] command) {
        return sessions().executeOnKey(id, new GridProcessor(command));
    }

    long now() {
        return members.get(0).getCluster().getClusterTime();
    }

    /** The member that owns the id (0) or keeps its first backup (1). */
    HazelcastInstance replica(String id, int replica) {
        var partitions = engine(members.get(0)).getPartitionService();
        UUID uuid = partitions.getPartition(partitions.getPartitionId(id)).getReplica(replica).uuid();
        return members.stream()
                .filter(each -> each.getCluster().getLocalMember().getUuid().equals(uuid))
                .findFirst().orElseThrow();
    }

    /** The stored bytes on that replica, looked at where they are, touching nothing; null if there are none. */
    byte[] stored(String id, int replica) {
        return onReplica(id, replica, (store, key) -> {
            com.hazelcast.map.impl.record.Record<?> record = store.getRecord(key);
            return record == null ? null : engine(members.get(0)).toObject(record.getValue());
        });
    }

    /** Seconds that the replica will keep the entry, or {@link #FOR_EVER}. */
    long secondsLeft(String id, int replica) {
        return onReplica(id, replica, (store, key) -> {
            ExpiryMetadata expiry = store.getExpirySystem().getExpiryMetadata(key);
            long due = expiry.getExpirationTime();
            return due == Long.MAX_VALUE ? FOR_EVER : Math.round((due - System.currentTimeMillis()) / 1000.0);
        });
    }

    /** Makes a replica lose an entry, as if the backup had never come. */
    void lose(String id, int replica) {
        onReplica(id, replica, (store, key) -> {
            store.removeBackup(key, CallerProvenance.NOT_WAN);
            return null;
        });
    }

    /** Tells the member that owns the id that a copy of some partition was lost, as the platform does. */
    void loseCopy(String id) {
        MapService maps = engine(replica(id, 0)).getService(MapService.SERVICE_NAME);
        maps.getMapServiceContext().getClearExpiredRecordsTask().partitionLost(null);
    }

    /** Lets the threads of the member's partitions do nothing else, copies included, while {@code merging} waits for one. */
    static void occupy(HazelcastInstance member, HazelcastInstance merging) {
        NodeEngineImpl engine = engine(member);
        var sent = engine(merging).getOperationService().getInvocationRegistry();
        for (int partition = 0; partition < engine.getPartitionService().getPartitionCount(); partition++) {
            engine.getOperationService().execute(new PartitionTask(partition, () -> await(() -> StreamSupport
                    .stream(sent.spliterator(), false).noneMatch(each -> each.op instanceof MergeOperation))));
        }
    }

    /** A member that does not get to what others ask it, but for what keeps the grid together, until the latch is open. */
    static CountDownLatch distract(HazelcastInstance member) {
        CountDownLatch open = new CountDownLatch(1);
        NodeEngineImpl engine = engine(member);
        for (int thread = 0; thread < engine.getOperationService().getOperationExecutor().getGenericThreadCount(); thread++) {
            engine.getOperationService().execute(new PartitionTask(NO_PARTITION, () -> await(open)));
        }
        return open;
    }

    /** Closes all connections between members, as a network does that lost them; the next that is sent opens new ones. */
    void breakConnections() {
        members.forEach(member -> List.copyOf(engine(member).getNode().getServer().getConnectionManager(EndpointQualifier.MEMBER)
                .getConnections()).forEach(each -> each.close("a test says so", null)));
    }

    /** Lets a member take another for dead, and cut the connection to it. */
    static void suspect(HazelcastInstance member, HazelcastInstance other) {
        UUID uuid = other.getCluster().getLocalMember().getUuid();
        member.getCluster().getMembers().stream().filter(each -> each.getUuid().equals(uuid)).forEach(known ->
                engine(member).getNode().getClusterService().suspectMember(known, "a test says so", true));
    }

    static void await(CountDownLatch latch) {
        try {
            if (!latch.await(PATIENCE, TimeUnit.NANOSECONDS)) {
                throw new AssertionError("what was waited for did not happen within 30 s");
            }
        } catch (InterruptedException interrupted) {
            throw new AssertionError(interrupted);
        }
    }

    static void await(BooleanSupplier condition) {
        long deadline = System.nanoTime() + PATIENCE;
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("what was waited for did not happen within 30 s");
            }
            LockSupport.parkNanos(PAUSE);
        }
    }

    @Override
    public void close() {
        members.forEach(member -> member.getLifecycleService().terminate());
    }

    private interface Look<T> {
        T at(RecordStore<?> store, Data key);
    }

    private static <T> T onReplicaOf(NodeEngineImpl engine, int partition, FutureTask<T> task) {
        engine.getOperationService().execute(new PartitionTask(partition, task));
        try {
            return task.get(10, TimeUnit.SECONDS);
        } catch (Exception failed) {
            throw new AssertionError(failed);
        }
    }

    private <T> T onReplica(String id, int replica, Look<T> look) {
        NodeEngineImpl engine = engine(replica(id, replica));
        Data key = engine.getSerializationService().toData(id);
        int partition = engine.getPartitionService().getPartitionId(key);
        MapService maps = engine.getService(MapService.SERVICE_NAME);
        return onReplicaOf(engine, partition, new FutureTask<>(
                () -> look.at(maps.getMapServiceContext().getRecordStore(partition, SESSIONS), key)));
    }

    /** A record store may be touched by the thread of its partition only. */
    private record PartitionTask(int partition, Runnable task) implements PartitionSpecificRunnable {
        @Override
        public int getPartitionId() {
            return partition;
        }

        @Override
        public void run() {
            task.run();
        }
    }

    private static NodeEngineImpl engine(HazelcastInstance member) {
        return ((HazelcastInstanceProxy) member).getOriginal().node.nodeEngine;
    }

    private Config config(int port, int declares) {
        Config config = new Config();
        config.setClusterName(cluster);
        config.setProperty("hazelcast.logging.type", "none");
        config.setProperty("hazelcast.phone.home.enabled", "false");
        config.setProperty("hazelcast.partition.count", "31");
        config.setProperty("hazelcast.merge.first.run.delay.seconds", "1");
        config.setProperty("hazelcast.merge.next.run.delay.seconds", "1");
        config.setProperty("hazelcast.wait.seconds.before.join", "0");
        config.setProperty("hazelcast.max.wait.seconds.before.join", "0");
        config.setProperty(GridMember.DECLARED, Integer.toString(declares));
        config.setProperty(GridMember.BACKUPS, "1");
        config.getMemberAttributeConfig().setAttribute(GridMember.DECLARED, Integer.toString(declares));
        config.getJetConfig().setEnabled(false);
        config.getMetricsConfig().setEnabled(false);
        config.getNetworkConfig().setPort(port).setPortAutoIncrement(false);
        config.getNetworkConfig().getInterfaces().setEnabled(true).addInterface("127.0.0.1");
        var join = config.getNetworkConfig().getJoin();
        join.getAutoDetectionConfig().setEnabled(false);
        join.getMulticastConfig().setEnabled(false);
        join.getTcpIpConfig().setEnabled(true);
        ports.forEach(each -> join.getTcpIpConfig().addMember("127.0.0.1:" + each));
        config.getMemberAttributeConfig().setAttribute(GridMember.BACKUPS, "1");
        config.addMapConfig(records("gridsession.sessions.*"));
        config.addMapConfig(records("gridsession.globals-records.*"));
        config.addListenerConfig(new ListenerConfig(GridLifecycle.class.getName()));
        asNodes(config);
        return config;
    }

    /** What nodes are told of expiry and of what calls wait for. */
    private static void asNodes(Config config) {
        try {
            Matcher found = AS_NODES.matcher(Files.readString(Path.of(System.getProperty("gridsession.member-yaml"))));
            while (found.find()) {
                config.setProperty(found.group(1), found.group(2));
            }
        } catch (IOException unreadable) {
            throw new UncheckedIOException(unreadable);
        }
    }

    private MapConfig records(String name) {
        return new MapConfig(name).setBackupCount(1).setReadBackupData(false).setMergePolicyConfig(
                new MergePolicyConfig(mergePolicy.getName(), 100));
    }
}
