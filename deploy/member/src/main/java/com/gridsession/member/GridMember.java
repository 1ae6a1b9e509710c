package com.gridsession.member;

import com.hazelcast.cluster.Member;
import com.hazelcast.cluster.MembershipEvent;
import com.hazelcast.cluster.MembershipListener;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.instance.impl.HazelcastInstanceImpl;
import com.hazelcast.instance.impl.HazelcastInstanceProxy;
import com.hazelcast.instance.impl.Node;
import com.hazelcast.internal.cluster.impl.ClusterHeartbeatManager;
import com.hazelcast.internal.partition.InternalPartitionService;
import com.hazelcast.internal.partition.PartitionReplica;
import java.util.HashSet;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;

/** What this member was told and sees of the grid; one for each Hazelcast instance, read once and kept with it. */
final class GridMember implements MembershipListener {
    /** Property and member attribute: how many members the whole grid has. */
    static final String DECLARED = "gridsession.members-declared";
    /** Property and member attribute: synchronous copies of each session. */
    static final String BACKUPS = "gridsession.backups";

    private static final long NEVER = -1;

    /** Where it is kept in the instance's user context. */
    static final String KEY = GridMember.class.getName();

    private final HazelcastInstance instance;
    private final Limits limits;
    private final int declared;
    private final int backups;
    private final Majority majority;
    private final Hearing hearing;
    private final SteadyTime time;
    private final Counters counters = new Counters();
    /** The platform makes a set of its own of each list of members. */
    private volatile Set<Member> known;
    private volatile String refusal;
    private volatile long held;
    private volatile long copiedAfter = NEVER;

    GridMember(HazelcastInstance instance, LongSupplier nanoTime) {
        this.instance = instance;
        Properties properties = instance.getConfig().getProperties();
        limits = Limits.of(properties);
        declared = (int) Limits.read(properties, DECLARED, 1);
        backups = (int) Limits.read(properties, BACKUPS, declared == 1 ? 0 : 1);
        majority = new Majority(addressOf(instance.getCluster().getLocalMember()), declared, backups, nanoTime);
        hearing = new Hearing(declared, Hearing.patience(node(instance).getProperties()), nanoTime);
        time = new SteadyTime(() -> instance.getCluster().getClusterTime(), nanoTime);
    }

    static GridMember of(HazelcastInstance instance) {
        Object known = instance.getUserContext().get(KEY);
        if (known == null) {
            known = instance.getUserContext().computeIfAbsent(KEY,
                    key -> new GridMember(instance, System::nanoTime).listening());
        }
        return (GridMember) known;
    }

    GridMember listening() {
        instance.getCluster().addMembershipListener(this);
        refresh(null);
        return this;
    }

    Limits limits() {
        return limits;
    }

    int declared() {
        return declared;
    }

    int backups() {
        return backups;
    }

    /** Why this grid must not be written to; null if it may. */
    String refusal() {
        return refusal;
    }

    /** The cluster's time, ms; late heartbeats do not set it back. */
    long now() {
        return time.now();
    }

    Majority majority() {
        return majority;
    }

    /** The member is done with joining the rest of a split cluster, or has given up. */
    void merged() {
        majority.merging(false);
        refresh(null);
    }

    /** How this member stands, for others that ask; see {@link Condition}. */
    long condition() {
        // its events may come later than the question
        refresh(null);
        return majority.condition();
    }

    /** Takes note of which members hold copies of the same sessions. */
    void noteCopies() {
        long changes = majority.changes();
        var partitions = partitions(instance);
        Set<Set<String>> holders = new HashSet<>();
        for (int partition = 0; partition < partitions.getPartitionCount(); partition++) {
            Set<String> addresses = new HashSet<>();
            for (int replica = 0; replica <= backups; replica++) {
                PartitionReplica holder = partitions.getPartition(partition, false).getReplica(replica);
                if (holder != null) {
                    addresses.add(holder.address().toString());
                }
            }
            holders.add(addresses);
        }
        // a member is no member any more before its copies are no copies
        majority.noteCopies(changes, addresses(instance.getCluster().getMembers()), holders);
    }

