package com.gridsession.member;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/**
 * Ids of one namespace whose expired session is to be claimed now or soon, earliest first. What is handed out is handed
 * out again only some seconds later, so that claimers do not race for it; what holds is the claim on the record itself.
 */
final class DueIndex {
    /** How far ahead it looks, ms: further than until the next look at all entries. */
    static final long HORIZON = 60_000;
    /** For how long what was handed out is left to whom it went, ms. */
    static final long RESERVED = 5_000;

    /** Ids kept at once; if there are more, the latest are left for the next look at all entries. */
    private final int most;
    private final TreeSet<Due> order = new TreeSet<>();
    private final Map<String, Due> known = new HashMap<>();
    private long look;
    private boolean partial;

    /** One id, when it is due (ms), whether that is only because it was handed out, and the last look that saw it. */
    private record Due(String id, long at, boolean reserved, long look) implements Comparable<Due> {
        @Override
        public int compareTo(Due other) {
            int order = Long.compare(at, other.at);
            return order != 0 ? order : id.compareTo(other.id);
        }
    }

    DueIndex(int most) {
        this.most = most;
    }

    /** The record under the id changed: its expired session is to be claimed at {@code at}, or never. */
    synchronized void changed(String id, long at, long now) {
        if (at > now + HORIZON) {
            forget(id);
        } else {
            put(new Due(id, at, false, look));
        }
    }

    /** A look at all entries begins. */
    synchronized void begin() {
        look++;
        partial = false;
    }

    /** A look at all entries came to this one. */
    synchronized void seen(String id, long at, long now) {
        if (at <= now + HORIZON) {
            Due before = known.get(id);
            boolean reserved = before != null && before.reserved && before.at > now && at <= now;
            put(new Due(id, reserved ? before.at : at, reserved, look));
        }
    }

    /** A look at all entries is over: what it has not come to is elsewhere now. */
    synchronized void end() {
        for (Due due : List.copyOf(known.values())) {
            if (due.look < look) {
                forget(due.id);
            }
        }
    }

    /** The ids due by now, at most so many. */
    synchronized List<String> take(int limit, long now) {
        List<Due> taken = new ArrayList<>();
        for (Due due : order) {
            if (due.at > now || taken.size() >= limit) {
                break;
            }
            taken.add(due);
        }
        taken.forEach(due -> put(new Due(due.id, now + RESERVED, true, due.look)));
        return taken.stream().map(Due::id).toList();
    }

    /** Whether ids were left out and there is room for them now. */
    synchronized boolean lacks() {
        return partial && known.size() <= most / 2;
    }

    private void put(Due due) {
        forget(due.id);
        known.put(due.id, due);
        order.add(due);
        if (known.size() > most) {
            forget(order.last().id);
            partial = true;
        }
    }

    private void forget(String id) {
        Due due = known.remove(id);
        if (due != null) {
            order.remove(due);
        }
    }
}
