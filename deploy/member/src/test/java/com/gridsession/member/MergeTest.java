package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.core.HazelcastInstanceAware;
import com.hazelcast.nio.ObjectDataInput;
import com.hazelcast.nio.ObjectDataOutput;
import com.hazelcast.spi.exception.RetryableHazelcastException;
import com.hazelcast.spi.merge.MergingValue;
import com.hazelcast.spi.merge.SplitBrainMergePolicy;
import com.hazelcast.splitbrainprotection.SplitBrainProtectionException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** Two sides of a real grid that wrote apart from each other, and then meet. */
class MergeTest {
    /** Seconds by which two looks at one expiry may differ. */
    private static final double LATE = 10;
    private static final AtomicLong NEXT = new AtomicLong(1);

    private static void put(Grid side, String id, int commits, long ttl) {
        for (int left = commits; left > 0; left--) {
            side.run(id, Asked.commit(NEXT.getAndIncrement(), side.now() + 10_000, "a", NEXT.get(), ttl));
        }
    }

    private static void delete(Grid side, String id) {
        side.run(id, Asked.delete(NEXT.getAndIncrement(), side.now() + 10_000));
    }

    /** Writes to both sides, so that the epoch is higher on one and the revision on the other. */
    private static void conflict(String id, Grid lower, Grid higher) {
        put(lower, id, 9, 500_000);
        Grid.await(() -> {
            // members' clocks may differ by more than the two writes are apart
            higher.sessions().delete(id);
            put(higher, id, 1, 60_000);
            return record(higher, id).epoch > record(lower, id).epoch;
        });
    }

    private static Record record(Grid side, String id) {
        byte[] bytes = side.stored(id, 0);
        return Record.decode(bytes, 0, bytes.length, Record.idOf(bytes));
    }

    private static void assertMerged(Grid grid, String id, byte[] expected) {
        assertArrayEquals(expected, grid.stored(id, 0), id);
        assertArrayEquals(expected, grid.stored(id, 1), id);
    }

    /** Of how many records merges kept that side, over all members. */
    private static double counted(Grid grid, String kept) {
        double sum = 0;
        for (int index = 0; index < grid.size(); index++) {
            Counters counters = GridMember.of(grid.member(index)).counters();
            sum += CountersTest.sample(counters, "merges_total{kept=\"" + kept + "\"}");
        }
        return sum;
    }

    /** The entry ends when its own record says, whichever side that came from. */
    private static void assertExpiry(Grid grid, String id) {
        long seconds = Retention.seconds(record(grid, id).retainedUntil(), grid.now());
        assertEquals(seconds, grid.secondsLeft(id, 0), LATE, "expiry of " + id);
        assertEquals(seconds, grid.secondsLeft(id, 1), LATE, "expiry of " + id);
    }

    @Test
    void higherRecordWinsWholeWhereNoSideIsKnownToHaveKeptItsMajority() throws IOException {
        try (Grid larger = new Grid(2, 5); Grid smaller = larger.apart(1, 5)) {
            conflict("theirs", larger, smaller);
            conflict("ours", smaller, larger);
            put(larger, "only-ours", 2, 60_000);
            put(smaller, "only-theirs", 2, 60_000);
            conflict("deleted", smaller, larger);
            delete(larger, "deleted");
            byte[] theirs = smaller.stored("theirs", 0);
            byte[] ours = larger.stored("ours", 0);
            byte[] onlyOurs = larger.stored("only-ours", 0);
            byte[] onlyTheirs = smaller.stored("only-theirs", 0);
            byte[] deleted = larger.stored("deleted", 0);

            larger.meet(smaller);

            assertMerged(larger, "theirs", theirs);
            assertMerged(larger, "ours", ours);
            assertMerged(larger, "only-ours", onlyOurs);
            assertMerged(larger, "only-theirs", onlyTheirs);
            assertMerged(larger, "deleted", deleted);
            // on owners and backups alike
            assertTrue(counted(larger, "joining") >= 2, "theirs, and what only they had");
            assertTrue(counted(larger, "standing") >= 2, "ours, and what is deleted");
            assertEquals(0, counted(larger, "neither"));
            for (String id : new String[] {"theirs", "ours", "only-ours", "only-theirs"}) {
                assertExpiry(larger, id);
            }
        }
    }

    /** The majority may break up before those it was without come back: who is left of it joins them. */
    @Test
    void whatChangesWithoutARevisionIsNotForgottenEither() throws IOException {
        try (Grid larger = new Grid(2, 5); Grid smaller = larger.apart(1, 5)) {
            long now = larger.now();
            byte[][] claimed = {over("acknowledged-there", now, true), over("acknowledged-here", now, true)};
            byte[][] acknowledged = {over("acknowledged-there", now, false), over("acknowledged-here", now, false)};
            byte[] early = live("touched-there", now);
            byte[] late = live("touched-there", now + 5_000);
            keep(larger, claimed[0], acknowledged[1], early);
            keep(smaller, acknowledged[0], claimed[1], late);

            larger.meet(smaller);

            assertMerged(larger, "acknowledged-there", acknowledged[0]);
            assertMerged(larger, "acknowledged-here", acknowledged[1]);
            assertMerged(larger, "touched-there", late);
        }
    }

