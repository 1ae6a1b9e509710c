package com.gridsession.member;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Big-endian numbers and texts in byte arrays; each {@code put} gives the position after what it wrote. */
final class Bytes {
    static final byte[] EMPTY = {};

    private static final VarHandle I64 = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);
    private static final VarHandle I32 = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.BIG_ENDIAN);
    private static final VarHandle I16 = MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.BIG_ENDIAN);

    private Bytes() {
    }

    static int u8(byte[] data, int at) {
        return data[at] & 0xFF;
    }

    static int u16(byte[] data, int at) {
        return (short) I16.get(data, at) & 0xFFFF;
    }

    static int i32(byte[] data, int at) {
        return (int) I32.get(data, at);
    }

    static long i64(byte[] data, int at) {
        return (long) I64.get(data, at);
    }

    static int put8(byte[] data, int at, int value) {
        data[at] = (byte) value;
        return at + 1;
    }

    static int put16(byte[] data, int at, int value) {
        I16.set(data, at, (short) value);
        return at + 2;
    }

    static int put32(byte[] data, int at, int value) {
        I32.set(data, at, value);
        return at + 4;
    }

    static int put64(byte[] data, int at, long value) {
        I64.set(data, at, value);
        return at + 8;
    }

    static int put(byte[] data, int at, byte[] from, int start, int size) {
        System.arraycopy(from, start, data, at, size);
        return at + size;
    }

    static int put(byte[] data, int at, byte[] from) {
        return put(data, at, from, 0, from.length);
    }

    static boolean same(byte[] one, int oneAt, byte[] other, int otherAt, int size) {
        return Arrays.equals(one, oneAt, oneAt + size, other, otherAt, otherAt + size);
    }

    /** Whether 16 bytes are the same: op ids and request ids. */
    static boolean same16(byte[] one, int oneAt, byte[] other, int otherAt) {
        return i64(one, oneAt) == i64(other, otherAt) && i64(one, oneAt + 8) == i64(other, otherAt + 8);
    }

    /** As {@link #same}, from the end: names of one bag mostly differ there. */
    static boolean sameBackwards(byte[] one, int oneAt, byte[] other, int otherAt, int size) {
        for (int index = size - 1; index >= 0; index--) {
            if (one[oneAt + index] != other[otherAt + index]) {
                return false;
            }
        }
        return true;
    }

    /** Whether the slice is UTF-8 as Python reads it: no overlong forms, no surrogates. */
    static boolean isUtf8(byte[] data, int at, int size) {
        int end = at + size;
        int position = at;
        while (position < end && data[position] >= 0) {
            position++;
        }
        if (position == end) {
            return true;
        }
        try {
            StandardCharsets.UTF_8.newDecoder()
                    .onMalformedInput(CodingErrorAction.REPORT)
                    .onUnmappableCharacter(CodingErrorAction.REPORT)
                    .decode(ByteBuffer.wrap(data, position, end - position));
            return true;
        } catch (CharacterCodingException malformed) {
            return false;
        }
    }

    /** The sum, or the nearest number there is: times in a foreign record may be anything. */
    static long sum(long one, long other) {
        long sum = one + other;
        if (((one ^ sum) & (other ^ sum)) < 0) {
            return one < 0 ? Long.MIN_VALUE : Long.MAX_VALUE;
        }
        return sum;
    }

    /** {@code one - other}, or the nearest number there is. */
    static long difference(long one, long other) {
        long difference = one - other;
        if (((one ^ other) & (one ^ difference)) < 0) {
            return one < 0 ? Long.MIN_VALUE : Long.MAX_VALUE;
        }
        return difference;
    }
}
