package com.gridsession.member;

import com.hazelcast.cluster.Member;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.map.IMap;
import java.nio.ByteBuffer;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Asks what only the other members can tell this one: whether its copies are complete, and how far the clocks differ. */
final class Others {
    /** An answer that takes longer, ms, says too little of a clock. */
    private static final long PROMPT = 400;
    /** Ids tried for one in a partition of a given member. */
    private static final int TRIES = 10_000;

    private final HazelcastInstance instance;
    private final GridMember member;
    private volatile long skew;

    Others(HazelcastInstance instance) {
        this.instance = instance;
        member = GridMember.of(instance);
    }

    /**
     * How far this member was ahead of the oldest one when that was last asked, ms: its own clock or, if that is further
     * off, the cluster's time as it has it. Hazelcast sets that by heartbeats of the oldest, but ignores them for as long as
     * clocks are further apart than half the time after which a silent member is missed.
     */
    long skew() {
        return skew;
    }

    /** Asks about copies: one message for each copy of each partition. */
    void askForCopies() {
        long changes = member.majority().changes();
        boolean complete = false;
        try {
            complete = instance.getPartitionService().isLocalMemberSafe();
        } finally {
            member.copied(complete, changes);
        }
    }

    /** Asks the oldest member for its time. */
    void askForTime() throws InterruptedException {
        Member oldest = instance.getCluster().getMembers().iterator().next();
        if (oldest.localMember()) {
            skew = System.currentTimeMillis() - member.now();
            return;
        }
        String key = keyOn(oldest);
        if (key == null) {
            return;
        }
        IMap<String, byte[]> map = instance.getMap(Probe.MAP);
        long began = System.nanoTime();
        byte[] answer;
        try {
            answer = map.submitToKey(key, new Probe()).toCompletableFuture().get(PROMPT, TimeUnit.MILLISECONDS);
        } catch (ExecutionException | TimeoutException none) {
            return;
        }
        long half = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began) / 2;
        long theirs = clusterTimeIn(ByteBuffer.wrap(answer)) + half;
        long byClock = System.currentTimeMillis() - theirs;
        long byTime = member.now() - theirs;
        skew = Math.abs(byClock) > Math.abs(byTime) ? byClock : byTime;
    }

    private String keyOn(Member owner) {
        for (int index = 0; index < TRIES; index++) {
            String key = "probe:" + index;
            if (owner.equals(instance.getPartitionService().getPartition(key).getOwner())) {
                return key;
            }
        }
        return null;
    }

    private static long clusterTimeIn(ByteBuffer answer) {
        answer.get();
        skipText(answer);
        skipText(answer);
        answer.getLong();
        return answer.getLong();
    }

    private static void skipText(ByteBuffer buffer) {
        int size = buffer.getShort();
        buffer.position(buffer.position() + size);
    }
}
