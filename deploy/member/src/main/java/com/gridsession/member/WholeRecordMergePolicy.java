package com.gridsession.member;

import com.gridsession.member.Counters.Merged;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.core.HazelcastInstanceAware;
import com.hazelcast.nio.ObjectDataInput;
import com.hazelcast.nio.ObjectDataOutput;
import com.hazelcast.nio.serialization.HazelcastSerializationException;
import com.hazelcast.nio.serialization.IdentifiedDataSerializable;
import com.hazelcast.spi.impl.SerializationServiceSupport;
import com.hazelcast.spi.impl.merge.MapMergingEntryImpl;
import com.hazelcast.spi.merge.MergingValue;
import com.hazelcast.spi.merge.SplitBrainMergePolicy;
import java.io.IOException;
import java.io.InputStream;

/**
 * Merges the sides of a split without ever mixing them: a side that kept its majority stands, record or, where a member
 * of that side judges, nothing; where none is known to have done so, the higher (epoch, revision) wins whole, with its
 * ring, lease and expiry. Nothing acknowledged is on the losing side: acknowledgements needed the majority and a copy.
 */
public final class WholeRecordMergePolicy
        implements SplitBrainMergePolicy<Object, MergingValue<Object>, Object>, IdentifiedDataSerializable,
        HazelcastInstanceAware {
    /** What the platform writes after a policy: one boolean. */
    private static final int FOLLOWS = 1;

    private transient HazelcastInstance instance;
    private transient String sender;

    @Override
    public Object merge(MergingValue<Object> merging, MergingValue<Object> existing) {
        GridMember member = GridMember.of(instance);
        if (existing == null) {
            boolean dropped = member.majority().witnessed();
            member.counters().merged(dropped ? Merged.NEITHER : Merged.JOINING);
            return dropped ? null : merging.getRawValue();
        }
        if (member.majority().kept(sender()) || !isHigher(merging, existing)) {
            keepExpiry(merging, existing);
            member.counters().merged(Merged.STANDING);
            return existing.getRawValue();
        }
        member.counters().merged(Merged.JOINING);
        return merging.getRawValue();
    }

    private static boolean isHigher(MergingValue<Object> merging, MergingValue<Object> existing) {
        Standing theirs = Standing.of(bytes(merging));
        Standing ours = Standing.of(bytes(existing));
        return theirs != null && (ours == null || theirs.compareTo(ours) > 0);
    }

    private static byte[] bytes(MergingValue<Object> entry) {
        try {
            return entry.getDeserializedValue() instanceof byte[] bytes ? bytes : null;
        } catch (HazelcastSerializationException notOurs) {
            return null;
        }
    }

    /** The platform takes the expiry from the merging entry also when the existing value wins. */
    private static void keepExpiry(MergingValue<Object> merging, MergingValue<Object> existing) {
        // the type parameter asks for no more than a value: expiry as a merge type would need statistics for each entry
        if (merging instanceof MapMergingEntryImpl<?, ?> theirs && existing instanceof MapMergingEntryImpl<?, ?> ours) {
            theirs.setTtl(ours.getTtl());
            theirs.setMaxIdle(ours.getMaxIdle());
            theirs.setExpirationTime(ours.getExpirationTime());
        }
    }

    /** The member that merges; without being sent, a policy serves the member itself. */
    private String sender() {
        return sender != null ? sender : GridMember.addressOf(instance.getCluster().getLocalMember());
    }

    @Override
    public void setHazelcastInstance(HazelcastInstance hazelcastInstance) {
        instance = hazelcastInstance;
    }

    @Override
    public void writeData(ObjectDataOutput out) throws IOException {
        if (instance == null) {
            // the platform gives an instance to what it reads, not to what it writes
            ((SerializationServiceSupport) out).getSerializationService().getManagedContext().initialize(this);
        }
        // starts with a zero byte: members whose jar is older read that as the boolean which follows, and no more
        out.writeString(sender());
    }

    @Override
    public void readData(ObjectDataInput in) throws IOException {
        boolean told = !(in instanceof InputStream stream) || stream.available() > FOLLOWS;
        sender = told ? in.readString() : Majority.NOT_TOLD;
    }

    @Override
    public int getFactoryId() {
        return GridDataSerializerHook.FACTORY_ID;
    }

    @Override
    public int getClassId() {
        return GridDataSerializerHook.MERGE_POLICY;
    }
}
