package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.map.IMap;
import com.hazelcast.splitbrainprotection.SplitBrainProtectionException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The processor, its backup and the probe on two real members. */
class GridProcessorTest {
    /** Seconds that may pass on a busy machine between a command and the look at what it left. */
    private static final double LATE = 10;
    private static final AtomicLong NEXT = new AtomicLong(1);
    private static Grid grid;

    private final String id = "line:U" + NEXT.getAndIncrement();

    @BeforeAll
    static void start() throws IOException {
        grid = new Grid(2, 2);
    }

    @AfterAll
    static void stop() {
        grid.close();
    }

    private long soon() {
        return grid.now() + 10_000;
    }

    @Test
    void backupHoldsTheOwnersBytes() {
        for (int round = 0; round < 50; round++) {
            byte[] reply = grid.run(id, Asked.commit(NEXT.getAndIncrement(), soon(), "n" + round % 7, round, 60_000));
            assertEquals(Status.OK, Asked.status(reply));
            assertArrayEquals(grid.stored(id, 0), grid.stored(id, 1));
        }
        assertNotNull(grid.stored(id, 1));
    }

    @Test
    void entryOutlivesItsSessionByTheGraceOnOwnerAndBackup() {
        grid.run(id, Asked.commit(NEXT.getAndIncrement(), soon(), "a", 1, 60_000));
        for (int replica = 0; replica < 2; replica++) {
            assertEquals(60 + 1 + Retention.GRACE, grid.secondsLeft(id, replica), LATE);
        }
    }

    @Test
    void ttlSurvivesManyCommits() {
        grid.run(id, Asked.commit(NEXT.getAndIncrement(), soon(), "a", 1, 60_000));
        for (int round = 0; round < 10; round++) {
            grid.run(id, Asked.commit(NEXT.getAndIncrement(), soon(), "a", round, 0));
            for (int replica = 0; replica < 2; replica++) {
                assertEquals(60 + 1 + Retention.GRACE, grid.secondsLeft(id, replica), LATE);
            }
        }
    }

    @Test
    void sessionThatNeverExpiresIsNeverCollected() {
        grid.run(id, Asked.commit(NEXT.getAndIncrement(), soon(), "a", 1, 0));
        assertEquals(Grid.FOR_EVER, grid.secondsLeft(id, 0));
        assertEquals(Grid.FOR_EVER, grid.secondsLeft(id, 1));
    }

    @Test
    void ttlCanComeAndTheLongestIsNotCutShort() {
        grid.run(id, Asked.commit(NEXT.getAndIncrement(), soon(), "a", 1, 0));
        grid.run(id, Asked.commitWithTtl(NEXT.getAndIncrement(), soon(), "a", 2, 30_000));
        assertEquals(30 + 1 + Retention.GRACE, grid.secondsLeft(id, 1), LATE);
        grid.run(id, Asked.commitWithTtl(NEXT.getAndIncrement(), soon(), "a", 3, Record.MAX_DURATION));
        assertEquals(Grid.FOR_EVER, grid.secondsLeft(id, 0));
        assertEquals(Grid.FOR_EVER, grid.secondsLeft(id, 1));
    }

    @Test
    void loadNeitherWritesNorProlongs() {
        grid.run(id, Asked.commit(NEXT.getAndIncrement(), soon(), "a", 1, 60_000));
        byte[] before = grid.stored(id, 0);
        grid.lose(id, 1);
        assertEquals(Status.OK, Asked.status(grid.run(id, Asked.load())));
        assertArrayEquals(before, grid.stored(id, 0));
        assertNull(grid.stored(id, 1), "a plain load tells the backup nothing");
    }

    @Test
    void duplicateIsAnsweredAndShippedAgain() {
        long opId = NEXT.getAndIncrement();
        byte[] command = Asked.commit(opId, soon(), "a", 1, 60_000);
        byte[] first = grid.run(id, command);
        grid.lose(id, 1);
        byte[] second = grid.run(id, command);
        assertFalse(Asked.isDuplicate(first));
        assertTrue(Asked.isDuplicate(second));
        assertNotNull(grid.stored(id, 1));
        assertArrayEquals(grid.stored(id, 0), grid.stored(id, 1));
        assertEquals(60 + 1 + Retention.GRACE, grid.secondsLeft(id, 1), LATE);
    }

    @Test
    void answerThatChangedNothingStillMakesTheBackupWhole() {
        grid.run(id, Asked.commit(NEXT.getAndIncrement(), soon(), "a", 1, 60_000));
        byte[] before = grid.stored(id, 0);
        grid.lose(id, 1);
        byte[] reply = grid.run(id, Asked.create(NEXT.getAndIncrement(), soon(), "a", 2));
        assertEquals(Status.CONFLICT, Asked.status(reply));
        assertArrayEquals(before, grid.stored(id, 0));
        assertArrayEquals(before, grid.stored(id, 1));
        grid.lose(id, 1);
        assertEquals(Status.OK, Asked.status(grid.run(id, Asked.confirmedLoad())));
        assertArrayEquals(before, grid.stored(id, 1));
    }

