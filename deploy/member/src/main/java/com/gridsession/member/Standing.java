package com.gridsession.member;

/**
 * How far a record has come. One that is not live stands above a live one of its epoch: it was deleted or has expired
 * since, and deleted stays deleted. Of what changes without a revision the end of a former session that was acknowledged
 * and the time of the last touch count: while epoch, being over and revision stay, the one only leaves and the other
 * only rises.
 */
record Standing(long epoch, boolean over, long revision, long lastToken, int unacknowledged, long touched)
        implements Comparable<Standing> {
    /** The standing of a record's bytes; null if they are no record. */
    static Standing of(byte[] data) {
        if (data == null) {
            return null;
        }
        try {
            Record record = Record.decode(data, 0, data.length, Record.idOf(data));
            return new Standing(record.epoch, !record.live, record.revision, record.lastToken, record.previous.length,
                    record.touched);
        } catch (Unreadable unreadable) {
            return null;
        }
    }

    @Override
    public int compareTo(Standing other) {
        int order = Long.compare(epoch, other.epoch);
        order = order != 0 ? order : Boolean.compare(over, other.over);
        order = order != 0 ? order : Long.compare(revision, other.revision);
        order = order != 0 ? order : Long.compare(lastToken, other.lastToken);
        order = order != 0 ? order : Integer.compare(other.unacknowledged, unacknowledged);
        return order != 0 ? order : Long.compare(touched, other.touched);
    }
}
