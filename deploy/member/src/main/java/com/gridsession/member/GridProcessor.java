package com.gridsession.member;

import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.core.HazelcastInstanceAware;
import com.hazelcast.map.EntryProcessor;
import com.hazelcast.nio.ObjectDataInput;
import com.hazelcast.nio.ObjectDataOutput;
import com.hazelcast.nio.serialization.IdentifiedDataSerializable;
import com.hazelcast.splitbrainprotection.SplitBrainProtectionException;
import java.io.IOException;
import java.util.Map;

/**
 * Runs one command where its session is: command bytes in, reply bytes out. The entry's key is the session id.
 *
 * <p>Wire: a byte array (i32 length, bytes) with the command. An instance serves one call, as each client's call makes
 * its own: what it did decides what the backup is told.
 */
public final class GridProcessor
        implements EntryProcessor<String, byte[], byte[]>, IdentifiedDataSerializable, HazelcastInstanceAware {
    private static final long serialVersionUID = 1L;

    private transient byte[] command = Bytes.EMPTY;
    private transient HazelcastInstance instance;
    private transient ResultBackup backup;

    /** For the factory. */
    public GridProcessor() {
    }

    /** One that runs {@code command}; an instance serves one call. */
    public GridProcessor(byte[] command) {
        this.command = command;
    }

    @Override
    public byte[] process(Map.Entry<String, byte[]> entry) {
        long began = System.nanoTime();
        GridMember member = GridMember.of(instance);
        if (!member.serves()) {
            member.counters().refused();
            throw new SplitBrainProtectionException("not served: too few members are heard, or those that were apart hand "
                    + "over what they hold");
        }
        boolean plainLoad = Command.isPlainLoad(command);
        if (!plainLoad && member.refusal() != null) {
            member.counters().refused();
            throw new SplitBrainProtectionException(member.refusal());
        }
        long now = member.now();
        Stored stored = Stored.of(entry);
        if (stored.isForeign()) {
            backup = Command.isConfirmed(command) ? new ResultBackup() : null;
            member.counters().answered(command, Status.CORRUPT, System.nanoTime() - began);
            return stored.refusal(now);
        }
        Applied applied = Rules.apply(stored.bytes(), command, now, stored.id(), member.limits());
        long seconds = Retention.seconds(applied.retainedUntil(), now);
        if (applied.written()) {
            Retention.store(entry, applied.record(), seconds);
            Grants.tell(instance, applied.record());
        }
        backup = backupOf(applied, seconds);
        member.counters().applied(command, applied, System.nanoTime() - began);
        return applied.reply();
    }

    /**
     * What the backup is told. An answer that speaks of the record ships the record it speaks of, also unchanged: it may
     * have been written by an attempt that no backup heard of.
     */
    private ResultBackup backupOf(Applied applied, long seconds) {
        if (applied.written() || applied.duplicate()) {
            return new ResultBackup(applied.record(), seconds);
        }
        if (!Command.isConfirmed(command)) {
            return null;
        }
        boolean speaksOfRecord = switch (applied.status()) {
            case Status.OK, Status.CONFLICT, Status.ABSENT, Status.LEASE_LOST, Status.WRONG_TYPE -> true;
            default -> false;
        };
        boolean ships = speaksOfRecord && applied.record() != null;
        return ships ? new ResultBackup(applied.record(), seconds) : new ResultBackup();
    }

    @Override
    public EntryProcessor<String, byte[], byte[]> getBackupProcessor() {
        return backup;
    }

    @Override
    public void setHazelcastInstance(HazelcastInstance hazelcastInstance) {
        instance = hazelcastInstance;
    }

    @Override
    public void writeData(ObjectDataOutput out) throws IOException {
        out.writeByteArray(command);
    }

    @Override
    public void readData(ObjectDataInput in) throws IOException {
        byte[] read = Wire.readBytes(in);
        command = read == null ? Bytes.EMPTY : read;
    }

    @Override
    public int getFactoryId() {
        return GridDataSerializerHook.FACTORY_ID;
    }

    @Override
    public int getClassId() {
        return GridDataSerializerHook.PROCESSOR;
    }
}