    private static byte[] over(String id, long expired, boolean waits) {
        Record record = new Record(id.getBytes(StandardCharsets.UTF_8));
        record.epoch = expired;
        if (waits) {
            record.previous = new Previous[] {new Previous(
                    expired - 1, 1, expired - 1, expired, false, new byte[16], 0, expired + 10_000, 1, Bag.NONE, Bag.NONE)};
        }
        return record.encode();
    }

    private static byte[] live(String id, long touched) {
        Record record = new Record(id.getBytes(StandardCharsets.UTF_8));
        record.epoch = 1;
        record.live = true;
        record.revision = 1;
        record.created = 1;
        record.touched = touched;
        return record.encode();
    }

    private static void keep(Grid side, byte[]... records) {
        for (byte[] record : records) {
            side.sessions().set(new String(Record.idOf(record), StandardCharsets.UTF_8), record);
        }
    }

    @Test
    void sideThatKeptItsMajorityStands() throws IOException {
        try (Grid larger = new Grid(2, 3); Grid smaller = larger.apart(1, 3)) {
            holdsMajorityForLong(larger.member(0));
            holdsMajorityForLong(larger.member(1));
            conflict("both", larger, smaller);
            put(larger, "only-ours", 2, 60_000);
            for (int index = 0; index < 20; index++) {
                put(smaller, "only-theirs-" + index, 2, 60_000);
            }
            byte[] both = larger.stored("both", 0);
            byte[] onlyOurs = larger.stored("only-ours", 0);
            byte[][] onlyTheirs = new byte[20][];
            for (int index = 0; index < 20; index++) {
                onlyTheirs[index] = smaller.stored("only-theirs-" + index, 0);
            }

            larger.meet(smaller);

            assertMerged(larger, "both", both);
            assertMerged(larger, "only-ours", onlyOurs);
            assertExpiry(larger, "both");
            int dropped = 0;
            for (int index = 0; index < 20; index++) {
                byte[] left = larger.stored("only-theirs-" + index, 0);
                if (left == null) {
                    dropped++;
                } else {
                    // judged by the member that joined, which cannot be sure and keeps what only it holds
                    assertArrayEquals(onlyTheirs[index], left);
                }
            }
            assertTrue(dropped > 0, "members that kept the majority drop what they never heard of");
            assertTrue(counted(larger, "neither") >= dropped, "what was dropped is counted");
        }
    }

    /** What a member did alone may have the higher number; those who had a majority meanwhile were told what counts. */
    @Test
    void sideThatKeptItsMajorityStandsHoweverYoungItIs() throws IOException {
        try (Grid larger = new Grid(2, 3); Grid smaller = larger.apart(1, 3)) {
            for (int index = 0; index < 20; index++) {
                conflict("both-" + index, larger, smaller);
            }
            byte[][] both = new byte[20][];
            for (int index = 0; index < 20; index++) {
                both[index] = larger.stored("both-" + index, 0);
            }

            larger.meet(smaller);

            for (int index = 0; index < 20; index++) {
                assertMerged(larger, "both-" + index, both[index]);
            }
            assertEquals(0, counted(larger, "joining"));
        }
    }

    /**
     * Where a majority comes together of members that were apart, nothing is served before they handed over what they
     * held: a session would be made anew, with a higher epoch, though only one of them holds it.
     */
    @Test
    void nothingIsServedBeforeThoseWhoMakeUpAMajorityHandedOverWhatTheyHeld() throws Exception {
        try (Grid here = new Grid(1, 3); Grid there = here.apart(1, 3)) {
            int many = 3_000;
            for (int index = 0; index < many; index++) {
                put(there, "theirs-" + index, 1, 600_000);
            }
            ExecutorService callers = Executors.newSingleThreadExecutor();
            Future<Integer> answered = callers.submit(() -> {
                int answers = 0;
                for (int index = many - 1; answers < 1_000; index = index == 0 ? many - 1 : index - 1) {
                    boolean together = here.member(0).getCluster().getMembers().size() == 2;
                    try {
                        byte[] reply = here.run("theirs-" + index, Asked.load());
                        if (together) {
                            assertEquals(Status.OK, reply[1], "theirs-" + index);
                            answers++;
                        }
                    } catch (SplitBrainProtectionException refused) {
                        Thread.onSpinWait();
                    }
                }
                return answers;
            });
            here.meet(there);
            assertEquals(1_000, answered.get(30, TimeUnit.SECONDS));
            callers.shutdown();
        }
    }

