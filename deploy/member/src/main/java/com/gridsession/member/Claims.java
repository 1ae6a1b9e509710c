package com.gridsession.member;

/** Who has claimed an expired session, and its end: {@code gridsession/_claims.py} says why. */
final class Claims {
    private static final byte BY_TTL = 1;
    private static final byte BY_LIFETIME = 2;

    private Claims() {
    }

    /**
     * The place among {@code record.previous} that the claim gets, or -1. Asked again under the same id it is the same
     * place: no id may stand twice, or its acknowledgement would speak of two.
     */
    static int place(Record record, Command command, long now) {
        int free = -1;
        for (int place = 0; place < record.previous.length; place++) {
            if (record.previous[place].isClaimedBy(command.data, command.opIdAt)) {
                return place;
            }
            if (free < 0 && record.previous[place].until() <= now) {
                free = place;
            }
        }
        return command.renews() ? -1 : free;
    }

    /** The record after the claim of a place; {@code base} itself if the asker holds it already. */
    static Record claimed(Record base, int place, Command command, long now) {
        Previous ended = base.previous[place];
        if (!command.renews() && ended.until() > now) {
            return base;
        }
        int attempts = command.renews() || ended.attempts() == Integer.MAX_VALUE ? ended.attempts() : ended.attempts() + 1;
        Record record = base.copy();
        record.previous = base.previous.clone();
        record.previous[place] = ended.claimed(command.data, command.opIdAt, now + command.duration, attempts);
        return record;
    }

    /** Fills the answer with what the claimed session held. */
    static void tell(Reply reply, Record record, int place, boolean bags, long now) {
        Previous ended = record.previous[place];
        byte left = 0;
        for (Previous other : record.previous) {
            left += other.until() <= now ? 1 : 0;
        }
        reply.grant(ended.attempts(), ended.until(), 0);
        byte[] told = {ended.byLifetime() ? BY_LIFETIME : BY_TTL, left};
        Results results = new Results(told.length);
        results.bytes(told, 0, told.length);
        reply.results = results.encoded();
        Record life = new Record(record.id);
        life.created = ended.created();
        reply.life = life;
        reply.endedAt = ended.expired();
        if (bags) {
            reply.bags = new Bag[] {ended.state(), ended.props(), null};
        }
    }

    /** The record without what is under the claim; null if nothing is. */
    static Record acknowledged(Record base, Command command) {
        for (int place = 0; place < base.previous.length; place++) {
            if (base.previous[place].isClaimedBy(command.data, command.opIdAt)) {
                Record record = base.copy();
                record.previous = new Previous[base.previous.length - 1];
                System.arraycopy(base.previous, 0, record.previous, 0, place);
                System.arraycopy(base.previous, place + 1, record.previous, place, base.previous.length - place - 1);
                return record;
            }
        }
        return null;
    }

    /** When the first of the claims under way ends, ms; 0 if there is none. */
    static long firstUntil(Record record) {
        long first = 0;
        for (Previous ended : record.previous) {
            first = first == 0 ? ended.until() : Math.min(first, ended.until());
        }
        return first;
    }
}
