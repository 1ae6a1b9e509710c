package com.gridsession.member;

import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.core.HazelcastInstanceAware;
import com.hazelcast.core.LifecycleEvent;
import com.hazelcast.core.LifecycleListener;
import java.util.logging.Level;
import java.util.logging.Logger;

/** Starts and stops what our code runs in a member; to be named under {@code listeners} of its configuration. */
public final class GridLifecycle implements LifecycleListener, HazelcastInstanceAware {
    /** How far a member's clock may be from the cluster's, ms: leases and expiry are judged by whoever owns a session. */
    static final long MOST_SKEW = 2_000;

    private static final Logger LOG = Logger.getLogger(GridLifecycle.class.getName());

    private HazelcastInstance instance;
    private GlobalsPublisher publisher;

    @Override
    public void setHazelcastInstance(HazelcastInstance hazelcastInstance) {
        instance = hazelcastInstance;
    }

    @Override
    public synchronized void stateChanged(LifecycleEvent event) {
        switch (event.getState()) {
            case STARTED -> started();
            case MERGING -> {
                Settling.awaitHandOver(instance);
                GridMember.of(instance).majority().merging(true);
            }
            case MERGED -> {
                GridMember.of(instance).merged();
                if (publisher != null) {
                    publisher.merged();
                }
                Rearm.start(instance);
            }
            case MERGE_FAILED -> GridMember.of(instance).merged();
            case SHUTTING_DOWN -> stop();
            default -> { }
        }
    }

    private void started() {
        GridMember.of(instance);
        long skew = instance.getCluster().getClusterTime() - System.currentTimeMillis();
        if (Math.abs(skew) > MOST_SKEW) {
            LOG.log(Level.SEVERE, "refusing to serve: this machine''s clock and the cluster''s differ by {0} ms, at "
                    + "most {1} ms are allowed. Either may be wrong: check both (NTP) and start again.",
                    new Object[] {-skew, MOST_SKEW});
            Thread leaving = new Thread(instance::shutdown, "gridsession-refuse");
            leaving.start();
            return;
        }
        publisher = new GlobalsPublisher(instance);
        publisher.start();
        SelfReport.start(instance);
    }

    private void stop() {
        if (publisher != null) {
            publisher.stop();
            publisher = null;
        }
    }
}
