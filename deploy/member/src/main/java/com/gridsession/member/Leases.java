package com.gridsession.member;

import java.util.Arrays;

/** Who holds the lease of a session and who waits for it. */
final class Leases {
    private Leases() {
    }

    /**
     * Grants the lease to the first who waits, else queues, as {@code _acquire} in {@code gridsession/_rules.py}.
     *
     * @param reply gets the grant; made with {@link #statusOf}
     * @return the record afterwards; {@code base} itself if nothing is to be written
     */
    static Record acquire(Record base, Command command, long now, Reply reply) {
        Waiter[] queue = base.queue;
        if (reply.status == Status.TOO_LATE) {
            reply.grant(0, 0, 0);
            return base;
        }
        if (isHolder(base, command)) {
            reply.grant(base.lease.token(), base.lease.until(), 0);
            return base;
        }
        int mine = placeOf(base, command);
        if (reply.status == Status.OK) {
            return granted(base, command, now, reply);
        }
        long until = base.lease != null ? base.lease.until() : queue[0].until();
        if (mine >= 0) {
            reply.grant(0, until, mine + 1);
            // half the patience must be left, so that most questions of a waiter write nothing
            if (Bytes.difference(queue[mine].until(), now) >= (command.patience + 1) / 2) {
                return base;
            }
            return queued(base, queue, mine, new Waiter(queue[mine].data(), queue[mine].askedAt(), now + command.patience));
        }
        reply.grant(0, until, queue.length + 1);
        if (command.patience <= 0 || reply.status == Status.BUSY) {
            return base;
        }
        Waiter last = new Waiter(command.data, command.askedAt, now + command.patience);
        return queued(base, Arrays.copyOf(queue, queue.length + 1), queue.length, last);
    }

    /**
     * OK if the lease is or would be the asker's, LEASED if it must wait, BUSY if there is no place left to wait at,
     * TOO_LATE if this request was given back before: a late copy of it must not hold the session for nobody.
     */
    static int statusOf(Record base, Command command, Limits limits) {
        if (base.ring.find(command.data, command.requestAt) >= 0) {
            return Status.TOO_LATE;
        }
        if (isHolder(base, command)) {
            return Status.OK;
        }
        int mine = placeOf(base, command);
        if (base.lease == null && (mine == 0 || base.queue.length == 0)) {
            return Status.OK;
        }
        boolean wouldQueue = mine < 0 && command.patience > 0;
        return wouldQueue && base.queue.length >= limits.waiters() ? Status.BUSY : Status.LEASED;
    }

    /**
     * Gives the lease back, by token or by request id, or leaves the queue.
     *
     * @return the record afterwards, {@code base} itself if nothing is to be written, null if the token is lost
     */
    static Record released(Record base, Command command, Limits limits) {
        Record released = base.copy();
        if (command.token != 0) {
            boolean holds = base.lease != null && base.lease.token() == command.token;
            return holds ? freed(released, command, limits) : null;
        }
        if (isHolder(base, command)) {
            return freed(released, command, limits);
        }
        released.queue = without(base.queue, command);
        givenBack(released, command.data, command.requestAt, command.notAfter, limits);
        return released.queue == base.queue && released.ring == base.ring ? base : released;
    }

    /** The record of the caller's own without its lease, and sure to refuse a late copy of the request that got it. */
    static Record freed(Record record, Command command, Limits limits) {
        Lease lease = record.lease;
        if (lease == null) {
            return record;
        }
        record.lease = null;
        int requestAt = lease.askedAt() + 1 + Bytes.u8(lease.data(), lease.askedAt());
        return givenBack(record, lease.data(), requestAt, command.notAfter, limits);
    }

    /** Remembers a request as over. A turn commits under its request's id, so mostly the ring holds it already. */
    private static Record givenBack(Record record, byte[] data, int requestAt, long notAfter, Limits limits) {
        // only half of it: turns that give up at once, over and over, must not leave changes without a place
        if (record.ring.count() < limits.ring() / 2 && !record.ring.holds(data, requestAt)) {
            record.ring = record.ring.with(
                    data, requestAt, notAfter, Status.LEASE_LOST, record, record.revision, Bytes.EMPTY);
        }
        return record;
    }

    private static Record granted(Record base, Command command, long now, Reply reply) {
        // above the last one, and if it can be the time itself, so that a token tells since when its lease is held
        long token = Math.max(Record.next(base.lastToken), now);
        Record granted = base.copy();
        granted.lease = new Lease(command.data, command.askedAt, token, now + command.duration);
        granted.lastToken = token;
        granted.queue = without(base.queue, command);
        reply.grant(token, granted.lease.until(), 0);
        return granted;
    }

    private static Record queued(Record base, Waiter[] queue, int place, Waiter waiter) {
        Record queued = base.copy();
        queued.queue = queue == base.queue ? queue.clone() : queue;
        queued.queue[place] = waiter;
        return queued;
    }

    private static boolean isHolder(Record base, Command command) {
        return base.lease != null && base.lease.isOf(command.data, command.requestAt);
    }

    private static int placeOf(Record base, Command command) {
        for (int place = 0; place < base.queue.length; place++) {
            if (base.queue[place].isOf(command.data, command.requestAt)) {
                return place;
            }
        }
        return -1;
    }

    private static Waiter[] without(Waiter[] queue, Command command) {
        int kept = 0;
        Waiter[] left = new Waiter[queue.length];
        for (Waiter waiter : queue) {
            if (!waiter.isOf(command.data, command.requestAt)) {
                left[kept++] = waiter;
            }
        }
        return kept == queue.length ? queue : Arrays.copyOf(left, kept);
    }
}
