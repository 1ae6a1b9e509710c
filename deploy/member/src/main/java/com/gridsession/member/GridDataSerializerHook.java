package com.gridsession.member;

import com.hazelcast.internal.serialization.DataSerializerHook;
import com.hazelcast.nio.serialization.DataSerializableFactory;
import com.hazelcast.nio.serialization.IdentifiedDataSerializable;

/**
 * Makes our classes known to any member that has this jar, without configuration, through an interface of an internal
 * package. Where that ever breaks, name this class as {@code data-serializable-factories: [{factory-id: 18259}]} instead.
 */
public final class GridDataSerializerHook implements DataSerializerHook, DataSerializableFactory {
    /** Factory of everything a gridsession client or member sends. */
    public static final int FACTORY_ID = 18259;

    static final int PROCESSOR = 1;
    static final int BACKUP = 2;
    static final int PROBE = 3;
    static final int MERGE_POLICY = 4;
    static final int REARM = 5;
    static final int DUE = 8;
    static final int CONDITION = 10;

    @Override
    public int getFactoryId() {
        return FACTORY_ID;
    }

    @Override
    public DataSerializableFactory createFactory() {
        return this;
    }

    @Override
    public IdentifiedDataSerializable create(int classId) {
        return switch (classId) {
            case PROCESSOR -> new GridProcessor();
            case BACKUP -> new ResultBackup();
            case PROBE -> new Probe();
            case MERGE_POLICY -> new WholeRecordMergePolicy();
            case REARM -> new Rearm();
            case DUE -> new Due();
            case CONDITION -> new Condition();
            default -> null;
        };
    }
}
