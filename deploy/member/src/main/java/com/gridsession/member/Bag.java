package com.gridsession.member;

import java.util.Arrays;
import java.util.concurrent.ThreadLocalRandom;

/**
 * The fields of one bag in their order, as places in byte arrays: a field is a block {@code d9 u8 name, c6 u32 raw}
 * that stands in the stored record, in the command, or in an array made for it. Nothing is copied before it is written.
 *
 * <p>A bag that was read is never changed; a draft changes a {@link #copy()}.
 */
final class Bag {
    /** Before a name, its length of one byte following. */
    static final int NAME = 0xD9;
    /** Before raw bytes, their length of four bytes following. */
    static final int RAW = 0xC6;
    /** Starts the map, its count of two bytes following. */
    static final int MAP = 0xDE;
    static final Bag NONE = new Bag(0);

    private static final int HEADER = 3;
    /** So many walks over the fields of a bag with more fields than that, and a table is worth its making. */
    private static final int SMALL = 12;
    private static final int DROPPED = -1;
    // so that nobody can choose names that all fall together
    private static final int SEED = ThreadLocalRandom.current().nextInt();

    private byte[] section;
    private int sectionAt;
    private byte[][] buffers;
    private int[] places;
    private int slots;
    private int count;
    private long blockBytes;
    private int[] table;
    private int walks;

    Bag(int capacity) {
        buffers = new byte[capacity][];
        places = new int[capacity];
    }

    /** Reads a section that has a length of four bytes; {@link Unreadable} unless it is laid out exactly as we write it. */
    static Bag read(Cursor record) {
        int size = record.size32();
        int start = record.take(size);
        Cursor cursor = new Cursor(record.data, start, start + size);
        Cursor.require(cursor.u8() == MAP);
        int count = cursor.u16();
        Cursor.require(count > 0);
        // a field takes at least its seven bytes of header: refused before anything is allocated
        Cursor.require(count * 7L <= size - HEADER);
        Bag bag = new Bag(count);
        long seen = 0;
        for (int field = 0; field < count; field++) {
            int place = cursor.name();
            cursor.raw();
            // names that differ in this mostly differ in their marks: few need to be looked for
            long mark = 1L << mark(cursor.data, place);
            Cursor.require((seen & mark) == 0 || bag.find(cursor.data, place) < 0);
            seen |= mark;
            bag.add(cursor.data, place);
        }
        cursor.end();
        bag.section = record.data;
        bag.sectionAt = start;
        return bag;
    }

    Bag copy() {
        Bag copy = new Bag(0);
        int room = slots + 4;
        copy.buffers = Arrays.copyOf(buffers, room);
        copy.places = Arrays.copyOf(places, room);
        copy.slots = slots;
        copy.count = count;
        copy.blockBytes = blockBytes;
        return copy;
    }

    int count() {
        return count;
    }

    /** One more than the last slot ever used; some below it may be dropped. */
    int slots() {
        return slots;
    }

    boolean holds(int slot) {
        return places[slot] != DROPPED;
    }

    byte[] buffer(int slot) {
        return buffers[slot];
    }

    /** Where the field's block starts in its buffer. */
    int place(int slot) {
        return places[slot];
    }

    int rawAt(int slot) {
        return rawAt(buffers[slot], places[slot]);
    }

    int rawSize(int slot) {
        return Bytes.i32(buffers[slot], rawAt(slot) - 4);
    }

    /** The slot of the field whose name is laid out at {@code place}, or -1. */
    int find(byte[] buffer, int place) {
        if (table == null && slots > SMALL && ++walks > SMALL) {
            index();
        }
        if (table == null) {
            for (int slot = 0; slot < slots; slot++) {
                if (isNamed(slot, buffer, place)) {
                    return slot;
                }
            }
            return -1;
        }
        int mask = table.length - 1;
        for (int cell = hash(buffer, place) & mask; table[cell] != 0; cell = cell + 1 & mask) {
            if (isNamed(table[cell] - 1, buffer, place)) {
                return table[cell] - 1;
            }
        }
        return -1;
    }

    /** Puts the block; a field that is there keeps its position, a new one comes last. */
    void put(byte[] buffer, int place) {
        put(find(buffer, place), buffer, place);
    }

