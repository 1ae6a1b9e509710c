package com.gridsession.member;

/** The bags while the operations of a commit run over them; nothing of it is seen unless all went well. */
final class Draft {
    static final int SET = 1;
    static final int REMOVE = 2;
    static final int INCREMENT = 3;
    static final int APPEND = 4;
    static final int POP = 5;
    static final int TAKE = 6;
    static final int SET_DEFAULT = 7;
    static final int COMPARE_AND_SET = 8;
    static final int REMEMBER = 9;
    static final int ALLOW = 10;

    final Bag[] bags;
    final Results results;
    boolean effective;

    private final Bag[] before;
    private final long now;
    private final Limits limits;
    /** Names in the order of their first change, where the reply shows them. */
    private final Bag[] changed;

    Draft(Record record, long now, Limits limits, boolean showChanged) {
        this.before = record.bags;
        this.bags = record.bags.clone();
        this.now = now;
        this.limits = limits;
        this.results = new Results(limits.recordBytes());
        this.changed = showChanged ? new Bag[] {new Bag(4), new Bag(4)} : null;
    }

    /** Empties the bags of the mask except the retained names, which start at the cursor. */
    void clear(int mask, int retained, Cursor cursor) {
        boolean[][] kept = new boolean[2][];
        for (int bag = 0; bag < 2; bag++) {
            kept[bag] = (mask >> bag & 1) != 0 ? new boolean[bags[bag].slots()] : null;
        }
        for (int left = retained; left > 0; left--) {
            int bag = cursor.u8();
            int name = Command.stepName(cursor);
            int slot = bag < 2 && kept[bag] != null ? bags[bag].find(cursor.data, name) : -1;
            if (slot >= 0) {
                kept[bag][slot] = true;
            }
        }
        for (int bag = 0; bag < 2; bag++) {
            for (int slot = 0; kept[bag] != null && slot < kept[bag].length; slot++) {
                if (!kept[bag][slot] && bags[bag].holds(slot)) {
                    drop(bag, slot);
                }
            }
        }
    }

    /** Runs the operation at the cursor, which was checked before; its result is added. */
    void run(Cursor cursor) {
        int code = cursor.u8();
        int bag = cursor.u8();
        int name = Command.stepName(cursor);
        int slot = bags[bag].find(cursor.data, name);
        switch (code) {
            case SET -> {
                cursor.raw();
                put(bag, slot, cursor.data, name);
                results.none();
            }
            case REMOVE -> results.bool(remove(bag, slot));
            case INCREMENT -> increment(bag, slot, cursor, name);
            case APPEND -> append(bag, slot, cursor, name);
            case POP -> pop(bag, slot, cursor.u8() != 0);
            case TAKE -> take(bag, slot);
            case SET_DEFAULT -> setDefault(bag, slot, cursor, name);
            case COMPARE_AND_SET -> results.bool(compareAndSet(bag, slot, cursor, name));
            case REMEMBER -> results.bool(remember(slot, cursor, name));
            case ALLOW -> results.bool(allow(slot, cursor.i64(), cursor.data, name));
            default -> throw Unreadable.INSTANCE;
        }
    }

    /** What a reply shows for `changed`: the fields this command changed, as they stand now. */
    Bag[] shown() {
        Bag[] shown = {new Bag(4), new Bag(4), null};
        for (int bag = 0; bag < 2; bag++) {
            Bag names = changed[bag];
            for (int slot = 0; slot < names.slots(); slot++) {
                int now = bags[bag].find(names.buffer(slot), names.place(slot));
                if (now >= 0) {
                    shown[bag].put(bags[bag].buffer(now), bags[bag].place(now));
                }
            }
        }
        return shown;
    }

    private Bag edited(int bag) {
        if (bags[bag] == before[bag]) {
            bags[bag] = before[bag].copy();
        }
        return bags[bag];
    }

