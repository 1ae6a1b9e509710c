package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.map.IMap;
import com.hazelcast.replicatedmap.ReplicatedMap;
import java.io.IOException;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Globals in the replicated view of each member, on real members. */
class GlobalsPublisherTest {
    private static final AtomicLong NEXT = new AtomicLong(1);

    private Grid grid;

    @BeforeEach
    void start() throws IOException {
        grid = new Grid(3, 3);
    }

    @AfterEach
    void stop() {
        grid.close();
    }

    private IMap<String, byte[]> records() {
        return grid.member(0).getMap(Namespace.RECORDS + "test");
    }

    private byte[] run(String name, byte[] command) {
        return records().executeOnKey(name, new GridProcessor(command));
    }

    private void set(String name, long value) {
        run(name, Asked.commit(NEXT.getAndIncrement(), grid.now() + 10_000, "value", value, 0));
    }

    private static ReplicatedMap<String, byte[]> view(HazelcastInstance member) {
        return member.getReplicatedMap(Namespace.VIEW + "test");
    }

    private boolean isShown(String name) {
        byte[] record = records().get(name);
        if (record == null) {
            return false;
        }
        for (int index = 0; index < grid.size(); index++) {
            if (!Arrays.equals(record, view(grid.member(index)).get(name))) {
                return false;
            }
        }
        return true;
    }

    @Test
    void eachMemberShowsEachChange() {
        for (int round = 0; round < 20; round++) {
            set("greeting-" + round % 5, round);
        }
        for (int index = 0; index < 5; index++) {
            String name = "greeting-" + index;
            Grid.await(() -> isShown(name));
            assertNotNull(view(grid.member(2)).get(name));
        }
    }

    @Test
    void deletionIsShownAsTombstone() {
        set("greeting", 1);
        Grid.await(() -> isShown("greeting"));
        run("greeting", Asked.delete(NEXT.getAndIncrement(), grid.now() + 10_000));
        Grid.await(() -> isShown("greeting"));
        assertArrayEquals(records().get("greeting"), view(grid.member(1)).get("greeting"));
    }

    @Test
    void whatTheOwnerDidNotPublishIsPublishedByItsSuccessor() {
        for (int index = 0; index < 30; index++) {
            set("global-" + index, index);
        }
        grid.kill(grid.member(2));
        for (int index = 0; index < 30; index++) {
            String name = "global-" + index;
            Grid.await(() -> isShown(name));
        }
    }

    @Test
    void whatHasNoRecordIsRemoved() {
        set("kept", 1);
        view(grid.member(0)).put("stray", new byte[] {1});
        HazelcastInstance last = grid.member(2);
        grid.kill(last);
        Grid.await(() -> !view(grid.member(0)).containsKey("stray"));
        Grid.await(() -> isShown("kept"));
    }

    @Test
    void whatTheViewLostIsPutAgain() {
        set("kept", 1);
        Grid.await(() -> isShown("kept"));
        view(grid.member(0)).put("kept", new byte[] {1});
        grid.kill(grid.member(2));
        Grid.await(() -> isShown("kept"));
    }

    @Test
    void aMemberStartsThoughAnotherDoesNotAgreeToTellIt() throws IOException {
        grid.kill(grid.member(2));
        CountDownLatch answers = Grid.distract(grid.member(1));
        try {
            grid.join(3);
        } finally {
            answers.countDown();
        }
        grid.awaitWhole();
        set("greeting", 1);
        Grid.await(() -> isShown("greeting"));
    }
}
