package com.gridsession.member;

import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.core.HazelcastInstanceAware;
import com.hazelcast.nio.ObjectDataInput;
import com.hazelcast.nio.ObjectDataOutput;
import com.hazelcast.nio.serialization.IdentifiedDataSerializable;

/** What is sent to a member to be done there, without a word beyond its class. */
abstract class Bodiless implements IdentifiedDataSerializable, HazelcastInstanceAware {
    /** The member it came to. */
    protected transient HazelcastInstance instance;

    @Override
    public final void setHazelcastInstance(HazelcastInstance hazelcastInstance) {
        instance = hazelcastInstance;
    }

    @Override
    public final void writeData(ObjectDataOutput out) {
        // nothing to tell
    }

    @Override
    public final void readData(ObjectDataInput in) {
        // nothing was told
    }

    @Override
    public final int getFactoryId() {
        return GridDataSerializerHook.FACTORY_ID;
    }
}