    private void put(int bag, int slot, byte[] buffer, int place) {
        if (Bag.nameSize(buffer, place) > limits.nameBytes()) {
            throw new Refusal(Status.TOO_LARGE, -1);
        }
        edited(bag).put(slot, buffer, place);
        noteChange(bag, buffer, place);
    }

    private void drop(int bag, int slot) {
        Bag edited = edited(bag);
        noteChange(bag, edited.buffer(slot), edited.place(slot));
        edited.drop(slot);
    }

    private void noteChange(int bag, byte[] buffer, int place) {
        effective = true;
        if (changed != null && bag < changed.length && changed[bag].find(buffer, place) < 0) {
            changed[bag].put(buffer, place);
        }
    }

    private boolean remove(int bag, int slot) {
        if (slot < 0) {
            return false;
        }
        drop(bag, slot);
        return true;
    }

    private void increment(int bag, int slot, Cursor cursor, int name) {
        int kind = cursor.u8();
        long amount = cursor.i64();
        long sum = amount;
        int made = kind;
        if (slot >= 0) {
            byte[] data = bags[bag].buffer(slot);
            int at = bags[bag].rawAt(slot);
            int size = bags[bag].rawSize(slot);
            int stored = Kind.of(data, at, size);
            if (stored != Kind.INT && stored != Kind.FLOAT) {
                throw new Refusal(Status.WRONG_TYPE, -1);
            }
            if (stored == Kind.INT && kind == Kind.INT) {
                sum = sum(Kind.bits(data, at, size), amount);
            } else {
                double addend = kind == Kind.INT ? (double) amount : Double.longBitsToDouble(amount);
                long bits = Kind.bits(data, at, size);
                sum = Double.doubleToRawLongBits((stored == Kind.INT ? bits : Double.longBitsToDouble(bits)) + addend);
                made = Kind.FLOAT;
            }
        }
        if (made == Kind.FLOAT && !Double.isFinite(Double.longBitsToDouble(sum))) {
            throw new Refusal(Status.WRONG_TYPE, -1);
        }
        byte[] block = Bag.block(cursor.data, name, Kind.NUMBER_SIZE);
        int rawAt = block.length - Kind.NUMBER_SIZE;
        Bytes.put64(block, Bytes.put8(block, rawAt, made), sum);
        put(bag, slot, block, 0);
        results.bytes(block, rawAt, Kind.NUMBER_SIZE);
    }

    private static long sum(long stored, long amount) {
        try {
            return Math.addExact(stored, amount);
        } catch (ArithmeticException overflow) {
            throw new Refusal(Status.WRONG_TYPE, -1);
        }
    }

    private void append(int bag, int slot, Cursor cursor, int name) {
        int keep = cursor.i32();
        int given = cursor.u16();
        int givenAt = cursor.at;
        for (int left = given; left > 0; left--) {
            cursor.bytes32();
        }
        int count = slot < 0 ? 0 : requireList(bag, slot);
        if (given > 0) {
            Sequence sequence = new Sequence(bags[bag], slot, count).with(cursor.data, givenAt, cursor.at, given);
            if (keep >= 0) {
                sequence.keepLast(keep);
            }
            put(bag, slot, sequence.block(Kind.LIST, cursor.data, name), 0);
            count = sequence.count();
        }
        byte[] length = new byte[Kind.NUMBER_SIZE];
        Bytes.put64(length, Bytes.put8(length, 0, Kind.INT), count);
        results.bytes(length, 0, length.length);
    }

    private void pop(int bag, int slot, boolean first) {
        int count = slot < 0 ? 0 : requireList(bag, slot);
        if (count == 0) {
            results.none();
            return;
        }
        byte[] data = bags[bag].buffer(slot);
        int place = bags[bag].place(slot);
        Sequence sequence = new Sequence(bags[bag], slot, count);
        int popped = first ? sequence.dropFirst() : sequence.dropLast();
        put(bag, slot, sequence.block(Kind.LIST, data, place), 0);
        results.bytes(data, popped + 4, Bytes.i32(data, popped));
    }

