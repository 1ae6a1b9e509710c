package com.gridsession.member;

import com.hazelcast.cluster.ClusterState;
import com.hazelcast.cluster.Member;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.partition.Partition;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;

/** Looks at this member alone, by Hazelcast's own figures, and tells it with the counters as metrics. */
final class Survey {
    private static final double MILLIS = 1e3;

    private final HazelcastInstance instance;
    private final GridMember member;

    Survey(HazelcastInstance instance) {
        this.instance = instance;
        member = GridMember.of(instance);
    }

    /** All metrics of this member. */
    String text(Holdings held, Others others) {
        Exposition out = new Exposition();
        printMember(out, others.skew());
        printPartitions(out, member.copied());
        held.print(out);
        printHeap(out, Heap.now(held.bytes()));
        member.counters().print(out);
        return out.toString();
    }

    private void printMember(Exposition out, long skew) {
        Member ours = instance.getCluster().getLocalMember();
        out.family("build_info", "gauge", "Always 1; its labels say which versions run.").sample(1, "version", Build.VERSION,
                "hazelcast", ours.getVersion().toString(), "java", System.getProperty("java.version", ""));
        out.family("start_time_seconds", "gauge", "When this member's JVM started, seconds since 1970.")
                .sample(ManagementFactory.getRuntimeMXBean().getStartTime() / MILLIS);
        out.family("members", "gauge", "Members that this one sees, itself included.")
                .sample(instance.getCluster().getMembers().size());
        out.family("members_declared", "gauge", "Members that the grid has, as this one was told.").sample(member.declared());
        out.family("backups", "gauge", "Synchronous copies of each session.").sample(member.backups());
        out.family("clients", "gauge", "Clients connected to this member.")
                .sample(instance.getClientService().getConnectedClients().size());
        out.family("cluster_active", "gauge", "1 if the cluster is in its normal state, else 0.")
                .sample(instance.getCluster().getClusterState() == ClusterState.ACTIVE ? 1 : 0);
        out.family("writes_refused", "gauge", "1 while members declare different sizes or copies, so that none may be "
                + "written to, else 0.").sample(member.refusal() != null ? 1 : 0);
        out.family("clock_skew_seconds", "gauge", "How far this machine's clock, or the cluster's time as this member has "
                + "it, is ahead of the oldest member's.").sample(skew / MILLIS);
    }

    private void printPartitions(Exposition out, boolean copied) {
        Member ours = instance.getCluster().getLocalMember();
        int owned = 0;
        for (Partition partition : instance.getPartitionService().getPartitions()) {
            owned += ours.equals(partition.getOwner()) ? 1 : 0;
        }
        out.family("partitions_owned", "gauge", "Partitions that this member owns.").sample(owned);
        out.family("partitions_unsafe", "gauge", "Partitions it owns while copies of any of them are missing or behind, "
                + "as last asked of the other members, else 0.").sample(copied ? 0 : owned);
    }

    private static void printHeap(Exposition out, Heap heap) {
        out.family("heap_used_bytes", "gauge", "Java heap in use, with what the next collection frees.").sample(heap.used());
        out.family("heap_live_bytes", "gauge", "Java heap that is needed for sure: what the last collection left, or more if records take more.")
                .sample(heap.live());
        out.family("heap_max_bytes", "gauge", "Java heap that there can be.").sample(heap.most());
        out.family("gc_seconds_total", "counter", "Time spent collecting garbage.");
        for (GarbageCollectorMXBean each : ManagementFactory.getGarbageCollectorMXBeans()) {
            out.sample(each.getCollectionTime() / MILLIS, "collector", each.getName());
        }
        out.family("gc_collections_total", "counter", "Garbage collections.");
        for (GarbageCollectorMXBean each : ManagementFactory.getGarbageCollectorMXBeans()) {
            out.sample(each.getCollectionCount(), "collector", each.getName());
        }
    }
}
