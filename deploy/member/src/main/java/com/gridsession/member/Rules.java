package com.gridsession.member;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * The rules: what a command does to a record, the same to the byte as {@code gridsession/_rules.py}, which says why.
 *
 * <p>Pure: no I/O, no clock, no randomness; never throws for what a client or a stored record may hold.
 */
public final class Rules {
    private final byte[] stored;
    private final Record base;
    private final Command command;
    private final long now;
    private final Limits limits;
    private final int ended;

    /** One application to a record that was just read; it is settled here. */
    private Rules(byte[] stored, Record base, Command command, long now, Limits limits) {
        this.ended = settle(base, now);
        this.stored = stored;
        this.base = base;
        this.command = command;
        this.now = now;
        this.limits = limits;
    }

    /**
     * Applies a command's bytes to a record's bytes.
     *
     * @param stored what is stored under the id, or null
     * @param bytes the command
     * @param now ms of the place's clock
     * @param sessionId the id the command is for
     */
    public static Applied apply(byte[] stored, byte[] bytes, long now, String sessionId, Limits limits) {
        byte[] id = sessionId.getBytes(StandardCharsets.UTF_8);
        int status = Status.MALFORMED;
        try {
            if (!Command.isKnown(bytes)) {
                return failed(Status.UNSUPPORTED, stored, id, now);
            }
            Command command = Command.parse(bytes);
            status = Status.CORRUPT;
            Record record = stored == null ? new Record(id) : Record.decode(stored, 0, stored.length, id);
            return new Rules(stored, record, command, now, limits).run();
        } catch (Unknown newer) {
            return failed(Status.UNSUPPORTED, stored, id, now);
        } catch (Unreadable unreadable) {
            return failed(status, stored, id, now);
        }
    }

    private static Applied failed(int status, byte[] stored, byte[] id, long now) {
        return new Applied(stored, new Reply(status, id, now).encode(), false, false, status, 0, 0);
    }

    /** Brings the record to what every command sees: what has ended by `now` is gone; gives {@link Applied#ended}. */
    private static int settle(Record record, long now) {
        int ended = 0;
        if (record.live && record.expiresAt() <= now && record.expiresAt() != Record.NEVER) {
            record.expire();
            ended = Applied.SESSION;
        }
        record.previous = Previous.settled(record.previous, now);
        if (record.lease != null && record.lease.until() <= now) {
            record.lease = null;
            ended |= Applied.LEASE;
        }
        for (Waiter waiter : record.queue) {
            if (waiter.until() <= now) {
                record.queue = Arrays.stream(record.queue).filter(each -> each.until() > now).toArray(Waiter[]::new);
                break;
            }
        }
        record.ring = record.ring.settled(now);
        return ended;
    }

    private Applied run() {
        if (base.id.length > limits.idBytes()) {
            return answer(Status.TOO_LARGE);
        }
        if (command.notAfter != 0 && command.notAfter <= now) {
            return answer(Status.TOO_LATE);
        }
        if (Bytes.difference(command.notAfter, now) > limits.horizon()) {
            return answer(Status.MALFORMED);
        }
        return switch (command.code) {
            case Command.LOAD -> load();
            case Command.RENEW -> renew();
            case Command.RELEASE -> release();
            case Command.CLAIM_EXPIRED -> claim();
            default -> change();
        };
    }

    private Reply reply(int status) {
        return new Reply(status, base.id, now);
    }

    private Applied answer(int status) {
        return answer(reply(status), null);
    }

    /** The answer about {@code record}, which is to be stored now; or, if null, about the record as it was. */
    private Applied answer(Reply reply, Record record) {
        reply.about(record != null ? record : base);
        return finish(reply, record);
    }

    /** As {@link #answer}, with as much of the record as the command wants; a draft or a selection fills its own bags. */
    private Applied show(Reply reply, Record record, int want, Bag[] bags) {
        Record shown = record != null ? record : base;
        if (shown.live && want != Command.NOTHING) {
            reply.life = shown;
        }
        if (bags != null) {
            reply.bags = bags;
        } else if (shown.live && want == Command.RECORD) {
            reply.bags = new Bag[] {shown.bags[Record.STATE], shown.bags[Record.PROPS], null};
        }
        return answer(reply, record);
    }

    private Applied finish(Reply reply, Record record) {
        Record now = record != null ? record : base;
        byte[] bytes = record != null ? record.encode() : stored;
        return new Applied(bytes, reply.encode(), record != null, reply.duplicate, reply.status, now.retainedUntil(),
                ended);
    }

