package com.gridsession.member;

import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/**
 * What one command costs its partition's thread, without Hazelcast: time, and bytes allocated. Run it with
 * {@code mvn -q -f deploy/member/pom.xml test-compile exec:java}.
 */
public final class CommandCost {
    private static final String ID = "telegram:1642312";
    private static final long NOW = 1_800_000_000_000L;
    private static final long NOT_AFTER = NOW + 60_000;
    private static final int RING = 4;
    /** The smallest has three fields, the others have thirteen. */
    private static final int[] SIZES = {200, 1_000, 16_000, 64_000};
    private static final int ROUNDS = 9;
    private static final long ROUND_NANOS = 200_000_000;
    private static final int LEAST_CALLS = 1_000;

    /** One command on one record, again and again; the record stays as it is. */
    private final byte[] record;
    private final byte[] command;
    private final Counters counters = new Counters();
    private long kept;

    CommandCost(byte[] record, byte[] command) {
        this.record = record;
        this.command = command;
    }

    /** A session of so many fields, two of them small, that takes about {@code size} bytes with its ring. */
    static byte[] record(int fields, int size) {
        int spare = size - grown(fields, 2).length;
        return grown(fields, 2 + Math.max(0, spare / (fields - 2)));
    }

    private static byte[] grown(int fields, int raw) {
        byte[] made = applied(null, Asked.sets(1, NOT_AFTER, Command.NOTHING, names(fields), value(raw))).record();
        for (int opId = 2; opId <= RING; opId++) {
            made = applied(made, Asked.sets(opId, NOT_AFTER, Command.NOTHING, names(2), value(10))).record();
        }
        return made;
    }

    /** A commit that sets the two small fields to as many bytes as they have. */
    static byte[] commit(int want) {
        return Asked.sets(99, NOT_AFTER, want, names(2), value(10));
    }

    /** Bytes that one call allocates once it is compiled. */
    long bytes() {
        run(LEAST_CALLS * 20);
        long least = Long.MAX_VALUE;
        for (int round = 0; round < ROUNDS; round++) {
            long before = allocated();
            run(LEAST_CALLS);
            least = Math.min(least, (allocated() - before) / LEAST_CALLS);
        }
        return least;
    }

    /** Nanoseconds of one call, the median of some rounds. */
    double nanos() {
        double[] rounds = new double[ROUNDS];
        for (int round = -2; round < ROUNDS; round++) {
            long began = System.nanoTime();
            long calls = 0;
            for (; System.nanoTime() - began < ROUND_NANOS; calls += 100) {
                run(100);
            }
            if (round >= 0) {
                rounds[round] = (double) (System.nanoTime() - began) / calls;
            }
        }
        Arrays.sort(rounds);
        return rounds[ROUNDS / 2];
    }

    /** As {@link GridProcessor} does it: decode, apply, encode, count. */
    private void run(int calls) {
        for (int call = 0; call < calls; call++) {
            Applied applied = Rules.apply(record, command, NOW, ID, Limits.DEFAULT);
            counters.applied(command, applied, 10_000);
            // what nobody looks at might not be made
            kept += applied.reply().length + applied.record().length;
        }
    }

    static long allocated() {
        return ((com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean()).getCurrentThreadAllocatedBytes();
    }

    static Applied applied(byte[] record, byte[] command) {
        Applied applied = Rules.apply(record, command, NOW, ID, Limits.DEFAULT);
        if (applied.status() != Status.OK) {
            throw new IllegalStateException("status " + applied.status());
        }
        return applied;
    }

    private static List<String> names(int count) {
        return IntStream.range(0, count).mapToObj(number -> "field_" + number).toList();
    }

    private static byte[] value(int size) {
        byte[] raw = new byte[size];
        Arrays.fill(raw, 1, size, (byte) 'x');
        raw[0] = Kind.VALUE;
        return raw;
    }

    /** Prints a line for each size and command. */
    public static void main(String[] arguments) {
        List<CommandCost> costs = new ArrayList<>();
        List<String> names = new ArrayList<>();
        for (int size : SIZES) {
            byte[] record = record(size < 1_000 ? 3 : 13, size);
            costs.addAll(List.of(new CommandCost(record, Asked.load()), new CommandCost(record, commit(Command.REVISION)),
                    new CommandCost(record, commit(Command.RECORD))));
            names.addAll(List.of("load, whole", "commit", "commit, wants the record"));
        }
        // all of them first: what is measured first must not pay for the compiler
        costs.forEach(CommandCost::bytes);
        System.out.printf("Java %s; %d op ids in the ring; a commit sets 2 fields%n",
                System.getProperty("java.version"), RING);
        System.out.printf("%8s  %-24s %8s %8s %19s%n", "record", "command", "ns", "bytes", "beside what is kept");
        for (int index = 0; index < costs.size(); index++) {
            System.out.println(costs.get(index).line(names.get(index)));
        }
    }

    private String line(String what) {
        double nanos = nanos();
        long bytes = bytes();
        Applied applied = applied(record, command);
        long written = applied.written() ? applied.record().length : 0;
        if (kept == 0) {
            throw new IllegalStateException("nothing was answered");
        }
        return String.format(
                Locale.ROOT, "%8d  %-24s %8.0f %8d %19d", record.length, what, nanos, bytes, bytes - written);
    }
}