    /** What the platform asks itself: it knows who holds which copy, and takes listeners without waiting for other members. */
    static InternalPartitionService partitions(HazelcastInstance instance) {
        return node(instance).getPartitionService();
    }

    private static Node node(HazelcastInstance instance) {
        return (instance instanceof HazelcastInstanceProxy proxy ? proxy.getOriginal() : (HazelcastInstanceImpl) instance).node;
    }

    private static Set<String> addresses(Set<Member> members) {
        return members.stream().map(GridMember::addressOf).collect(Collectors.toUnmodifiableSet());
    }

    /** Takes note of whom it heard lately; to be called several times a second. */
    void noteHeard() {
        ClusterHeartbeatManager heartbeats = node(instance).getClusterService().getClusterHeartbeatManager();
        Map<String, Long> last = instance.getCluster().getMembers().stream().filter(each -> !each.localMember())
                .collect(Collectors.toMap(each -> each.getUuid().toString(), heartbeats::getLastHeartbeatTime));
        // to itself a member sends none: there, only what the platform sets for all is noted
        hearing.note(last, heartbeats.getLastHeartbeatTime(instance.getCluster().getLocalMember()));
    }

    /** Takes note whether what this member owns was copied, all of it, when the others were asked after so many changes. */
    void copied(boolean complete, long afterChanges) {
        copiedAfter = complete ? afterChanges : NEVER;
    }

    /** Whether all that it owns was copied when the others were last asked, and nobody came or left since then. */
    boolean copied() {
        lookAgain();
        return copiedAfter == majority.changes()
                && instance.getCluster().getMembers().stream().filter(each -> !each.isLiteMember()).count() > backups;
    }

    /** A member's partitions change hands before its events come. */
    private void lookAgain() {
        if (instance.getCluster().getMembers() != known) {
            refresh(null);
        }
    }

    /** Whether sessions are served now. */
    boolean serves() {
        lookAgain();
        return hearing.holds() && majority.serves(() -> instance.getCluster().getMembers().size());
    }

    Counters counters() {
        return counters;
    }

    /** What its records took when it was last looked at, bytes. */
    long held() {
        return held;
    }

    void holds(long bytes) {
        held = bytes;
    }

    @Override
    public void memberAdded(MembershipEvent event) {
        // all of them: to one that joins, its new side's members are added one by one
        refresh(null);
    }

    @Override
    public void memberRemoved(MembershipEvent event) {
        // as it was then: others may be there by now, and a majority that was lost has to come together again
        Set<Member> left = new HashSet<>(event.getMembers());
        // one that restarted may be there again, at the same address
        left.removeIf(member -> member.getAddress().equals(event.getMember().getAddress()));
        refresh(left);
        refresh(null);
    }

    /** These members are there; null for those who are there now. */
    private synchronized void refresh(Set<Member> seen) {
        Set<Member> members = seen != null ? seen : instance.getCluster().getMembers();
        known = members;
        refusal = refusalOf(members);
        if (majority.see(addresses(members))) {
            Settling.begin(instance, majority, majority.formation());
        }
    }

    /** How members are told apart, also one that came back: a merge gives it another id. */
    static String addressOf(Member member) {
        return member.getAddress().toString();
    }

    /** Whether the member says another number; one without our attributes, as its configuration is its own, says none. */
    private static boolean differs(Member member, String attribute, int ours) {
        String theirs = member.getAttribute(attribute);
        return theirs != null && !theirs.equals(Integer.toString(ours));
    }

    private String refusalOf(Set<Member> members) {
        for (Member member : members) {
            if (differs(member, DECLARED, declared) || differs(member, BACKUPS, backups)) {
                return "no writes: member " + member.getAddress() + " was started with " + member.getAttribute(DECLARED)
                        + " declared members and " + member.getAttribute(BACKUPS) + " backups, this one with " + declared
                        + " and " + backups + ". Start all with the same --members-declared and --backups.";
            }
        }
        if (declared > 1 && members.size() > declared) {
            return "no writes: the grid has " + members.size() + " members, but only " + declared
                    + " were declared. Start all with --members-declared " + members.size() + " or stop the rest.";
        }
        return null;
    }
}
