import com.hazelcast.core.Hazelcast;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.instance.impl.HazelcastInstanceImpl;
import com.hazelcast.instance.impl.HazelcastInstanceProxy;
import com.hazelcast.internal.partition.InternalPartition;
import com.hazelcast.internal.partition.PartitionReplica;
import com.hazelcast.internal.partition.impl.InternalPartitionServiceImpl;
import com.hazelcast.internal.services.ServiceNamespace;
import com.hazelcast.map.impl.MapService;
import com.hazelcast.map.impl.MapServiceContext;
import com.hazelcast.map.impl.record.Record;
import com.hazelcast.map.impl.recordstore.RecordStore;
import com.hazelcast.map.impl.recordstore.expiry.ExpiryMetadata;
import com.hazelcast.spi.impl.NodeEngineImpl;
import com.hazelcast.spi.impl.PartitionSpecificRunnable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Tells which copies the member of this JVM has, and of what, each time the file that it was given says something new:
 * in a file beside it, `.told`, first what was asked, then for each copy of each map's part of a partition one line:
 * the map, the partition, the copy's index (0: the owner's), the version of the partition's place, the versions of all
 * copies as this one knows them, whether it is known to lack something, and each entry: its key, a hash of its value,
 * and how many seconds it has left.
 */
public final class CopyTeller {
    private static final int COPIES = 6;
    private static final long WAIT_SECONDS = 5;

    private CopyTeller() {
    }

    public static void premain(String file) {
        Thread thread = new Thread(() -> watch(Path.of(file)), "copy-teller");
        thread.setDaemon(true);
        thread.start();
    }

    private static void watch(Path file) {
        try {
            // what is there already was asked of the one before
            String answered = asked(file);
            while (true) {
                Thread.sleep(50);
                String asked = asked(file);
                if (!asked.equals(answered)) {
                    answered = asked;
                    Path draft = Path.of(file + ".draft");
                    Files.writeString(draft, asked + "\n" + String.join("\n", Members.told()) + "\n");
                    Files.move(draft, Path.of(file + ".told"), StandardCopyOption.ATOMIC_MOVE);
                }
            }
        } catch (InterruptedException ended) {
            Thread.currentThread().interrupt();
        } catch (IOException failed) {
            throw new IllegalStateException(failed);
        }
    }

    private static String asked(Path file) throws IOException {
        return Files.exists(file) ? Files.readString(file) : "";
    }

    /** Of its own, because a JVM that is only asked for its version has this agent and no Hazelcast. */
    private static final class Members {
        private Members() {
        }

        static Queue<String> told() throws InterruptedException {
            Queue<String> lines = new ConcurrentLinkedQueue<>();
            for (HazelcastInstance each : Hazelcast.getAllHazelcastInstances()) {
                NodeEngineImpl engine = (each instanceof HazelcastInstanceProxy proxy ? proxy.getOriginal()
                        : (HazelcastInstanceImpl) each).node.nodeEngine;
                MapService service = engine.getService(MapService.SERVICE_NAME);
                int partitions = engine.getPartitionService().getPartitionCount();
                CountDownLatch left = new CountDownLatch(partitions);
                for (int number = 0; number < partitions; number++) {
                    engine.getOperationService()
                            .execute(new Look(engine, service.getMapServiceContext(), number, lines, left));
                }
                left.await(WAIT_SECONDS, TimeUnit.SECONDS);
            }
            return lines;
        }
    }

    /** A look at what there is of one partition, by the thread that changes it. */
    private record Look(NodeEngineImpl engine, MapServiceContext maps, int partition, Queue<String> lines,
            CountDownLatch left) implements PartitionSpecificRunnable {
        @Override
        public int getPartitionId() {
            return partition;
        }

        @Override
        public void run() {
            try {
                InternalPartitionServiceImpl service = (InternalPartitionServiceImpl) engine.getPartitionService();
                InternalPartition place = service.getPartition(partition, false);
                int index = place.getReplicaIndex(PartitionReplica.from(engine.getLocalMember()));
                if (index < 0 || place.isMigrating()) {
                    return;
                }
                for (RecordStore<Record> store : maps.getPartitionContainer(partition).getMaps().values()) {
                    lines.add(String.join(" ", store.getName(), "" + partition, "" + index, "" + place.version(),
                            copy(service, store, index)));
                }
            } finally {
                left.countDown();
            }
        }

        private String copy(InternalPartitionServiceImpl service, RecordStore<Record> store, int index) {
            ServiceNamespace namespace = store.getMapContainer().getObjectNamespace();
            long[] versions = service.getReplicaManager().getPartitionReplicaVersions(partition, namespace);
            boolean lacks = service.getReplicaManager().isPartitionReplicaVersionDirty(partition, namespace);
            long now = System.currentTimeMillis();
            StringBuilder line = new StringBuilder();
            for (int each = 0; each < COPIES; each++) {
                line.append(each == 0 ? "" : ",").append(versions[each]);
            }
            line.append(lacks ? " lacks" : " has");
            store.forEach((key, record) -> {
                ExpiryMetadata expiry = store.getExpirySystem().getExpiryMetadata(key);
                long left = expiry == ExpiryMetadata.NULL ? Long.MAX_VALUE : expiry.getExpirationTime() - now;
                String name = engine.toObject(key) instanceof String text ? text.replaceAll("[^!-~]", "?") : "?";
                int hash = Arrays.hashCode(engine.toData(record.getValue()).toByteArray());
                line.append(String.format(" %s=%x=%d", name, hash, left / 1000));
            }, index != 0, false);
            return line.toString();
        }
    }
}
