package com.gridsession.member;

import com.hazelcast.core.HazelcastInstance;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Tells who waits first for a session that nobody holds any more that asking again makes sense, so that turns follow each
 * other without polling. Only a hint: the queue in the record decides, and who was not told asks again by itself.
 *
 * <p>Told on one of 256 topics, {@code gridsession.grants.xx}: {@code xx} are the last two characters of the owner's
 * text, after a colon. A client draws them and listens there once it has waited for the first time. The message is the
 * request id that waits, 16 bytes. All work is done by a thread of its own, never where commands run.
 */
final class Grants {
    static final String TOPIC = "gridsession.grants.";

    /** Where it is kept in the instance's user context. */
    private static final String KEY = Grants.class.getName();
    private static final Logger LOG = Logger.getLogger(Grants.class.getName());
    /** Waiting to be told; what is more is dropped, since so many sessions a moment are not what makes anyone wait. */
    private static final int MOST = 10_000;
    private static final long IDLE_SECONDS = 10;

    private final HazelcastInstance instance;
    private final ThreadPoolExecutor thread = new ThreadPoolExecutor(1, 1, IDLE_SECONDS, TimeUnit.SECONDS,
            new ArrayBlockingQueue<>(MOST), Grants::daemon, new ThreadPoolExecutor.DiscardPolicy());

    private Grants(HazelcastInstance instance) {
        this.instance = instance;
        thread.allowCoreThreadTimeOut(true);
    }

    private static Thread daemon(Runnable work) {
        Thread made = new Thread(work, "gridsession-grants");
        made.setDaemon(true);
        return made;
    }

    /** Tells the first in the queue of a record that was just stored, if it is its turn. */
    static void tell(HazelcastInstance instance, byte[] record) {
        Waiter first = Record.next(record);
        if (first == null) {
            return;
        }
        String topic = topicOf(first);
        if (topic != null) {
            int requestAt = first.askedAt() + Waiter.askedSize(first.data(), first.askedAt()) - Waiter.REQUEST_ID;
            byte[] request = Arrays.copyOfRange(first.data(), requestAt, requestAt + Waiter.REQUEST_ID);
            of(instance).publish(topic, request);
        }
    }

    /** The topic that an owner listens on; null if its text names none. */
    private static String topicOf(Waiter waiter) {
        int size = Bytes.u8(waiter.data(), waiter.askedAt());
        String owner = new String(waiter.data(), waiter.askedAt() + 1, size, StandardCharsets.UTF_8);
        int colon = owner.length() - 3;
        // whatever clients send, there are no more topics than these: each is kept for good
        return colon >= 0 && owner.charAt(colon) == ':' && isHex(owner.charAt(colon + 1)) && isHex(owner.charAt(colon + 2))
                ? TOPIC + owner.substring(colon + 1)
                : null;
    }

    private static boolean isHex(char digit) {
        return digit >= '0' && digit <= '9' || digit >= 'a' && digit <= 'f';
    }

    private static Grants of(HazelcastInstance instance) {
        Object known = instance.getUserContext().get(KEY);
        return (Grants) (known != null ? known
                : instance.getUserContext().computeIfAbsent(KEY, key -> new Grants(instance)));
    }

    private void publish(String topic, byte[] request) {
        thread.execute(() -> {
            try {
                instance.<byte[]>getTopic(topic).publish(request);
            } catch (RuntimeException failed) {
                // also while the member is shutting down, which is no fault
                LOG.log(Level.FINE, "telling a waiter failed: {0}", failed.getClass().getName());
            }
        });
    }
}
