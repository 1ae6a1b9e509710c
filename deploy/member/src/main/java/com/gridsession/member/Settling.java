package com.gridsession.member;

import com.hazelcast.cluster.Member;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.core.HazelcastInstanceNotActiveException;
import com.hazelcast.nio.serialization.HazelcastSerializationException;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.LongToIntFunction;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Waits for members that hold what nobody else does. After a majority came together, until those who make it up have
 * handed over what they held in a split, and until those are back without whom some session may be missing: who restarted
 * makes up the number and remembers nothing. Until then a session that only one of them has seems not to be; served too
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
        Set<String> told = Set.of();
        try {
            while (!settles()) {
                Set<String> missed = majority.missed();
                if (!missed.isEmpty() && !missed.equals(told)) {
                    LOG.log(Level.WARNING, "nothing is served before {0} are back, at most 2 minutes: of some sessions they "
                            + "may have the only copies that are left", missed);
                    told = missed;
                }
                if (System.nanoTime() - began > Majority.MERGE_TIME) {
                    LOG.warning("members did not come back, or did not hand over what they held, in 2 minutes: serving "
                            + "without it");
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

    private boolean settles() throws InterruptedException {
        long changes = majority.changes();
        return majority.settle(formation, changes, conditions(instance, majority::flagsOf));
    }

    /**
     * Waits, before this member's side joins another, until nobody hands over to it any more, at most 30 s. A side that
     * breaks up in between takes along what it was given; the rest finds nobody, is tried for a minute, and is lost.
     */
    static void awaitHandOver(HazelcastInstance instance) {
        long began = System.nanoTime();
        try {
            while (isHandedOverTo(instance) && System.nanoTime() - began < LEAVES_AFTER) {
                Thread.sleep(PAUSE_MS);
            }
        } catch (HazelcastInstanceNotActiveException ended) {
            LOG.log(Level.FINE, "the member ends", ended);
        } catch (InterruptedException ended) {
            Thread.currentThread().interrupt();
        }
    }

    private static boolean isHandedOverTo(HazelcastInstance instance) throws InterruptedException {
        return conditions(instance, Condition::flags).values().stream()
                .anyMatch(flags -> (flags & (Condition.BRINGS | Condition.SILENT)) != 0);
    }

    /** How each of the others stands, as its answer is read; all are asked at once. */
    private static Map<String, Integer> conditions(HazelcastInstance instance, LongToIntFunction flags)
            throws InterruptedException {
        Map<String, Future<Long>> asked = new HashMap<>();
        Map<String, Integer> conditions = new HashMap<>();
        for (Member member : instance.getCluster().getMembers()) {
            if (!member.localMember()) {
                String address = GridMember.addressOf(member);
                try {
                    asked.put(address, instance.getExecutorService(Condition.EXECUTOR).submitToMember(new Condition(), member));
                } catch (HazelcastInstanceNotActiveException ended) {
                    throw ended;
                } catch (RuntimeException failed) {
                    conditions.put(address, Condition.SILENT); // asked again, unless it has left by then
                }
            }
        }
        long due = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(ANSWER_MS);
        for (Map.Entry<String, Future<Long>> each : asked.entrySet()) {
            conditions.put(each.getKey(), condition(each.getValue(), due - System.nanoTime(), flags));
        }
        return conditions;
    }

    private static int condition(Future<Long> answer, long patience, LongToIntFunction flags)
            throws InterruptedException {
        try {
            return flags.applyAsInt(answer.get(Math.max(0, patience), TimeUnit.NANOSECONDS));
        } catch (ExecutionException failed) {
            return condition(failed.getCause());
        } catch (TimeoutException silent) {
            return Condition.SILENT;
        } catch (HazelcastInstanceNotActiveException ended) {
            throw ended;
        } catch (RuntimeException failed) {
            return condition(failed);
        }
    }

    private static int condition(Throwable failed) {
        // a member with an older jar does not know the question
        return failed instanceof HazelcastSerializationException ? Condition.NOT_TOLD : Condition.SILENT;
    }
}