    @Test
    void tombstoneStaysOnBothUntilNoRetryCanCome() {
        grid.run(id, Asked.commit(NEXT.getAndIncrement(), soon(), "a", 1, 0));
        byte[] deletion = Asked.delete(NEXT.getAndIncrement(), soon());
        assertEquals(Status.OK, Asked.status(grid.run(id, deletion)));
        assertArrayEquals(grid.stored(id, 0), grid.stored(id, 1));
        assertEquals(10 + 1 + Retention.GRACE, grid.secondsLeft(id, 0), LATE);
        assertEquals(Status.ABSENT, Asked.status(grid.run(id, Asked.load())));
        assertTrue(Asked.isDuplicate(grid.run(id, deletion)));
    }

    @Test
    void foreignValueIsLeftAlone() {
        IMap<String, Object> map = grid.member(0).getMap(Grid.SESSIONS);
        map.put(id, "not a record");
        assertEquals(Status.CORRUPT, Asked.status(grid.run(id, Asked.load())));
        byte[] reply = grid.run(id, Asked.commit(NEXT.getAndIncrement(), soon(), "a", 1, 0));
        assertEquals(Status.CORRUPT, Asked.status(reply));
        assertEquals("not a record", map.get(id));
        map.remove(id);
    }

    @Test
    void probeTellsOfTheMember() {
        IMap<String, byte[]> map = grid.member(0).getMap(Probe.MAP);
        ByteBuffer reply = ByteBuffer.wrap(map.executeOnKey("any", new Probe()));
        assertEquals(1, reply.get());
        text(reply);
        text(reply);
        assertEquals(System.currentTimeMillis(), reply.getLong(), 5_000);
        assertEquals(grid.now(), reply.getLong(), 5_000);
        assertEquals(2, reply.getShort());
        assertEquals(1, reply.get());
        assertEquals(Limits.DEFAULT.recordBytes(), reply.getInt());
        String uuid = text(reply);
        assertTrue(grid.member(0).getCluster().getMembers().stream().anyMatch(it -> it.getUuid().toString().equals(uuid)));
        assertEquals("5.7.0", text(reply));
        assertEquals(2, reply.getShort());
        assertEquals(Command.NEWEST, reply.getShort());
        long used = reply.getLong();
        long live = reply.getLong();
        long most = reply.getLong();
        assertTrue(0 < used && used <= most && 0 <= live && live <= most, used + " " + live + " " + most);
        byte copied = reply.get();
        assertTrue(copied == 0 || copied == 1, "copied: " + copied);
        assertFalse(reply.hasRemaining());
    }

    @Test
    void whoHearsNoMajorityDoesNotServeUntilItDoes() {
        AtomicLong later = new AtomicLong();
        GridMember member = new GridMember(grid.member(0), () -> System.nanoTime() + later.get());
        member.listening();
        Grid.await(member::serves);
        member.noteHeard();
        assertTrue(member.serves());
        later.set(TimeUnit.SECONDS.toNanos(4));
        assertFalse(member.serves());
        Grid.await(() -> {
            member.noteHeard();
            return member.serves();
        });
    }

    private static String text(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.getShort()];
        buffer.get(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    @Test
    void moreMembersThanDeclaredRefuseWritesButServeLoads() throws IOException {
        try (Grid crowded = new Grid(2, 2)) {
            crowded.run(id, Asked.commit(NEXT.getAndIncrement(), soon(), "a", 1, 0));
            HazelcastInstance third = crowded.start(2);
            refuses(crowded);
            crowded.kill(third);
            Grid.await(() -> accepts(crowded));
        }
    }

    @Test
    void membersThatDeclareDifferentSizesRefuseWrites() throws IOException {
        try (Grid mixed = new Grid(1, 3)) {
            mixed.run(id, Asked.commit(NEXT.getAndIncrement(), soon(), "a", 1, 0));
            mixed.start(5);
            refuses(mixed);
        }
    }

    private void refuses(Grid wrong) {
        Grid.await(() -> !accepts(wrong));
        byte[] commit = Asked.commit(NEXT.getAndIncrement(), soon(), "a", 1, 0);
        assertThrows(SplitBrainProtectionException.class, () -> wrong.run(id, commit));
        assertThrows(SplitBrainProtectionException.class, () -> wrong.run(id, Asked.confirmedLoad()));
        assertEquals(Status.OK, Asked.status(wrong.run(id, Asked.load())));
    }

    private boolean accepts(Grid asked) {
        try {
            return asked.run(id, Asked.confirmedLoad()) != null;
        } catch (SplitBrainProtectionException refused) {
            return false;
        }
    }
}
