package com.gridsession.member;

import java.util.Locale;
import java.util.concurrent.atomic.LongAdder;

/**
 * What this member did since it started, counted by the threads that do it: they allocate nothing and wait for nobody.
 * What happened to which session is never kept.
 */
final class Counters {
    /** By wire id; the first counts all that this version does not know. */
    private static final String[] COMMANDS = {
        "other", "load", "commit", "renew", "release", "delete", "install", "claim_expired", "ack_expired"
    };
    private static final String[] STATUSES = {
        "ok", "conflict", "absent", "leased", "lease_lost", "too_late", "busy", "too_large", "wrong_type", "unsupported",
        "malformed", "corrupt", "other"
    };
    /** Upper bounds of the histogram's buckets, ns; a command of usual size takes 5 to 50 µs. */
    private static final long[] BOUNDS = {
        5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000, 100_000_000, 1_000_000_000
    };
    private static final String[] LABELS = {
        "5e-06", "1e-05", "2.5e-05", "5e-05", "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.01", "0.1", "1.0"
    };
    private static final double NANOS = 1e9;

    /** Which side of a split a merge took: the one that judges, the one that joins it, or nothing of either. */
    enum Merged { STANDING, JOINING, NEITHER }

    private final LongAdder[][] answers = adders(COMMANDS.length, STATUSES.length);
    private final LongAdder[][] buckets = adders(COMMANDS.length, BOUNDS.length + 1);
    private final LongAdder[] nanos = adders(COMMANDS.length);
    private final LongAdder[] duplicates = adders(COMMANDS.length);
    private final LongAdder[] merges = adders(Merged.values().length);
    private final LongAdder refused = new LongAdder();
    private final LongAdder expired = new LongAdder();
    private final LongAdder leasesRunOut = new LongAdder();
    private final LongAdder partitionsLost = new LongAdder();

    /**
     * A command was applied.
     *
     * @param took how long it held its partition's thread, ns
     */
    void applied(byte[] command, Applied applied, long took) {
        int code = answered(command, applied.status(), took);
        if (applied.duplicate()) {
            duplicates[code].increment();
        }
        if (applied.written()) {
            if ((applied.ended() & Applied.SESSION) != 0) {
                expired.increment();
            }
            if ((applied.ended() & Applied.LEASE) != 0) {
                leasesRunOut.increment();
            }
        }
    }

    /** A command was answered so, after {@code took} ns; gives its place among the commands. */
    int answered(byte[] command, int status, long took) {
        int code = command.length > 1 && command[1] > 0 && command[1] < COMMANDS.length ? command[1] : 0;
        answers[code][Math.min(status, STATUSES.length - 1)].increment();
        nanos[code].add(took);
        int bucket = 0;
        while (bucket < BOUNDS.length && took > BOUNDS[bucket]) {
            bucket++;
        }
        buckets[code][bucket].increment();
        return code;
    }

    /** A command was not applied, as members declare different things. */
    void refused() {
        refused.increment();
    }

    void merged(Merged side) {
        merges[side.ordinal()].increment();
    }

    /** All copies of so many partitions are gone. */
    void partitionsLost(long count) {
        partitionsLost.add(count);
    }

    void print(Exposition out) {
        out.family("commands_total", "counter", "Commands that this member answered as their sessions' owner.");
        for (int code = 0; code < COMMANDS.length; code++) {
            for (int status = 0; status < STATUSES.length; status++) {
                out.sample(answers[code][status].sum(), "command", COMMANDS[code], "status", STATUSES[status]);
            }
        }
        out.family("command_duplicates_total", "counter",
                "Commands that an earlier attempt had applied; they were answered as that one was.");
        for (int code = 0; code < COMMANDS.length; code++) {
            out.sample(duplicates[code].sum(), "command", COMMANDS[code]);
        }
        printTimes(out);
        out.family("commands_refused_total", "counter",
                "Commands refused because members were started with different sizes or copies.").sample(refused.sum());
        out.family("sessions_expired_total", "counter",
                "Sessions whose time was over when the next command wrote their record.").sample(expired.sum());
        out.family("leases_run_out_total", "counter",
                "Leases that their holders neither renewed nor gave back, found when the next command wrote the record.")
                .sample(leasesRunOut.sum());
        out.family("merges_total", "counter", "Records of which a merge after a split chose a side, by the side kept.");
        for (Merged side : Merged.values()) {
            out.sample(merges[side.ordinal()].sum(), "kept", side.name().toLowerCase(Locale.ROOT));
        }
        out.family("partitions_lost_total", "counter",
                "Partitions of which all copies were lost, with the sessions in them; told once a majority is there.").sample(partitionsLost.sum());
    }

    private void printTimes(Exposition out) {
        out.family("command_seconds", "histogram", "Time that commands held their partition's thread.");
        for (int code = 0; code < COMMANDS.length; code++) {
            long count = 0;
            for (int bucket = 0; bucket < BOUNDS.length; bucket++) {
                count += buckets[code][bucket].sum();
                out.suffixed("_bucket", count, "command", COMMANDS[code], "le", LABELS[bucket]);
            }
            // not what was counted apart: the parts of one histogram must agree
            count += buckets[code][BOUNDS.length].sum();
            out.suffixed("_bucket", count, "command", COMMANDS[code], "le", "+Inf");
            out.suffixed("_sum", nanos[code].sum() / NANOS, "command", COMMANDS[code]);
            out.suffixed("_count", count, "command", COMMANDS[code]);
        }
    }

    private static LongAdder[] adders(int size) {
        LongAdder[] made = new LongAdder[size];
        for (int index = 0; index < size; index++) {
            made[index] = new LongAdder();
        }
        return made;
    }

    private static LongAdder[][] adders(int rows, int size) {
        LongAdder[][] made = new LongAdder[rows][];
        for (int row = 0; row < rows; row++) {
            made[row] = adders(size);
        }
        return made;
    }
}