    // --- load -------------------------------------------------------------------------------------------------------

    private Applied load() {
        if (command.parts() > limits.operations()) {
            return answer(Status.TOO_LARGE);
        }
        Record record = base;
        Reply grant = reply(Status.OK);
        if (command.acquires()) {
            grant = reply(Leases.statusOf(base, command, limits));
            record = Leases.acquire(base, command, now, grant);
            if (grant.status != Status.OK) {
                return answer(grant, record == base ? null : record);
            }
        }
        if (command.touches() && record.live) {
            record = touched(record);
        }
        Reply reply = reply(record.live ? Status.OK : Status.ABSENT);
        if (grant.hasGrant) {
            reply.grant(grant.token, grant.until, grant.place);
        }
        reply.seen = command.asksSeen() && Guards.remembers(record, command.from(command.seenAt));
        if (command.want == Command.WHOLE && record.live) {
            reply.results = whole(record);
        }
        Bag[] selected = command.hasNames() && record.live ? selected(record) : null;
        return show(reply, record == base ? null : record, command.want, selected);
    }

    /** As the one result: the record's bytes without what belongs to this place. */
    private static byte[] whole(Record record) {
        Record plain = record.copy();
        plain.lease = null;
        plain.queue = Waiter.NOBODY;
        plain.ring = Ring.EMPTY;
        plain.previous = Previous.NONE;
        byte[] bytes = plain.encode();
        Results results = new Results(bytes.length);
        results.bytes(bytes, 0, bytes.length);
        return results.encoded();
    }

    /** Only the fields asked for; each bag asked about answers, if only that it has none of them. */
    private Bag[] selected(Record record) {
        Bag[] found = {null, null, null};
        Cursor cursor = command.from(command.listAt);
        for (int left = command.count; left > 0; left--) {
            int bag = cursor.u8();
            int name = Command.stepName(cursor);
            int tail = cursor.i32();
            if (found[bag] == null) {
                found[bag] = new Bag(4);
            }
            int slot = record.bags[bag].find(cursor.data, name);
            if (slot >= 0) {
                select(found[bag], record.bags[bag], slot, tail);
            }
        }
        return found;
    }

    private static void select(Bag found, Bag bag, int slot, int tail) {
        byte[] data = bag.buffer(slot);
        int place = bag.place(slot);
        if (tail >= 0) {
            int kind = Kind.of(data, bag.rawAt(slot), bag.rawSize(slot));
            if (kind == Kind.LIST || kind == Kind.RECENT) {
                int count = Kind.requireElements(data, bag.rawAt(slot), bag.rawSize(slot));
                if (tail < count) {
                    Sequence sequence = new Sequence(bag, slot, count);
                    sequence.keepLast(tail);
                    found.put(sequence.block(kind, data, place), 0);
                    return;
                }
            }
        }
        found.put(data, place);
    }

    /** Restarts the ttl; it can never pass created + max_lifetime. */
    private Record touched(Record record) {
        boolean hasTtl = command.ttl < 0 ? record.hasTtl : command.ttl > 0;
        long ttl = command.ttl < 0 ? record.ttl : command.ttl;
        long due = record.expiresAt();
        boolean sameTtl = hasTtl == record.hasTtl && (!hasTtl || ttl == record.ttl);
        if (sameTtl && (due == Record.NEVER || Bytes.difference(due, now) >= command.ifLessThan)) {
            return record;
        }
        Record touched = record.copy();
        touched.setTtl(hasTtl, ttl);
        touched.touched = now;
        // at its max_lifetime a session gains nothing by being touched: not worth a write
        return sameTtl && touched.expiresAt() == due ? record : touched;
    }

    // --- leases -----------------------------------------------------------------------------------------------------

    private Applied renew() {
        if (!holds(base, command.token)) {
            return answer(Status.LEASE_LOST);
        }
        Record record = base.copy();
        record.lease = base.lease.until(now + command.duration);
        Reply reply = reply(Status.OK);
        reply.grant(command.token, record.lease.until(), 0);
        return answer(reply, record);
    }

    private Applied release() {
        Record record = Leases.released(base, command, limits);
        return record == null ? answer(Status.LEASE_LOST) : answer(reply(Status.OK), record == base ? null : record);
    }

    private static boolean holds(Record record, long token) {
        return record.lease != null && record.lease.token() == token;
    }

