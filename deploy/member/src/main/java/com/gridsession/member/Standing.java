package com.gridsession.member;

/**
 * How far a record has come. One that is not live stands above a live one of its epoch: it was deleted or has expired
 * since, and deleted stays deleted.
 */
record Standing(long epoch, boolean over, long revision, long lastToken) implements Comparable<Standing> {
    /** The standing of a record's bytes; null if they are no record. */
    static Standing of(byte[] data) {
        if (data == null) {
            return null;
        }
        try {
            Record record = Record.decode(data, 0, data.length, Record.idOf(data));
            return new Standing(record.epoch, !record.live, record.revision, record.lastToken);
        } catch (Unreadable unreadable) {
            return null;
        }
    }

    @Override
    public int compareTo(Standing other) {
        int order = Long.compare(epoch, other.epoch);
        order = order != 0 ? order : Boolean.compare(over, other.over);
        order = order != 0 ? order : Long.compare(revision, other.revision);
        return order != 0 ? order : Long.compare(lastToken, other.lastToken);
    }
}