    private void take(int bag, int slot) {
        if (slot < 0) {
            results.none();
            return;
        }
        results.bytes(bags[bag].buffer(slot), bags[bag].rawAt(slot), bags[bag].rawSize(slot));
        drop(bag, slot);
    }

    private void setDefault(int bag, int slot, Cursor cursor, int name) {
        int rawAt = cursor.raw();
        if (slot >= 0) {
            results.bytes(bags[bag].buffer(slot), bags[bag].rawAt(slot), bags[bag].rawSize(slot));
            return;
        }
        put(bag, slot, cursor.data, name);
        results.bytes(cursor.data, rawAt, cursor.at - rawAt);
    }

    private boolean compareAndSet(int bag, int slot, Cursor cursor, int name) {
        boolean expects = cursor.u8() != 0;
        int expectedAt = expects ? cursor.raw() : 0;
        int expectedSize = expects ? cursor.at - expectedAt : 0;
        boolean sets = cursor.u8() != 0;
        int rawAt = sets ? cursor.raw() : 0;
        if (expects != slot >= 0) {
            return false;
        }
        if (expects && !(bags[bag].rawSize(slot) == expectedSize
                && Bytes.same(bags[bag].buffer(slot), bags[bag].rawAt(slot), cursor.data, expectedAt, expectedSize))) {
            return false;
        }
        if (sets) {
            byte[] block = Bag.block(cursor.data, name, cursor.at - rawAt);
            Bytes.put(block, block.length - (cursor.at - rawAt), cursor.data, rawAt, cursor.at - rawAt);
            put(bag, slot, block, 0);
        } else if (expects) {
            drop(bag, slot);
        }
        return true;
    }

    private boolean remember(int slot, Cursor cursor, int name) {
        int keep = cursor.i32();
        int value = cursor.bytes16() + 2;
        int size = cursor.at - value;
        int count = 0;
        Bag meta = bags[Record.META];
        if (slot >= 0) {
            requireKind(Record.META, slot, Kind.RECENT);
            count = Kind.requireElements(meta.buffer(slot), meta.rawAt(slot), meta.rawSize(slot));
            if (Sequence.holds(meta.buffer(slot), meta.rawAt(slot), count, cursor.data, value, size)) {
                return false;
            }
        }
        byte[] element = new byte[4 + size];
        Bytes.put(element, Bytes.put32(element, 0, size), cursor.data, value, size);
        Sequence sequence = new Sequence(meta, slot, count).with(element, 0, element.length, 1);
        sequence.keepLast(keep);
        put(Record.META, slot, sequence.block(Kind.RECENT, cursor.data, name), 0);
        return true;
    }

    private boolean allow(int slot, long every, byte[] command, int name) {
        if (slot >= 0) {
            requireKind(Record.META, slot, Kind.GATE);
            Bag meta = bags[Record.META];
            long opened = Kind.bits(meta.buffer(slot), meta.rawAt(slot), meta.rawSize(slot));
            if (Bytes.difference(now, opened) < every) {
                return false;
            }
        }
        byte[] block = Bag.block(command, name, Kind.NUMBER_SIZE);
        Bytes.put64(block, Bytes.put8(block, block.length - Kind.NUMBER_SIZE, Kind.GATE), now);
        put(Record.META, slot, block, 0);
        return true;
    }

    private int requireList(int bag, int slot) {
        requireKind(bag, slot, Kind.LIST);
        return Kind.requireElements(bags[bag].buffer(slot), bags[bag].rawAt(slot), bags[bag].rawSize(slot));
    }

    private void requireKind(int bag, int slot, int kind) {
        if (Kind.of(bags[bag].buffer(slot), bags[bag].rawAt(slot), bags[bag].rawSize(slot)) != kind) {
            throw new Refusal(Status.WRONG_TYPE, -1);
        }
    }
}
