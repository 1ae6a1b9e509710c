package com.gridsession.member;

/** Leaves the middle of a change with a status; never leaves the rules. */
final class Refusal extends RuntimeException {
    private static final long serialVersionUID = 1L;

    final int status;
    final int index;

    Refusal(int status, int index) {
        super("refused", null, false, false);
        this.status = status;
        this.index = index;
    }
}
