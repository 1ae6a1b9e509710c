package com.gridsession.member;

import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.core.LifecycleEvent.LifecycleState;
import com.hazelcast.partition.PartitionLostEvent;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Looks at this member again and again: whom it hears; who has copies of the same sessions, for it to know whom it may do without; how
 * much its records take and whether they are copied, for the probe to tell; and, if a file is named, all metrics, which are written to it whole or
 * not at all, for the node that started it to serve. A file, so that nothing listens and nobody waits: it is told also
 * while the grid refuses, and its age tells that the member stands still.
 */
final class SelfReport {
    /** Property of Hazelcast's configuration, else of the JVM: where to write to. */
    static final String PROPERTY = "gridsession.metrics-file";

    private static final Logger LOG = Logger.getLogger(SelfReport.class.getName());
    private static final long WRITE_SECONDS = 1;
    /** Without a file, only what its records take is looked at. */
    private static final long MEASURE_SECONDS = 5;
    private static final long ASK_SECONDS = 2;
    /** Who leaves within so long after it was given the only copies is not known to have them. */
    private static final long COPIES_MS = 200;
    /** What was heard is known so much later. */
    private static final long HEARD_MS = 100;
    /** While all copies are complete, asking for them again is left out so many times. */
    private static final int LEFT_OUT = 4;

    private final HazelcastInstance instance;
    private final GridMember member;
    private final Survey survey;
    private final Others others;
    private final Path file;
    private final ScheduledThreadPoolExecutor executor;
    private final AtomicLong lost = new AtomicLong();
    private boolean failed;
    private int leftOut;

    private SelfReport(HazelcastInstance instance, Path file) {
        this.instance = instance;
        this.file = file;
        member = GridMember.of(instance);
        survey = new Survey(instance);
        others = new Others(instance);
        executor = new ScheduledThreadPoolExecutor(4, work -> {
            Thread thread = new Thread(work, "gridsession-report");
            thread.setDaemon(true);
            return thread;
        });
    }

    /** Begins to look; ends with the member. */
    static void start(HazelcastInstance instance) {
        String name = instance.getConfig().getProperty(PROPERTY);
        String path = name != null ? name : System.getProperty(PROPERTY);
        new SelfReport(instance, path == null || path.isBlank() ? null : Path.of(path)).begin();
    }

    private void begin() {
        instance.getLifecycleService().addLifecycleListener(event -> {
            if (event.getState() == LifecycleState.MERGING) {
                lost.set(0);
            } else if (event.getState() == LifecycleState.SHUTDOWN) {
                executor.shutdownNow();
            }
        });
        executor.scheduleWithFixedDelay(this::ask, 0, ASK_SECONDS, TimeUnit.SECONDS);
        executor.scheduleWithFixedDelay(this::noteCopies, 0, COPIES_MS, TimeUnit.MILLISECONDS);
        executor.scheduleWithFixedDelay(this::noteHeard, 0, HEARD_MS, TimeUnit.MILLISECONDS);
        executor.scheduleWithFixedDelay(this::look, 0, file == null ? MEASURE_SECONDS : WRITE_SECONDS, TimeUnit.SECONDS);
        if (file != null) {
            GridMember.partitions(instance).addLocalPartitionLostListener(this::noteLost);
        }
    }

    /**
     * The member that noticed a loss hears of it here, and counts it. To one that is cut off all is lost that others hold,
     * so what it cannot see stays open until a majority is there again, and is forgotten if it must merge into that.
     */
    private void noteLost(PartitionLostEvent event) {
        if (event.getLostBackupCount() >= member.backups()) {
            lost.incrementAndGet();
        }
    }

    private void countLost() {
        if (instance.getCluster().getMembers().size() > member.declared() / 2) {
            member.counters().partitionsLost(lost.getAndSet(0));
        }
    }

    private void look() {
        try {
            Holdings held = Holdings.of(instance);
            member.holds(held.bytes());
            countLost();
            if (file != null) {
                write(survey.text(held, others));
            }
        } catch (Throwable busy) { // what is not caught ends the schedule, and nobody is told
            // while a member merges or stops, it cannot be looked at; the next time may do
            LOG.log(level(busy), "the member cannot be looked at: {0}", busy.getClass().getName());
        }
    }

    private void write(String text) {
        Path draft = file.resolveSibling(file.getFileName() + ".draft");
        try {
            Files.writeString(draft, text);
            Files.move(draft, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            failed = false;
        } catch (IOException unwritten) {
            LOG.log(failed ? Level.FINE : Level.WARNING, "metrics cannot be written to {0}: {1}",
                    new Object[] {file, unwritten.toString()});
            failed = true;
        }
    }

    private void ask() {
        try {
            others.askForTime();
            if (member.copied() && leftOut < LEFT_OUT) {
                leftOut++;
            } else {
                leftOut = 0;
                others.askForCopies();
            }
        } catch (InterruptedException ended) {
            Thread.currentThread().interrupt();
        } catch (Throwable busy) { // as in look
            LOG.log(level(busy), "the other members cannot be asked: {0}", busy.getClass().getName());
        }
    }

    private void noteCopies() {
        try {
            member.noteCopies();
        } catch (Throwable busy) { // as in look
            LOG.log(level(busy), "it cannot be seen who holds copies: {0}", busy.getClass().getName());
        }
    }

    private void noteHeard() {
        try {
            member.noteHeard();
        } catch (Throwable busy) { // as in look
            LOG.log(level(busy), "it cannot be seen who was heard: {0}", busy.getClass().getName());
        }
    }

    private static Level level(Throwable failed) {
        return failed instanceof Error ? Level.WARNING : Level.FINE;
    }
}