    /** As above, where {@link #find} gave the slot. */
    void put(int slot, byte[] buffer, int place) {
        if (slot < 0) {
            add(buffer, place);
            return;
        }
        blockBytes += blockSize(buffer, place) - blockSize(buffers[slot], places[slot]);
        buffers[slot] = buffer;
        places[slot] = place;
    }

    void drop(int slot) {
        blockBytes -= blockSize(buffers[slot], places[slot]);
        places[slot] = DROPPED;
        count--;
    }

    /** Bytes of the section, its own length not counted. */
    long size() {
        return HEADER + blockBytes;
    }

    /** Writes the section with its length; gives the position after it. */
    int write(byte[] out, int position) {
        int at = Bytes.put32(out, position, (int) size());
        if (section != null) {
            return Bytes.put(out, at, section, sectionAt, (int) size());
        }
        at = Bytes.put16(out, Bytes.put8(out, at, MAP), count);
        byte[] run = Bytes.EMPTY;
        int start = 0;
        int end = 0;
        for (int slot = 0; slot < slots; slot++) {
            if (holds(slot)) {
                // neighbours in one buffer are copied together
                if (buffers[slot] != run || places[slot] != end) {
                    at = Bytes.put(out, at, run, start, end - start);
                    run = buffers[slot];
                    start = places[slot];
                }
                end = places[slot] + blockSize(run, places[slot]);
            }
        }
        return Bytes.put(out, at, run, start, end - start);
    }

    static int nameSize(byte[] buffer, int place) {
        return Bytes.u8(buffer, place + 1);
    }

    /** A block of its own: the name laid out at {@code place}, and room for raw bytes from {@code block.length - rawSize}. */
    static byte[] block(byte[] buffer, int place, int rawSize) {
        int named = 2 + nameSize(buffer, place);
        byte[] block = new byte[Math.addExact(named + 5, rawSize)];
        Bytes.put(block, 0, buffer, place, named);
        Bytes.put32(block, Bytes.put8(block, named, RAW), rawSize);
        return block;
    }

    private static int rawAt(byte[] buffer, int place) {
        return place + 7 + nameSize(buffer, place);
    }

    private static int blockSize(byte[] buffer, int place) {
        int rawAt = rawAt(buffer, place);
        return rawAt - place + Bytes.i32(buffer, rawAt - 4);
    }

    private boolean isNamed(int slot, byte[] buffer, int place) {
        int own = places[slot];
        return own != DROPPED
                && buffers[slot][own + 1] == buffer[place + 1]
                && Bytes.sameBackwards(buffers[slot], own + 2, buffer, place + 2, nameSize(buffer, place));
    }

    private void add(byte[] buffer, int place) {
        if (slots == places.length) {
            int room = slots * 2 + 4;
            buffers = Arrays.copyOf(buffers, room);
            places = Arrays.copyOf(places, room);
        }
        buffers[slots] = buffer;
        places[slots] = place;
        slots++;
        count++;
        blockBytes += blockSize(buffer, place);
        if (table != null) {
            index();
        }
    }

    private void index() {
        if (table != null && slots * 2 <= table.length) {
            enter(slots - 1);
            return;
        }
        table = new int[Integer.highestOneBit(slots) * 4];
        for (int slot = 0; slot < slots; slot++) {
            if (holds(slot)) {
                enter(slot);
            }
        }
    }

    private void enter(int slot) {
        int mask = table.length - 1;
        int cell = hash(buffers[slot], places[slot]) & mask;
        while (table[cell] != 0) {
            cell = cell + 1 & mask;
        }
        table[cell] = slot + 1;
    }

    /** A number below 64 made of little of the name. */
    private static int mark(byte[] buffer, int place) {
        int size = nameSize(buffer, place);
        int mixed = size * 31 + buffer[place + 1 + size] * 17 + buffer[place + 2 + size / 2] * 7 + buffer[place + 2];
        return mixed * 0x9E3779B9 >>> 26;
    }

    private static int hash(byte[] buffer, int place) {
        int hash = SEED;
        for (int at = place + 2, end = at + nameSize(buffer, place); at < end; at++) {
            hash = (hash ^ buffer[at]) * 0x01000193;
        }
        return hash ^ hash >>> 15;
    }
}