    // --- expired sessions -------------------------------------------------------------------------------------------

    private Applied claim() {
        if (base.ring.find(command.data, command.opIdAt) >= 0) {
            return answer(Status.TOO_LATE);
        }
        int place = Claims.place(base, command, now);
        if (place < 0) {
            if (command.renews()) {
                return answer(Status.LEASE_LOST);
            }
            if (base.previous.length == 0) {
                // what waited too long is forgotten now: while it is stored, whoever claims is sent here again and again
                return answer(reply(Status.ABSENT), Record.hasPrevious(stored) ? base : null);
            }
            Reply held = reply(Status.LEASED);
            held.grant(0, Claims.firstUntil(base), 0);
            return answer(held, null);
        }
        Record record = Claims.claimed(base, place, command, now);
        Reply reply = reply(Status.OK);
        Claims.tell(reply, record, place, !command.renews(), now);
        reply.about(record);
        reply.epoch = record.previous[place].epoch();
        reply.revision = record.previous[place].revision();
        return finish(reply, record == base ? null : record);
    }

    private Applied acknowledge() {
        Record left = Claims.acknowledged(base, command);
        if (left == null) {
            throw new Refusal(Status.LEASE_LOST, -1);
        }
        return answer(reply(Status.OK), remembering(left, Status.OK, left.revision, Bytes.EMPTY));
    }

    // --- changes ----------------------------------------------------------------------------------------------------

    private Applied change() {
        int earlier = base.ring.find(command.data, command.opIdAt);
        if (earlier >= 0) {
            return duplicate(earlier);
        }
        if (base.ring.count() >= limits.ring()) {
            return answer(Status.BUSY);
        }
        try {
            // one command may not hold the partition for long: everyone else's commands wait behind it
            if (command.parts() > limits.operations()) {
                throw new Refusal(Status.TOO_LARGE, -1);
            }
            if (command.code == Command.INSTALL) {
                return install();
            }
            if (command.code == Command.ACK_EXPIRED) {
                return acknowledge();
            }
            if (command.token != 0 && !holds(base, command.token)) {
                throw new Refusal(Status.LEASE_LOST, -1);
            }
            Guards.check(base, command);
            return command.code == Command.COMMIT ? commit() : delete();
        } catch (Refusal refusal) {
            Record kept = command.retries() ? remembering(base.copy(), refusal.status, base.revision, Bytes.EMPTY) : null;
            Reply reply = reply(refusal.status);
            reply.index = refusal.index;
            return answer(reply, kept);
        }
    }

    /** The first attempt's answer, with the record of now where it was asked for. */
    private Applied duplicate(int entry) {
        Reply reply = reply(base.ring.status(entry));
        byte[] results = base.ring.results(entry);
        reply.results = results.length > 2 ? results : Bytes.EMPTY;
        reply.duplicate = true;
        if (base.live && command.want != Command.NOTHING) {
            reply.life = base;
        }
        if (base.live && command.want >= Command.CHANGED) {
            reply.bags = new Bag[] {base.bags[Record.STATE], base.bags[Record.PROPS], null};
        }
        reply.about(base);
        reply.epoch = base.ring.epoch(entry);
        reply.revision = base.ring.revision(entry);
        return finish(reply, null);
    }

    /** Adds the command's op id to the ring of a record of our own. */
    private Record remembering(Record record, int status, long revision, byte[] results) {
        record.ring =
                record.ring.with(command.data, command.opIdAt, command.notAfter, status, record, revision, results);
        return record;
    }

    private Applied commit() {
        Draft draft = new Draft(base, now, limits, command.want == Command.CHANGED);
        if (command.clear != 0) {
            draft.clear(command.clear, command.retained, command.from(command.retainedAt));
        }
        Cursor cursor = command.from(command.listAt);
        for (int index = 0; index < command.count; index++) {
            try {
                draft.run(cursor);
            } catch (Refusal refusal) {
                throw new Refusal(refusal.status, index);
            }
        }
        Reply reply = reply(Status.OK);
        reply.results = draft.results.encoded();
        boolean asked = command.count > 0 || command.clear != 0;
        Record made = asked && !draft.effective ? kept(reply.results) : changed(draft.bags, reply.results);
        return show(reply, made, command.want, command.want == Command.CHANGED ? draft.shown() : null);
    }

    /** The record after a commit whose operations all found nothing to do; null if it need not be written. */
    private Record kept(byte[] results) {
        if (!command.releases() && !command.retries()) {
            return null;
        }
        return freed(bounded(remembering(base.copy(), Status.OK, base.revision, results)));
    }

