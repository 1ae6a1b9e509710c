package com.gridsession.member;

/** One place in the queue for the lease, laid out like a {@link Lease}; forgotten after {@code until} unless asked for again. */
record Waiter(byte[] data, int askedAt, long until) {
    static final Waiter[] NOBODY = {};
    static final int REQUEST_ID = 16;

    boolean isOf(byte[] command, int requestAt) {
        return isRequest(data, askedAt, command, requestAt);
    }

    static boolean isRequest(byte[] data, int askedAt, byte[] command, int requestAt) {
        return Bytes.same16(data, askedAt + 1 + Bytes.u8(data, askedAt), command, requestAt);
    }

    /** Bytes of owner and request id. */
    static int askedSize(byte[] data, int askedAt) {
        return 1 + Bytes.u8(data, askedAt) + REQUEST_ID;
    }
}
