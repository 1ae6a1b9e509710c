package com.gridsession.member;

/**
 * What is asked of a record, as laid out in {@code gridsession/_commands.py}. Reading one checks it to the last byte;
 * lists of names, guards and operations stay where they are and are walked again when they are applied.
 */
final class Command {
    static final int LAYOUT = 1;
    static final int LOAD = 1;
    static final int COMMIT = 2;
    static final int RENEW = 3;
    static final int RELEASE = 4;
    static final int DELETE = 5;
    static final int INSTALL = 6;
    static final int CLAIM_EXPIRED = 7;
    static final int ACK_EXPIRED = 8;
    /** The newest that this jar knows; the probe tells it, and clients send no newer one until every member does. */
    static final int NEWEST = ACK_EXPIRED;

    static final int NOTHING = 0;
    static final int REVISION = 1;
    static final int CHANGED = 2;
    static final int RECORD = 3;
    static final int WHOLE = 4;

    static final int RESTART = 0;
    static final int KEEP = 1;
    static final int SET_TTL = 2;

    static final int IF_NEWER = 1;

    private static final int NAMES = 1;
    private static final int TOUCH = 2;
    private static final int ACQUIRE = 4;
    private static final int CONFIRM = 8;
    private static final int SEEN = 16;
    private static final int RELEASES = 1;
    private static final int RETRY = 2;
    private static final int ANNOUNCE = 4;
    private static final int RENEWS = 1;

    /** Longest lease and patience, ms. */
    private static final long MAX_LEASE = 86_400_000;

    final byte[] data;
    final int code;
    final long notAfter;
    private final int flags;

    int want;
    int count;
    int listAt;
    long ifLessThan;
    long ttl;
    int askedAt;
    long duration;
    long patience;
    int seenAt;

    int opIdAt;
    long token;
    int guards;
    int guardsAt;
    int ttlMode;
    long createdTtl;
    long createdLifetime;
    int clear;
    int retained;
    int retainedAt;
    int requestAt;
    int mode;
    int recordAt;
    int recordSize;

    private Command(byte[] data, int code, int flags, long notAfter) {
        this.data = data;
        this.code = code;
        this.flags = flags;
        this.notAfter = notAfter;
    }

    /** Whether layout and id are known; {@link Unreadable} if there are none. */
    static boolean isKnown(byte[] data) {
        Cursor.require(data.length >= 2);
        return data[0] == LAYOUT && data[1] >= LOAD && data[1] <= NEWEST;
    }

    /** Whether the command only reads and promises nothing: neither touch, nor lease, nor a confirmed answer. */
    static boolean isPlainLoad(byte[] data) {
        return data.length >= 4 && data[0] == LAYOUT && data[1] == LOAD
                && (Bytes.u16(data, 2) & (TOUCH | ACQUIRE | CONFIRM)) == 0;
    }

    /** Whether a backup must agree to the answer, also to one that changed nothing. */
    static boolean isConfirmed(byte[] data) {
        return data.length < 4 || data[1] != LOAD || (Bytes.u16(data, 2) & (ACQUIRE | CONFIRM)) != 0;
    }

    /** Reads a command that {@link #isKnown}; {@link Unreadable} unless it is well formed, {@link Unknown} if it is newer. */
    static Command parse(byte[] data) {
        Cursor cursor = new Cursor(data, 1, data.length);
        Command command = new Command(data, cursor.u8(), cursor.u16(), cursor.i64());
        Cursor.require((command.flags & ~allowed(command.code)) == 0);
        Cursor.require(command.notAfter > 0 || command.notAfter == 0 && command.code == LOAD);
        switch (command.code) {
            case LOAD -> command.readLoad(cursor);
            case COMMIT -> command.readCommit(cursor);
            case RENEW -> {
                command.token = cursor.i64();
                command.duration = duration(cursor, 1, MAX_LEASE);
            }
            case RELEASE -> {
                command.token = cursor.i64();
                command.requestAt = cursor.take(Waiter.REQUEST_ID);
            }
            case DELETE -> command.readChangeHead(cursor);
            case INSTALL -> command.readInstall(cursor);
            case CLAIM_EXPIRED -> {
                command.opIdAt = cursor.take(Ring.OP_ID);
                command.duration = duration(cursor, 1, MAX_LEASE);
            }
            default -> command.opIdAt = cursor.take(Ring.OP_ID);
        }
        cursor.end();
        return command;
    }

    /** How much there is to do: guards, operations and retained names, or names asked for. */
    int parts() {
        return guards + retained + count;
    }

    boolean hasNames() {
        return (flags & NAMES) != 0;
    }

    boolean touches() {
        return (flags & TOUCH) != 0;
    }

    boolean acquires() {
        return (flags & ACQUIRE) != 0;
    }

    boolean asksSeen() {
        return (flags & SEEN) != 0;
    }

    boolean releases() {
        return (code == COMMIT || code == DELETE) && (flags & RELEASES) != 0;
    }

    boolean retries() {
        return code != LOAD && (flags & RETRY) != 0;
    }

    /** Whether who commits wants to be told when the session expires. */
    boolean announces() {
        return code == COMMIT && (flags & ANNOUNCE) != 0;
    }

    /** Whether a claim is only to be extended. */
    boolean renews() {
        return code == CLAIM_EXPIRED && (flags & RENEWS) != 0;
    }

    /** A cursor over the command from {@code at} on. */
    Cursor from(int at) {
        return new Cursor(data, at, data.length);
    }

