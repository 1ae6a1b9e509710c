package com.gridsession.member;

import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;

/** Asks a member how it stands, of what the flags below say. Sent to the member itself. */
public final class Condition extends Bodiless implements Callable<Long> {
    /** Executor service to send it by. */
    static final String EXECUTOR = "gridsession.members";
    /** It came from a split and has not yet handed over all that it held. */
    static final int BRINGS = 1;
    /** It waits for members that may hold what nobody else does. */
    static final int MISSES = 2;
    /** It serves: what its side holds is whole. */
    static final int SERVES = 4;
    /** It came from a split, with what it was told when it served. */
    static final int REMEMBERS = 8;
    private static final int FLAGS = 0xFF;
    /** It did not answer, or sees other members than the one who asks. */
    static final int SILENT = 16;
    /** Of a member whose jar is too old to be asked. */
    static final int NOT_TOLD = SERVES | REMEMBERS;

    /** An answer: flags, and which members were seen when they were true. */
    static long of(int flags, Set<String> seen) {
        return (long) hash(seen) << Integer.SIZE | flags;
    }

    static int flags(long answer) {
        return (int) answer & FLAGS;
    }

    static boolean sees(long answer, Set<String> members) {
        return (int) (answer >>> Integer.SIZE) == hash(members);
    }

    private static int hash(Set<String> members) {
        // a set's own is a sum, and alike for many sets of addresses that differ in their ports only
        return new TreeSet<>(members).toString().hashCode();
    }

    @Override
    public Long call() {
        return GridMember.of(instance).condition();
    }

    @Override
    public int getClassId() {
        return GridDataSerializerHook.CONDITION;
    }
}
