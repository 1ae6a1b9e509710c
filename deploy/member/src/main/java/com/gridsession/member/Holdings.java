package com.gridsession.member;

import com.hazelcast.core.DistributedObject;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.map.IMap;
import com.hazelcast.map.LocalMapStats;
import java.util.Map;
import java.util.TreeMap;

/** How many records this member holds and what they take, by kind and namespace; Hazelcast keeps count of it. */
final class Holdings {
    private static final String SESSIONS = "gridsession.sessions.";
    /** Hazelcast's figure of an entry omits so many bytes that it costs (measured). */
    private static final long OMITTED = 75;
    /** Namespaces that are told apart; clients make them, so they could be any number. */
    private static final int MOST_NAMESPACES = 250;
    private static final String MORE = "...";

    private final Map<String, Held> sessions = new TreeMap<>();
    private final Map<String, Held> globals = new TreeMap<>();

    private Holdings() {
    }

    static Holdings of(HazelcastInstance instance) {
        Holdings found = new Holdings();
        for (DistributedObject object : instance.getDistributedObjects()) {
            if (object instanceof IMap<?, ?> map) {
                String name = map.getName();
                if (name.startsWith(SESSIONS)) {
                    add(found.sessions, name.substring(SESSIONS.length()), map.getLocalMapStats());
                } else if (name.startsWith(Namespace.RECORDS)) {
                    add(found.globals, name.substring(Namespace.RECORDS.length()), map.getLocalMapStats());
                }
            }
        }
        return found;
    }

    private static void add(Map<String, Held> known, String namespace, LocalMapStats stats) {
        boolean room = known.size() < MOST_NAMESPACES || known.containsKey(namespace);
        known.computeIfAbsent(room ? namespace : MORE, each -> new Held()).add(stats);
    }

    /** Heap that all of it takes, copies for others included. */
    long bytes() {
        return bytes(sessions) + bytes(globals);
    }

    private static long bytes(Map<String, Held> known) {
        return known.values().stream().mapToLong(held -> held.ownedBytes + held.copiesBytes).sum();
    }

    void print(Exposition out) {
        out.family("sessions", "gauge", "Records of sessions on this member, as owner or as backup; those that ended count "
                + "until they are swept.");
        sessions.forEach((namespace, held) -> held.printCount(out, namespace));
        out.family("globals", "gauge", "Records of globals on this member, as owner or as backup.");
        globals.forEach((namespace, held) -> held.printCount(out, namespace));
        out.family("entry_bytes", "gauge", "Heap that records take on this member.");
        sessions.forEach((namespace, held) -> held.printBytes(out, namespace, "sessions"));
        globals.forEach((namespace, held) -> held.printBytes(out, namespace, "globals"));
        out.family("records_swept_total", "counter", "Records forgotten after their time: of sessions that ended or were "
                + "deleted, and their copies.");
        sessions.forEach((namespace, held) -> out.sample(held.swept, "namespace", namespace, "kind", "sessions"));
        globals.forEach((namespace, held) -> out.sample(held.swept, "namespace", namespace, "kind", "globals"));
        out.family("records_evicted_total", "counter", "Records dropped for want of memory; 0 unless the configuration "
                + "was changed.");
        sessions.forEach((namespace, held) -> out.sample(held.evicted, "namespace", namespace, "kind", "sessions"));
        globals.forEach((namespace, held) -> out.sample(held.evicted, "namespace", namespace, "kind", "globals"));
    }

    /** What this member holds of a namespace. */
    private static final class Held {
        private long owned;
        private long copies;
        private long ownedBytes;
        private long copiesBytes;
        private long swept;
        private long evicted;

        private void add(LocalMapStats stats) {
            owned += stats.getOwnedEntryCount();
            copies += stats.getBackupEntryCount();
            ownedBytes += stats.getOwnedEntryMemoryCost() + OMITTED * stats.getOwnedEntryCount();
            copiesBytes += stats.getBackupEntryMemoryCost() + OMITTED * stats.getBackupEntryCount();
            swept += stats.getExpirationCount();
            evicted += stats.getEvictionCount();
        }

        private void printCount(Exposition out, String namespace) {
            out.sample(owned, "namespace", namespace, "role", "owner");
            out.sample(copies, "namespace", namespace, "role", "backup");
        }

        private void printBytes(Exposition out, String namespace, String kind) {
            out.sample(ownedBytes, "namespace", namespace, "kind", kind, "role", "owner");
            out.sample(copiesBytes, "namespace", namespace, "kind", kind, "role", "backup");
        }
    }
}
