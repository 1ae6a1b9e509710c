package com.gridsession.member;

/** Reads numbers, texts and lengths off one buffer; {@link Unreadable} past its end. */
final class Cursor {
    final byte[] data;
    int at;
    private final int end;

    Cursor(byte[] data, int at, int end) {
        this.data = data;
        this.at = at;
        this.end = end;
    }

    /** Steps over {@code size} bytes and gives their start. */
    int take(int size) {
        int start = at;
        if (size < 0 || size > end - start) {
            throw Unreadable.INSTANCE;
        }
        at = start + size;
        return start;
    }

    int u8() {
        return Bytes.u8(data, take(1));
    }

    int u16() {
        return Bytes.u16(data, take(2));
    }

    int i32() {
        return Bytes.i32(data, take(4));
    }

    long i64() {
        return Bytes.i64(data, take(8));
    }

    /** A length of four bytes; what is beyond Java's int is beyond any buffer. */
    int size32() {
        int size = i32();
        if (size < 0 || size > end - at) {
            throw Unreadable.INSTANCE;
        }
        return size;
    }

    /** Steps over bytes with a length of four bytes; gives the start of the length. */
    int bytes32() {
        int start = at;
        take(size32());
        return start;
    }

    /** Steps over bytes, at least one, with a length of two bytes; gives the start of the length. */
    int bytes16() {
        int start = at;
        int size = u16();
        require(size > 0);
        take(size);
        return start;
    }

    /** Steps over text with a length of one byte; gives the start of the length. */
    int text8() {
        int start = at;
        int size = u8();
        require(Bytes.isUtf8(data, take(size), size));
        return start;
    }

    /** Steps over a field's name in the record's layout; gives its start. */
    int name() {
        int start = at;
        require(u8() == Bag.NAME);
        int text = text8();
        require(data[text] != 0);
        return start;
    }

    /** Steps over raw bytes in the record's layout; gives the start of the bytes themselves. */
    int raw() {
        require(u8() == Bag.RAW);
        int size = size32();
        return take(size);
    }

    void end() {
        require(at == end);
    }

    static void require(boolean holds) {
        if (!holds) {
            throw Unreadable.INSTANCE;
        }
    }
}
