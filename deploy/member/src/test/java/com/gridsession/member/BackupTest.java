package com.gridsession.member;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.internal.serialization.InternalSerializationService;
import com.hazelcast.internal.serialization.impl.DefaultSerializationServiceBuilder;
import com.hazelcast.map.ExtendedMapEntry;
import java.io.IOException;
import java.util.AbstractMap;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What each kind of answer tells the backup: nothing, an empty operation (which is acknowledged too), or the bytes. */
class BackupTest {
    private static Grid grid;

    private enum Told { NOTHING, EMPTY, BYTES }

    @BeforeAll
    static void start() throws IOException {
        grid = new Grid(1, 1);
    }

    @AfterAll
    static void stop() {
        grid.close();
    }

    /** An entry as the processor sees it. */
    private static final class Entry extends AbstractMap.SimpleEntry<String, byte[]>
            implements ExtendedMapEntry<String, byte[]> {
        private static final long serialVersionUID = 1L;

        Entry(byte[] value) {
            super("line:U1", value);
        }

        @Override
        public byte[] setValue(byte[] value, long ttl, TimeUnit unit) {
            return setValue(value);
        }

        @Override
        public byte[] setValueWithoutChangingExpiryTime(byte[] value) {
            throw new AssertionError("wipes the entry's time to live on an absent key");
        }
    }

    private byte[] record;

    private Told told(byte[] command) {
        InternalSerializationService service = new DefaultSerializationServiceBuilder().build();
        GridProcessor processor = service.toObject(service.toData(new GridProcessor(command)));
        HazelcastInstance member = grid.member(0);
        processor.setHazelcastInstance(member);
        Entry entry = new Entry(record);
        processor.process(entry);
        byte[] after = entry.getValue();
        ResultBackup backup = (ResultBackup) processor.getBackupProcessor();
        if (backup == null) {
            return Told.NOTHING;
        }
        ResultBackup arrived = service.toObject(service.toData(backup));
        Entry copy = new Entry(null);
        arrived.process(copy);
        if (copy.getValue() == null) {
            return Told.EMPTY;
        }
        assertEquals(Vectors.hex(after), Vectors.hex(copy.getValue()));
        record = after;
        return Told.BYTES;
    }

    @Test
    void absentSession() {
        long soon = grid.now() + 5_000;
        assertEquals(Told.NOTHING, told(Asked.load()));
        assertEquals(Told.EMPTY, told(Asked.confirmedLoad()));
        assertEquals(Told.EMPTY, told(Asked.renew(7, soon)));
        assertEquals(Told.EMPTY, told(Asked.delete(1, soon)));
        assertEquals(Told.EMPTY, told(Asked.commit(2, 1, "a", 1, 0)), "too late");
        assertEquals(Told.EMPTY, told(new byte[] {1, 2, 3}), "malformed");
        assertEquals(Told.EMPTY, told(new byte[] {1, 99}), "unsupported");
        assertEquals(Told.EMPTY, told(new byte[0]), "nothing at all");
    }

    @Test
    void presentSession() {
        long soon = grid.now() + 5_000;
        byte[] first = Asked.commit(1, soon, "a", 1, 0);
        assertEquals(Told.BYTES, told(first));
        assertEquals(Told.BYTES, told(first), "duplicate");
        assertEquals(Told.NOTHING, told(Asked.load()));
        assertEquals(Told.BYTES, told(Asked.confirmedLoad()));
        assertEquals(Told.BYTES, told(Asked.create(2, soon, "a", 1)), "conflict");
        assertEquals(Told.BYTES, told(Asked.renew(7, soon)), "lease lost");
        assertEquals(Told.EMPTY, told(Asked.commit(2, 1, "a", 1, 0)), "too late");
        assertEquals(Told.BYTES, told(Asked.delete(3, soon)));
        assertEquals(Told.BYTES, told(Asked.delete(4, soon)), "deleted before");
        assertEquals(Told.NOTHING, told(Asked.load()));
    }

    @Test
    void corruptRecordIsNeverShipped() {
        record = new byte[] {1, 2, 3};
        assertEquals(Told.EMPTY, told(Asked.confirmedLoad()));
        assertEquals(Told.NOTHING, told(Asked.load()));
    }
}
