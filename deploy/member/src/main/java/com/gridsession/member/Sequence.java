package com.gridsession.member;

/** A stretch of the elements of a LIST or RECENT field, followed by new ones; copied once, when it is written. */
final class Sequence {
    private final byte[] data;
    private final int rawAt;
    private int count;
    private int start;
    private int end;

    private byte[] added = Bytes.EMPTY;
    private int addedAt;
    private int addedEnd;
    private int addedCount;

    /** The elements of the field in {@code slot} (-1 = none), which was checked and has {@code count} of them. */
    Sequence(Bag bag, int slot, int count) {
        this.data = slot < 0 ? Bytes.EMPTY : bag.buffer(slot);
        this.rawAt = slot < 0 ? 0 : bag.rawAt(slot);
        this.start = slot < 0 ? 0 : rawAt + 5;
        this.end = slot < 0 ? 0 : rawAt + bag.rawSize(slot);
        this.count = count;
    }

    /** Adds elements that are already laid out, each with its length. */
    Sequence with(byte[] from, int at, int until, int number) {
        added = from;
        addedAt = at;
        addedEnd = until;
        addedCount = number;
        return this;
    }

    int count() {
        return count + addedCount;
    }

    void keepLast(int keep) {
        while (count > 0 && count() > keep) {
            dropFirst();
        }
        for (; addedCount > keep; addedCount--) {
            addedAt += 4 + Bytes.i32(added, addedAt);
        }
    }

    /** Gives where the dropped element starts. */
    int dropFirst() {
        int first = start;
        start += 4 + Bytes.i32(data, first);
        count--;
        return first;
    }

    /** Gives where the dropped element starts. */
    int dropLast() {
        end = Kind.element(data, rawAt, count - 1);
        count--;
        return end;
    }

    /** The field's block, under the name laid out at {@code name}. */
    byte[] block(int kind, byte[] named, int name) {
        int stored = end - start;
        int size = Math.addExact(5 + stored, addedEnd - addedAt);
        byte[] block = Bag.block(named, name, size);
        int at = Bytes.put8(block, block.length - size, kind);
        at = Bytes.put(block, Bytes.put32(block, at, count()), data, start, stored);
        Bytes.put(block, at, added, addedAt, addedEnd - addedAt);
        return block;
    }

    /** Whether one of the elements of the raw bytes, which were checked, equals the value. */
    static boolean holds(byte[] data, int rawAt, int count, byte[] value, int valueAt, int size) {
        int at = rawAt + 5;
        for (int element = 0; element < count; element++) {
            int length = Bytes.i32(data, at);
            at += 4;
            if (length == size && Bytes.same(data, at, value, valueAt, size)) {
                return true;
            }
            at += length;
        }
        return false;
    }
}