    /** The record of our own, without its lease if the command gives that back. */
    private Record freed(Record record) {
        return command.releases() ? Leases.freed(record, command, limits) : record;
    }

    private Record changed(Bag[] bags, byte[] results) {
        Record made = base.copy();
        if (!base.live) {
            bear(made);
        } else if (command.ttlMode != Command.KEEP) {
            made.touched = now;
            if (command.ttlMode == Command.SET_TTL) {
                made.setTtl(command.ttl > 0, command.ttl);
            }
        }
        made.revision = Record.next(made.revision);
        made.announce |= command.announces();
        made.bags = bags;
        return sized(freed(remembering(made, Status.OK, made.revision, results)));
    }

    /** Epochs only rise: from the cluster's milliseconds, so also above those of a record long forgotten. */
    private void bear(Record made) {
        long ttl = command.ttlMode == Command.SET_TTL ? command.ttl : command.createdTtl;
        made.epoch = base.epoch != 0 ? Record.next(base.epoch) : now;
        made.live = true;
        made.created = now;
        made.touched = now;
        made.setTtl(ttl > 0, ttl);
        made.hasLifetime = command.createdLifetime > 0;
        made.lifetime = command.createdLifetime;
    }

    private Record sized(Record record) {
        // what others do (ring, queue) must not make a session too large for its user
        if (record.fields() > limits.fields() || record.ownSize() > limits.recordBytes()) {
            throw new Refusal(Status.TOO_LARGE, -1);
        }
        return bounded(record);
    }

    /** Values taken out of the record stand in the ring until their takers cannot ask again: they need a bound too. */
    private Record bounded(Record record) {
        if (record.ring.resultBytes() > limits.recordBytes()) {
            throw new Refusal(Status.BUSY, -1);
        }
        return record;
    }

    private Applied delete() {
        if (!base.live) {
            boolean keeps = command.releases() || command.retries();
            Record kept = keeps ? freed(remembering(base.copy(), Status.ABSENT, 0, Bytes.EMPTY)) : null;
            return answer(reply(Status.ABSENT), kept);
        }
        Record gone = base.copy();
        gone.empty();
        gone = freed(remembering(gone, Status.OK, base.revision, Bytes.EMPTY));
        Reply reply = reply(Status.OK);
        reply.about(gone);
        reply.revision = base.revision;
        return finish(reply, gone);
    }

    /** Puts the given session in place; what belongs to this place (lease, queue, ring, last token) stays. */
    private Applied install() {
        Record made = given();
        if (made.expiresAt() <= now && made.expiresAt() != Record.NEVER || !fits(made)) {
            throw new Refusal(Status.CONFLICT, -1);
        }
        made.epoch = made.epoch > base.epoch || base.live ? made.epoch : Record.next(base.epoch);
        made.lastToken = Math.max(made.lastToken, base.lastToken);
        made.lease = base.lease;
        made.queue = base.queue;
        made.ring = base.ring;
        made.previous = base.previous;
        return answer(reply(Status.OK), sized(remembering(made, Status.OK, made.revision, Bytes.EMPTY)));
    }

    /** A copy as old as what was deleted is not newer than the deletion. */
    private boolean fits(Record given) {
        boolean ifNewer = command.mode == Command.IF_NEWER;
        return base.live ? ifNewer && given.isNewerThan(base) : !ifNewer || given.epoch > base.epoch;
    }

    /** The live record that the command carries; its fields are checked as a client's are. */
    private Record given() {
        Record given;
        boolean tooLarge = false;
        try {
            given = Record.decode(command.data, command.recordAt, command.recordSize, base.id);
            // half the range stays free, so that no rule can count past what can be read
            Cursor.require(given.live && (given.epoch | given.revision | given.lastToken) >> 62 == 0);
            for (Bag bag : given.bags) {
                for (int slot = 0; slot < bag.slots(); slot++) {
                    Kind.require(bag.buffer(slot), bag.rawAt(slot), bag.rawSize(slot));
                    tooLarge |= Bag.nameSize(bag.buffer(slot), bag.place(slot)) > limits.nameBytes();
                }
            }
        } catch (Unreadable unreadable) {
            throw new Refusal(Status.MALFORMED, -1);
        }
        if (tooLarge) {
            throw new Refusal(Status.TOO_LARGE, -1);
        }
        return given;
    }
}
