package com.gridsession.member;

/** Bytes that are not what they should be; caught inside the rules, where it becomes a status. */
final class Unreadable extends RuntimeException {
    static final Unreadable INSTANCE = new Unreadable();

    private static final long serialVersionUID = 1L;

    private Unreadable() {
        super("unreadable bytes", null, false, false);
    }
}
