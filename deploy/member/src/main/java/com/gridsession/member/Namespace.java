package com.gridsession.member;

import com.hazelcast.cluster.Member;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.map.IMap;
import com.hazelcast.replicatedmap.ReplicatedMap;
import java.util.Arrays;

/** The globals of one namespace: their records, which are the truth, and the view of them that every member holds. */
final class Namespace {
    /** Before the namespace, in the name of the map of records. */
    static final String RECORDS = "gridsession.globals-records.";
    /** Before the namespace, in the name of the replicated map. */
    static final String VIEW = "gridsession.globals.";

    private final HazelcastInstance instance;
    private final IMap<Object, Object> records;
    private final ReplicatedMap<Object, Object> view;

    Namespace(HazelcastInstance instance, String name) {
        this.instance = instance;
        this.records = instance.getMap(RECORDS + name);
        this.view = instance.getReplicatedMap(VIEW + name);
    }

    /** Puts the record as it is now, deleted or not, if this member owns it and the view shows another. */
    void publish(String name) {
        if (isOurs(name) && records.get(name) instanceof byte[] record) {
            boolean shown = view.get(name) instanceof byte[] last && Arrays.equals(last, record);
            if (!shown) {
                view.put(name, record);
            }
        }
    }

    /** Publishes all that this member owns, and removes what has no record any more. */
    void publishAll() {
        for (Object name : records.localKeySet()) {
            if (name instanceof String text) {
                publish(text);
            }
        }
        for (Object name : view.keySet()) {
            // while members that were apart hand over, there may be a record that is not here yet
            if (isOurs(name) && serves() && !records.containsKey(name) && serves()) {
                view.remove(name);
            }
        }
    }

    private boolean serves() {
        return GridMember.of(instance).serves();
    }

    private boolean isOurs(Object name) {
        Member owner = instance.getPartitionService().getPartition(name).getOwner();
        return owner != null && owner.localMember();
    }
}
