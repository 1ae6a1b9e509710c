package com.gridsession.member;

/** The first byte of a field's raw bytes, and the little that the member knows about what follows it. */
final class Kind {
    static final int VALUE = 0;
    static final int INT = 1;
    static final int FLOAT = 2;
    static final int LIST = 3;
    static final int RECENT = 4;
    static final int GATE = 5;
    /** Bytes of an INT, FLOAT or GATE. */
    static final int NUMBER_SIZE = 9;

    private Kind() {
    }

    /** The kind of stored raw bytes; {@link Unreadable} if there are none. */
    static int of(byte[] data, int rawAt, int rawSize) {
        Cursor.require(rawSize > 0);
        return data[rawAt];
    }

    /** {@link Unreadable} unless these are the raw bytes of a field, of a known kind and that kind's shape. */
    static void require(byte[] data, int rawAt, int rawSize) {
        Cursor.require(rawSize > 1);
        switch (data[rawAt]) {
            case VALUE -> { }
            case INT, FLOAT, GATE -> Cursor.require(rawSize == NUMBER_SIZE);
            case LIST, RECENT -> {
                int count = requireElements(data, rawAt, rawSize);
                int at = rawAt + 5;
                for (int element = 0; element < count; element++) {
                    int size = Bytes.i32(data, at);
                    Cursor.require(size > 0);
                    at += 4 + size;
                }
            }
            default -> throw Unreadable.INSTANCE;
        }
    }

    /** {@link Unreadable} unless a client may store these raw bytes: RECENT and GATE are made by their operations only. */
    static void requireStorable(byte[] data, int rawAt, int rawSize) {
        require(data, rawAt, rawSize);
        Cursor.require(data[rawAt] <= LIST);
    }

    /** Checks the lengths of a LIST or RECENT to the last byte; gives the number of elements. */
    static int requireElements(byte[] data, int rawAt, int rawSize) {
        Cursor cursor = new Cursor(data, rawAt + 1, rawAt + rawSize);
        int count = cursor.i32();
        for (int element = 0; element < count; element++) {
            cursor.bytes32();
        }
        Cursor.require(count >= 0);
        cursor.end();
        return count;
    }

    /** Where the element stands in a LIST or RECENT that was checked. */
    static int element(byte[] data, int rawAt, int index) {
        int at = rawAt + 5;
        for (int element = 0; element < index; element++) {
            at += 4 + Bytes.i32(data, at);
        }
        return at;
    }

    /** The 64 bits of a stored INT, FLOAT or GATE; {@link Unreadable} if it has not that shape. */
    static long bits(byte[] data, int rawAt, int rawSize) {
        Cursor.require(rawSize == NUMBER_SIZE);
        return Bytes.i64(data, rawAt + 1);
    }
}
