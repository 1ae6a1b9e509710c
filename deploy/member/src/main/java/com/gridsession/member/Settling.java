package com.gridsession.member;

import com.hazelcast.cluster.Member;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.core.HazelcastInstanceNotActiveException;
import com.hazelcast.nio.serialization.HazelcastSerializationException;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Waits for members that hand over what they held in a split. After a majority came together, until those who make it up
 * have handed over what they held alone: until then a session that only one of them has seems not to be; served too
 * early, it would be made anew, with a higher epoch, and what was acknowledged before would lose the merge. And before a
 * side joins another, until nobody hands over to it.
 */
final class Settling implements Runnable {
    private static final Logger LOG = Logger.getLogger(Settling.class.getName());
    private static final long ANSWER_MS = 1_000;
    /** A member that merges does not end before it is done, however it is asked to. */
    private static final long LEAVES_AFTER = TimeUnit.SECONDS.toNanos(30);
    private static final long PAUSE_MS = 20;

    private final HazelcastInstance instance;
    private final Majority majority;
    private final long formation;

    private Settling(HazelcastInstance instance, Majority majority, long formation) {
        this.instance = instance;
        this.majority = majority;
        this.formation = formation;
    }

    /** Begins to wait, on a thread of its own. */
    static void begin(HazelcastInstance instance, Majority majority, long formation) {
        Thread thread = new Thread(new Settling(instance, majority, formation), "gridsession-settling");
        thread.setDaemon(true);
        thread.start();
    }

    @Override
    public void run() {
        long began = System.nanoTime();
        try {
            while (!majority.settle(formation, bringing(instance))) {
                if (System.nanoTime() - began > Majority.MERGE_TIME) {
                    LOG.warning("members did not hand over in 2 minutes what they held in a split: serving without it");
                    return;
                }
                Thread.sleep(PAUSE_MS);
            }
        } catch (HazelcastInstanceNotActiveException ended) {
            LOG.log(Level.FINE, "the member ends", ended);
        } catch (InterruptedException ended) {
            Thread.currentThread().interrupt();
        }
    }

    /**
     * Waits, before this member's side joins another, until nobody hands over to it any more, at most 30 s. A side that
     * breaks up in between takes along what it was given; the rest finds nobody, is tried for a minute, and is lost.
     */
    static void awaitHandOver(HazelcastInstance instance) {
        long began = System.nanoTime();
        try {
            while (!bringing(instance).isEmpty() && System.nanoTime() - began < LEAVES_AFTER) {
                Thread.sleep(PAUSE_MS);
            }
        } catch (HazelcastInstanceNotActiveException ended) {
            LOG.log(Level.FINE, "the member ends", ended);
        } catch (InterruptedException ended) {
            Thread.currentThread().interrupt();
        }
    }

    /** Who of the others hands over; all are asked at once. */
    private static Set<String> bringing(HazelcastInstance instance) throws InterruptedException {
        Map<String, Future<Boolean>> asked = new HashMap<>();
        Set<String> bringing = new HashSet<>();
        for (Member member : instance.getCluster().getMembers()) {
            if (!member.localMember()) {
                String address = GridMember.addressOf(member);
                try {
                    asked.put(address, instance.getExecutorService(Bringing.EXECUTOR).submitToMember(new Bringing(), member));
                } catch (HazelcastInstanceNotActiveException ended) {
                    throw ended;
                } catch (RuntimeException failed) {
                    bringing.add(address); // asked again, unless it has left by then
                }
            }
        }
        long due = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(ANSWER_MS);
        for (Map.Entry<String, Future<Boolean>> each : asked.entrySet()) {
            if (brings(each.getValue(), due - System.nanoTime())) {
                bringing.add(each.getKey());
            }
        }
        return bringing;
    }

    private static boolean brings(Future<Boolean> answer, long patience) throws InterruptedException {
        try {
            return answer.get(Math.max(0, patience), TimeUnit.NANOSECONDS);
        } catch (ExecutionException failed) {
            // a member with an older jar does not know the question
            return !(failed.getCause() instanceof HazelcastSerializationException);
        } catch (TimeoutException silent) {
            return true;
        } catch (HazelcastInstanceNotActiveException ended) {
            throw ended;
        } catch (RuntimeException failed) {
            return !(failed instanceof HazelcastSerializationException);
        }
    }
}
