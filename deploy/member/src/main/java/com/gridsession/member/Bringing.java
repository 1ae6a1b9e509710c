package com.gridsession.member;

import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.core.HazelcastInstanceAware;
import com.hazelcast.nio.ObjectDataInput;
import com.hazelcast.nio.ObjectDataOutput;
import com.hazelcast.nio.serialization.IdentifiedDataSerializable;
import java.util.concurrent.Callable;

/** Asks a member whether it came from a split and has not yet handed over all that it held. Sent to the member itself. */
public final class Bringing implements Callable<Boolean>, IdentifiedDataSerializable, HazelcastInstanceAware {
    /** Executor service to send it by. */
    static final String EXECUTOR = "gridsession.members";

    private transient HazelcastInstance instance;

    @Override
    public Boolean call() {
        return GridMember.of(instance).majority().brings();
    }

    @Override
    public void setHazelcastInstance(HazelcastInstance hazelcastInstance) {
        instance = hazelcastInstance;
    }

    @Override
    public void writeData(ObjectDataOutput out) {
        // nothing to ask
    }

    @Override
    public void readData(ObjectDataInput in) {
        // nothing was asked
    }

    @Override
    public int getFactoryId() {
        return GridDataSerializerHook.FACTORY_ID;
    }

    @Override
    public int getClassId() {
        return GridDataSerializerHook.BRINGING;
    }
}
