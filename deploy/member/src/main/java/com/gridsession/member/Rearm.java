package com.gridsession.member;

import com.hazelcast.core.DistributedObject;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.map.EntryProcessor;
import com.hazelcast.map.IMap;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.logging.Level;
import java.util.logging.Logger;

/** Gives an entry the time to live that its own record asks for: a merge takes it from the side that lost. */
public final class Rearm extends Bodiless implements EntryProcessor<String, byte[], byte[]> {
    private static final long serialVersionUID = 1L;

    private static final Logger LOG = Logger.getLogger(Rearm.class.getName());
    private static final String SESSIONS = "gridsession.sessions.";

    private transient ResultBackup backup;

    /** Rearms, on a thread of its own, what this member owns of the grid's maps. */
    static void start(HazelcastInstance instance) {
        Thread thread = new Thread(() -> rearmAll(instance), "gridsession-rearm");
        thread.setDaemon(true);
        thread.start();
    }

    private static void rearmAll(HazelcastInstance instance) {
        try {
            for (DistributedObject object : instance.getDistributedObjects()) {
                if (object instanceof IMap<?, ?> && holdsRecords(object.getName())) {
                    IMap<String, byte[]> map = instance.getMap(object.getName());
                    for (String key : map.localKeySet()) {
                        map.executeOnKey(key, new Rearm());
                    }
                }
            }
        } catch (RuntimeException failed) {
            // the merge policy keeps expiry right; this is a second look at it, which may fail
            LOG.log(Level.FINE, "entries merged from a split were not all rearmed: {0}", failed.getClass().getName());
        }
    }

    private static boolean holdsRecords(String map) {
        return map.startsWith(SESSIONS) || map.startsWith(Namespace.RECORDS);
    }

    @Override
    public byte[] process(Map.Entry<String, byte[]> entry) {
        Stored stored = Stored.of(entry);
        if (stored.isForeign() || stored.bytes() == null) {
            return null;
        }
        byte[] bytes = stored.bytes();
        try {
            byte[] id = stored.id().getBytes(StandardCharsets.UTF_8);
            long until = Record.decode(bytes, 0, bytes.length, id).retainedUntil();
            long seconds = Retention.seconds(until, GridMember.of(instance).now());
            Retention.store(entry, bytes, seconds);
            backup = new ResultBackup(bytes, seconds);
        } catch (Unreadable notOurs) {
            backup = null;
        }
        return null;
    }

    @Override
    public EntryProcessor<String, byte[], byte[]> getBackupProcessor() {
        return backup;
    }

    @Override
    public int getClassId() {
        return GridDataSerializerHook.REARM;
    }
}
