package com.gridsession.member;

import com.hazelcast.nio.ObjectDataInput;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;

/** Byte arrays off a message. */
final class Wire {
    private Wire() {
    }

    /** Reads a byte array, its length checked before anything is allocated; null if there is none. */
    static byte[] readBytes(ObjectDataInput in) throws IOException {
        int size = in.readInt();
        if (size < 0) {
            return null;
        }
        if (in instanceof InputStream stream && size > stream.available()) {
            throw new EOFException("a message claims more bytes than it has");
        }
        byte[] bytes = new byte[size];
        in.readFully(bytes);
        return bytes;
    }
}
