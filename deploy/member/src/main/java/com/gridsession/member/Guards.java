package com.gridsession.member;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** What must hold before a change is made. */
final class Guards {
    static final int ABSENT = 1;
    static final int PRESENT = 2;
    static final int AT_REVISION = 3;
    static final int NOT_REMEMBERED = 4;
    static final int UNCHANGED = 5;
    static final int DIGEST = 16;

    private Guards() {
    }

    /** {@link Refusal} with the index of the first guard that does not hold. */
    static void check(Record record, Command command) {
        if (command.guards == 0) {
            return;
        }
        Cursor cursor = command.from(command.guardsAt);
        for (int index = 0; index < command.guards; index++) {
            int code = cursor.u8();
            if (!holds(record, code, cursor)) {
                throw new Refusal(code == PRESENT ? Status.ABSENT : Status.CONFLICT, index);
            }
        }
    }

    private static boolean holds(Record record, int code, Cursor cursor) {
        return switch (code) {
            case ABSENT -> !record.live;
            case PRESENT -> record.live;
            case AT_REVISION -> {
                boolean sameEpoch = cursor.i64() == record.epoch;
                long revision = cursor.i64();
                yield record.live && sameEpoch && (revision == 0 || revision == record.revision);
            }
            case NOT_REMEMBERED -> !remembers(record, cursor);
            default -> {
                int bag = cursor.u8();
                int name = Command.stepName(cursor);
                int size = cursor.u8();
                yield isUnchanged(record.bags[bag], cursor.data, name, cursor.take(size), size);
            }
        };
    }

    /** Whether the recent set of the bag meta named at the cursor holds the value that follows the name. */
    static boolean remembers(Record record, Cursor cursor) {
        int name = Command.stepName(cursor);
        int value = cursor.bytes16() + 2;
        Bag meta = record.bags[Record.META];
        int slot = meta.find(cursor.data, name);
        if (slot < 0) {
            return false;
        }
        byte[] data = meta.buffer(slot);
        int rawAt = meta.rawAt(slot);
        int size = meta.rawSize(slot);
        if (Kind.of(data, rawAt, size) != Kind.RECENT) {
            return false;
        }
        int count = Kind.requireElements(data, rawAt, size);
        return Sequence.holds(data, rawAt, count, cursor.data, value, cursor.at - value);
    }

    private static boolean isUnchanged(Bag bag, byte[] command, int name, int digestAt, int digestSize) {
        int slot = bag.find(command, name);
        if (slot < 0 || digestSize == 0) {
            return slot < 0 && digestSize == 0;
        }
        MessageDigest digest;
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException("every Java has SHA-256", impossible);
        }
        digest.update(bag.buffer(slot), bag.rawAt(slot), bag.rawSize(slot));
        return Bytes.same(digest.digest(), 0, command, digestAt, DIGEST);
    }
}
