package com.gridsession.member;

import com.hazelcast.nio.serialization.HazelcastSerializationException;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * What an entry holds, whoever put it there: a stranger's value is neither read nor changed.
 *
 * @param id the session id, null if the key is none
 * @param bytes the record, null if there is none
 */
record Stored(String id, byte[] bytes, boolean isForeign) {
    static Stored of(Map.Entry<?, ?> entry) {
        String id = null;
        try {
            if (!(entry.getKey() instanceof String key)) {
                return new Stored(null, null, true);
            }
            id = key;
            Object value = entry.getValue();
            return value == null || value instanceof byte[]
                    ? new Stored(id, (byte[]) value, false)
                    : new Stored(id, null, true);
        } catch (HazelcastSerializationException | StackOverflowError notOurs) {
            return new Stored(id, null, true);
        }
    }

    /** The reply to any command on a foreign entry. */
    byte[] refusal(long now) {
        byte[] known = id == null ? Bytes.EMPTY : id.getBytes(StandardCharsets.UTF_8);
        return new Reply(Status.CORRUPT, known, now).encode();
    }
}