    /** One that is short of a confirmation is no reason to hand over nothing of all the others. */
    @Test
    void aHandOverThatNoCopyConfirmedEndsNoneOfTheOthers() throws IOException {
        try (Grid larger = new Grid(2, 5, Watched.class); Grid smaller = larger.apart(1, 5)) {
            Map<String, byte[]> held = filled(smaller);
            List<HazelcastInstance> copies = List.of(larger.member(0), larger.member(1));
            HazelcastInstance merging = smaller.member(0);
            AtomicInteger asked = new AtomicInteger();
            Watched.before = owner -> {
                switch (asked.incrementAndGet()) {
                    case 1 -> throw new RetryableHazelcastException("as where a partition moves");
                    case 2 -> copies.stream().filter(member -> member != owner)
                            .forEach(member -> Grid.occupy(member, merging));
                    default -> { }
                }
            };

            larger.meet(smaller);

            assertHolds(larger, held);
        }
    }

    /** They send each other no heartbeats any more; the oldest, which hears both, parts them. */
    @Test
    void twoThatTakeEachOtherForDeadComeTogetherAgain() throws IOException {
        try (Grid grid = new Grid(3, 3)) {
            HazelcastInstance one = grid.member(1);
            HazelcastInstance other = grid.member(2);
            CountDownLatch merged = new CountDownLatch(1);
            Grid.onMerged(one, merged);
            Grid.onMerged(other, merged);
            Grid.await(() -> {
                // a heartbeat that was on its way takes it back
                Grid.suspect(one, other);
                Grid.suspect(other, one);
                return merged.getCount() == 0;
            });
            grid.awaitWhole();
        }
    }

    /** A side that itself joins another first lets those finish who hand over to it. */
    @Test
    void aSideDoesNotBreakUpWhileItIsHandedOverTo() throws IOException {
        try (Grid larger = new Grid(3, 7, Watched.class);
                Grid second = larger.apart(1, 7);
                Grid third = larger.apart(1, 7)) {
            Map<String, byte[]> held = filled(second);
            held.putAll(filled(third));
            // one of the two hands over to the other, and then both to the larger side
            CountDownLatch merged = new CountDownLatch(3);
            AtomicBoolean begun = new AtomicBoolean();
            List.of(second, third).forEach(side -> Grid.onMerged(side.member(0), merged));
            Watched.before = owner -> {
                if (begun.compareAndSet(false, true)) {
                    List.of(second, third).forEach(side -> {
                        side.allow(larger);
                        larger.allow(side);
                    });
                }
                if (merged.getCount() == 3) {
                    // seconds in all, in which the larger side is found
                    LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(40));
                }
            };
            second.allow(third);
            third.allow(second);

            Grid.await(merged);
            larger.adopt(second);
            larger.adopt(third);
            Grid.await(() -> larger.member(0).getPartitionService().isClusterSafe());
            assertHolds(larger, held);
        }
    }

    private static Map<String, byte[]> filled(Grid side) {
        Map<String, byte[]> held = new HashMap<>();
        for (int index = 0; index < 200; index++) {
            String id = "of-" + side.hashCode() + "-" + index;
            put(side, id, 1, 600_000);
            held.put(id, side.stored(id, 0));
        }
        return held;
    }

    private static void assertHolds(Grid grid, Map<String, byte[]> held) {
        held.forEach((id, bytes) -> assertArrayEquals(bytes, grid.stored(id, 0), id));
    }

    /** Keeps what merges, and lets a test do something before. */
    public static final class Watched
            implements SplitBrainMergePolicy<Object, MergingValue<Object>, Object>, HazelcastInstanceAware {
        static volatile Consumer<HazelcastInstance> before;

        private transient HazelcastInstance instance;

        @Override
        public Object merge(MergingValue<Object> merging, MergingValue<Object> existing) {
            before.accept(instance);
            return merging.getRawValue();
        }

        @Override
        public void setHazelcastInstance(HazelcastInstance hazelcastInstance) {
            instance = hazelcastInstance;
        }

        @Override
        public void writeData(ObjectDataOutput out) {
            // nothing to tell
        }

        @Override
        public void readData(ObjectDataInput in) {
            // nothing was told
        }
    }

    /** Lets the member's clock say that it has seen the majority for long. */
    private static void holdsMajorityForLong(HazelcastInstance member) {
        AtomicLong later = new AtomicLong();
        GridMember seen = new GridMember(member, () -> System.nanoTime() + later.get()).listening();
        later.set(2 * Majority.MERGE_TIME);
        member.getUserContext().put(GridMember.KEY, seen);
        Grid.await(seen::serves);
    }
}
