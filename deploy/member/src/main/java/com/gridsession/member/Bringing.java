package com.gridsession.member;

import java.util.concurrent.Callable;

/** Asks a member whether it came from a split and has not yet handed over all that it held. Sent to the member itself. */
public final class Bringing extends Bodiless implements Callable<Boolean> {
    /** Executor service to send it by. */
    static final String EXECUTOR = "gridsession.members";

    @Override
    public Boolean call() {
        return GridMember.of(instance).majority().brings();
    }

    @Override
    public int getClassId() {
        return GridDataSerializerHook.BRINGING;
    }
}
