package com.gridsession.member;

import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.core.HazelcastInstanceAware;
import com.hazelcast.core.ReadOnly;
import com.hazelcast.map.EntryProcessor;
import com.hazelcast.nio.ObjectDataInput;
import com.hazelcast.nio.ObjectDataOutput;
import com.hazelcast.nio.serialization.IdentifiedDataSerializable;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/**
 * Asks the member that owns the key which expired sessions of a namespace are to be claimed. Sent as {@link Probe} is.
 *
 * <p>Wire: a byte array with u8 layout (1), text8 namespace, u16 most ids. The reply, big-endian: u8 layout (1), u8
 * whether the member has looked yet, i64 the cluster's time (ms), u16 count, then each id as text16. What it tells it
 * keeps from others for some seconds; that is no claim. No reply to what is malformed.
 */
public final class Due
        implements EntryProcessor<String, byte[], byte[]>, IdentifiedDataSerializable, HazelcastInstanceAware, ReadOnly {
    private static final long serialVersionUID = 1L;

    private transient byte[] question = Bytes.EMPTY;
    private transient HazelcastInstance instance;

    @Override
    public byte[] process(Map.Entry<String, byte[]> entry) {
        String namespace;
        int limit;
        try {
            Cursor cursor = new Cursor(question, 0, question.length);
            Cursor.require(cursor.u8() == 1);
            int at = cursor.text8();
            namespace = new String(question, at + 1, Bytes.u8(question, at), StandardCharsets.UTF_8);
            limit = cursor.u16();
            cursor.end();
        } catch (Unreadable malformed) {
            return null;
        }
        long now = GridMember.of(instance).now();
        return answer(Dues.of(instance).take(namespace, limit, now), now);
    }

    private static byte[] answer(List<String> ids, long now) {
        return Written.by(out -> {
            out.writeByte(1);
            out.writeBoolean(ids != null);
            out.writeLong(now);
            out.writeShort(ids == null ? 0 : ids.size());
            for (String id : ids == null ? List.<String>of() : ids) {
                Written.text16(out, id);
            }
        });
    }

    @Override
    public EntryProcessor<String, byte[], byte[]> getBackupProcessor() {
        return null;
    }

    @Override
    public void setHazelcastInstance(HazelcastInstance hazelcastInstance) {
        instance = hazelcastInstance;
    }

    @Override
    public void writeData(ObjectDataOutput out) throws IOException {
        out.writeByteArray(question);
    }

    @Override
    public void readData(ObjectDataInput in) throws IOException {
        byte[] read = Wire.readBytes(in);
        question = read == null ? Bytes.EMPTY : read;
    }

    @Override
    public int getFactoryId() {
        return GridDataSerializerHook.FACTORY_ID;
    }

    @Override
    public int getClassId() {
        return GridDataSerializerHook.DUE;
    }
}
