package com.gridsession.member;

import com.hazelcast.core.ReadOnly;
import com.hazelcast.map.EntryProcessor;
import java.util.Map;

/**
 * Tells how the member is that owns the key. To be sent to the map {@code gridsession.probe}, by a key of a partition
 * that the member in question owns; it reads and writes nothing there.
 *
 * <p>Wire: no body. The reply, big-endian, {@code text16} being a length of two bytes and UTF-8: u8 layout (1), text16
 * version of our jar, text16 SHA-256 of its sources (both empty if unknown), i64 the member's own clock and i64 the
 * cluster's (ms), u16 members declared, u8 synchronous backups, u32 largest record in bytes, text16 the member's uuid,
 * text16 version of Hazelcast, u16 members that it sees, u16 the newest command it knows (its wire id; absent in jars
 * that know none after 6), i64 each of the heap in use, of it needed for sure, and that there can be (bytes; absent
 * in older jars), u8 1 if all that it owns was copied when it last asked and nobody came or left since, else 0 (absent
 * in older jars). A client must bear more bytes after these.
 */
public final class Probe extends Bodiless implements EntryProcessor<String, byte[], byte[]>, ReadOnly {
    /** Map to send it to. */
    public static final String MAP = "gridsession.probe";

    private static final long serialVersionUID = 1L;

    @Override
    public byte[] process(Map.Entry<String, byte[]> entry) {
        GridMember member = GridMember.of(instance);
        return Written.by(out -> {
            out.writeByte(1);
            Written.text16(out, Build.VERSION);
            Written.text16(out, Build.SOURCES);
            out.writeLong(System.currentTimeMillis());
            out.writeLong(member.now());
            out.writeShort(member.declared());
            out.writeByte(member.backups());
            out.writeInt(member.limits().recordBytes());
            Written.text16(out, instance.getCluster().getLocalMember().getUuid().toString());
            Written.text16(out, instance.getCluster().getLocalMember().getVersion().toString());
            out.writeShort(instance.getCluster().getMembers().size());
            out.writeShort(Command.NEWEST);
            Heap heap = Heap.now(member.held());
            out.writeLong(heap.used());
            out.writeLong(heap.live());
            out.writeLong(heap.most());
            out.writeBoolean(member.copied());
        });
    }

    @Override
    public EntryProcessor<String, byte[], byte[]> getBackupProcessor() {
        return null;
    }

    @Override
    public int getClassId() {
        return GridDataSerializerHook.PROBE;
    }
}
