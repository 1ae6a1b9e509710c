package com.gridsession.member;

import com.hazelcast.map.EntryProcessor;
import com.hazelcast.nio.ObjectDataInput;
import com.hazelcast.nio.ObjectDataOutput;
import com.hazelcast.nio.serialization.IdentifiedDataSerializable;
import java.io.IOException;
import java.util.Map;

/**
 * What a backup is told: the bytes that stand on the owner now, never the command, which would meet another past there.
 *
 * <p>Without bytes it does nothing; it is sent so that a backup takes part in the answer, and its acknowledgement counts.
 */
public final class ResultBackup implements EntryProcessor<String, byte[], byte[]>, IdentifiedDataSerializable {
    private static final long serialVersionUID = 1L;

    private transient byte[] record;
    private transient long seconds;

    /** One that does nothing. */
    public ResultBackup() {
    }

    ResultBackup(byte[] record, long seconds) {
        this.record = record;
        this.seconds = seconds;
    }

    @Override
    public byte[] process(Map.Entry<String, byte[]> entry) {
        if (record != null) {
            Retention.store(entry, record, seconds);
        }
        return null;
    }

    @Override
    public EntryProcessor<String, byte[], byte[]> getBackupProcessor() {
        return null;
    }

    @Override
    public void writeData(ObjectDataOutput out) throws IOException {
        out.writeByteArray(record);
        out.writeLong(seconds);
    }

    @Override
    public void readData(ObjectDataInput in) throws IOException {
        record = Wire.readBytes(in);
        seconds = in.readLong();
    }

    @Override
    public int getFactoryId() {
        return GridDataSerializerHook.FACTORY_ID;
    }

    @Override
    public int getClassId() {
        return GridDataSerializerHook.BACKUP;
    }
}
