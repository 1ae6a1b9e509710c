package com.gridsession.member;

import com.hazelcast.core.EntryEvent;
import com.hazelcast.map.listener.EntryAddedListener;
import com.hazelcast.map.listener.EntryMergedListener;
import com.hazelcast.map.listener.EntryUpdatedListener;

/** Hears of each entry that is another one now, whatever made it so: a merge after a split, too. */
@FunctionalInterface
interface EntryChanged extends EntryAddedListener<Object, Object>, EntryUpdatedListener<Object, Object>,
        EntryMergedListener<Object, Object> {
    void changed(EntryEvent<Object, Object> event);

    @Override
    default void entryAdded(EntryEvent<Object, Object> event) {
        changed(event);
    }

    @Override
    default void entryUpdated(EntryEvent<Object, Object> event) {
        changed(event);
    }

    @Override
    default void entryMerged(EntryEvent<Object, Object> event) {
        changed(event);
    }
}
