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
 * After a majority came together, waits until those who make it up have handed over what they held alone. Until then a
 * session that only one of them has seems not to be: served too early, it would be made anew, with a higher epoch, and
 * what was acknowledged before would lose the merge.
 */
final class Settling implements Runnable {
    private static final Logger LOG = Logger.getLogger(Settling.class.getName());
    private static final long ANSWER_MS = 1_000;
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
            while (!majority.settle(formation, bringing())) {
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

    /** Who of the others hands over; all are asked at once. */
    private Set<String> bringing() throws InterruptedException {
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
