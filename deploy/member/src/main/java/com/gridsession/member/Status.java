package com.gridsession.member;

/** What became of a command; numbers as in {@code gridsession/_reply.py}. */
final class Status {
    static final int OK = 0;
    static final int CONFLICT = 1;
    static final int ABSENT = 2;
    static final int LEASED = 3;
    static final int LEASE_LOST = 4;
    static final int TOO_LATE = 5;
    static final int BUSY = 6;
    static final int TOO_LARGE = 7;
    static final int WRONG_TYPE = 8;
    static final int UNSUPPORTED = 9;
    static final int MALFORMED = 10;
    static final int CORRUPT = 11;

    private Status() {
    }
}
