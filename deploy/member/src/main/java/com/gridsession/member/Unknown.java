package com.gridsession.member;

/** A command, guard or operation of a newer version; caught inside the rules, where it becomes a status. */
final class Unknown extends RuntimeException {
    static final Unknown INSTANCE = new Unknown();

    private static final long serialVersionUID = 1L;

    private Unknown() {
        super("unknown command", null, false, false);
    }
}
