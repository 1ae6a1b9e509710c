package com.gridsession.member;

/**
 * The time-limited right of one owner to hold the session alone. Owner and request id stay where they were read, as
 * {@code text8 owner, 16 bytes request id} from {@code askedAt} on.
 */
record Lease(byte[] data, int askedAt, long token, long until) {
    Lease until(long later) {
        return new Lease(data, askedAt, token, later);
    }

    boolean isOf(byte[] command, int requestAt) {
        return Waiter.isRequest(data, askedAt, command, requestAt);
    }
}
