package com.gridsession.member;

import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.lang.management.MemoryUsage;

/**
 * The Java heap, bytes.
 *
 * @param used with what the next collection frees
 * @param live what is needed for sure: what the last collection of each of its parts left, or more if records take more
 * @param most what it may grow to
 */
record Heap(long used, long live, long most) {
    /** @param held what records take, bytes: long before the first full collection they may be all there is to know */
    static Heap now(long held) {
        Runtime runtime = Runtime.getRuntime();
        long live = 0;
        for (MemoryPoolMXBean pool : ManagementFactory.getMemoryPoolMXBeans()) {
            MemoryUsage left = pool.getType() == MemoryType.HEAP ? pool.getCollectionUsage() : null;
            live += left == null ? 0 : left.getUsed();
        }
        return new Heap(runtime.totalMemory() - runtime.freeMemory(), Math.max(live, held), runtime.maxMemory());
    }
}
