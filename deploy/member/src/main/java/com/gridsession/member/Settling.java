package com.gridsession.member;

import com.hazelcast.cluster.Member;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.core.HazelcastInstanceNotActiveException;
import com.hazelcast.core.MemberLeftException;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.ExecutionException;
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
    private final Set<Member> waitedFor;

    private Settling(HazelcastInstance instance, Majority majority) {
        this.instance = instance;
        this.majority = majority;
        formation = majority.formation();
        waitedFor = new HashSet<>(instance.getCluster().getMembers());
    }

    /** Begins to wait, on a thread of its own. */
    static void begin(HazelcastInstance instance, Majority majority) {
        Thread thread = new Thread(new Settling(instance, majority), "gridsession-settling");
        thread.setDaemon(true);
        thread.start();
    }

    @Override
    public void run() {
        long began = System.nanoTime();
        try {
            boolean othersBrought = false;
            while (majority.formation() == formation) {
                boolean othersBring = othersBring();
                othersBrought |= othersBring;
                // who joins a side that stood without it need not wait for what it brings itself
                boolean selfBrings = majority.brings() && (othersBrought || !majority.inherited());
                boolean given = System.nanoTime() - began > Majority.MERGE_TIME;
                if (given) {
                    LOG.warning("members did not hand over in 2 minutes what they held in a split: serving without it");
                }
                if (given || !othersBring && !selfBrings) {
                    majority.settle(formation);
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

    private boolean othersBring() throws InterruptedException {
        waitedFor.retainAll(instance.getCluster().getMembers());
        boolean bring = false;
        for (Member member : waitedFor) {
            bring |= !member.localMember() && brings(member);
        }
        return bring;
    }

    private boolean brings(Member member) throws InterruptedException {
        try {
            return instance.getExecutorService(Bringing.EXECUTOR).submitToMember(new Bringing(), member)
                    .get(ANSWER_MS, TimeUnit.MILLISECONDS);
        } catch (TimeoutException silent) {
            return true;
        } catch (MemberLeftException left) {
            return false;
        } catch (ExecutionException failed) {
            // a member with an older jar does not know the question; one that left is not among the members any more
            return failed.getCause() instanceof MemberLeftException;
        }
    }
}