    /** Steps over a name that was checked before; gives its start. */
    static int stepName(Cursor cursor) {
        int start = cursor.at;
        cursor.take(2);
        cursor.take(Bag.nameSize(cursor.data, start));
        return start;
    }

    private static int allowed(int code) {
        return switch (code) {
            case LOAD -> NAMES | TOUCH | ACQUIRE | CONFIRM | SEEN;
            case COMMIT -> RELEASES | RETRY | ANNOUNCE;
            case DELETE -> RELEASES | RETRY;
            case INSTALL, ACK_EXPIRED -> RETRY;
            case CLAIM_EXPIRED -> RENEWS;
            default -> 0;
        };
    }

    private void readLoad(Cursor cursor) {
        want = choice(cursor, WHOLE);
        if (hasNames()) {
            count = cursor.u16();
            listAt = cursor.at;
            for (int left = count; left > 0; left--) {
                bag(cursor);
                cursor.name();
                Cursor.require(cursor.i32() >= -1);
            }
        }
        if (touches()) {
            ifLessThan = cursor.i64();
            Cursor.require(ifLessThan >= 0);
            ttl = duration(cursor, -1, Record.MAX_DURATION);
        }
        if (acquires()) {
            askedAt = cursor.text8();
            requestAt = cursor.take(Waiter.REQUEST_ID);
            Cursor.require(notAfter > 0);
            duration = duration(cursor, 1, MAX_LEASE);
            patience = duration(cursor, 0, MAX_LEASE);
        }
        if (asksSeen()) {
            seenAt = cursor.name();
            cursor.bytes16();
        }
    }

    private void readChangeHead(Cursor cursor) {
        opIdAt = cursor.take(Ring.OP_ID);
        token = cursor.i64();
        guards = cursor.u16();
        guardsAt = cursor.at;
        for (int left = guards; left > 0; left--) {
            readGuard(cursor);
        }
        Cursor.require(token != 0 || !releases());
    }

    private static void readGuard(Cursor cursor) {
        switch (cursor.u8()) {
            case Guards.ABSENT, Guards.PRESENT -> { }
            case Guards.AT_REVISION -> cursor.take(16);
            case Guards.NOT_REMEMBERED -> {
                cursor.name();
                cursor.bytes16();
            }
            case Guards.UNCHANGED -> {
                bag(cursor);
                cursor.name();
                int size = cursor.u8();
                Cursor.require(size == 0 || size == Guards.DIGEST);
                cursor.take(size);
            }
            default -> throw Unknown.INSTANCE;
        }
    }

    private void readCommit(Cursor cursor) {
        readChangeHead(cursor);
        ttlMode = choice(cursor, SET_TTL);
        ttl = duration(cursor, 0, Record.MAX_DURATION);
        createdTtl = duration(cursor, 0, Record.MAX_DURATION);
        createdLifetime = duration(cursor, 0, Record.MAX_DURATION);
        want = choice(cursor, RECORD);
        clear = choice(cursor, 3);
        retained = cursor.u16();
        retainedAt = cursor.at;
        for (int left = retained; left > 0; left--) {
            bag(cursor);
            cursor.name();
        }
        count = cursor.u16();
        listAt = cursor.at;
        for (int left = count; left > 0; left--) {
            readOperation(cursor);
        }
    }

    private static void readOperation(Cursor cursor) {
        int code = cursor.u8();
        int bag = bag(cursor);
        if (code < Draft.SET || code > Draft.ALLOW) {
            throw Unknown.INSTANCE;
        }
        cursor.name();
        switch (code) {
            case Draft.SET, Draft.SET_DEFAULT -> storable(cursor);
            case Draft.REMOVE, Draft.TAKE -> { }
            case Draft.INCREMENT -> {
                int kind = cursor.u8();
                Cursor.require(kind == Kind.INT || kind == Kind.FLOAT);
                cursor.take(8);
            }
            case Draft.APPEND -> {
                Cursor.require(cursor.i32() >= -1);
                for (int left = cursor.u16(); left > 0; left--) {
                    int size = cursor.size32();
                    Cursor.require(size > 0);
                    cursor.take(size);
                }
            }
            case Draft.POP -> choice(cursor, 1);
            case Draft.COMPARE_AND_SET -> {
                if (choice(cursor, 1) != 0) {
                    int expectedAt = cursor.raw();
                    Cursor.require(cursor.at > expectedAt);
                }
                if (choice(cursor, 1) != 0) {
                    storable(cursor);
                }
            }
            case Draft.REMEMBER -> {
                Cursor.require(bag == Record.META && cursor.i32() >= 1);
                cursor.bytes16();
            }
            case Draft.ALLOW -> {
                Cursor.require(bag == Record.META);
                duration(cursor, 1, Record.MAX_DURATION);
            }
            default -> throw Unknown.INSTANCE;
        }
    }

    private void readInstall(Cursor cursor) {
        opIdAt = cursor.take(Ring.OP_ID);
        mode = choice(cursor, IF_NEWER);
        recordSize = cursor.size32();
        recordAt = cursor.take(recordSize);
    }

    private static void storable(Cursor cursor) {
        int rawAt = cursor.raw();
        Kind.requireStorable(cursor.data, rawAt, cursor.at - rawAt);
    }

    private static int bag(Cursor cursor) {
        return choice(cursor, Record.META);
    }

    private static int choice(Cursor cursor, int most) {
        int value = cursor.u8();
        Cursor.require(value <= most);
        return value;
    }

    private static long duration(Cursor cursor, long least, long most) {
        long milliseconds = cursor.i64();
        Cursor.require(least <= milliseconds && milliseconds <= most);
        return milliseconds;
    }
}
